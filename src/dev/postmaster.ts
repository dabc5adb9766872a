// One running postmaster: started without a shell, watched so that it never outlives us, stopped with all its children.
//
//   we ──spawn──► postgres (own process group: Ctrl-C in a terminal is for us alone)
//    └──spawn──► sh, reading a pipe that only we hold: when we die, even by SIGKILL, it reads the end of the file
//                and asks the postmaster for a fast shutdown. So a killed `atomshard dev` leaves no server behind.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Account, giveTo, runAs } from './account.ts';
import { DevError } from './dev-error.ts';
import { childrenOf, findProcess, signalProcess } from './process-table.ts';

/** fast: transactions are rolled back, then a checkpoint. immediate: as after a crash; the next start recovers. */
export type StopMode = 'fast' | 'immediate';

export interface ServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last lines of the server's log. */
  readonly logTail: string;
}

export const LOG_FILE = 'server.log';
const LOG_BYTES_MAX = 16 * 1024 * 1024;
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;
const POLL_MS = 10;

/** What `postmaster.pid` says: pid, data directory, start time, port, socket directory, address, shared memory, state. */
export function readPostmasterFile(
  dataDirectory: string,
): { readonly pid: number; readonly directory: string; readonly ready: boolean } | undefined {
  try {
    const lines = readFileSync(path.join(dataDirectory, 'postmaster.pid'), 'utf8').split('\n');
    return { pid: Number(lines[0]), directory: lines[1] ?? '', ready: lines[7]?.trim() === 'ready' };
  } catch {
    return undefined;
  }
}

export class Postmaster {
  readonly pid: number;
  /** Resolves when the process has ended, for whatever reason. */
  readonly exited: Promise<ServerExit>;
  #expected = false;

  private constructor(child: ChildProcess, pid: number, dataDirectory: string) {
    this.pid = pid;
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal, logTail: logTail(dataDirectory) }));
    });
  }

  /** False once we have asked it to end: an end without that is news. */
  get unexpected(): boolean {
    return !this.#expected;
  }

  /** Starts a server and resolves when it accepts connections. Throws DevError `start-failed` with the end of its log. */
  static async start(
    binDirectory: string,
    dataDirectory: string,
    settings: Readonly<Record<string, string>>,
    account: Account | undefined,
  ): Promise<Postmaster> {
    const logFile = path.join(dataDirectory, LOG_FILE);
    const log = openSync(logFile, 'a', 0o600);
    if (fstatSync(log).size > LOG_BYTES_MAX) ftruncateSync(log);
    await giveTo(logFile, account);
    const from = fstatSync(log).size;
    const args = [
      '-D',
      dataDirectory,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ];
    const options = { ...runAs(account), detached: true, stdio: ['ignore', log, log] as ('ignore' | number)[] };
    const child = spawn(path.join(binDirectory, 'postgres'), args, options);
    const failed = new Promise<Error>((resolve) => child.once('error', resolve));
    closeSync(log);
    if (child.pid === undefined)
      throw new DevError('start-failed', `postgres cannot be run: ${(await failed).message}`);
    const server = new Postmaster(child, child.pid, dataDirectory);
    server.#watch(account);
    await server.#untilReady(dataDirectory, from);
    return server;
  }

  async #untilReady(dataDirectory: string, logFrom: number): Promise<void> {
    let ended: ServerExit | undefined;
    void this.exited.then((exit) => {
      ended = exit;
    });
    for (let waitedMs = 0; waitedMs < START_TIMEOUT_MS; waitedMs += POLL_MS) {
      if (ended !== undefined) {
        const said = logTail(dataDirectory, logFrom);
        throw new DevError(
          'start-failed',
          `PostgreSQL in ${dataDirectory} did not start (exit ${ended.code ?? ended.signal}): ${said}`,
        );
      }
      const file = readPostmasterFile(dataDirectory);
      // An old file can still name an earlier process; only our own pid counts.
      if (file?.pid === this.pid && file.ready) return;
      await sleep(POLL_MS);
    }
    await this.kill9();
    throw new DevError(
      'start-failed',
      `PostgreSQL in ${dataDirectory} was not ready after ${START_TIMEOUT_MS / 1000} s: ${logTail(dataDirectory, logFrom)}`,
    );
  }

  #watch(account: Account | undefined): void {
    // `read` ends with success when we write a line (all is well, go), and fails at the end of the file (we are gone).
    const watcher = spawn('/bin/sh', ['-c', 'read line || kill -INT "$0"', String(this.pid)], {
      ...runAs(account),
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    watcher.on('error', () => undefined);
    const pipe = watcher.stdin;
    pipe?.on('error', () => undefined);
    void this.exited.then(() => pipe?.end('\n'));
    watcher.unref();
  }

  /** Stops and waits for the end; after a deadline harder. Throws DevError `stop-failed` when nothing helps. */
  async stop(mode: StopMode): Promise<void> {
    this.#expected = true;
    await this.resume();
    for (const signal of mode === 'fast' ? (['SIGINT', 'SIGQUIT'] as const) : (['SIGQUIT'] as const)) {
      if (!signalProcess(this.pid, signal)) break;
      if (await this.#endedWithin(STOP_TIMEOUT_MS)) return;
    }
    await this.kill9();
  }

  /** SIGKILL to the postmaster and all its children at once, as when the machine loses power (the kernel's cache stays). */
  async kill9(): Promise<void> {
    this.#expected = true;
    // Stopped first, so that no child is born between the listing and the killing.
    signalProcess(this.pid, 'SIGSTOP');
    const all = [this.pid, ...(await childrenOf(this.pid))];
    for (const pid of all) signalProcess(pid, 'SIGKILL');
    for (let waitedMs = 0; waitedMs < STOP_TIMEOUT_MS; waitedMs += POLL_MS) {
      const left = await Promise.all(all.map(findProcess));
      if (left.every((entry) => entry === undefined)) return;
      await sleep(POLL_MS);
    }
    throw new DevError(
      'stop-failed',
      `PostgreSQL (pid ${this.pid}) is still there ${STOP_TIMEOUT_MS / 1000} s after SIGKILL.`,
    );
  }

  /** Freezes the server: connections stay open and nobody answers. Backends are their own process groups, so each is signalled. */
  async pause(): Promise<void> {
    signalProcess(this.pid, 'SIGSTOP');
    for (const pid of await childrenOf(this.pid)) signalProcess(pid, 'SIGSTOP');
  }

  async resume(): Promise<void> {
    for (const pid of await childrenOf(this.pid)) signalProcess(pid, 'SIGCONT');
    signalProcess(this.pid, 'SIGCONT');
  }

  async #endedWithin(timeoutMs: number): Promise<boolean> {
    const gaveUp = new AbortController();
    const timeout = sleep(timeoutMs, false, { signal: gaveUp.signal }).catch(() => false);
    const ended = await Promise.race([this.exited.then(() => true), timeout]);
    gaveUp.abort();
    return ended;
  }
}

/**
 * A server that an earlier, killed run left on this directory is stopped, not adopted: its parameters may be others, and
 * its end could not be watched. Throws DevError `in-use` when the process there is no PostgreSQL of this directory.
 */
export async function stopLeftover(dataDirectory: string, say: (line: string) => void): Promise<void> {
  const file = readPostmasterFile(dataDirectory);
  const entry = file === undefined ? undefined : await findProcess(file.pid);
  // No such process, or the pid now belongs to something else: PostgreSQL itself clears the stale file.
  if (file === undefined || entry === undefined || !/postgres/.test(entry.command)) return;
  const parent = await findProcess(entry.parentPid);
  if (
    file.directory !== dataDirectory ||
    (parent !== undefined && entry.parentPid !== 1 && /\bnode\b/.test(parent.command))
  ) {
    throw new DevError(
      'in-use',
      `${dataDirectory} is in use by process ${file.pid} (started by process ${entry.parentPid}); stop that one first.`,
    );
  }
  say(`stopping the server (pid ${file.pid}) that an earlier run left on ${dataDirectory}`);
  for (const signal of ['SIGCONT', 'SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    signalProcess(file.pid, signal);
    for (let waitedMs = 0; signal !== 'SIGCONT' && waitedMs < STOP_TIMEOUT_MS; waitedMs += POLL_MS) {
      if ((await findProcess(file.pid)) === undefined) return;
      await sleep(POLL_MS);
    }
  }
  throw new DevError('stop-failed', `the server (pid ${file.pid}) on ${dataDirectory} does not end.`);
}

function logTail(dataDirectory: string, fromByte = 0): string {
  try {
    const log = readFileSync(path.join(dataDirectory, LOG_FILE)).subarray(fromByte).toString('utf8');
    return log.trimEnd().split('\n').slice(-20).join('\n');
  } catch {
    return '(no log)';
  }
}

// The real proxy as a child process: started, killed, frozen, stopped and started again on the same log, and what it said kept.
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { ProxyConfigInput } from '../../src/proxy/config.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const START_TIMEOUT_MS = 30_000;
const LOG_LINES_MAX = 20_000;

/** What a user starts. */
export const COMMAND_LINE: readonly string[] = [path.join(ROOT, 'src/main.ts'), 'proxy'];

export interface ProxyExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProxyReady {
  readonly port: number;
  readonly instance: string;
  readonly epoch: number;
  readonly inDoubt: number;
}

export interface ProxyStart {
  /** Where the configuration file goes. */
  readonly directory: string;
  readonly config: ProxyConfigInput;
  /** What to run instead of the command line, before `--config FILE`. */
  readonly entry?: readonly string[];
  /** After `--config FILE`. */
  readonly args?: readonly string[];
}

/** The proxy ended before it was ready; the message holds the end of what it said. */
export class ProxyEndedEarly extends Error {
  override readonly name = 'ProxyEndedEarly';
  readonly exit: ProxyExit;
  constructor(exit: ProxyExit, said: readonly string[]) {
    super(`the proxy ended (${exit.code ?? exit.signal}) before it was ready:\n${said.slice(-20).join('\n')}`);
    this.exit = exit;
  }
}

/** `atomshard proxy ready on 127.0.0.1:6432 (instance proxy-0, epoch 1789, in doubt 0)` */
export function parseReadyLine(line: string): ProxyReady | undefined {
  const match = /^atomshard proxy ready on \S+:(\d+) \(instance ([a-z0-9-]+), epoch (\d+), in doubt (\d+)\)$/.exec(
    line.trim(),
  );
  if (match === null) return undefined;
  const [, port, instance = '', epoch, inDoubt] = match;
  return { port: Number(port), instance, epoch: Number(epoch), inDoubt: Number(inDoubt) };
}

export class ProxyProcess implements AsyncDisposable {
  readonly pid: number;
  readonly exited: Promise<ProxyExit>;
  /** Everything it wrote to stdout and stderr, line by line, the newest kept. */
  readonly log: string[] = [];
  readonly #child: ChildProcess;
  readonly #start: ProxyStart;
  #ready: ProxyReady | undefined;
  #gone = false;

  private constructor(start: ProxyStart, child: ChildProcess, pid: number) {
    this.#start = start;
    this.#child = child;
    this.pid = pid;
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#gone = true;
        resolve({ code, signal });
      });
    });
    if (child.stdout !== null) this.#collect(child.stdout);
    if (child.stderr !== null) this.#collect(child.stderr);
  }

  /** Starts it without waiting for it to be ready. */
  static spawn(start: ProxyStart): ProxyProcess {
    const file = path.join(start.directory, 'proxy.yaml');
    writeFileSync(file, stringify(start.config), { mode: 0o600 });
    const args = [...(start.entry ?? COMMAND_LINE), '--config', file, ...(start.args ?? [])];
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    if (child.pid === undefined) throw new Error(`${process.execPath} cannot be run`);
    return new ProxyProcess(start, child, child.pid);
  }

  /** Starts it and waits until it listens. Throws ProxyEndedEarly. */
  static async start(start: ProxyStart): Promise<ProxyProcess> {
    const proxy = ProxyProcess.spawn(start);
    await proxy.untilReady();
    return proxy;
  }

  /** What the ready line said; throws before it was said. */
  get ready(): ProxyReady {
    if (this.#ready === undefined) throw new Error('the proxy is not ready');
    return this.#ready;
  }

  /** True once the process has ended. */
  get gone(): boolean {
    return this.#gone;
  }

  async untilReady(): Promise<ProxyReady> {
    for (let waitedMs = 0; waitedMs < START_TIMEOUT_MS; waitedMs += 10) {
      if (this.#ready !== undefined) return this.#ready;
      if (this.#gone) throw new ProxyEndedEarly(await this.exited, this.log);
      await sleep(10);
    }
    await this.kill9();
    throw new Error(`the proxy was not ready after ${START_TIMEOUT_MS / 1000} s:\n${this.log.slice(-20).join('\n')}`);
  }

  /** A connection string for its one database. */
  url(user: string, password?: string): string {
    const login = password === undefined ? user : `${user}:${encodeURIComponent(password)}`;
    return `postgres://${login}@127.0.0.1:${this.ready.port}/${this.#start.config.database ?? 'postgres'}`;
  }

  /** The log lines that are JSON objects, parsed. */
  *logEntries(): Generator<Record<string, unknown>> {
    for (const line of this.log) {
      if (!line.startsWith('{')) continue;
      try {
        yield JSON.parse(line) as Record<string, unknown>;
      } catch {
        // A line cut by SIGKILL.
      }
    }
  }

  /** Sends a message over the channel that only a test entry listens to. */
  tell(message: object): void {
    this.#child.send(message, () => undefined);
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#gone) this.#child.kill(signal);
  }

  /** SIGKILL, and resolves when it is gone. */
  async kill9(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** SIGTERM, and resolves with how it ended. */
  terminate(): Promise<ProxyExit> {
    this.signal('SIGTERM');
    return this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill9();
  }

  #collect(stream: Readable): void {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        this.#ready ??= parseReadyLine(line);
        this.log.push(line);
      }
      if (this.log.length > LOG_LINES_MAX) this.log.splice(0, this.log.length - LOG_LINES_MAX);
    });
  }
}

// Processes by pid AND start time: a pid alone may be somebody else's by now, and only what the harness started is ever signalled.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { systemClock } from '../../../src/kernel/clock.ts';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks between boot and the start of the process: field 22 of /proc/PID/stat. */
  readonly startTicks: string;
}

/** The identity of a living process, or undefined when it is gone (a zombie counts as gone). */
export function identityOf(pid: number): ProcessIdentity | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The name in parentheses may itself hold spaces and parentheses, so count from the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const startTicks = fields[19];
  return fields[0] === 'Z' || startTicks === undefined ? undefined : { pid, startTicks };
}

/** Reads what {@link writeIdentity} or nodeinit wrote; undefined when the file is missing or not of that form. */
export function readIdentity(file: string): ProcessIdentity | undefined {
  try {
    const [pid, startTicks] = readFileSync(file, 'utf8').trim().split(' ');
    return startTicks === undefined ? undefined : { pid: Number(pid), startTicks };
  } catch {
    return undefined;
  }
}

export function writeIdentity(file: string, identity: ProcessIdentity): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, `${identity.pid} ${identity.startTicks}\n`);
  renameSync(`${file}.new`, file);
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identityOf(identity.pid)?.startTicks === identity.startTicks;
}

/** Sends SIGKILL if the process still is the one that was written down, and waits until it is gone. */
export async function killExactly(identity: ProcessIdentity): Promise<void> {
  if (isAlive(identity)) process.kill(identity.pid, 'SIGKILL');
  while (isAlive(identity)) await systemClock.sleep(20);
}

/**
 * Runs `work` while holding the lock `folder` (a directory, because mkdir is atomic). A lock whose holder is dead is
 * taken over: a crash here leaves a folder that the next caller removes.
 */
export async function withLock<Result>(
  folder: string,
  onWait: () => void,
  work: () => Promise<Result>,
): Promise<Result> {
  const holderFile = path.join(folder, 'holder');
  mkdirSync(path.dirname(folder), { recursive: true });
  let withoutHolder = 0;
  for (let attempt = 0; !tryMakeFolder(folder); attempt += 1) {
    const holder = readIdentity(holderFile);
    withoutHolder = holder === undefined ? withoutHolder + 1 : 0;
    // A lock without a holder is either a moment old or was left by a crash between the two calls below; looks in a row
    // are counted, as one that passes from hand to hand has a moment without a holder each time.
    if (holder === undefined ? withoutHolder > 50 : !isAlive(holder)) {
      rmSync(folder, { recursive: true, force: true });
      continue;
    }
    if (attempt === 5) onWait();
    await systemClock.sleep(100);
  }
  const self = identityOf(process.pid);
  if (self !== undefined) writeIdentity(holderFile, self);
  try {
    return await work();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function tryMakeFolder(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

// Looks at the operating system's process table; a zombie counts as gone, because it holds nothing any more.
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

export interface ProcessEntry {
  readonly pid: number;
  readonly parentPid: number;
  /** One letter, as in ps(1); Z is a zombie, T stopped by a signal. */
  readonly state: string;
  readonly command: string;
}

const run = promisify(execFile);

/** Every process that can be seen. Reads /proc where there is one, else asks ps(1). */
export async function listProcesses(): Promise<ProcessEntry[]> {
  if (process.platform !== 'linux') return listWithPs();
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const entries = await Promise.all(names.map((name) => readProcEntry(Number(name))));
  return entries.filter((entry) => entry !== undefined);
}

/** The processes whose parent is `pid`, zombies left out. */
export async function childrenOf(pid: number): Promise<number[]> {
  const all = await listProcesses();
  return all.filter((entry) => entry.parentPid === pid && entry.state !== 'Z').map((entry) => entry.pid);
}

/** The process, or undefined when it is gone (or a zombie). */
export async function findProcess(pid: number): Promise<ProcessEntry | undefined> {
  const entry =
    process.platform === 'linux' ? await readProcEntry(pid) : (await listWithPs()).find((each) => each.pid === pid);
  return entry === undefined || entry.state === 'Z' ? undefined : entry;
}

/** Sends a signal; false when the process was already gone. Throws when it is not ours to signal. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}

/** `/proc/<pid>/stat` is `pid (comm) state ppid …`; comm may hold blanks and brackets, so cut at the last bracket. */
async function readProcEntry(pid: number): Promise<ProcessEntry | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    const rest = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const command = (await readFile(`/proc/${pid}/cmdline`, 'latin1')).replaceAll('\0', ' ').trim();
    return { pid, parentPid: Number(rest[1]), state: rest[0] ?? '?', command };
  } catch {
    // It ended between the listing and the reading: gone is what the caller wants to know.
    return undefined;
  }
}

async function listWithPs(): Promise<ProcessEntry[]> {
  const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid=,state=,command='], { maxBuffer: 16 * 1024 * 1024 });
  return stdout.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(\S)\S*\s+(.*)$/.exec(line);
    return match === null
      ? []
      : [{ pid: Number(match[1]), parentPid: Number(match[2]), state: match[3] ?? '?', command: match[4] ?? '' }];
  });
}

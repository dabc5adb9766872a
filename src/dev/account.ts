// Chooses the account that runs PostgreSQL, whose binaries refuse root; nobody is changed when we are not root.
import { type SpawnOptions, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chown, stat } from 'node:fs/promises';
import path from 'node:path';
import { DevError } from './dev-error.ts';

/** Whom child processes run as; undefined means as ourselves. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Tried in this order: an account made for PostgreSQL, then the one that exists everywhere. */
const CANDIDATES = ['postgres', '_postgres', 'nobody'] as const;

/** Picks from the text of passwd(5); uids are unsigned (macOS writes nobody as -2). Undefined when none fits. */
export function chooseAccount(passwd: string, ownerUid?: number): Account | undefined {
  const accounts = passwd.split('\n').flatMap((line): Account[] => {
    const [name, , uid, gid] = line.split(':');
    if (name === undefined || name.startsWith('#') || uid === undefined || gid === undefined) return [];
    return [{ name, uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 }];
  });
  const fit = accounts.filter((account) => account.uid !== 0);
  // Data kept from an earlier run belong to the account of that run, whatever would be chosen today.
  const owner = fit.find((account) => account.uid === ownerUid);
  if (owner !== undefined) return owner;
  return CANDIDATES.map((name) => fit.find((account) => account.name === name)).find((found) => found !== undefined);
}

/** The account for a data directory (which may not exist yet). Throws DevError `no-account` when root has none. */
export async function accountFor(directory: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(directory).then(
    (found) => found.uid,
    () => undefined,
  );
  const account = chooseAccount(readFileSync('/etc/passwd', 'utf8'), owner);
  if (account === undefined) {
    throw new DevError(
      'no-account',
      `PostgreSQL refuses to run as root and /etc/passwd names none of ${CANDIDATES.join(', ')}. ` +
        'Run as an ordinary user, or add one of them (useradd --system postgres).',
    );
  }
  return account;
}

/** Options for child_process that drop to the account. */
export function runAs(account: Account | undefined): Pick<SpawnOptions, 'uid' | 'gid' | 'cwd' | 'env'> {
  const env = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', HOME: '/' };
  return account === undefined ? { cwd: '/', env } : { cwd: '/', env, uid: account.uid, gid: account.gid };
}

/** Gives a file or directory of ours to the account. */
export async function giveTo(file: string, account: Account | undefined): Promise<void> {
  if (account !== undefined) await chown(file, account.uid, account.gid);
}

/** The first directory on the way to `target` that the account cannot pass, or undefined when the way is free. */
export async function closedParent(target: string, account: Account | undefined): Promise<string | undefined> {
  if (account === undefined) return undefined;
  let place = path.resolve(target);
  const way: string[] = [];
  while (place !== path.dirname(place)) {
    place = path.dirname(place);
    way.unshift(place);
  }
  for (const directory of way) {
    const found = await stat(directory).catch(() => undefined);
    // What is not there yet will be made by us, open enough.
    if (found === undefined) return undefined;
    const bit = found.uid === account.uid ? 0o100 : found.gid === account.gid ? 0o010 : 0o001;
    if ((found.mode & bit) === 0) return directory;
  }
  return undefined;
}

/** Runs a program to its end as the account; resolves with its exit code and everything it wrote. */
export function runProgram(
  program: string,
  args: readonly string[],
  account: Account | undefined,
): Promise<{ readonly code: number | null; readonly output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...runAs(account), stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const collect = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-65_536);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}

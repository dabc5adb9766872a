// The place for what can be made again (binaries of other majors, initialised templates); never inside the project.
import { mkdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { type Account, closedParent } from './account.ts';

/** Root's own home is closed to the account that runs PostgreSQL, so root shares one under /var. */
const ROOT_CACHE = '/var/cache/atomshard';

/** `$XDG_CACHE_HOME/atomshard` or `~/.cache/atomshard`, or one that `account` can reach. Created when missing. */
export async function cacheDirectory(account: Account | undefined): Promise<string> {
  const base = process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache');
  const wanted = path.join(base, 'atomshard');
  const directory = (await closedParent(path.join(wanted, 'x'), account)) === undefined ? wanted : ROOT_CACHE;
  await mkdir(directory, { recursive: true, mode: 0o755 });
  return directory;
}

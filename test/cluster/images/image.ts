// One image as the harness knows it: a name, a key over everything that goes into it, and an archive that is built only when the key is new.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Folders } from '../harness/folders.ts';
import { withLock } from '../harness/identity.ts';
import type { Report } from '../harness/report.ts';
import { type ImageConfig, writeArchive } from './archive.ts';
import { Rootfs } from './rootfs.ts';

export interface ImageRecipe {
  /** e.g. `atomshard`; the reference is `localhost/NAME:KEY`. */
  readonly name: string;
  /** Everything that decides the content, as text or as paths of files and folders that are read. */
  readonly inputs: { readonly texts: readonly string[]; readonly paths: readonly string[] };
  /** A fixed tag besides the key, for manifests written by hand. */
  readonly alias?: string;
  assemble(rootfs: Rootfs): Promise<ImageConfig>;
}

export interface BuiltImage {
  readonly name: string;
  /** `localhost/NAME:KEY`: another content has another reference, so nodes never hold a stale one. */
  readonly reference: string;
  readonly archive: string;
}

/** Bumped when this harness packs the same inputs differently. */
const PACKING = '4';

/** Hashes files by content; files of the machine itself (outside the tree) by size and time, which is enough for a cache. */
export function imageKey(recipe: Pick<ImageRecipe, 'inputs' | 'name'>, contentBelow: string): string {
  const hash = createHash('sha256').update(`${PACKING}\0${recipe.name}\0`);
  for (const text of recipe.inputs.texts) hash.update(`${text}\0`);
  for (const input of recipe.inputs.paths) hashPath(hash, input, contentBelow);
  return hash.digest('hex').slice(0, 12);
}

function hashPath(hash: ReturnType<typeof createHash>, file: string, contentBelow: string): void {
  const stat = statSync(file);
  if (stat.isDirectory()) {
    for (const name of readdirSync(file).toSorted()) hashPath(hash, path.join(file, name), contentBelow);
  } else if (file.startsWith(contentBelow) && !file.includes('/node_modules/')) {
    hash
      .update(`${path.relative(contentBelow, file)}\0`)
      .update(readFileSync(file))
      .update('\0');
  } else {
    hash.update(`${file}\0${stat.size}\0${Math.trunc(stat.mtimeMs)}\0`);
  }
}

/** Returns the image's archive, assembling it when no archive with its key is kept. Old archives of the name are removed. */
export async function ensureImage(
  recipe: ImageRecipe,
  folders: Folders,
  report: Report,
  contentBelow: string,
): Promise<BuiltImage> {
  const key = imageKey(recipe, contentBelow);
  const folder = path.join(folders.cache, 'images');
  const archive = path.join(folder, `${recipe.name}-${key}.tar`);
  const reference = `localhost/${recipe.name}:${key}`;
  const built: BuiltImage = { name: recipe.name, reference, archive };
  if (existsSync(archive)) return built;
  mkdirSync(folder, { recursive: true });
  await withLock(
    path.join(folder, `${recipe.name}.lock`),
    () => undefined,
    async () => {
      if (existsSync(archive)) return;
      const staging = path.join(folder, `${recipe.name}.staging`);
      const config = await recipe.assemble(new Rootfs(staging));
      const aliases = recipe.alias === undefined ? [] : [`localhost/${recipe.name}:${recipe.alias}`];
      await writeArchive(archive, [reference, ...aliases], staging, config);
      rmSync(staging, { recursive: true, force: true });
      removeOthers(folder, recipe.name, archive);
    },
  );
  report.step(`image ${reference}: ${Math.round(statSync(archive).size / 1e6)} MB`);
  return built;
}

function removeOthers(folder: string, name: string, keep: string): void {
  const mine = new RegExp(`^${name}-[0-9a-f]{12}\\.tar$`);
  for (const file of readdirSync(folder)) {
    if (mine.test(file) && path.join(folder, file) !== keep) rmSync(path.join(folder, file));
  }
}

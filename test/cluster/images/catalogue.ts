// How every image that tests load is built, by name, and what a machine must have for it.
import type { Folders } from '../harness/folders.ts';
import { ensurePackages, FOR_IMAGES, FOR_POSTGRES_IMAGES, type Requirement } from '../harness/packages.ts';
import type { Report } from '../harness/report.ts';
import { atomshardE2eImage, atomshardImage } from './atomshard.ts';
import { clientImage } from './client.ts';
import { type BuiltImage, ensureImage, type ImageRecipe } from './image.ts';
import { type ImageName, PROJECT_ROOT } from './names.ts';
import { hasPostgres15, postgres15Image, postgres18Image } from './postgres.ts';
import { busyboxImage } from './system.ts';

/** Thrown for an image that this machine has not got the parts of. */
export class ImageUnavailable extends Error {
  override readonly name = 'ImageUnavailable';
}

interface Entry {
  /** Called only when the packages are there. */
  readonly recipe: (folders: Folders) => ImageRecipe;
  readonly packages: readonly Requirement[];
}

const WITH_POSTGRES_CLIENTS = [...FOR_IMAGES, ...FOR_POSTGRES_IMAGES];

const CATALOGUE: Record<ImageName, Entry> = {
  busybox: { recipe: busyboxImage, packages: FOR_IMAGES },
  atomshard: { recipe: (folders) => atomshardImage(folders, PROJECT_ROOT), packages: FOR_IMAGES },
  'atomshard-e2e': { recipe: (folders) => atomshardE2eImage(folders, PROJECT_ROOT), packages: FOR_IMAGES },
  'postgres-18': { recipe: () => postgres18Image(PROJECT_ROOT), packages: WITH_POSTGRES_CLIENTS },
  'postgres-15': { recipe: postgres15Image, packages: FOR_IMAGES },
  'pg-client': { recipe: () => clientImage(PROJECT_ROOT), packages: WITH_POSTGRES_CLIENTS },
};

/** Whether this machine can build the image; PostgreSQL 15 is there where Debian 12 is. */
export const isAvailable = (name: ImageName): boolean => name !== 'postgres-15' || hasPostgres15();

/** Builds the images whose content changed. Rejects with {@link ImageUnavailable} for one that cannot be made here. */
export async function buildImages(
  names: readonly ImageName[],
  folders: Folders,
  report: Report,
): Promise<BuiltImage[]> {
  const built: BuiltImage[] = [];
  for (const name of names) {
    if (!isAvailable(name)) throw new ImageUnavailable(`${name}: this machine has no packages of it`);
    const { recipe, packages } = CATALOGUE[name];
    await ensurePackages(packages, report);
    built.push(await ensureImage(recipe(folders), folders, report, PROJECT_ROOT));
  }
  return built;
}

// Every image that tests load, by name, and what a machine must have to build it.
import path from 'node:path';
import type { Folders } from '../harness/folders.ts';
import { ensurePackages, FOR_IMAGES, FOR_POSTGRES_IMAGES } from '../harness/packages.ts';
import type { Report } from '../harness/report.ts';
import { atomshardImage } from './atomshard.ts';
import { clientImage } from './client.ts';
import { type BuiltImage, ensureImage, type ImageRecipe } from './image.ts';
import { postgres15Image, postgres18Image } from './postgres.ts';
import { busyboxImage } from './system.ts';

export const PROJECT_ROOT = path.resolve(import.meta.dirname, '../../..');

export const IMAGE_NAMES = ['busybox', 'atomshard', 'postgres-18', 'postgres-15', 'pg-client'] as const;
export type ImageName = (typeof IMAGE_NAMES)[number];

/** Thrown for an image that this machine has not got the parts of. */
export class ImageUnavailable extends Error {
  override readonly name = 'ImageUnavailable';
}

/** `undefined` when the machine lacks what the image is made of. */
const RECIPES: Record<ImageName, (folders: Folders) => ImageRecipe | undefined> = {
  busybox: () => busyboxImage(),
  atomshard: (folders) => atomshardImage(folders, PROJECT_ROOT),
  'postgres-18': () => postgres18Image(PROJECT_ROOT),
  'postgres-15': () => postgres15Image(),
  'pg-client': () => clientImage(PROJECT_ROOT),
};

/** The images of those names; every image when none is given. Throws for a name that is none. */
export function imageNames(given: readonly string[]): ImageName[] {
  if (given.length === 0) return [...IMAGE_NAMES];
  return given.map((name) => {
    const found = IMAGE_NAMES.find((known) => known === name);
    if (found === undefined) throw new Error(`no image ${name}; there are ${IMAGE_NAMES.join(', ')}`);
    return found;
  });
}

/** Whether this machine can build the image. */
export const isAvailable = (name: ImageName, folders: Folders): boolean => RECIPES[name](folders) !== undefined;

/** Builds the images whose content changed. Rejects with {@link ImageUnavailable} for one that cannot be made here. */
export async function buildImages(
  names: readonly ImageName[],
  folders: Folders,
  report: Report,
): Promise<BuiltImage[]> {
  await ensurePackages([...FOR_IMAGES, ...FOR_POSTGRES_IMAGES], report);
  const built: BuiltImage[] = [];
  for (const name of names) {
    const recipe = RECIPES[name](folders);
    if (recipe === undefined) throw new ImageUnavailable(`${name}: this machine has no packages of it`);
    built.push(await ensureImage(recipe, folders, report, PROJECT_ROOT));
  }
  return built;
}

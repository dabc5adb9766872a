// Every image that tests load, by name.
import path from 'node:path';
import type { Folders } from '../harness/folders.ts';
import { ensurePackages, FOR_IMAGES } from '../harness/packages.ts';
import type { Report } from '../harness/report.ts';
import { type BuiltImage, ensureImage, type ImageRecipe } from './image.ts';
import { busyboxImage } from './system.ts';

export const PROJECT_ROOT = path.resolve(import.meta.dirname, '../../..');

export const IMAGE_NAMES = ['busybox'] as const;
export type ImageName = (typeof IMAGE_NAMES)[number];

export function imageNames(given: readonly string[]): ImageName[] {
  if (given.length === 0) return [...IMAGE_NAMES];
  return given.map((name) => {
    const found = IMAGE_NAMES.find((known) => known === name);
    if (found === undefined) throw new Error(`no image ${name}; there are ${IMAGE_NAMES.join(', ')}`);
    return found;
  });
}

const RECIPES: Record<ImageName, () => ImageRecipe> = { busybox: busyboxImage };

export async function buildImages(
  names: readonly ImageName[],
  folders: Folders,
  report: Report,
): Promise<BuiltImage[]> {
  await ensurePackages(FOR_IMAGES, report);
  const built: BuiltImage[] = [];
  for (const name of names) built.push(await ensureImage(RECIPES[name](), folders, report, PROJECT_ROOT));
  return built;
}

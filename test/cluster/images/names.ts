// The images that tests may ask for, and the tag that each has besides its key.
import path from 'node:path';

export const PROJECT_ROOT = path.resolve(import.meta.dirname, '../../..');

/** Tags for manifests written by hand, and for images pushed to a registry of one's own. */
export const IMAGE_TAGS = {
  busybox: '1',
  atomshard: 'dev',
  'atomshard-e2e': '1',
  'postgres-18': '18',
  'postgres-15': '15',
  'pg-client': '1',
} as const;

export type ImageName = keyof typeof IMAGE_TAGS;

export const IMAGE_NAMES = Object.keys(IMAGE_TAGS) as readonly ImageName[];

/** The images of those names; every image when none is given. Throws for a name that is none. */
export function imageNames(given: readonly string[]): ImageName[] {
  if (given.length === 0) return [...IMAGE_NAMES];
  return given.map((name) => {
    const found = IMAGE_NAMES.find((known) => known === name);
    if (found === undefined) throw new Error(`no image ${name}; there are ${IMAGE_NAMES.join(', ')}`);
    return found;
  });
}

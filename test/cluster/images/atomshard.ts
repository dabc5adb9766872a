// The image of operator and proxy, from the Dockerfile: Docker reads it where there is one, stages.ts does where there is none.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Folders } from '../harness/folders.ts';
import { contextSources, parseDockerfile } from './dockerfile.ts';
import type { ImageRecipe } from './image.ts';
import { IMAGE_TAGS } from './names.ts';
import { buildStages, performLastStage } from './stages.ts';
import { busyboxProgram } from './system.ts';

/** The recipe from the Dockerfile of `context`, the project's folder. */
export function atomshardImage(folders: Folders, context: string): ImageRecipe {
  const dockerfile = readFileSync(path.join(context, 'Dockerfile'), 'utf8');
  const stages = parseDockerfile(dockerfile);
  const last = stages.at(-1);
  if (last === undefined) throw new Error('the Dockerfile has no stage');
  return {
    name: 'atomshard',
    alias: IMAGE_TAGS.atomshard,
    inputs: {
      texts: [dockerfile, process.version],
      paths: contextSources(stages).map((source) => path.join(context, source)),
    },
    assemble: async (rootfs) => {
      const at = { context, cache: path.join(folders.cache, 'stages') };
      const roots = await buildStages(stages, at);
      // Stands for the base image: the libraries of Node, and a shell for people who look inside.
      await rootfs.libraries([process.execPath]);
      await rootfs.busybox(busyboxProgram());
      rootfs.accounts([]);
      return performLastStage(last, rootfs, at, roots);
    },
  };
}

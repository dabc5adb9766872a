// The image of operator and proxy, from the Dockerfile: Docker reads it where there is one, stages.ts does where there is none.
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Folders } from '../harness/folders.ts';
import { contextSources, parseDockerfile } from './dockerfile.ts';
import type { ImageRecipe } from './image.ts';
import { IMAGE_TAGS } from './names.ts';
import { performLastStage, withStages } from './stages.ts';
import { busyboxProgram } from './system.ts';

/** What the image for end-to-end tests has besides: the product under orders, and process 1 that runs it as a child. */
export const E2E_FILES = ['e2e/program', 'crash/trigger.ts'] as const;
export const E2E_ENTRYPOINT = ['/usr/local/bin/node', '/app/test/e2e/program/entry.ts'] as const;

/** The product's image with control points that tests can reach; never shipped. */
export function atomshardE2eImage(folders: Folders, context: string): ImageRecipe {
  const product = atomshardImage(folders, context);
  const added = E2E_FILES.map((file) => path.join(context, 'test', file));
  return {
    name: 'atomshard-e2e',
    alias: IMAGE_TAGS['atomshard-e2e'],
    inputs: { texts: product.inputs.texts, paths: [...product.inputs.paths, ...added] },
    assemble: async (rootfs) => {
      const config = await product.assemble(rootfs);
      for (const file of E2E_FILES) rootfs.copy(path.join(context, 'test', file), `/app/test/${file}`);
      return { ...config, Entrypoint: E2E_ENTRYPOINT };
    },
  };
}

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
      return withStages(stages, at, async (roots) => {
        // Stands for the base image: the libraries of Node and of native modules, and a shell for people who look inside.
        const native = [...roots.values()].flatMap((root) => globSync(`${root}/app/node_modules/**/*.node`));
        await rootfs.libraries([process.execPath, ...native]);
        await rootfs.busybox(busyboxProgram());
        rootfs.accounts([]);
        return performLastStage(last, rootfs, at, roots);
      });
    },
  };
}

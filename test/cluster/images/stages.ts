// Performs the Dockerfile's stages in folders of this machine: the same copies and the same commands, with this machine's Node 24 in place of the build image.
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { run } from '../harness/command.ts';
import { withLock } from '../harness/identity.ts';
import type { ImageConfig } from './archive.ts';
import { copyTarget, type Instruction, type Stage } from './dockerfile.ts';
import { imageKey } from './image.ts';
import type { Rootfs } from './rootfs.ts';

export interface StagesAt {
  /** The build context: the project. */
  readonly context: string;
  /** Where finished stages are kept, each under a key of its lines and what it copies. */
  readonly cache: string;
}

/** Where the official Node images have the program, and so where the stages' copies of it are taken from. */
const NODE_IN_BUILD_IMAGE = '/usr/local/bin/node';

/**
 * Runs all stages but the last, taking finished ones from the cache, and calls `use` with the folder that stands for each
 * one's `/`. Nobody else builds or removes a stage meanwhile: several images come from the same ones.
 */
export async function withStages<Result>(
  stages: readonly Stage[],
  at: StagesAt,
  use: (roots: ReadonlyMap<string, string>) => Promise<Result>,
): Promise<Result> {
  mkdirSync(at.cache, { recursive: true });
  return withLock(
    path.join(at.cache, 'stages.lock'),
    () => undefined,
    async () => use(await buildStages(stages, at)),
  );
}

async function buildStages(stages: readonly Stage[], at: StagesAt): Promise<Map<string, string>> {
  const roots = new Map<string, string>();
  for (const stage of stages.slice(0, -1)) {
    const key = stageKey(stage, at, roots);
    const folder = path.join(at.cache, `${stage.name}-${key}`);
    if (!existsSync(folder)) {
      removeOlder(at.cache, stage.name);
      await buildStage(stage, `${folder}.unfinished`, at, roots);
      // A crash before this rename leaves a folder that the next build overwrites.
      renameSync(`${folder}.unfinished`, folder);
    }
    roots.set(stage.name, folder);
  }
  return roots;
}

function stageKey(stage: Stage, at: StagesAt, roots: ReadonlyMap<string, string>): string {
  const copies = stage.instructions.filter((each) => each.kind === 'copy');
  const paths = copies.filter(({ from }) => from === undefined).flatMap(({ sources }) => sources);
  const inputs = { texts: [stage.text, process.version], paths: paths.map((source) => path.join(at.context, source)) };
  const own = imageKey({ name: stage.name, inputs }, at.context);
  const taken = copies.map(({ from }) => (from === undefined ? '' : roots.get(from)));
  return createHash('sha256')
    .update(`${own} ${taken.join(' ')}`)
    .digest('hex')
    .slice(0, 12);
}

function removeOlder(cache: string, name: string): void {
  if (!existsSync(cache)) return;
  for (const folder of readdirSync(cache)) {
    if (folder.startsWith(`${name}-`)) rmSync(path.join(cache, folder), { recursive: true, force: true });
  }
}

async function buildStage(stage: Stage, root: string, at: StagesAt, roots: ReadonlyMap<string, string>): Promise<void> {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(path.join(root, path.dirname(NODE_IN_BUILD_IMAGE)), { recursive: true });
  cpSync(process.execPath, path.join(root, NODE_IN_BUILD_IMAGE));
  let workFolder = '/';
  for (const instruction of stage.instructions) {
    switch (instruction.kind) {
      case 'workdir':
        workFolder = instruction.folder;
        mkdirSync(path.join(root, workFolder), { recursive: true });
        break;
      case 'copy':
        performCopy(instruction, workFolder, at, roots, (target) => path.join(root, target));
        break;
      case 'run': {
        const searchPath = `${path.dirname(process.execPath)}:${process.env.PATH ?? ''}`;
        await run(['sh', '-ec', instruction.command], { cwd: path.join(root, workFolder), env: { PATH: searchPath } });
        break;
      }
      default:
        throw new Error(`${instruction.kind} does not belong into stage ${stage.name}`);
    }
  }
}

/** Performs the last stage into `rootfs`, which already holds what stands for the base image; returns the image's configuration. */
export function performLastStage(
  stage: Stage,
  rootfs: Rootfs,
  at: StagesAt,
  roots: ReadonlyMap<string, string>,
): ImageConfig {
  let config: ImageConfig = { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'] };
  let workFolder = '/';
  for (const instruction of stage.instructions) {
    if (instruction.kind === 'copy') {
      performCopy(instruction, workFolder, at, roots, (target) => rootfs.at(target));
    } else {
      if (instruction.kind === 'workdir') workFolder = instruction.folder;
      config = { ...config, ...configured(config, instruction) };
    }
  }
  return config;
}

function configured(config: ImageConfig, instruction: Exclude<Instruction, { kind: 'copy' }>): Partial<ImageConfig> {
  switch (instruction.kind) {
    case 'workdir':
      return { WorkingDir: instruction.folder };
    case 'env':
      return { Env: [...(config.Env ?? []), `${instruction.name}=${instruction.value}`] };
    case 'label':
      return { Labels: { ...config.Labels, [instruction.name]: instruction.value } };
    case 'user':
      return { User: instruction.user };
    case 'expose':
      return { ExposedPorts: { ...config.ExposedPorts, [`${instruction.port}/tcp`]: {} } };
    case 'entrypoint':
      return { Entrypoint: instruction.argv };
    case 'run':
      throw new Error('RUN in the last stage would need its base image');
  }
}

function performCopy(
  copy: Extract<Instruction, { kind: 'copy' }>,
  workFolder: string,
  at: StagesAt,
  roots: ReadonlyMap<string, string>,
  place: (target: string) => string,
): void {
  const root = copy.from === undefined ? at.context : roots.get(copy.from);
  if (root === undefined) throw new Error(`COPY from a stage that does not come before: ${copy.from}`);
  for (const source of copy.sources) {
    const file = path.join(root, source);
    const isFolder = statSync(file).isDirectory();
    const target = place(copyTarget(copy, source, workFolder, isFolder));
    mkdirSync(path.dirname(target), { recursive: true });
    cpSync(file, target, { recursive: true, verbatimSymlinks: true });
  }
}

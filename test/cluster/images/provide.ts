// The images a test needs, on the nodes of whichever cluster it got, as references to put into manifests.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Cluster } from '../harness/cluster.ts';
import { run } from '../harness/command.ts';
import type { Folders } from '../harness/folders.ts';
import type { Report } from '../harness/report.ts';
import { E2E_ENTRYPOINT, E2E_FILES } from './atomshard.ts';
import { buildImages } from './catalogue.ts';
import { contextSources, parseDockerfile } from './dockerfile.ts';
import { type BuiltImage, imageKey } from './image.ts';
import { IMAGE_TAGS, type ImageName, PROJECT_ROOT } from './names.ts';

export type References = Readonly<Record<ImageName, string>>;

/** What stands in for our own images where nodes or a Docker engine can pull. */
const PUBLIC_IMAGES: Readonly<Partial<Record<ImageName, string>>> = {
  busybox: 'busybox:1.37',
  'postgres-18': 'postgres:18',
  'postgres-15': 'postgres:15',
};

const NODE_IMAGE = 'node:24.21.0-bookworm-slim';
const CLIENT_DOCKERFILE = `FROM ${NODE_IMAGE}
RUN apt-get update && apt-get install -y --no-install-recommends postgresql-client && rm -rf /var/lib/apt/lists/*
WORKDIR /
RUN npm install pg@8 postgres@3
USER 1000:1000
`;

/**
 * Builds (or finds) the images, makes them known to every node, and returns their references. On a cluster given by its
 * kubeconfig, `imagesFrom` names the registry that they were pushed to; public stand-ins are used where there is none.
 */
export async function provideImages(
  cluster: Cluster,
  names: readonly ImageName[],
  folders: Folders,
  report: Report,
  imagesFrom?: string,
): Promise<References> {
  const built = await imagesFor(cluster, names, folders, report, imagesFrom);
  await cluster.load(built);
  const references = new Map(built.map(({ name, reference }) => [name, reference]));
  return Object.fromEntries(references) as References;
}

async function imagesFor(
  cluster: Cluster,
  names: readonly ImageName[],
  folders: Folders,
  report: Report,
  imagesFrom: string | undefined,
): Promise<BuiltImage[]> {
  switch (cluster.record.way) {
    case 'bare':
      return buildImages(names, folders, report);
    case 'kind': {
      const built: BuiltImage[] = [];
      for (const name of names) built.push(await withDocker(name));
      return built;
    }
    case 'existing':
      return names.map((name) => {
        const reference = imagesFrom === undefined ? PUBLIC_IMAGES[name] : `${imagesFrom}/${name}:${IMAGE_TAGS[name]}`;
        if (reference === undefined) throw new Error(`${name}: push it and set ATOMSHARD_IMAGES_FROM to its registry`);
        return { name, reference, archive: '' };
      });
  }
}

/** With a Docker engine the public images are pulled and ours are built as a user would. */
async function withDocker(name: ImageName): Promise<BuiltImage> {
  const known = PUBLIC_IMAGES[name];
  if (known !== undefined) {
    await run(['docker', 'pull', '--quiet', known]);
    return { name, reference: known, archive: '' };
  }
  if (name === 'atomshard-e2e') {
    const { reference: product } = await withDocker('atomshard');
    const files = E2E_FILES.map((file) => path.join(PROJECT_ROOT, 'test', file));
    const dockerfile = `FROM ${product}\n${E2E_FILES.map((file) => `COPY ${file} /app/test/${file}\n`).join('')}ENTRYPOINT ${JSON.stringify(E2E_ENTRYPOINT)}\n`;
    const reference = `localhost/${name}:${imageKey({ name, inputs: { texts: [dockerfile], paths: files } }, PROJECT_ROOT)}`;
    await run(['docker', 'build', '--tag', reference, '--file', '-', path.join(PROJECT_ROOT, 'test')], {
      input: dockerfile,
    });
    return { name, reference, archive: '' };
  }
  if (name === 'atomshard') {
    const dockerfile = readFileSync(path.join(PROJECT_ROOT, 'Dockerfile'), 'utf8');
    const sources = contextSources(parseDockerfile(dockerfile)).map((source) => path.join(PROJECT_ROOT, source));
    const reference = `localhost/atomshard:${imageKey({ name, inputs: { texts: [dockerfile], paths: sources } }, PROJECT_ROOT)}`;
    await run(['docker', 'build', '--tag', reference, PROJECT_ROOT]);
    return { name, reference, archive: '' };
  }
  const reference = `localhost/${name}:${imageKey({ name, inputs: { texts: [CLIENT_DOCKERFILE], paths: [] } }, PROJECT_ROOT)}`;
  await run(['docker', 'build', '--tag', reference, '-'], { input: CLIENT_DOCKERFILE });
  return { name, reference, archive: '' };
}

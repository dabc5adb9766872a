// How a test file gets at the cluster: `describe.skipIf(noCluster)`, then `openTestCluster()` in beforeAll.
import { inject } from 'vitest';
import type { Cluster } from './harness/cluster.ts';
import { foldersFrom } from './harness/folders.ts';
import { openRecorded } from './harness/open.ts';
import { silentReport } from './harness/report.ts';
import type { ImageName } from './images/names.ts';
import { provideImages, type References } from './images/provide.ts';

const provided = inject('cluster');

/** True when this machine has no way to a cluster; the reason stands in the output's first lines. */
export const noCluster: boolean = 'missing' in provided;

const folders = foldersFrom(process.env);

export interface TestCluster {
  readonly cluster: Cluster;
  readonly images: References;
}

/** Opens the cluster that global-setup.ts brought up, with the named images on its nodes. */
export async function openTestCluster(names: readonly ImageName[]): Promise<TestCluster> {
  if ('missing' in provided) throw new Error(provided.missing);
  const cluster = await openRecorded(folders, provided.name, silentReport);
  if (cluster === undefined) throw new Error(`cluster ${provided.name} is gone`);
  const images = await provideImages(cluster, names, folders, silentReport, process.env.ATOMSHARD_IMAGES_FROM);
  return { cluster, images };
}

// The operator's ground as a test file asks for it, on the cluster that the run has brought up.
import type { ImageName } from '../images/names.ts';
import { openTestCluster } from '../test-cluster.ts';
import { type GroundOptions, groundOn, type OperatorGround } from './ground.ts';

/** For beforeAll: images may have to be built. */
export const GROUND_TIMEOUT_MS = 400_000;

export const GROUND_IMAGES = ['atomshard', 'postgres-18', 'pg-client'] as const satisfies readonly ImageName[];

export interface OpenGroundOptions extends GroundOptions {
  /** Besides those of the ground itself. */
  readonly images?: readonly ImageName[];
}

export async function operatorGround(purpose: string, options: OpenGroundOptions = {}): Promise<OperatorGround> {
  const { images: more = [], ...rest } = options;
  const { cluster, images } = await openTestCluster([...GROUND_IMAGES, ...more]);
  return groundOn(cluster, images, purpose, rest);
}

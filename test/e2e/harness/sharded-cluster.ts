// The ShardedCluster that end-to-end tests break, and what its status says.
import type { ShardedClusterStatus } from '../../../src/operator/api/sharded-cluster.generated.ts';
import { type KubeObject, resource } from '../../../src/operator/kube/resource.ts';
import type { Kubectl } from '../../cluster/harness/kubectl.ts';
import { TRANSFER_SHARDING } from '../../support/transfer-load.ts';
import type { ShardUrl } from '../load/files.ts';
import { type KubeConnection, SECRETS, secretValue } from './kube.ts';
import { LOAD_LABELS } from './load-job.ts';

export interface SeenCluster extends KubeObject {
  readonly status?: ShardedClusterStatus;
}

export const SHARDED_CLUSTERS = resource<SeenCluster>('atomshard.dev/v1alpha1', 'ShardedCluster', 'shardedclusters');

export interface ClusterShape {
  readonly name: string;
  readonly shards: number;
  readonly proxies: number;
  readonly postgresImage: string;
  /** How long a proxy may be away before the operator acts for it. */
  readonly gracePeriod: string;
}

/** Small logs and small pools, so that rotation happens and two cores are enough. */
export function shardedCluster({ name, shards, proxies, postgresImage, gracePeriod }: ClusterShape): object {
  return {
    apiVersion: 'atomshard.dev/v1alpha1',
    kind: 'ShardedCluster',
    metadata: { name },
    spec: {
      postgres: { image: postgresImage },
      shards: { count: shards, storage: { size: '512Mi' } },
      sharding: { unlisted: 'reject', tables: TRANSFER_SHARDING },
      twoPhaseCommit: { recoveryGracePeriod: gracePeriod },
      proxy: { replicas: proxies, wal: { size: '128Mi', segmentSize: '64Ki', retention: '1h' }, pool: { size: 16 } },
      // The reckoning asks shards directly.
      networkPolicy: { shardClients: [{ podSelector: { matchLabels: LOAD_LABELS } }] },
    },
  };
}

/** What is missing for health, by the operator's own word; undefined when it says Ready of the present generation. */
export function missingIn({ metadata, status }: SeenCluster): string | undefined {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  if (status?.observedGeneration !== metadata.generation) return 'the status is of an older generation';
  if (ready?.status !== 'True') return `Ready is ${ready?.status}: ${ready?.message ?? status?.message}`;
  const progressing = status?.conditions?.find(({ type }) => type === 'Progressing');
  return progressing?.status === 'True' ? `Progressing: ${progressing.message}` : undefined;
}

/** Where clients connect, and each shard as the superuser. */
export async function connectionUrls(
  { client }: KubeConnection,
  kubectl: Kubectl,
  namespace: string,
  { name, shards }: Pick<ClusterShape, 'name' | 'shards'>,
): Promise<{ readonly loadUrl: string; readonly shardUrls: readonly ShardUrl[] }> {
  const secretOf = (secret: string) => client.get(SECRETS, { namespace, name: secret });
  const app = await secretOf(`${name}-user-app`);
  const superuser = await secretOf(`${name}-superuser`);
  const login = (['username', 'password'] as const)
    .map((key) => encodeURIComponent(secretValue(superuser, key)))
    .join(':');
  const database = await kubectl.value(`shcl ${name}`, '.spec.postgres.database');
  return {
    loadUrl: secretValue(app, 'uri'),
    shardUrls: Array.from({ length: shards }, (_, index) => ({
      name: `shard-${index}`,
      url: `postgres://${login}@${name}-shard-${index}:5432/${database}?sslmode=no-verify`,
    })),
  };
}

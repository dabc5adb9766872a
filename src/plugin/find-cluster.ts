// Which ShardedCluster is meant: the one that is named, or the only one of the namespace.
import type { ShardedCluster } from '../operator/api/sharded-cluster.ts';
import type { Kubectl } from './kubectl.ts';
import { EXIT, PluginError } from './plugin-error.ts';

export const KIND = 'shardedclusters.atomshard.dev';

export async function findCluster(kubectl: Kubectl, name: string | undefined): Promise<ShardedCluster> {
  if (name !== undefined) return await kubectl.json<ShardedCluster>(['get', KIND, name]);
  return onlyOne(await listClusters(kubectl), 'name one of them');
}

export async function listClusters(kubectl: Kubectl): Promise<readonly ShardedCluster[]> {
  const { items } = await kubectl.json<{ items: ShardedCluster[] }>(['get', KIND]);
  return items;
}

/** The cluster to which transactions with this id belong. */
export async function clusterOfId(kubectl: Kubectl, clusterId: string): Promise<ShardedCluster> {
  const found = (await listClusters(kubectl)).find(({ status }) => status?.clusterId === clusterId);
  if (found !== undefined) return found;
  throw new PluginError(`no ShardedCluster in this namespace has the id ${clusterId}; see kubectl atomshard status`);
}

function onlyOne(clusters: readonly ShardedCluster[], advice: string): ShardedCluster {
  const [only, ...more] = clusters;
  if (only === undefined) throw new PluginError('there is no ShardedCluster in this namespace');
  if (more.length === 0) return only;
  const names = clusters.map(({ metadata }) => metadata.name).join(', ');
  throw new PluginError(`there are several ShardedClusters (${names}); ${advice}`, EXIT.usage);
}

// What a shard shall have in SQL, from the spec and the Secrets. Pure.
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import type { ShardSetup } from '../sql/facts.ts';
import type { SecretObservation } from './observation.ts';
import { loginsOf } from './secret-needs.ts';

/** Undefined while a password or the cluster's id is not known. */
export function wantedSetup(
  cluster: ShardedCluster,
  secrets: ReadonlyMap<string, SecretObservation>,
  shard: string,
): ShardSetup | undefined {
  const { spec, status } = cluster;
  const { users, resolver, metrics } = loginsOf(cluster, secrets);
  const clusterId = status?.clusterId;
  if (users === undefined || resolver === undefined || metrics === undefined || clusterId === undefined)
    return undefined;
  const external = spec.shards.external?.find(({ name }) => name === shard);
  const database = external?.database ?? spec.postgres.database;
  return {
    clusterId,
    database,
    extensions: spec.postgres.extensions,
    serverIsOurs: external === undefined,
    users,
    resolver,
    metrics,
  };
}

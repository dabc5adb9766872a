// How many connections and prepared transactions a shard must have room for: the proxies' pools, counted the way they open them.
import type { ShardedClusterSpec } from '../api/sharded-cluster.generated.ts';

/** A proxy opens at most this many times pool.size on one shard: its pool, and three of it for further shards. */
const POOLS_MAX = 4;
/** Proxies are counted in steps, so that scaling them seldom restarts the shards. */
const PROXIES_STEP = 4;
/** With more users than this not all of them fill their pools at once; who expects it sets max_connections himself. */
const USERS_COUNTED_MAX = 4;
/** Prepared transactions of proxies that are away take room until they are resolved, a quarter at least. */
const PREPARED_RESERVE_SHARE = 0.25;
const PREPARED_RESERVE_MIN = 20;
/** Per proxy beyond its pools: recovery, deadlock watch, catalog watch, cancel and fence. */
const CONNECTIONS_PER_PROXY = 5;
/** The operator, metrics, people. */
const CONNECTIONS_SPARE = 20;
/** superuser_reserved_connections, PostgreSQL's default. */
const CONNECTIONS_RESERVED = 3;
/** PostgreSQL's own bound for both settings. */
const SETTING_MAX = 262_143;

/** Shards of the spec, whoever makes them. */
export function shardCount(spec: ShardedClusterSpec): number {
  return spec.shards.count ?? spec.shards.external?.length ?? 0;
}

/** How many times pool.size connections one proxy may hold on one shard for one user (src/proxy/backends.ts). */
export function poolsPerUser(shards: number): number {
  return 1 + Math.max(1, Math.min(shards - 1, POOLS_MAX - 1));
}

/** Connections of all proxies to one shard when every pool is full. */
function pooledConnections(spec: ShardedClusterSpec): number {
  const users = Math.min(Math.max(1, spec.credentials.users.length), USERS_COUNTED_MAX);
  return countedProxies(spec) * users * spec.proxy.pool.size * poolsPerUser(shardCount(spec));
}

function countedProxies(spec: ShardedClusterSpec): number {
  return Math.ceil(spec.proxy.replicas / PROXIES_STEP) * PROXIES_STEP;
}

/**
 * max_prepared_transactions of every shard: what the spec says, else one for each connection of the proxies and a reserve for
 * transactions whose proxy is away.
 */
export function maxPreparedTransactions(spec: ShardedClusterSpec): number {
  if (spec.twoPhaseCommit.maxPreparedTransactions !== undefined) return spec.twoPhaseCommit.maxPreparedTransactions;
  const pooled = pooledConnections(spec);
  const reserve = Math.max(PREPARED_RESERVE_MIN, Math.ceil(pooled * PREPARED_RESERVE_SHARE));
  return Math.min(pooled + reserve, SETTING_MAX);
}

/**
 * The smallest max_prepared_transactions with which one user's transactions never find no room. The CRD's rule refuses less
 * (shardedclusters.atomshard.dev.yaml); on external shards less shows in a condition.
 */
export function preparedTransactionsNeeded(spec: ShardedClusterSpec): number {
  return spec.proxy.replicas * spec.proxy.pool.size * poolsPerUser(shardCount(spec));
}

/** max_connections of a shard where spec.postgres.parameters has none. */
export function maxConnections(spec: ShardedClusterSpec): number {
  const own = countedProxies(spec) * CONNECTIONS_PER_PROXY + CONNECTIONS_SPARE + CONNECTIONS_RESERVED;
  // Half of PostgreSQL's bound: background processes count against it too.
  return Math.min(pooledConnections(spec) + own, Math.floor(SETTING_MAX / 2));
}

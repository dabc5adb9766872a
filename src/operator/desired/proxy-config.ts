// The configuration of the proxies, one file for all of them: whole in one Secret, so that a proxy never sees half a change.
import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import { assert } from '../../kernel/assert.ts';
import { parseDuration, parseSize } from '../../kernel/quantity.ts';
import type { ShardingTable, ShardsExternal } from '../api/sharded-cluster.generated.ts';
import { SECRETS } from '../cluster/kinds.ts';
import type { DesiredInput, DesiredObject, PlainObject, ProxyLogins } from './desired-input.ts';
import { ownedMeta } from './labels.ts';
import { ADMIN_DATABASE, clusterNames, HTTP_PORT, POSTGRES_PORT, PROXY_PATHS, shardHost, shardIndex } from './names.ts';

/** Key of the file in its Secret. */
export const PROXY_CONFIG_KEY = 'proxy.yaml';

/** While Kubernetes takes the proxy out of the Service, it still serves (see proxy-set.ts). */
export const LEAVE_SERVICE_SECONDS = 3;
/** From the end of the drain to the end of the process: decisions are driven to their end, the log is closed. */
const CLOSE_SECONDS = 5;
/** Decisions that ended take at most this share of the volume. */
const RETENTION_SHARE = 0.5;

/** The CRD's rules let no other text through. */
function milliseconds(duration: string): number {
  const parsed = parseDuration(duration);
  assert(parsed !== undefined, `the schema let a duration through that is none: ${duration}`);
  return parsed;
}

function bytes(size: string): number {
  const parsed = parseSize(size);
  assert(parsed !== undefined, `the schema let a size through that is none: ${size}`);
  return parsed;
}

function externalShard(shard: ShardsExternal): PlainObject {
  const tls = {
    Disable: { mode: 'disable' },
    Require: { mode: 'require' },
    VerifyFull: { mode: 'verify-full', caFile: `${PROXY_PATHS.externalCa}/${shard.name}.crt` },
  }[shard.tlsMode];
  return { name: shard.name, host: shard.host, port: shard.port, database: shard.database, tls };
}

/** Those of the placement: a bucket's shard follows from its place in this list, so that another list would lose rows. */
function shards({ cluster, placement }: DesiredInput): PlainObject[] {
  const { metadata, spec } = cluster;
  const { external } = spec.shards;
  if (external !== undefined) {
    const known = new Map(external.map((shard) => [shard.name, shard]));
    return placement.flatMap((name) => known.get(name) ?? []).map(externalShard);
  }
  const tls =
    spec.postgres.tls.mode === 'Require'
      ? { mode: 'verify-full', caFile: `${PROXY_PATHS.shardCa}/ca.crt` }
      : { mode: 'disable' };
  return placement.map((name) => ({
    name,
    host: shardHost(metadata.name, metadata.namespace, shardIndex(name)),
    port: POSTGRES_PORT,
    database: spec.postgres.database,
    tls,
  }));
}

/** A table has either a key or is whole everywhere; the proxy refuses keys that mean nothing. */
function table(table: ShardingTable): PlainObject {
  const { schema, name, key, type } = table;
  if (key === undefined) return { schema, name, reference: true };
  return { schema, name, key, type, method: 'hash' };
}

/** The file as an object. Its schema is src/proxy/config.ts, which the operator may not import; a test compares them. */
export function proxyConfiguration(input: DesiredInput, logins: ProxyLogins): PlainObject {
  const { spec } = input.cluster;
  const { pool, wal, tls, terminationGracePeriodSeconds } = spec.proxy;
  const files = { certFile: `${PROXY_PATHS.tls}/tls.crt`, keyFile: `${PROXY_PATHS.tls}/tls.key` };
  const drainSeconds = terminationGracePeriodSeconds - LEAVE_SERVICE_SECONDS - CLOSE_SECONDS;
  return {
    listen: { host: '0.0.0.0', port: POSTGRES_PORT },
    tls: tls.mode === 'Disable' ? { mode: 'disable' } : { mode: tls.mode.toLowerCase(), ...files },
    http: { host: '0.0.0.0', port: HTTP_PORT },
    cluster: input.clusterId,
    database: spec.postgres.database,
    admin: { database: ADMIN_DATABASE, users: [{ ...logins.admin }] },
    authentication: { method: 'scram-sha-256', users: logins.users.map((user) => ({ ...user })) },
    resolver: { user: logins.resolver.name, password: logins.resolver.password },
    wal: {
      directory: PROXY_PATHS.wal,
      segmentBytes: bytes(wal.segmentSize),
      retentionMs: milliseconds(wal.retention),
      retentionBytesMax: Math.floor(bytes(wal.size) * RETENTION_SHARE),
    },
    shards: shards(input),
    sharding: {
      buckets: spec.sharding.buckets,
      unlisted: spec.sharding.unlisted,
      searchPath: [...spec.sharding.searchPath],
      tables: spec.sharding.tables.map(table),
    },
    twoPhaseCommit: {
      enabled: spec.twoPhaseCommit.enabled,
      auto: spec.twoPhaseCommit.auto,
      commitWaitMs: milliseconds(spec.twoPhaseCommit.commitWait),
    },
    pool: {
      size: pool.size,
      queueMax: pool.queueMax,
      queueWaitMs: milliseconds(pool.queueWait),
      idleMs: milliseconds(pool.idleTimeout),
      lifetimeMs: milliseconds(pool.lifetime),
      connectTimeoutMs: milliseconds(pool.connectTimeout),
    },
    shutdown: { graceMs: drainSeconds * 1_000 },
  };
}

/** The file's text; undefined while passwords are missing, or a shard that has rows is no longer described. */
export function proxyConfigText(input: DesiredInput): string | undefined {
  const known = input.cluster.spec.shards.external?.map(({ name }) => name);
  if (known !== undefined && input.placement.some((name) => !known.includes(name))) return undefined;
  if (input.logins === undefined) return undefined;
  const text = stringify(proxyConfiguration(input, input.logins), { lineWidth: 0, aliasDuplicateObjects: false });
  return `# Written by the operator: change the ShardedCluster instead.\n${text}`;
}

/** What a proxy that has loaded this file says in SHOW STATUS as config_sha256. */
export function proxyConfigSha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** The Secret that all proxies mount; undefined while passwords are missing. */
export function proxyConfigSecret(input: DesiredInput): DesiredObject | undefined {
  const text = proxyConfigText(input);
  if (text === undefined) return undefined;
  return {
    type: SECRETS,
    object: {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: ownedMeta(input.cluster, clusterNames(input.cluster.metadata.name).proxyConfig, 'proxy'),
      type: 'Opaque',
      data: { [PROXY_CONFIG_KEY]: Buffer.from(text).toString('base64') },
    },
  };
}

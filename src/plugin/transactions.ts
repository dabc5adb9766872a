// `kubectl atomshard transactions`: what is prepared on the shards now, asked of a proxy that is there, else of the shards themselves.
import { systemClock } from '../kernel/clock.ts';
import type { ShardedCluster } from '../operator/api/sharded-cluster.ts';
import {
  ADMIN_DATABASE,
  clusterNames,
  POSTGRES_PORT,
  ROLES,
  SUPERUSER,
  shardNames,
} from '../operator/desired/names.ts';
import type { SqlTarget } from '../operator/sql/facts.ts';
import { type PreparedTransaction, preparedFromGids, preparedFromProxy } from '../operator/sql/prepared-list.ts';
import { SqlSession } from '../operator/sql/sql-session.ts';
import type { Kubectl } from './kubectl.ts';
import { PluginError } from './plugin-error.ts';
import { withPort } from './port-forward.ts';
import { age, table } from './table.ts';

export interface PreparedView {
  readonly transactions: readonly PreparedTransaction[];
  readonly foreign: number;
  /** Who was not asked, and why. */
  readonly unseen: readonly string[];
}

export async function gatherPrepared(kubectl: Kubectl, cluster: ShardedCluster): Promise<PreparedView> {
  const { name } = cluster.metadata;
  const ready = cluster.status?.proxies?.filter(({ state }) => state !== undefined) ?? [];
  for (const proxy of ready) {
    try {
      return await askProxy(kubectl, cluster, proxy.name);
    } catch (error) {
      if (!(error instanceof PluginError)) throw error;
    }
  }
  const count = cluster.spec.shards.count;
  if (count === undefined)
    throw new PluginError(`no proxy of ${name} answers, and its shards are external: ask them directly`);
  return await askShards(kubectl, cluster, count);
}

async function askProxy(kubectl: Kubectl, cluster: ShardedCluster, pod: string): Promise<PreparedView> {
  const password = await secretKey(kubectl, clusterNames(cluster.metadata.name).internalSecret, 'admin');
  const tls = { kind: cluster.spec.proxy.tls.mode === 'Disable' ? 'disable' : 'require' } as const;
  const login = { name: pod, host: '127.0.0.1', database: ADMIN_DATABASE, user: ROLES.admin, password, tls };
  const reply = await withPort(kubectl, pod, POSTGRES_PORT, (port) => query({ ...login, port }, 'SHOW PREPARED'));
  return preparedFromProxy(reply);
}

async function askShards(kubectl: Kubectl, cluster: ShardedCluster, count: number): Promise<PreparedView> {
  const { metadata, spec, status } = cluster;
  const secret = spec.credentials.superuserSecretRef?.name ?? clusterNames(metadata.name).superuserSecret;
  const password = await secretKey(kubectl, secret, 'password');
  const user = (await secretKey(kubectl, secret, 'username').catch(() => '')) || SUPERUSER;
  const tls = { kind: spec.postgres.tls.mode === 'Disable' ? 'disable' : 'require' } as const;
  const unseen: string[] = [];
  const rows = [];
  for (let index = 0; index < count; index += 1) {
    const { logical, pod } = shardNames(metadata.name, index);
    const login = { name: logical, host: '127.0.0.1', database: spec.postgres.database, user, password, tls };
    try {
      const reply = await withPort(kubectl, pod, POSTGRES_PORT, (port) => query({ ...login, port }, PREPARED));
      rows.push(...reply.rows.map(([gid, ms]) => ({ shard: logical, gid: gid ?? '', ageMs: Number(ms) })));
    } catch (error) {
      if (!(error instanceof PluginError)) throw error;
      unseen.push(`${logical}: ${error.message}`);
    }
  }
  return { ...preparedFromGids(status?.clusterId ?? '', rows), unseen };
}

const PREPARED = `SELECT gid, (extract(epoch FROM clock_timestamp() - prepared) * 1000)::bigint::text
  FROM pg_prepared_xacts ORDER BY prepared`;

async function query(target: SqlTarget, sql: string) {
  const session = new SqlSession(target, systemClock, { connectTimeoutMs: 5_000, statementTimeoutMs: 10_000 });
  try {
    const reply = await session.run(sql);
    if (reply.kind === 'failed') throw new PluginError(reply.failure.message);
    return reply.value;
  } finally {
    session.close();
  }
}

async function secretKey(kubectl: Kubectl, secret: string, key: string): Promise<string> {
  const { data } = await kubectl.json<{ data?: Record<string, string> }>(['get', 'secret', secret]);
  const value = data?.[key];
  if (value === undefined) throw new PluginError(`Secret ${secret} has no key ${key}`);
  return Buffer.from(value, 'base64').toString('utf8');
}

export function transactionLines({ transactions, foreign, unseen }: PreparedView, cluster: ShardedCluster): string[] {
  const held = new Map(cluster.status?.heldTransactions?.map((one) => [one.transaction, one]));
  const rows = transactions
    .toSorted((one, other) => other.ageMs - one.ageMs)
    .map(({ id, ageMs, shards }) => {
      const row = held.get(id);
      const word = row?.needsDecision === true ? 'for you to decide' : row === undefined ? '' : 'held';
      return [id, age(ageMs), shards.join(', '), [word, row?.reason ?? ''].filter((part) => part !== '').join(': ')];
    });
  return [
    ...(rows.length === 0
      ? ['Nothing of this cluster is prepared.']
      : table([['TRANSACTION', 'AGE', 'PREPARED ON', ''], ...rows])),
    ...(foreign === 0 ? [] : ['', `${foreign} prepared transactions are of other programs, or of another cluster.`]),
    ...unseen.map((line) => `Not asked: ${line}`),
  ];
}

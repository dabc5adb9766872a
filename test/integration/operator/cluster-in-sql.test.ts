// What the operator says in SQL fits what proxies and shards understand: shards set up by it, a proxy that works with those roles
// only, and the operator's own client of the admin database.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { ProxyFacts, ShardSetup, SqlTarget } from '../../../src/operator/sql/facts.ts';
import { askProxy, commandProxy } from '../../../src/operator/sql/proxy-admin.ts';
import { roleNames } from '../../../src/operator/sql/role-names.ts';
import { setUpShard } from '../../../src/operator/sql/shard-setup.ts';
import { SqlSession } from '../../../src/operator/sql/sql-session.ts';
import { renderGid, renderTransactionId } from '../../../src/transaction/gid.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { FileProxy } from '../../support/proxy-from-file.ts';

const CLUSTER = 'k3x9q';
const roles = roleNames(CLUSTER, false);
const SETUP: ShardSetup = {
  clusterId: CLUSTER,
  database: 'bank',
  extensions: [],
  users: [{ name: 'app', password: 'app-1' }],
  resolver: { name: roles.resolver, password: 'resolver-1' },
  metrics: { name: roles.metrics, password: 'metrics-1' },
  serverIsOurs: true,
};

let shards: Shards;
let proxy: FileProxy;
let admin: SqlSession;

beforeAll(async () => {
  shards = await startShards(2, { password: 'postgres-1' });
  for (const shard of shards.shards) {
    const target = sqlTarget(shard.name, shard.port, { user: 'postgres', password: 'postgres-1' });
    expect(await setUpShard(target, SETUP, systemClock)).toMatchObject({ kind: 'answer', value: { problems: [] } });
  }
  proxy = await FileProxy.start(shards, {
    cluster: CLUSTER,
    instance: 'proxy-0',
    database: 'bank',
    shards: shards.shards.map(({ name, host, port }) => ({ name, host, port, database: 'bank' })),
    authentication: { method: 'scram-sha-256', users: [{ name: 'app', password: 'app-1' }] },
    admin: { users: [{ name: 'atomshard_admin', password: 'admin-1' }] },
    resolver: { user: roles.resolver, password: 'resolver-1' },
  });
  admin = new SqlSession(
    sqlTarget('bank-proxy-0', proxy.running.port, { user: 'atomshard_admin', password: 'admin-1' }, 'atomshard'),
    systemClock,
  );
});
afterAll(async () => {
  admin?.close();
  await proxy?.[Symbol.asyncDispose]();
  await shards?.[Symbol.asyncDispose]();
});

function sqlTarget(
  name: string,
  port: number,
  login: { user: string; password: string },
  database = 'postgres',
): SqlTarget {
  return { name, host: '127.0.0.1', port, database, ...login, tls: { kind: 'disable' } };
}

async function facts(): Promise<ProxyFacts> {
  const asked = await askProxy(admin);
  if (asked.kind === 'failed') throw new Error(asked.failure.message);
  return asked.value;
}

const prepared = () => shards.query(0, 'SELECT gid FROM pg_prepared_xacts');

describe('a proxy with roles that are no superusers', () => {
  it('commits across shards, and reads what it needs of the catalog', async () => {
    const client = await proxy.client('bank', 'app', 'app-1');
    await client.query('CREATE TABLE accounts (id bigint, balance int)');
    await client.query('BEGIN');
    for (let id = 0; id < 8; id += 1) await client.query(`INSERT INTO accounts (id, balance) VALUES (${id}, 10)`);
    await client.query('COMMIT');
    expect((await client.query('SELECT id FROM accounts')).rows).toHaveLength(8);
    const each = await Promise.all(
      shards.shards.map(async (shard) => {
        const one = await shards.client(shards.shards.indexOf(shard), { connectionString: shard.url('bank') });
        const { rows: found } = await one.query('SELECT count(*)::int AS n FROM accounts');
        await one.end();
        return found[0].n as number;
      }),
    );
    expect(Math.min(...each)).toBeGreaterThan(0);
  });

  it('ends what an earlier run left prepared for a client', async () => {
    const before = await facts();
    const url = shards.shard(0).url('bank').replace('postgres:postgres-1@', 'app:app-1@');
    const client = await shards.client(0, { connectionString: url });
    await client.query('BEGIN; INSERT INTO accounts VALUES (99, 1)');
    const { rows } = await client.query('SELECT pg_current_xact_id()::text AS xid');
    const transaction = { cluster: CLUSTER, instance: 'proxy-0', epoch: (before.epoch ?? 0) - 1, seq: 1 };
    const participants = [{ shard: 'shard-0', xid: rows[0].xid as string, timeline: 1 }];
    await client.query(`PREPARE TRANSACTION '${renderGid({ transaction, index: 0, count: 1, participants })}'`);
    await client.end();
    expect(await prepared()).toHaveLength(1);
    expect(await commandProxy(admin, 'RECOVER')).toMatchObject({ kind: 'answer' });
    await expect.poll(prepared).toEqual([]);
    const rolledBackIds = [renderTransactionId(transaction)];
    const ended = { committedIds: [], rolledBack: 1, rolledBackIds, held: 0 };
    await expect.poll(async () => (await facts()).lastRecovery).toMatchObject(ended);
  });
});

describe('the admin database as the operator asks it', () => {
  it('answers with the whole row of the contract', async () => {
    expect(await facts()).toMatchObject({
      instance: 'proxy-0',
      state: 'Active',
      ready: true,
      notReadyReason: null,
      configSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      configError: null,
      restartNeeded: [],
      walId: expect.stringMatching(/./),
      epoch: expect.any(Number),
      positions: { appended: expect.any(Number), durable: expect.any(Number) },
      inDoubt: 0,
      held: 0,
    });
  });

  it('drains and resumes, and twice is as once', async () => {
    for (const _ of [1, 2]) expect(await commandProxy(admin, 'DRAIN')).toMatchObject({ kind: 'answer' });
    await expect.poll(async () => (await facts()).state).toBe('Clean');
    for (const _ of [1, 2]) expect(await commandProxy(admin, 'RESUME')).toMatchObject({ kind: 'answer' });
    expect(await facts()).toMatchObject({ state: 'Active', ready: true });
  });

  it('reloads a configuration, and says which one is in force and why another was refused', async () => {
    const before = await facts();
    proxy.write({ pool: { size: 7 } });
    expect(await commandProxy(admin, 'RELOAD')).toMatchObject({ kind: 'answer' });
    const after = await facts();
    expect(after.configSha256).not.toBe(before.configSha256);
    proxy.write({ pool: { size: -1 } });
    await commandProxy(admin, 'RELOAD');
    expect(await facts()).toMatchObject({
      configSha256: after.configSha256,
      configError: expect.stringContaining('pool.size'),
    });
  });

  it('a wrong password is a failure of its kind, with the proxy’s name', async () => {
    const stranger = new SqlSession({ ...admin.target, password: 'wrong' }, systemClock);
    expect(await askProxy(stranger)).toMatchObject({
      failure: { kind: 'authentication', message: expect.stringContaining('bank-proxy-0: ') },
    });
    stranger.close();
  });
});

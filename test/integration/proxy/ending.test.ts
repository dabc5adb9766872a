// What a client is told whose connection the proxy ends: 57P01 says "rolled back" to most drivers, so it is never said of
// something that may still take effect.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ControlPoint } from '../../../src/kernel/control-point.ts';
import { query, startupMessage } from '../../../src/protocol/client-message-writer.ts';
import { checkProxyConfig } from '../../../src/proxy/config.ts';
import { startProxy } from '../../../src/proxy/proxy.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, TestProxy, testProxyConfig } from '../../support/proxy-in-process.ts';
import { WireClient } from '../../support/wire-client.ts';

let shards: Shards;
const directories: string[] = [];

beforeAll(async () => {
  shards = await startShards(2);
});

afterAll(async () => {
  await shards[Symbol.asyncDispose]();
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
});

/** A proxy whose COMMIT PREPAREDs wait for `go` once they are armed; `reached` when the first of them waits. */
async function ground(graceMs: number) {
  const gate = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  const world = { armed: false, go: gate.resolve, reached: reached.promise };
  const controlPoint: ControlPoint = (name) => {
    if (!world.armed || name !== 'commit.before') return undefined;
    reached.resolve();
    return gate.promise;
  };
  const directory = await mkdtemp(path.join(tmpdir(), 'atomshard-ending-'));
  directories.push(directory);
  const input = testProxyConfig(shards, path.join(directory, 'wal'), {
    shutdown: { graceMs },
    admin: { users: [] },
  });
  const config = checkProxyConfig(input, 'test');
  const running = await startProxy(config, { log: createLog('error'), controlPoint });
  return { proxy: new TestProxy(running, directory), world };
}

const connect = async (proxy: TestProxy) => {
  const client = new pg.Client(proxy.url());
  client.on('error', () => undefined);
  await client.connect();
  return client;
};

const codeOf = (asked: Promise<unknown>) =>
  asked.then(
    () => 'done',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  );

async function prepared(proxy: TestProxy) {
  const client = await connect(proxy);
  await client.query('DROP TABLE IF EXISTS accounts');
  await client.query('CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint)');
  for (let id = 1; id <= 8; id++) await client.query(`INSERT INTO accounts (id, balance) VALUES (${id}, 0)`);
  return client;
}

const balances = async () =>
  Promise.all([0, 1].map((shard) => shards.query(shard, 'SELECT DISTINCT balance FROM accounts')));

describe('a client whose transaction is decided to commit', () => {
  it('PgDog, killed under load: is told 08007 at the end of the grace period, not 57P01, and its rows are there', async () => {
    const { proxy, world } = await ground(100);
    const client = await prepared(proxy);
    world.armed = true;
    const told = codeOf(client.query('UPDATE accounts SET balance = 1'));
    await world.reached;
    const stopped = proxy.running.stop();
    expect(await told).toBe('08007');
    world.go();
    await stopped;
    expect(await balances()).toEqual([[{ balance: '1' }], [{ balance: '1' }]]);
  });

  it('is told 08007 by KILL', async () => {
    const { proxy, world } = await ground(5_000);
    const client = await prepared(proxy);
    const admin = await proxy.client({ connectionString: proxy.url().replace(/app$/, 'atomshard') });
    const { rows } = await admin.query('SHOW CLIENTS');
    await client.query('BEGIN');
    await client.query('UPDATE accounts SET balance = 2');
    world.armed = true;
    const told = codeOf(client.query('COMMIT'));
    await world.reached;
    await admin.query(`KILL ${rows[0].client}`);
    expect(await told).toBe('08007');
    world.go();
    await proxy[Symbol.asyncDispose]();
    expect(await balances()).toEqual([[{ balance: '2' }], [{ balance: '2' }]]);
  });
});

describe('a client whose single statement runs', () => {
  it('is told 08007, for its shard may commit it before the end is heard there', async () => {
    const { proxy } = await ground(100);
    const client = await prepared(proxy);
    const told = codeOf(client.query('UPDATE accounts SET balance = 3 + length(pg_sleep(1)::text) WHERE id = 1'));
    await expect
      .poll(async () => (await shards.query(0, SLEEPING)).length + (await shards.query(1, SLEEPING)).length)
      .toBe(1);
    await proxy.running.stop();
    expect(await told).toBe('08007');
  });

  it('inside its own transaction is told 57P01, for nothing of that is ever committed', async () => {
    const { proxy } = await ground(100);
    const client = await prepared(proxy);
    await client.query('BEGIN');
    const told = codeOf(client.query('UPDATE accounts SET balance = 4 + length(pg_sleep(1)::text) WHERE id = 1'));
    await expect
      .poll(async () => (await shards.query(0, SLEEPING)).length + (await shards.query(1, SLEEPING)).length)
      .toBe(1);
    await proxy.running.stop();
    expect(await told).toBe('57P01');
    expect((await balances()).flat()).not.toContainEqual({ balance: '4' });
  });
});

describe('a client whose COMMIT a shard does not answer', () => {
  it('is told 08007, and the proxy ends all the same', async () => {
    const { proxy } = await ground(100);
    const client = await prepared(proxy);
    await client.query('BEGIN');
    await client.query('UPDATE accounts SET balance = 7 WHERE id = 1');
    const sql =
      "SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction' AND application_name LIKE 'as1:%'";
    const [holder] = (await Promise.all([0, 1].map((shard) => shards.query<{ pid: number }>(shard, sql)))).flat();
    if (holder === undefined) throw new Error('nobody holds the transaction');
    process.kill(holder.pid, 'SIGSTOP');
    try {
      const told = codeOf(client.query('COMMIT'));
      await proxy.running.stop();
      expect(await told).toBe('08007');
    } finally {
      process.kill(holder.pid, 'SIGCONT');
    }
    // What became of it is the shard's to say: it reads the COMMIT when it runs again.
    const left = () => Promise.all([0, 1].map((shard) => shards.query(shard, sql)));
    await expect.poll(async () => (await left()).flat(), { timeout: 5_000 }).toEqual([]);
  });
});

describe('a client whose login is under way when the proxy begins to drain', () => {
  it('is sent away as soon as it is in, and runs nothing', async () => {
    await using proxy = await startTestProxy(shards, { pool: { size: 1 } });
    const holder = await prepared(proxy);
    const admin = await proxy.client({ connectionString: proxy.url().replace(/app$/, 'atomshard') });
    await holder.query('BEGIN');
    await holder.query('UPDATE accounts SET balance = 5');
    // Its settings have to be tried on a shard, and every connection is taken.
    const late = WireClient.bare(proxy.port);
    late.send(
      startupMessage([
        ['user', 'postgres'],
        ['database', 'app'],
        ['lock_timeout', '4321'],
      ]),
    );
    const waiting = async () =>
      (await admin.query('SHOW POOLS')).rows.filter((pool) => Number(pool.waiting) > 0).length;
    await expect.poll(waiting, { timeout: 5_000 }).toBe(1);
    await admin.query('DRAIN');
    late.send(query('INSERT INTO accounts (id, balance) VALUES (99, 9)'));
    await holder.query('COMMIT');
    await late.until(() => false);
    expect(late.errors.map(({ code }) => code)).toEqual(['57P01']);
    expect((await balances()).flat()).not.toContainEqual({ balance: '9' });
  });
});

const SLEEPING = `SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'UPDATE%pg_sleep%' AND pid <> pg_backend_pid()`;

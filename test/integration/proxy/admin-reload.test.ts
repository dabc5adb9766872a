// RELOAD as the operator uses it: everything that may change changes under clients that stay, the rest is named, and a wrong
// file changes nothing.
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Of } from '../../../src/proxy/config-file.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { FileProxy } from '../../support/proxy-from-file.ts';
import { TEST_TABLES } from '../../support/proxy-in-process.ts';

/** The machine may be busy; what never comes still fails. */
const PATIENCE = { timeout: 30_000 };

let shards: Shards;

beforeAll(async () => {
  shards = await startShards(3);
});

afterAll(async () => {
  await shards?.[Symbol.asyncDispose]();
});

const statusOf = async (admin: Awaited<ReturnType<FileProxy['admin']>>) => (await admin.query('SHOW STATUS')).rows[0];

describe('RELOAD', () => {
  it('puts a changed file in force and says so by its hash', async () => {
    await using proxy = await FileProxy.start(shards);
    const admin = await proxy.admin();
    const before = await statusOf(admin);
    expect(before.config_sha256).toBe(sha256Of(readFileSync(proxy.file)));
    proxy.write({ limits: { clientsMax: 7 } });
    await admin.query('RELOAD');
    const after = await statusOf(admin);
    expect(after).toMatchObject({ config_sha256: sha256Of(readFileSync(proxy.file)), config_error: null });
    expect(after.config_sha256).not.toBe(before.config_sha256);
    const { rows } = await admin.query('SHOW CONFIG');
    expect(rows.find(({ key }) => key === 'limits.clientsMax')).toMatchObject({ value: '7', restart: false });
  });

  it('refuses a wrong file whole, naming file, path and reason; the running one stays', async () => {
    await using proxy = await FileProxy.start(shards);
    const admin = await proxy.admin();
    const before = await statusOf(admin);
    writeFileSync(proxy.file, 'listen: {port: 0}\nclusterr: x\n');
    const error: unknown = await admin.query('RELOAD').catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'F0000' });
    expect(String(error)).toContain(`${proxy.file}: `);
    expect(String(error)).toContain('clusterr: unknown key');
    const during = await statusOf(admin);
    expect(during.config_sha256).toBe(before.config_sha256);
    expect(during.config_error).toContain('clusterr');
    proxy.write({});
    await admin.query('RELOAD');
    expect(await statusOf(admin)).toMatchObject({ config_error: null });
  });

  it('names changed keys that wait for a restart and applies the others of the same file', async () => {
    await using proxy = await FileProxy.start(shards);
    const admin = await proxy.admin();
    const notices: string[] = [];
    admin.on('notice', ({ message }) => notices.push(message ?? ''));
    proxy.write({ listen: { host: '127.0.0.1', port: 1 }, database: 'other', limits: { clientsMax: 1 } });
    await admin.query('RELOAD');
    expect(notices).toEqual(['waits for a restart: listen.port, database']);
    expect((await statusOf(admin)).restart_needed).toBe('listen.port,database');
    await proxy.client();
    await expect(proxy.client()).rejects.toMatchObject({ code: '53300' });
    proxy.write({ listen: { host: '127.0.0.1', port: 0 }, database: 'app' });
    await admin.query('RELOAD');
    expect((await statusOf(admin)).restart_needed).toBeNull();
  });

  it('changes passwords and users for the next login; who is in stays in', async () => {
    const users = (password: string) => ({ users: [{ name: 'postgres', password }] });
    await using proxy = await FileProxy.start(shards, { authentication: users('first'), admin: users('boss') });
    const admin = await proxy.client('atomshard', 'postgres', 'boss');
    const client = await proxy.client('app', 'postgres', 'first');
    proxy.write({ authentication: users('second') });
    await admin.query('RELOAD');
    await expect(proxy.client('app', 'postgres', 'first')).rejects.toMatchObject({ code: '28P01' });
    await proxy.client('app', 'postgres', 'second');
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  it('moves to another address and pool size without an error for a client in the middle of a transaction', async () => {
    await using proxy = await FileProxy.start(shards);
    const admin = await proxy.admin();
    const client = await proxy.client();
    await client.query('BEGIN');
    const pid = async () => (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid;
    const before = await pid();
    // Another name of the same server, so that every connection has to be made anew.
    proxy.write({
      shards: (proxy.config.shards ?? []).map((shard) => ({ ...shard, host: 'localhost' })),
      pool: { size: 3 },
    });
    await admin.query('RELOAD');
    expect(await pid()).toBe(before);
    await client.query('COMMIT');
    await expect.poll(pid, PATIENCE).not.toBe(before);
    const { rows } = await admin.query('SHOW POOLS');
    expect(rows.find(({ kind }) => kind === 'first')).toMatchObject({ size_max: 3, last_failure: null });
    expect((await admin.query('SHOW SHARDS')).rows[0]).toMatchObject({ host: 'localhost', reachable: true });
  });

  it('a table that becomes sharded is routed by its key, also in statements that were prepared before', async () => {
    await using proxy = await FileProxy.start(shards, { sharding: { tables: [] } });
    const admin = await proxy.admin();
    const client = await proxy.client();
    await client.query('DROP TABLE IF EXISTS late; CREATE TABLE late (id bigint PRIMARY KEY)');
    const insert = (id: number) =>
      client.query({ name: 'insert', text: 'INSERT INTO late (id) VALUES ($1)', values: [id] });
    await insert(1);
    await client.query('DELETE FROM late');
    proxy.write({ sharding: { tables: [{ name: 'late', key: 'id', type: 'bigint' }] } });
    await admin.query('RELOAD');
    for (let id = 1; id <= 20; id++) await insert(id);
    const counts = await Promise.all(
      [0, 1, 2].map((shard) => shards.query(shard, 'SELECT count(*)::int AS n FROM late')),
    );
    const each = counts.map(([row]) => row?.n as number);
    expect(each.reduce((sum, n) => sum + n, 0)).toBe(20);
    expect(each.every((n) => n > 0)).toBe(true);
    await client.query('DROP TABLE late');
  });

  it('takes a shard that was added while the others are empty, and refuses it while one has rows', async () => {
    const all = shards.shards.map(({ name, host, port }) => ({ name, host, port, database: 'postgres' }));
    await using proxy = await FileProxy.start(shards, { shards: all.slice(0, 2), sharding: { tables: TEST_TABLES } });
    const admin = await proxy.admin();
    const client = await proxy.client();
    await client.query('CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint)');
    await client.query('INSERT INTO accounts (id, balance) VALUES (1, 0)');
    proxy.write({ shards: all });
    await expect(admin.query('RELOAD')).rejects.toThrow(/public\.accounts has rows/);
    await client.query('TRUNCATE accounts');
    await admin.query('RELOAD');
    expect((await admin.query('SHOW SHARDS')).rows).toHaveLength(3);
    await shards.query(2, 'CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint)');
    await expect
      .poll(() =>
        client
          .query(
            'INSERT INTO accounts (id, balance) VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0)',
          )
          .then(() => 'done', String),
      )
      .toBe('done');
    expect((await shards.query(2, 'SELECT count(*)::int AS n FROM accounts'))[0]?.n).toBeGreaterThan(0);
    await client.query('DROP TABLE accounts');
  });

  it('refuses shards in another order and another number of buckets', async () => {
    await using proxy = await FileProxy.start(shards);
    const admin = await proxy.admin();
    const { shards: ordered = [] } = proxy.config;
    proxy.write({ shards: ordered.toReversed(), sharding: { buckets: 64, tables: TEST_TABLES } });
    const error = String(await admin.query('RELOAD').catch((caught: unknown) => caught));
    expect(error).toContain('shards: their order decides which rows each holds');
    expect(error).toContain('sharding.buckets: rows are placed by it; write 4096');
  });

  it('ten reloads under load: no client sees an error, and no row is lost or misplaced', async () => {
    await using proxy = await FileProxy.start(shards, { pool: { size: 4 } });
    const admin = await proxy.admin();
    const setup = await proxy.client();
    await setup.query('DROP TABLE IF EXISTS accounts');
    await setup.query('CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint)');
    for (let id = 0; id < 12; id++) await setup.query(`INSERT INTO accounts VALUES (${id}, 100)`);
    const original = proxy.config.shards ?? [];
    const load = { over: false, done: 0, errors: [] as string[] };
    const move = { name: 'move', text: 'UPDATE accounts SET balance = balance + $2 WHERE id = $1' };
    const clients = await Promise.all([0, 1, 2, 3].map(() => proxy.client()));
    const working = clients.map(async (client, worker) => {
      for (let turn = 0; !load.over; turn++) {
        // Each worker has accounts of its own, so that nobody waits for anybody.
        const [from, to] = [worker * 3 + (turn % 3), worker * 3 + ((turn + 1) % 3)];
        try {
          await client.query('BEGIN');
          await client.query({ ...move, values: [from, -1] });
          await client.query({ ...move, values: [to, 1] });
          await client.query('COMMIT');
          const { rows } = await client.query(`SELECT id FROM accounts WHERE id = ${from}`);
          if (rows.length !== 1) load.errors.push(`account ${from} was not found`);
          load.done++;
        } catch (error) {
          load.errors.push(String(error));
          return;
        }
      }
    });
    for (let turn = 0; turn < 10; turn++) {
      const host = turn % 2 === 0 ? 'localhost' : '127.0.0.1';
      proxy.write({
        shards: original.map((shard) => ({ ...shard, host })),
        pool: { size: 4 + (turn % 3) },
        sharding: {
          tables: turn % 2 === 0 ? [...TEST_TABLES, { name: 'later', key: 'id', type: 'bigint' }] : TEST_TABLES,
        },
      });
      await admin.query('RELOAD');
      const before = load.done;
      await expect.poll(() => load.done - before > 5 || load.errors.length > 0, PATIENCE).toBe(true);
    }
    load.over = true;
    await Promise.all(working);
    expect(load.errors).toEqual([]);
    const found = await Promise.all([0, 1, 2].map((shard) => shards.query(shard, 'SELECT id, balance FROM accounts')));
    expect(found.flat()).toHaveLength(12);
    expect(found.flat().reduce((sum, { balance }) => sum + Number(balance), 0)).toBe(1_200);
    await setup.query('DROP TABLE accounts');
  });
});

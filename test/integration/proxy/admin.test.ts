// The admin database as administrators and the operator use it: from pg, postgres.js, psql and message by message.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as message from '../../../src/protocol/client-message-writer.ts';
import { COMMANDS, type CommandName } from '../../../src/proxy/admin/command-table.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, type TestProxy } from '../../support/proxy-in-process.ts';
import { WireClient } from '../../support/wire-client.ts';

const PASSWORD = 'correct horse';
const adminUrl = (proxy: TestProxy, password = PASSWORD) =>
  `postgres://operator:${encodeURIComponent(password)}@127.0.0.1:${proxy.port}/atomshard`;

/** The machine may be busy; what never comes still fails. */
const PATIENCE = { timeout: 30_000 };

let shards: Shards;
let proxy: TestProxy;
let admin: pg.Client;

beforeAll(async () => {
  shards = await startShards(2);
  proxy = await startTestProxy(shards, { admin: { users: [{ name: 'operator', password: PASSWORD }] } });
  admin = new pg.Client(adminUrl(proxy));
  admin.on('error', () => undefined);
  await admin.connect();
});

afterAll(async () => {
  await admin?.end();
  await proxy?.[Symbol.asyncDispose]();
  await shards?.[Symbol.asyncDispose]();
});

describe('the admin database', () => {
  it('answers SHOW STATUS with one row that has every promised column', async () => {
    const { rows, fields } = await admin.query('show status;');
    expect(fields.map(({ name }) => name)).toEqual(COMMANDS['SHOW STATUS'].columns.map(({ name }) => name));
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ state: 'Active', ready: true, not_ready_reason: null, in_doubt: 0, held: 0 });
    expect(rows[0].config_sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(rows[0].wal_id).toMatch(/^[0-9a-f]{32}$/);
    expect(rows[0].last_recovery_at).toBeInstanceOf(Date);
    expect(Number(rows[0].epoch)).toBe(proxy.running.epoch);
  });

  it('every SHOW command answers with the columns of its table', async () => {
    const client = await proxy.client();
    await client.query('BEGIN');
    await client.query('SELECT 1');
    for (const [command, { columns }] of Object.entries(COMMANDS)) {
      if (!command.startsWith('SHOW')) continue;
      const { fields, rows } = await admin.query(command === 'SHOW ROUTE' ? `${command} 'SELECT 1'` : command);
      expect(fields.map(({ name }) => name)).toEqual(columns.map(({ name }) => name));
      for (const row of rows) expect(Object.keys(row)).toEqual(columns.map(({ name }) => name));
    }
    await client.query('ROLLBACK');
  });

  it('asks administrators for their password although clients are trusted', async () => {
    await expect(new pg.Client(adminUrl(proxy, 'wrong')).connect()).rejects.toMatchObject({ code: '28P01' });
  });

  it('speaks to postgres.js, which prepares everything', async () => {
    const sql = postgres(adminUrl(proxy), { max: 1, onnotice: () => undefined });
    const [status] = await sql`SHOW STATUS`;
    expect(status).toMatchObject({ state: 'Active', ready: true });
    expect(await sql`SELECT 1 AS one`.catch((error: unknown) => error)).toMatchObject({ code: '42601' });
    expect(await sql`SELECT 1`).toMatchObject([{ '?column?': 1 }]);
    await sql.end();
  });

  it('understands what drivers send by themselves, and several commands in one query', async () => {
    const results = (await admin.query(
      "SET application_name = 'x'; BEGIN; SELECT version(), 1; SHOW transaction_isolation; COMMIT; -- bye",
    )) as unknown as pg.QueryResult[];
    expect(results.map(({ command }) => command)).toEqual(['SET', 'BEGIN', 'SELECT', 'SHOW', 'COMMIT']);
    expect(results[2]?.rows[0].version).toContain('AtomShard');
  });

  it('refuses what it does not know with 42601 and where the list is', async () => {
    const error: unknown = await admin.query('SELECT * FROM pg_class').catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: '42601', hint: expect.stringContaining('SHOW HELP') });
    const { rows } = await admin.query('SHOW HELP');
    expect(rows.map(({ command }) => command.replace(/ <.*/, '')).toSorted()).toEqual(Object.keys(COMMANDS).toSorted());
  });

  it('answers Parse, Describe, Bind and Execute with row limits and in binary', async () => {
    await using trusting = await startTestProxy(shards);
    const wire = await WireClient.login(trusting.port, { database: 'atomshard' });
    wire.send(
      message.parse('shards', 'SHOW SHARDS'),
      message.describe('statement', 'shards'),
      message.bind({ statement: 'shards', resultFormats: [1] }),
      message.describe('portal', ''),
      message.execute('', 1),
      message.execute('', 1),
      message.execute('', 1),
      message.SYNC,
      message.execute('', 1),
      message.parse('', 'SHOW NOTHING'),
      message.SYNC,
      message.query(''),
    );
    const { replies, errors } = await wire.ready(3);
    expect(replies).toBe('1 t T 2 T D s D s C Z(I) E Z(I) I Z(I)');
    expect(errors.map(({ code }) => code)).toEqual(['34000']);
    wire.end();
  });

  it('SHOW CLIENTS, TRANSACTIONS and SERVERS see a client in a transaction, and KILL ends it', async () => {
    const client = await proxy.client({ application_name: 'under test' });
    await client.query('BEGIN');
    await client.query('SELECT pg_backend_pid()');
    const { rows: clients } = await admin.query('SHOW CLIENTS');
    const seen = clients.find(({ application_name }) => application_name === 'under test');
    expect(seen).toMatchObject({ user: 'postgres', state: 'idle in transaction' });
    const of = async (command: CommandName) =>
      (await admin.query(command)).rows.filter(({ client: number }) => number === seen.client);
    expect(await of('SHOW TRANSACTIONS')).toMatchObject([{ state: 'open', writers: 0, busy: false }]);
    expect(await of('SHOW SERVERS')).toHaveLength(1);
    const ended = new Promise<string | undefined>((resolve) =>
      client.on('error', (error: Error & { code?: string }) => resolve(error.code)),
    );
    await admin.query(`KILL ${seen.client}`);
    expect(await ended).toBe('57P01');
    await expect.poll(() => of('SHOW CLIENTS'), PATIENCE).toEqual([]);
    await expect(admin.query(`KILL ${seen.client}`)).rejects.toMatchObject({ code: '42704' });
  });

  it('SHOW PREPARED tells ours from foreign ones', async () => {
    await shards.query(1, "BEGIN; CREATE TABLE foreign_work (); PREPARE TRANSACTION 'somebody else'");
    const { rows } = await admin.query('SHOW PREPARED');
    expect(rows).toMatchObject([{ shard: 'shard-1', gid: 'somebody else', transaction: null, owner: 'foreign' }]);
    await shards.query(1, "ROLLBACK PREPARED 'somebody else'");
  });

  it('SHOW ROUTE tells where a statement goes and why one goes nowhere', async () => {
    const { rows } = await admin.query("SHOW ROUTE 'SELECT * FROM accounts WHERE id = 1; SELECT * FROM accounts'");
    expect(rows).toMatchObject([
      { kind: 'one', writes: false },
      { kind: 'all', shards: 'shard-0,shard-1' },
    ]);
    const refused = await admin.query('SHOW ROUTE UPDATE accounts SET id = 2');
    expect(refused.rows[0]).toMatchObject({ kind: 'refused', shards: null });
    expect(refused.rows[0].reason).toMatch(/^0A000: /);
  });

  it('RECOVER runs a pass and answers with its report', async () => {
    const { rows, command } = await admin.query('RECOVER');
    expect(command).toBe('RECOVER');
    expect(rows).toMatchObject([{ found_in_doubt: 0, held: 0, unreachable_shards: null }]);
  });

  it('a transaction that recovery holds shows as InDoubt in SHOW STATUS, SHOW HELD and the metrics', async () => {
    const direct = await shards.client(0);
    const { cluster, instance } = { cluster: 'test1', instance: proxy.running.instance };
    const { rows } = await direct.query('BEGIN; SELECT pg_current_xact_id()::text AS xid').then((both) => {
      const [, second] = both as unknown as pg.QueryResult[];
      return second ?? { rows: [] };
    });
    // The other participant is on a shard that nobody knows, so nobody can say what became of it.
    const gid = `as1:${cluster}:${instance}.1.1::0/2:shard-0=${rows[0].xid}@1,shard-9=5@1`;
    await direct.query(`PREPARE TRANSACTION '${gid}'`);
    await admin.query('RECOVER');
    const [status] = (await admin.query('SHOW STATUS')).rows;
    expect(status).toMatchObject({ state: 'InDoubt', ready: true, in_doubt: 1, held: 1, last_recovery_held: 1 });
    const held = (await admin.query('SHOW HELD')).rows;
    expect(held).toMatchObject([{ transaction: `${cluster}:${instance}.1.1` }]);
    expect((await admin.query('SHOW PREPARED')).rows).toMatchObject([{ gid, owner: 'this proxy' }]);
    const stats = (await admin.query('SHOW STATS')).rows;
    const value = (name: string) => stats.find(({ metric }) => metric === name)?.value;
    expect(value('atomshard_in_doubt_transactions')).toBe(1);
    expect(value('atomshard_recovery_held_transactions')).toBe(1);
    await direct.query(`ROLLBACK PREPARED '${gid}'`);
    await direct.end();
    await admin.query('RECOVER');
    expect((await admin.query('SHOW STATUS')).rows).toMatchObject([{ state: 'Active', in_doubt: 0, held: 0 }]);
  });

  it('counts commits by way and outcome, errors by class, and what it sees of the log', async () => {
    const read = async () => {
      const { rows } = await admin.query('SHOW STATS');
      return new Map(rows.map(({ metric, labels, value }) => [`${metric}{${labels}}`, value as number]));
    };
    const client = await proxy.client();
    await client.query('CREATE TABLE IF NOT EXISTS accounts (id bigint PRIMARY KEY, balance bigint)');
    const before = await read();
    await client.query('BEGIN; INSERT INTO accounts (id, balance) VALUES (1, 0)');
    await client.query('COMMIT');
    await client.query('INSERT INTO accounts (id, balance) VALUES (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)');
    await client.query('INSERT INTO accounts (id, balance) VALUES (1, 0)').catch(() => undefined);
    await client.query('SELECT nonsense FROM accounts').catch(() => undefined);
    await client.query('DROP TABLE accounts');
    const after = await read();
    const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
    expect(grown('atomshard_commits_total{way="single",outcome="committed"}')).toBe(1);
    // The INSERT over both shards, and DROP TABLE.
    expect(grown('atomshard_commits_total{way="two-phase",outcome="committed"}')).toBe(2);
    expect(grown('atomshard_commit_seconds_count{way="two-phase"}')).toBe(2);
    expect(grown('atomshard_errors_total{class="23"}')).toBe(1);
    expect(grown('atomshard_errors_total{class="42"}')).toBe(1);
    expect(grown('atomshard_queries_total{}')).toBe(6);
    expect(grown('atomshard_wal_records_total{}')).toBeGreaterThanOrEqual(2);
    expect(after.get('atomshard_clients{}')).toBeGreaterThan(0);
  });

  it('works from psql', async ({ skip }) => {
    const run = promisify(execFile);
    const found = await run('psql', ['--version']).catch(() => undefined);
    skip(found === undefined, 'psql is not installed here');
    const { stdout } = await run('psql', ['-X', '-A', '-t', '-d', adminUrl(proxy), '-c', 'SHOW VERSION']);
    expect(stdout.trim()).toMatch(/^\d+\.\d+\.\d+/);
  });
});

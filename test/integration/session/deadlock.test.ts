// Transactions that wait for each other over several shards: no server sees it, so the proxy must, and must cancel one, the
// right one, and nobody who only waits.
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { query } from '../../../src/protocol/client-message-writer.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, type TestProxy } from '../../support/proxy-in-process.ts';
import { WireClient } from '../../support/wire-client.ts';

const SHARDS = [0, 1, 2] as const;

let shards: Shards;
let proxy: TestProxy;
/** One account on each shard. */
let ids: string[];
const holders: pg.Client[] = [];

beforeAll(async () => {
  // The servers' own detectors come later than ours, so that a test would notice if ours did their work.
  shards = await startShards(SHARDS.length, { parameters: { deadlock_timeout: '3s' } });
  proxy = await startTestProxy(shards, { deadlock: { timeoutMs: 200 } });
  const client = await proxy.client();
  await client.query('CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)');
  for (let id = 1; id <= 30; id++) await client.query(`INSERT INTO accounts (id, balance) VALUES (${id}, 100)`);
  ids = await Promise.all(
    SHARDS.map(async (shard) => (await shards.query(shard, 'SELECT min(id) AS id FROM accounts'))[0]?.id),
  );
});

beforeEach(async () => {
  await shards.exec('UPDATE accounts SET balance = 100');
});

afterEach(async () => {
  await Promise.all(holders.splice(0).map((holder) => holder.end()));
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await shards[Symbol.asyncDispose]();
});

const pay = (shard: number, amount: number) =>
  `UPDATE accounts SET balance = balance + ${amount} WHERE id = ${ids[shard]}`;

const balances = async () =>
  Promise.all(
    SHARDS.map(async (shard) =>
      Number((await shards.query(shard, 'SELECT balance FROM accounts WHERE id = $1', [ids[shard]]))[0]?.balance),
    ),
  );

/** Statements that wait for a lock, on all shards. */
const waiting = async () =>
  (
    await Promise.all(
      SHARDS.map((shard) => shards.query(shard, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")),
    )
  ).flat().length;

/** Transactions on a shard that wait for nothing but their client's next statement. */
const doneOn = async (shard: number) =>
  (await shards.query(shard, "SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction'")).length;

const someoneWaits = (count: number) => expect.poll(waiting, { timeout: 5_000 }).toBe(count);

/** A statement that must be looked at while it waits. */
const begun = (statement: Promise<pg.QueryResult>) =>
  statement.then(
    (result) => ({ rows: result.rowCount, error: undefined }),
    (error: pg.DatabaseError) => ({ rows: undefined, error }),
  );

/** A client that is in a transaction and has changed its account on `shard`. */
async function holding(shard: number, amount = -10): Promise<pg.Client> {
  const client = await proxy.client();
  await client.query('BEGIN');
  await client.query(pay(shard, amount));
  return client;
}

/** A lock that no proxy knows of. */
async function foreignHolder(shard: number, sql: string): Promise<pg.Client> {
  const holder = await shards.client(shard);
  holders.push(holder);
  await holder.query('BEGIN');
  await holder.query(sql);
  return holder;
}

describe('deadlocks across shards', () => {
  it('two transfers that cross: the younger is told 40P01, the older commits', async () => {
    const older = await holding(0);
    const younger = await holding(1);
    const survives = begun(older.query(pay(1, 10)));
    await someoneWaits(1);
    const { error } = await begun(younger.query(pay(0, 10)));
    expect(error).toMatchObject({ code: '40P01', severity: 'ERROR', message: 'deadlock detected' });
    expect(error?.detail).toMatch(
      /over shard-0, shard-1: on shard-0 process \d+ waits for process \d+; on shard-1 process \d+ waits for process \d+\.$/,
    );
    expect(error?.hint).toMatch(/again/);
    // The victim has not said ROLLBACK yet.
    expect(await survives).toEqual({ rows: 1, error: undefined });
    await older.query('COMMIT');
    expect(await balances()).toEqual([90, 110, 100]);
    expect((await begun(younger.query('SELECT 1'))).error?.code).toBe('25P02');
    expect((await younger.query('COMMIT')).command).toBe('ROLLBACK');
    expect(await balances()).toEqual([90, 110, 100]);
    await younger.query('BEGIN');
    await younger.query(pay(1, -10));
    await younger.query(pay(0, 10));
    await younger.query('COMMIT');
    expect(await balances()).toEqual([100, 100, 100]);
  });

  it('the younger pays also when it was there first', async () => {
    const older = await holding(0);
    const younger = await holding(1);
    const victim = begun(younger.query(pay(0, 10)));
    await someoneWaits(1);
    expect(await begun(older.query(pay(1, 10)))).toEqual({ rows: 1, error: undefined });
    expect((await victim).error?.code).toBe('40P01');
    await older.query('COMMIT');
    await younger.query('ROLLBACK');
    expect(await balances()).toEqual([90, 110, 100]);
  });

  it('three in a ring: one is cancelled, two commit', async () => {
    const [one, two, three] = [await holding(0), await holding(1), await holding(2)];
    const first = begun(one.query(pay(1, 10)));
    await someoneWaits(1);
    const second = begun(two.query(pay(2, 10)));
    await someoneWaits(2);
    const { error } = await begun(three.query(pay(0, 10)));
    expect(error?.code).toBe('40P01');
    expect(error?.detail).toMatch(/over shard-0, shard-1, shard-2:/);
    expect(await second).toEqual({ rows: 1, error: undefined });
    await two.query('COMMIT');
    expect(await first).toEqual({ rows: 1, error: undefined });
    await one.query('COMMIT');
    await three.query('ROLLBACK');
    expect(await balances()).toEqual([90, 100, 110]);
  });

  it('statements over all shards at once: every one ends, and what was told done is done', async () => {
    const clients = await Promise.all(Array.from({ length: 4 }, () => proxy.client()));
    let done = 0;
    for (let round = 0; round < 10; round++) {
      const ends = await Promise.all(
        clients.map((client) => begun(client.query('UPDATE accounts SET balance = balance + 1'))),
      );
      for (const { error } of ends) expect(error?.code ?? '40P01').toBe('40P01');
      expect(ends.some(({ error }) => error === undefined)).toBe(true);
      done += ends.filter(({ error }) => error === undefined).length;
    }
    const rows = await Promise.all(SHARDS.map((shard) => shards.query(shard, 'SELECT balance FROM accounts')));
    expect(new Set(rows.flat().map((row) => Number(row.balance)))).toEqual(new Set([100 + done]));
  });

  it('two UPDATEs over all shards of which each was first somewhere: the younger is cancelled, the older done', async () => {
    // On shard 0 the first waits at a gate before it locks anything, on shard 1 the second does.
    await shards.exec(`
      CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_xact_lock(TG_ARGV[1]::int) WHERE current_query() LIKE TG_ARGV[0]; RETURN NULL; END'`);
    const trigger = (amount: number) =>
      `CREATE TRIGGER gate BEFORE UPDATE ON accounts EXECUTE FUNCTION wait_at_gate('%balance + ${amount}%', '${amount}')`;
    await Promise.all([shards.query(0, trigger(1)), shards.query(1, trigger(2))]);
    const gates = [
      await foreignHolder(0, 'SELECT pg_advisory_xact_lock(1)'),
      await foreignHolder(1, 'SELECT pg_advisory_xact_lock(2)'),
    ];
    const [older, younger] = [await proxy.client(), await proxy.client()];
    const first = begun(older.query('UPDATE accounts SET balance = balance + 1'));
    await someoneWaits(1);
    const second = begun(younger.query('UPDATE accounts SET balance = balance + 2'));
    // The second waits at its gate and, on shard 2, for the first.
    await someoneWaits(3);
    for (const gate of gates) await gate.query('ROLLBACK');
    expect((await second).error?.code).toBe('40P01');
    expect(await first).toEqual({ rows: 30, error: undefined });
    const rows = await Promise.all(SHARDS.map((shard) => shards.query(shard, 'SELECT balance FROM accounts')));
    expect(new Set(rows.flat().map((row) => row.balance))).toEqual(new Set(['101']));
    await Promise.all([0, 1].map((shard) => shards.query(shard, 'DROP TRIGGER gate ON accounts')));
    await shards.exec('DROP FUNCTION wait_at_gate');
  });

  it('a circle through a connection that is not ours is broken too', async () => {
    const older = await holding(0);
    const younger = await holding(1);
    const foreign = await foreignHolder(1, 'SELECT pg_advisory_xact_lock(7)');
    // older → foreign (shard 1) → younger (shard 1) → older (shard 0)
    const middle = begun(foreign.query(pay(1, 0)));
    await someoneWaits(1);
    const survives = begun(older.query('/* atomshard: shard=1 */ SELECT pg_advisory_xact_lock(7)'));
    await someoneWaits(2);
    expect((await begun(younger.query(pay(0, 10)))).error?.code).toBe('40P01');
    expect((await middle).error).toBeUndefined();
    await foreign.query('ROLLBACK');
    expect((await survives).error).toBeUndefined();
    await older.query('ROLLBACK');
    await younger.query('ROLLBACK');
  });

  it('who only waits is left alone, however long, and goes on when the lock is free', async () => {
    const holder = await holding(0);
    const waiters = [await holding(1, 1), await holding(2, 1)];
    const ends = waiters.map((waiter) => begun(waiter.query(pay(0, 1))));
    await someoneWaits(2);
    // Ten looks, each of which sees two transactions over two shards that wait.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    expect(await waiting()).toBe(2);
    await holder.query('COMMIT');
    // One of the two waits for the other now, which is no circle either.
    const first = await Promise.race(ends.map((end, n) => end.then(() => n)));
    await waiters[first]?.query('COMMIT');
    expect(await Promise.all(ends)).toEqual(ends.map(() => ({ rows: 1, error: undefined })));
    await waiters[1 - first]?.query('COMMIT');
    expect(await balances()).toEqual([92, 101, 101]);
  });

  it('a deadlock on one shard is left to its server', async () => {
    const one = await holding(0, 0);
    const two = await holding(1, 0);
    // Both take part on two shards and wait, so they are looked at; but the circle lies on shard 2.
    await one.query('/* atomshard: shard=2 */ SELECT pg_advisory_xact_lock(1)');
    await two.query('/* atomshard: shard=2 */ SELECT pg_advisory_xact_lock(2)');
    const ends = [
      begun(one.query('/* atomshard: shard=2 */ SELECT pg_advisory_xact_lock(2)')),
      begun(two.query('/* atomshard: shard=2 */ SELECT pg_advisory_xact_lock(1)')),
    ];
    const first = await Promise.race(ends);
    expect(first.error?.code).toBe('40P01');
    expect(first.error?.detail).toMatch(/^Process \d+ waits for/);
    await Promise.all([one.query('ROLLBACK'), two.query('ROLLBACK')]);
  });

  it('a victim with a savepoint goes on from it', async () => {
    const older = await holding(0);
    const younger = await proxy.client();
    await younger.query('BEGIN');
    await younger.query(pay(2, -10));
    await younger.query('SAVEPOINT before_transfer');
    await younger.query(pay(1, 10));
    const survives = begun(older.query(pay(1, 10)));
    await someoneWaits(1);
    expect((await begun(younger.query(pay(0, 10)))).error?.code).toBe('40P01');
    await younger.query('ROLLBACK TO before_transfer');
    expect((await survives).error).toBeUndefined();
    await older.query('COMMIT');
    await younger.query(pay(1, 10));
    await younger.query('COMMIT');
    expect(await balances()).toEqual([90, 120, 90]);
  });

  it('the extended protocol is told the same', async () => {
    const older = await holding(0);
    const younger = await holding(1);
    const survives = begun(older.query(pay(1, 10)));
    await someoneWaits(1);
    const { error } = await begun(
      younger.query('UPDATE accounts SET balance = balance + $1 WHERE id = $2', [10, ids[0]]),
    );
    expect(error).toMatchObject({ code: '40P01', message: 'deadlock detected' });
    expect((await survives).error).toBeUndefined();
    await older.query('ROLLBACK');
    await younger.query('ROLLBACK');
  });

  it('a hidden transaction that was chosen is rolled back whole, with one error and no status of a block', async () => {
    const older = await holding(0);
    const wire = await WireClient.login(proxy.port);
    // It gets shard 1 and 2 and waits on shard 0; then the older one wants shard 1.
    wire.send(query('UPDATE accounts SET balance = balance + 1'));
    await someoneWaits(1);
    for (const shard of [1, 2]) await expect.poll(() => doneOn(shard), { timeout: 5_000 }).toBe(1);
    expect(await begun(older.query(pay(1, 10)))).toEqual({ rows: 1, error: undefined });
    const { errors, replies } = await wire.ready();
    expect(replies).toBe('E Z(I)');
    expect(errors.map(({ code }) => code)).toEqual(['40P01']);
    await older.query('COMMIT');
    expect(await balances()).toEqual([90, 110, 100]);
    wire.end();
  });

  it('who is committing is never cancelled: the other one pays, though it is older', async () => {
    await shards.exec(`
      CREATE TABLE gate (id int PRIMARY KEY);
      INSERT INTO gate VALUES (1);
      CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM 1 FROM gate WHERE id = 1 FOR UPDATE; RETURN NULL; END';
      CREATE CONSTRAINT TRIGGER at_commit AFTER UPDATE ON accounts DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.balance = 77) EXECUTE FUNCTION wait_at_gate()`);
    const older = await proxy.client();
    await older.query('BEGIN');
    await older.query('/* atomshard: shard=0 */ SELECT id FROM gate WHERE id = 1 FOR UPDATE');
    const gate = await foreignHolder(1, 'SELECT id FROM gate WHERE id = 1 FOR UPDATE');
    const younger = await proxy.client();
    await younger.query('BEGIN');
    await younger.query(`UPDATE accounts SET balance = 77 WHERE id IN (${ids[0]}, ${ids[1]})`);
    // Its PREPARE waits for the older one on shard 0, and on shard 1 for the gate, so that it is not prepared there.
    const committed = begun(younger.query('COMMIT'));
    await someoneWaits(2);
    const { error } = await begun(older.query(pay(1, 10)));
    expect(error?.code).toBe('40P01');
    await gate.query('ROLLBACK');
    expect((await committed).error).toBeUndefined();
    await older.query('ROLLBACK');
    expect(await balances()).toEqual([77, 77, 100]);
    await shards.exec('DROP TRIGGER at_commit ON accounts; DROP FUNCTION wait_at_gate; DROP TABLE gate');
  });
});

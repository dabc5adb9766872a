// Statements through the proxy on three real shards: rows end where PostgreSQL's hash puts them, answers are those of one
// database, and what cannot be answered right is refused.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, type TestProxy } from '../../support/proxy-in-process.ts';

let shards: Shards;
let proxy: TestProxy;

beforeAll(async () => {
  shards = await startShards(3);
  proxy = await startTestProxy(shards);
  const client = await proxy.client();
  await client.query('CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0))');
  await client.query(
    'CREATE TABLE entries (account_id bigint, entry_id bigint, amount bigint, PRIMARY KEY (account_id, entry_id))',
  );
  await client.query('CREATE TABLE notes (slug text PRIMARY KEY, body text)');
  await client.query('CREATE TABLE devices (id uuid PRIMARY KEY, name text)');
  await client.query('CREATE TABLE currencies (code text PRIMARY KEY, name text)');
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await shards[Symbol.asyncDispose]();
});

const counts = (table: string) =>
  Promise.all(
    [0, 1, 2].map(async (shard) => Number((await shards.query(shard, `SELECT count(*) AS n FROM ${table}`))[0]?.n)),
  );

describe('placement', () => {
  it('DDL reaches every shard', async () => {
    expect(await counts('accounts')).toEqual([0, 0, 0]);
  });

  it('each row is on exactly one shard, and found there again by its key', async () => {
    const client = await proxy.client();
    for (let id = 1; id <= 60; id++)
      await client.query('INSERT INTO accounts (id, balance) VALUES ($1, $2)', [id, 100]);
    const spread = await counts('accounts');
    expect(spread.reduce((sum, n) => sum + n, 0)).toBe(60);
    expect(Math.min(...spread)).toBeGreaterThan(0);
    for (let id = 1; id <= 60; id++) {
      expect((await client.query(`SELECT id FROM accounts WHERE id = ${id}`)).rows).toEqual([{ id: String(id) }]);
    }
  });

  it('text and uuid keys find their rows with literals and with parameters', async () => {
    const client = await proxy.client();
    const uuid = '6f1c2c9e-7a2b-4f4e-9a1e-1e8a4b2c3d4e';
    await client.query("INSERT INTO notes (slug, body) VALUES ('héllo', 'x')");
    await client.query('INSERT INTO devices (id, name) VALUES ($1, $2)', [uuid, 'phone']);
    expect((await client.query('SELECT body FROM notes WHERE slug = $1', ['héllo'])).rows).toEqual([{ body: 'x' }]);
    expect((await client.query(`SELECT name FROM devices WHERE id = '${uuid.toUpperCase()}'`)).rows).toEqual([
      { name: 'phone' },
    ]);
  });

  it('a comment sends a statement to one shard', async () => {
    const client = await proxy.client();
    const seen = [];
    for (const shard of [0, 1, 2]) {
      const { rows } = await client.query(`/* atomshard: shard=${shard} */ SELECT count(*)::int AS n FROM accounts`);
      seen.push(rows[0].n);
    }
    expect(seen).toEqual(await counts('accounts'));
  });
});

describe('statements over several shards', () => {
  it('reads without a key are the rows of all shards', async () => {
    const client = await proxy.client();
    const { rows, rowCount } = await client.query('SELECT id FROM accounts');
    expect(rowCount).toBe(60);
    expect(new Set(rows.map((row) => row.id)).size).toBe(60);
    const extended = await client.query('SELECT id FROM accounts WHERE balance >= $1', [0]);
    expect(extended.rowCount).toBe(60);
  });

  it('an UPDATE without a key is atomic by itself, and its count is the sum', async () => {
    const client = await proxy.client();
    expect((await client.query('UPDATE accounts SET balance = balance + 1')).rowCount).toBe(60);
    // One row on one shard violates the check: nothing may change anywhere.
    await client.query('UPDATE accounts SET balance = 0 WHERE id = 7');
    await expect(client.query('UPDATE accounts SET balance = balance - 1')).rejects.toMatchObject({ code: '23514' });
    const { rows } = await client.query('SELECT balance FROM accounts WHERE id <> 7');
    expect(new Set(rows.map((row) => row.balance))).toEqual(new Set(['101']));
    await client.query('UPDATE accounts SET balance = 101 WHERE id = 7');
  });

  it('PgDog 7: a failed automatic commit leaves no flag behind for the next transaction', async () => {
    const client = await proxy.client();
    await expect(client.query('UPDATE accounts SET balance = -1')).rejects.toMatchObject({ code: '23514' });
    await client.query('BEGIN');
    await client.query('UPDATE accounts SET balance = 500 WHERE id = 1');
    await client.query('ROLLBACK');
    expect((await client.query('SELECT balance FROM accounts WHERE id = 1')).rows).toEqual([{ balance: '101' }]);
  });

  it('what would be answered wrongly is refused with 0A000 and a hint', async () => {
    const client = await proxy.client();
    for (const sql of [
      'SELECT count(*) FROM accounts',
      'SELECT id FROM accounts ORDER BY id',
      'SELECT id FROM accounts LIMIT 3',
      'SELECT DISTINCT balance FROM accounts',
      'SELECT max(balance) - min(balance) FROM accounts',
    ]) {
      const failure = await client.query(sql).then(
        () => undefined,
        (error: { code: string; hint?: string }) => error,
      );
      expect(failure, sql).toMatchObject({ code: '0A000' });
      expect(failure?.hint, sql).toBeTruthy();
    }
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  it('reference tables are written everywhere and read anywhere', async () => {
    const client = await proxy.client();
    expect((await client.query("INSERT INTO currencies VALUES ('EUR', 'Euro')")).rowCount).toBe(1);
    expect(await counts('currencies')).toEqual([1, 1, 1]);
    for (let i = 0; i < 5; i++)
      expect((await client.query('SELECT name FROM currencies')).rows).toEqual([{ name: 'Euro' }]);
  });
});

describe('reference tables under concurrent writers', () => {
  it('stay equal on every shard: writers pass each other in one order', async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => proxy.client()));
    await Promise.all(
      clients.map(async (client, worker) => {
        for (let turn = 0; turn < 6; turn++) {
          await client.query(`INSERT INTO currencies (code, name) VALUES ('${worker}-${turn}', 'new')`);
          await client.query(`UPDATE currencies SET name = 'by ${worker}-${turn}'`);
        }
      }),
    );
    const copies = await Promise.all(
      [0, 1, 2].map((shard) => shards.query(shard, 'SELECT code, name FROM currencies ORDER BY code')),
    );
    expect(copies[0]).toHaveLength(49);
    expect(copies[1]).toEqual(copies[0]);
    expect(copies[2]).toEqual(copies[0]);
  });
});

describe('transactions', () => {
  it('a transfer between shards is whole, and its rows are visible afterwards', async () => {
    const client = await proxy.client();
    await client.query('BEGIN');
    for (let id = 1; id <= 6; id++)
      await client.query('UPDATE accounts SET balance = balance + $2 WHERE id = $1', [id, id % 2 ? 10 : -10]);
    await client.query('COMMIT');
    const { rows } = await client.query('SELECT id, balance FROM accounts WHERE id IN (1, 2, 3, 4, 5, 6)');
    expect(rows.map((row) => Number(row.balance)).reduce((a, b) => a + b)).toBe(606);
    for (const shard of [0, 1, 2]) expect(await shards.query(shard, 'SELECT * FROM pg_prepared_xacts')).toEqual([]);
  });

  it('an error fails the whole transaction; ROLLBACK TO reopens it on every shard', async () => {
    const client = await proxy.client();
    await client.query('BEGIN');
    await client.query('UPDATE accounts SET balance = 1 WHERE id = 1');
    await client.query('SAVEPOINT here');
    for (const id of [2, 3, 4, 5]) await client.query('UPDATE accounts SET balance = 2 WHERE id = $1', [id]);
    await expect(client.query('INSERT INTO accounts (id, balance) VALUES (9, 1)')).rejects.toMatchObject({
      code: '23505',
    });
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' });
    await client.query('ROLLBACK TO here');
    await client.query('UPDATE accounts SET balance = 111 WHERE id = 9');
    await client.query('COMMIT');
    const { rows } = await client.query('SELECT id, balance FROM accounts WHERE id IN (1, 9, 2)');
    expect(Object.fromEntries(rows.map((row) => [row.id, row.balance]))).toEqual({ 1: '1', 9: '111', 2: '91' });
  });

  it('a shard that had written nothing when it was asked and writes later is still prepared', async () => {
    const client = await proxy.client();
    const idOn = async (shard: number) =>
      Number((await shards.query(shard, 'SELECT min(id) AS id FROM accounts'))[0]?.id);
    const [first, second] = [await idOn(0), await idOn(1)];
    const before = proxy.running.positions().appended;
    await client.query('BEGIN');
    await client.query(`UPDATE accounts SET balance = 0 WHERE id = ${first} AND balance < 0`);
    await client.query(`UPDATE accounts SET balance = balance WHERE id = ${second}`);
    await client.query(`UPDATE accounts SET balance = balance WHERE id = ${first}`);
    await client.query('COMMIT');
    // One decision: "none assigned" was true when it was asked, and two shards are writers now.
    expect(proxy.running.positions().appended).toBeGreaterThan(before);
  });

  it('COMMIT of a failed transaction says ROLLBACK, as PostgreSQL does', async () => {
    const client = await proxy.client();
    await client.query('BEGIN');
    await client.query('SELECT 1/0').catch(() => undefined);
    expect((await client.query('COMMIT')).command).toBe('ROLLBACK');
  });

  it('PgDog 14: COMMIT AND CHAIN begins the next transaction with the same modes', async () => {
    const client = await proxy.client();
    await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
    await client.query('SELECT id FROM accounts WHERE id = 1');
    await client.query('COMMIT AND CHAIN');
    expect((await client.query('SHOW transaction_isolation')).rows).toEqual([
      { transaction_isolation: 'serializable' },
    ]);
    await client.query('ROLLBACK');
  });

  it('PgDog 16: a deferred constraint that fails at COMMIT gives the original error and keeps the connection', async () => {
    const client = await proxy.client();
    await client.query(
      '/* atomshard: shard=0 */ CREATE TABLE late (id bigint PRIMARY KEY, other bigint REFERENCES late DEFERRABLE INITIALLY DEFERRED)',
    );
    await client.query('BEGIN');
    for (const id of [1, 2, 3, 4, 5, 6]) await client.query('UPDATE accounts SET balance = 5000 WHERE id = $1', [id]);
    await client.query('/* atomshard: shard=0 */ INSERT INTO late VALUES (1, 2)');
    await expect(client.query('COMMIT')).rejects.toMatchObject({ code: '23503' });
    expect((await client.query('SELECT balance FROM accounts WHERE id = 3')).rows).not.toEqual([{ balance: '5000' }]);
  });

  it('PgDog 15: one-shard and read-only transactions make no log record and no prepared transaction', async () => {
    const client = await proxy.client();
    await client.query('UPDATE accounts SET balance = balance');
    const before = proxy.running.positions().appended;
    expect(before).toBeGreaterThan(0);
    await client.query('BEGIN');
    await client.query('UPDATE accounts SET balance = balance WHERE id = 1');
    await client.query('SELECT id FROM accounts');
    await client.query('COMMIT');
    expect(proxy.running.positions().appended).toBe(before);
  });
});

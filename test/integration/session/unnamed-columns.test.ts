// INSERTs without a column list on three real shards: rows land where their key belongs and in the columns that
// PostgreSQL would have filled, through every change of the table; tables whose key is of another type are out of reach.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, type TestProxy } from '../../support/proxy-in-process.ts';

let shards: Shards;
let proxy: TestProxy;
type Client = Awaited<ReturnType<TestProxy['client']>>;
let client: Client;

beforeAll(async () => {
  shards = await startShards(3);
  proxy = await startTestProxy(shards);
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await shards[Symbol.asyncDispose]();
});

beforeEach(async () => {
  client = await proxy.client();
  await client.query('DROP TABLE IF EXISTS accounts, entries');
  await client.query('CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint, note text)');
});

// A test that fails inside a transaction must not leave its locks to the next one.
afterEach(() => client.end());

/** Every row of `accounts` on every shard is found by its key through the proxy, on that shard only. */
async function expectPlaced(rows: number): Promise<void> {
  let total = 0;
  for (const shard of [0, 1, 2]) {
    for (const row of await shards.query(shard, 'SELECT * FROM accounts')) {
      total += 1;
      expect((await client.query(`SELECT * FROM accounts WHERE id = ${row.id}`)).rows).toEqual([row]);
    }
  }
  expect(total).toBe(rows);
}

const stored = async () => {
  const { rows } = await client.query('SELECT id, balance FROM accounts');
  return rows.map(({ id, balance }) => `${id}=${balance}`).toSorted();
};

const failure = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: { code: string; message: string; hint?: string; position?: string }) => error,
  );

describe('an INSERT without a column list', () => {
  it('works right after CREATE TABLE, as text, with parameters and with many rows', async () => {
    for (let id = 1; id <= 20; id++) await client.query(`INSERT INTO accounts VALUES (${id}, ${id * 2})`);
    for (let id = 21; id <= 40; id++) await client.query('INSERT INTO accounts VALUES ($1, $2)', [id, id * 2]);
    const named = { name: 'insert', text: 'INSERT INTO accounts VALUES ($1, $2, $3)' };
    for (let id = 41; id <= 60; id++) await client.query({ ...named, values: [id, id * 2, 'n'] });
    const many = Array.from({ length: 40 }, (_, i) => `(${61 + i}, ${(61 + i) * 2})`).join(', ');
    expect((await client.query(`INSERT INTO accounts VALUES ${many}`)).rowCount).toBe(40);
    const returned = await client.query('INSERT INTO accounts VALUES (101, 202), (102, 204), (103, 206) RETURNING id');
    expect(returned.rows.map(({ id }) => id).toSorted()).toEqual(['101', '102', '103']);
    await expectPlaced(103);
    expect(await stored()).toEqual(Array.from({ length: 103 }, (_, i) => `${i + 1}=${(i + 1) * 2}`).toSorted());
  });

  it('works for drivers that pipeline, in transactions, in scripts and in EXPLAIN', async () => {
    const sql = proxy.sql(1);
    await Promise.all(Array.from({ length: 20 }, (_, i) => sql`INSERT INTO accounts VALUES (${i}, ${i})`));
    await sql.begin(async (block) => {
      for (let id = 20; id < 30; id++) await block`INSERT INTO accounts VALUES (${id}, ${id})`;
    });
    await client.query('INSERT INTO accounts VALUES (30, 30); INSERT INTO accounts VALUES (31, 31)');
    await client
      .query('INSERT INTO accounts VALUES (32, 32); INSERT INTO accounts VALUES (32, 32)')
      .catch(() => undefined);
    const plan = await client.query('EXPLAIN INSERT INTO accounts VALUES (33, 33)');
    expect(JSON.stringify(plan.rows)).toContain('Insert on accounts');
    await expectPlaced(32);
  });

  it('follows ALTER TABLE, also in statements that were prepared before', async () => {
    const other = await proxy.client();
    const named = { name: 'insert', text: 'INSERT INTO accounts VALUES ($1, $2)' };
    await other.query({ ...named, values: [1, 10] });
    await client.query('ALTER TABLE accounts DROP COLUMN balance');
    await client.query('ALTER TABLE accounts ADD COLUMN balance bigint');
    // The columns are id, note, balance now.
    await other.query({ ...named, values: [2, 20] });
    await other.query('INSERT INTO accounts VALUES (3, $$x$$, 30)');
    const { rows } = await client.query('SELECT id, note, balance FROM accounts WHERE id IN (2, 3)');
    expect(rows.toSorted((a, b) => a.id - b.id)).toEqual([
      { id: '2', note: '20', balance: null },
      { id: '3', note: 'x', balance: '30' },
    ]);
    await expectPlaced(3);
  });

  it('follows a table that is dropped and made again with its columns in another order', async () => {
    const other = await proxy.client();
    const named = { name: 'insert', text: 'INSERT INTO accounts VALUES ($1, $2)' };
    await other.query({ ...named, values: [1, 1000] });
    await client.query('DROP TABLE accounts');
    expect(await failure(other.query('INSERT INTO accounts VALUES (1, 2)'))).toMatchObject({ code: '0A000' });
    await client.query('CREATE TABLE accounts (balance bigint, id bigint PRIMARY KEY)');
    for (let id = 1; id <= 20; id++) {
      await other.query({ ...named, values: [1000 + id, id] });
      await other.query(`INSERT INTO accounts VALUES (${1000 + id}, ${100 + id})`);
    }
    expect(await stored()).toContain('7=1007');
    await expectPlaced(40);
  });

  it('counts generated and identity columns as PostgreSQL does', async () => {
    await client.query('DROP TABLE accounts');
    await client.query(
      `CREATE TABLE accounts (n bigint GENERATED ALWAYS AS IDENTITY, double bigint GENERATED ALWAYS AS (balance * 2) STORED,
         id bigint PRIMARY KEY, balance bigint)`,
    );
    await client.query('INSERT INTO accounts VALUES (DEFAULT, DEFAULT, 5, 50)');
    await client.query('INSERT INTO accounts OVERRIDING SYSTEM VALUE VALUES (77, DEFAULT, 6, 60)');
    expect(await failure(client.query('INSERT INTO accounts VALUES (1, DEFAULT, 7, 70)'))).toMatchObject({
      code: '428C9',
    });
    expect(await failure(client.query('INSERT INTO accounts VALUES (7, 70)'))).toMatchObject({ code: '0A000' });
    expect((await client.query('SELECT n, double FROM accounts WHERE id = 6')).rows).toEqual([
      { n: '77', double: '120' },
    ]);
    await expectPlaced(2);
  });

  it('tells errors at their place in the client’s text', async () => {
    const unknown = 'INSERT INTO accounts VALUES (1, nosuch)';
    expect(await failure(client.query(unknown))).toMatchObject({
      code: '42703',
      position: String(unknown.indexOf('nosuch') + 1),
    });
    const prepared = 'INSERT INTO accounts VALUES ($1, nosuch)';
    expect(await failure(client.query(prepared, [1]))).toMatchObject({
      code: '42703',
      position: String(prepared.indexOf('nosuch') + 1),
    });
    const tooMany = 'INSERT INTO accounts VALUES (1, 2, $$x$$, 4)';
    expect(await failure(client.query(tooMany))).toMatchObject({
      code: '42601',
      message: 'INSERT has more expressions than target columns',
      position: String(tooMany.indexOf('4)') + 1),
    });
  });
});

describe('DDL and column order', () => {
  it('behind DDL in one transaction an INSERT must name its columns', async () => {
    await client.query('BEGIN');
    await client.query('ALTER TABLE accounts ADD COLUMN more text');
    expect(await failure(client.query('INSERT INTO accounts VALUES (1, 2)'))).toMatchObject({ code: '0A000' });
    await client.query('ROLLBACK');
    await client.query('BEGIN');
    await client.query('ALTER TABLE accounts ADD COLUMN more text');
    await client.query('INSERT INTO accounts (id, balance) VALUES (1, 2)');
    await client.query('COMMIT');
    await client.query("INSERT INTO accounts VALUES (2, 2, 'n', 'm')");
    await expectPlaced(2);
    const script =
      'DROP TABLE accounts; CREATE TABLE accounts (balance bigint, id bigint); INSERT INTO accounts VALUES (1, 2)';
    expect(await failure(client.query(script))).toMatchObject({ code: '0A000' });
    await expectPlaced(2);
  });

  it('done behind the proxy’s back costs an error at worst, and is noticed by it', async () => {
    await client.query('INSERT INTO accounts VALUES (1, 10)');
    await shards.exec('ALTER TABLE accounts RENAME COLUMN balance TO amount');
    // The list that is written still says balance.
    expect(await failure(client.query('INSERT INTO accounts VALUES (2, 20)'))).toMatchObject({ code: '42703' });
    await expect
      .poll(async () => failure(client.query('INSERT INTO accounts VALUES (2, 20)')), { timeout: 5_000 })
      .toBeUndefined();
    await expectPlaced(2);
  });

  it('done behind the proxy’s back cannot be met by a text without its list, not in a script either', async () => {
    await client.query('INSERT INTO accounts VALUES (1, 10)');
    await shards.exec('ALTER TABLE accounts RENAME COLUMN balance TO amount');
    const script = 'INSERT INTO accounts VALUES (2, 20); INSERT INTO accounts VALUES (2, 21)';
    expect(await failure(client.query(script))).toMatchObject({ code: '42703' });
  });

  it('done behind the proxy’s back and seen since: a prepared statement is routed and sent by the same order', async () => {
    const named = { name: 'insert', text: 'INSERT INTO accounts VALUES ($1, $2)' };
    for (let id = 1; id <= 6; id++) await client.query({ ...named, values: [id, 1000 + id] });
    await shards.exec('DROP TABLE accounts; CREATE TABLE accounts (balance bigint, id bigint PRIMARY KEY)');
    // A column that only the new table has: it can be named without a list once the new order is known.
    await shards.exec('ALTER TABLE accounts ADD COLUMN third bigint, ADD COLUMN fourth bigint');
    const four = () => failure(client.query('INSERT INTO accounts VALUES (0, 0, 0, 0)'));
    await expect.poll(four, { timeout: 15_000 }).toBeUndefined();
    await client.query('DELETE FROM accounts WHERE id = 0');
    for (let id = 1; id <= 20; id++) await client.query({ ...named, values: [1000 + id, id] });
    expect(await stored()).toEqual(Array.from({ length: 20 }, (_, i) => `${i + 1}=${1001 + i}`).toSorted());
    await expectPlaced(20);
  });

  it('on one shard only makes the order disputed: then it is not guessed', async () => {
    await client.query('/* atomshard: shard=1 */ ALTER TABLE accounts ADD COLUMN odd bigint');
    const refused = await failure(client.query('INSERT INTO accounts VALUES (1, 10)'));
    expect(refused).toMatchObject({ code: '0A000' });
    expect(refused?.message).toContain('shard-1');
    await client.query('INSERT INTO accounts (id, balance) VALUES (1, 10)');
  });
});

describe('a key column of another type', () => {
  const tables = [
    { name: 'accounts', key: 'id', type: 'bigint' as const },
    { name: 'entries', key: 'account_id', type: 'text' as const },
  ];
  const sharding = { sharding: { tables } };
  const statements = [
    "INSERT INTO entries (account_id) VALUES ('7')",
    "SELECT * FROM entries WHERE account_id = '7'",
    'SELECT * FROM entries',
    "UPDATE entries SET account_id = account_id WHERE account_id = '7'",
    "/* atomshard: shard=1 */ INSERT INTO entries (account_id) VALUES ('7')",
  ];

  it.each([
    ['bigint', 'account_id bigint'],
    ['varchar', 'account_id varchar(5)'],
    ['missing', 'x text'],
    ['case-insensitive', 'account_id text COLLATE nd'],
  ])('closes the table, and only that one (%s)', async (_what, column) => {
    await shards.exec(
      "CREATE COLLATION IF NOT EXISTS nd (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    );
    await shards.exec(`CREATE TABLE entries (${column})`);
    await using wrong = await startTestProxy(shards, sharding);
    const through = await wrong.client();
    for (const text of statements) {
      const refused = await failure(through.query(text));
      expect([text, refused?.code]).toEqual([text, '0A000']);
      expect(refused?.message).toContain('entries is not what sharding.tables says');
    }
    await through.query('INSERT INTO accounts VALUES (1, 1)');
    for (const shard of [0, 1, 2]) expect(await shards.query(shard, 'SELECT * FROM entries')).toEqual([]);
    await through.query('DROP TABLE entries');
    await through.query('CREATE TABLE entries (account_id text, x int)');
    await through.query("INSERT INTO entries VALUES ('7', 1)");
    expect((await through.query("SELECT x FROM entries WHERE account_id = '7'")).rows).toEqual([{ x: 1 }]);
  });

  it('on a single shard is enough, and a shard that comes back later is looked at before it is used', async () => {
    await shards.exec('CREATE TABLE entries (account_id text, x int)');
    await shards.query(2, 'DROP TABLE entries');
    await shards.query(2, 'CREATE TABLE entries (account_id bigint, x int)');
    await shards.shard(2).stop('fast');
    await using wrong = await startTestProxy(shards, sharding);
    const through = await wrong.client();
    await through.query("INSERT INTO entries VALUES ('here', 1)").catch(() => undefined);
    expect(await failure(through.query('SELECT * FROM entries'))).toMatchObject({ code: '08001' });
    await shards.shard(2).start();
    const answers = new Set<string | undefined>();
    await expect
      .poll(
        async () => {
          const { code } = (await failure(through.query('SELECT * FROM entries'))) ?? { code: 'none' };
          answers.add(code);
          return code;
        },
        { timeout: 10_000 },
      )
      .toBe('0A000');
    expect([...answers].toSorted()).not.toContain('none');
  });

  it('integers of another width are placed alike, so they are let in', async () => {
    await shards.exec('CREATE TABLE entries (account_id smallint, x int)');
    await using narrow = await startTestProxy(shards, {
      sharding: { tables: [{ name: 'entries', key: 'account_id', type: 'bigint' }] },
    });
    const through = await narrow.client();
    for (let id = -20; id < 20; id++) await through.query(`INSERT INTO entries VALUES (${id}, 1)`);
    for (let id = 20; id < 40; id++) await through.query('INSERT INTO entries VALUES ($1, $2)', [id, 1]);
    for (let id = -20; id < 40; id++) {
      expect((await through.query(`SELECT x FROM entries WHERE account_id = ${id}`)).rows).toEqual([{ x: 1 }]);
    }
    expect(await failure(through.query('INSERT INTO entries VALUES (40000, 1)'))).toMatchObject({ code: '22003' });
  });
});

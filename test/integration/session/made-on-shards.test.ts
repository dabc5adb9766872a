// Views, rules and child tables that somebody made on the shards themselves: each shard shows its own rows in them, so that
// taking one shard's for all would be a wrong answer.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, type TestProxy } from '../../support/proxy-in-process.ts';

let shards: Shards;
let proxy: TestProxy;

beforeAll(async () => {
  shards = await startShards(2);
  {
    await using before = await startTestProxy(shards);
    const client = await before.client();
    await client.query('CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint)');
    for (let id = 1; id <= 20; id++) await client.query(`INSERT INTO accounts VALUES (${id}, ${id})`);
  }
  await shards.exec(`
    CREATE TABLE currencies (code text PRIMARY KEY);
    CREATE VIEW codes AS SELECT code FROM currencies;
    CREATE VIEW rich AS SELECT * FROM accounts WHERE balance > 5;
    CREATE VIEW richer AS SELECT * FROM rich WHERE balance > 10;
    CREATE MATERIALIZED VIEW total AS SELECT sum(balance) AS sum FROM accounts;
    CREATE TABLE closed () INHERITS (accounts);
    CREATE TABLE inbox (id bigint, balance bigint);
    CREATE RULE forward AS ON INSERT TO inbox DO INSTEAD INSERT INTO accounts VALUES (NEW.id, NEW.balance)`);
  proxy = await startTestProxy(shards);
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await shards[Symbol.asyncDispose]();
});

const told = async (sql: string) => {
  const client = await proxy.client();
  return client.query(sql).then(
    ({ rows }) => rows.length,
    (error: { code: string; message: string }) => `${error.code} ${error.message}`,
  );
};

describe('what was made on the shards over sharded tables', () => {
  it.each([
    ['rich', 'SELECT * FROM rich', 'public.rich is a view on the sharded table public.accounts'],
    ['richer', 'SELECT count(*) FROM public.richer', 'public.richer is a view on the sharded table public.accounts'],
    ['total', 'SELECT sum FROM total', 'public.total is a materialized view of the sharded table public.accounts'],
    ['closed', 'UPDATE closed SET balance = 0', 'public.closed belongs to the sharded table public.accounts'],
    ['inbox', 'INSERT INTO inbox VALUES (99, 9)', 'public.inbox belongs to the sharded table public.accounts'],
    ['rich, explained', 'EXPLAIN SELECT * FROM rich', 'public.rich is a view on the sharded table public.accounts'],
    [
      'rich, copied',
      'CREATE TABLE copy AS SELECT * FROM rich',
      'public.rich is a view on the sharded table public.accounts',
    ],
    ['rich, joined', 'SELECT * FROM codes, rich', 'public.rich is a view on the sharded table public.accounts'],
  ])('%s is refused, not read from one shard', async (_, sql, why) => {
    expect(await told(sql)).toContain(`0A000 ${why}`);
  });

  it('is there for who names the shard', async () => {
    const counts = await Promise.all([0, 1].map((shard) => told(`/* atomshard: shard=${shard} */ SELECT * FROM rich`)));
    expect(counts.every((count) => typeof count === 'number' && count > 0)).toBe(true);
    expect(Number(counts[0]) + Number(counts[1])).toBe(15);
  });

  it('over tables that are the same everywhere are as good as these', async () => {
    expect(await told('SELECT * FROM codes')).toBe(0);
  });

  it('is noticed when it is made later, and forgotten when it is dropped', async () => {
    await shards.exec('CREATE VIEW poor AS SELECT * FROM accounts WHERE balance < 3');
    await expect
      .poll(() => told('SELECT * FROM poor'), { timeout: 10_000 })
      .toContain('0A000 public.poor is a view on');
    expect(await told('DROP VIEW poor')).toBe(0);
    await shards.exec('CREATE TABLE poor (id bigint)');
    await expect.poll(() => told('SELECT * FROM poor'), { timeout: 10_000 }).toBe(0);
  });
});

// Faults that peers were measured to have, on three real shards: each by its number in the list that we keep of them.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, type TestProxy } from '../../support/proxy-in-process.ts';

let shards: Shards;
let proxy: TestProxy;
let idOn: number[];

beforeAll(async () => {
  shards = await startShards(3);
  proxy = await startTestProxy(shards);
  const client = await proxy.client();
  await client.query('CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0))');
  for (let id = 1; id <= 30; id++) await client.query(`INSERT INTO accounts (id, balance) VALUES (${id}, 100)`);
  const first = [0, 1, 2].map(
    async (shard) => (await shards.query<{ id: string }>(shard, 'SELECT min(id) AS id FROM accounts'))[0],
  );
  idOn = (await Promise.all(first)).map((row) => Number(row?.id));
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await shards[Symbol.asyncDispose]();
});

const inBlock = () =>
  Promise.all(
    [0, 1, 2].map(async (shard) => {
      const sql =
        "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'as1:%' AND state LIKE 'idle in transaction%'";
      return (await shards.query(shard, sql)).length;
    }),
  );

const balance = async (shard: number) =>
  Number(
    (await shards.query<{ balance: string }>(shard, `SELECT balance FROM accounts WHERE id = ${idOn[shard]}`))[0]
      ?.balance,
  );

describe('faults of peers', () => {
  it('PgDog 8: a transaction that is pinned to one shard commits with two-phase commit on', async () => {
    const client = await proxy.client();
    await client.query('SET atomshard.shard = 1');
    await client.query('BEGIN');
    await client.query(`UPDATE accounts SET balance = 101 WHERE id = ${idOn[1]}`);
    await client.query('COMMIT');
    await client.query('RESET atomshard.shard');
    await client.query('BEGIN');
    await client.query(`/* atomshard: shard=2 */ UPDATE accounts SET balance = 102 WHERE id = ${idOn[2]}`);
    await client.query('COMMIT');
    expect([await balance(1), await balance(2)]).toEqual([101, 102]);
  });

  it('PgDog, measured: writing one row begins a transaction on its shard and on no other, and prepares nothing', async () => {
    const client = await proxy.client();
    const before = proxy.running.positions().appended;
    await client.query('BEGIN');
    await client.query(`UPDATE accounts SET balance = balance WHERE id = ${idOn[0]}`);
    expect(await inBlock()).toEqual([1, 0, 0]);
    await client.query('COMMIT');
    expect(await inBlock()).toEqual([0, 0, 0]);
    expect(proxy.running.positions().appended).toBe(before);
  });

  it('PgDog, measured: a shard whose backend is ended at COMMIT never makes "not done" of a transaction that may be done', async () => {
    const client = await proxy.client();
    for (let turn = 0; turn < 5; turn++) {
      await client.query('BEGIN');
      await client.query(`UPDATE accounts SET balance = ${1000 + turn} WHERE id = ${idOn[0]}`);
      const [backend] = await shards.query<{ pid: number }>(
        0,
        "SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction' AND application_name LIKE 'as1:%'",
      );
      await shards.query(0, `SELECT pg_terminate_backend(${backend?.pid}, 2000)`);
      const error = await client.query('COMMIT').then(
        () => undefined,
        (failed: { code: string }) => failed.code,
      );
      // The backend ended before COMMIT reached it, which only the shard knows: the answer is honest either way.
      const done = (await balance(0)) === 1000 + turn;
      if (error === undefined) expect(done).toBe(true);
      else if (done) expect(error).toBe('08007');
      expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    }
    await client.query(`UPDATE accounts SET balance = 100 WHERE id = ${idOn[0]}`);
  });

  it('PgDog, measured: one bad row in a multi-row INSERT over shards leaves none of them', async () => {
    const client = await proxy.client();
    const rows = Array.from({ length: 60 }, (_, i) => `(${1000 + i}, ${i === 59 ? -1 : 5})`).join(', ');
    await expect(client.query(`INSERT INTO accounts (id, balance) VALUES ${rows}`)).rejects.toMatchObject({
      code: '23514',
    });
    expect((await client.query('SELECT id FROM accounts WHERE id >= 1000')).rows).toEqual([]);
  });
});

// Cancel requests and hang-ups: they reach the shards that work for that client, and nobody else's.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cancelRequest, query } from '../../../src/protocol/client-message-writer.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, type TestProxy } from '../../support/proxy-in-process.ts';
import { WireClient } from '../../support/wire-client.ts';

let shards: Shards;
let proxy: TestProxy;

beforeAll(async () => {
  shards = await startShards(2);
  proxy = await startTestProxy(shards, { pool: { size: 2 } });
  const client = await proxy.client();
  await client.query('CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)');
  for (let id = 1; id <= 10; id++) await client.query(`INSERT INTO accounts (id, balance) VALUES (${id}, 100)`);
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await shards[Symbol.asyncDispose]();
});

const sleeping = async (shard: number) =>
  (
    await shards.query(
      shard,
      "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()",
    )
  ).length;

const waiting = () =>
  Promise.all(
    [0, 1].map(async (shard) => {
      const sql = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE accounts%'";
      return (await shards.query(shard, sql)).length;
    }),
  );

const cancel = (client: WireClient, change = 0) => {
  const messenger = WireClient.bare(proxy.port);
  const key = Buffer.from(client.key?.key ?? Buffer.alloc(4));
  key.writeUInt8(key.readUInt8(0) ^ change, 0);
  messenger.send(cancelRequest(client.key?.pid ?? 0, key));
  return messenger.until(() => false);
};

describe('cancel', () => {
  it('ends the statement on every shard that runs it; the session goes on', async () => {
    const client = await WireClient.login(proxy.port);
    const holders = await Promise.all([0, 1].map((shard) => shards.client(shard)));
    for (const holder of holders) await holder.query('BEGIN; LOCK TABLE accounts');
    client.send(query('UPDATE accounts SET balance = balance + 1'));
    await expect.poll(waiting).toEqual([1, 1]);
    await cancel(client);
    const { errors, replies } = await client.ready();
    expect(errors.map((error) => error.code)).toEqual(['57014']);
    expect(replies).toBe('E Z(I)');
    expect(await waiting()).toEqual([0, 0]);
    for (const holder of holders) await holder.query('ROLLBACK');
    client.send(query('SELECT balance FROM accounts WHERE id = 1'));
    expect((await client.ready()).rows).toEqual([['100']]);
    client.end();
  });

  it('does not reach a COMMIT that has begun: its outcome would only be harder to know', async () => {
    await shards.exec(`CREATE TABLE slow (id bigint PRIMARY KEY);
      CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION slowly()`);
    const preparing = async (shard: number) =>
      (
        await shards.query(
          shard,
          "SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'PREPARE TRANSACTION%' AND pid <> pg_backend_pid()",
        )
      ).length;
    const client = await WireClient.login(proxy.port);
    client.send(query('BEGIN'));
    for (const shard of [0, 1]) client.send(query(`/* atomshard: shard=${shard} */ INSERT INTO slow VALUES (1)`));
    await client.ready(3);
    client.send(query('COMMIT'));
    await expect.poll(async () => [await preparing(0), await preparing(1)]).toEqual([1, 1]);
    await cancel(client);
    const { replies, errors } = await client.ready();
    expect(errors).toEqual([]);
    expect(replies).toBe('C Z(I)');
    for (const shard of [0, 1]) expect(await shards.query(shard, 'SELECT id FROM slow')).toEqual([{ id: '1' }]);
    client.end();
  });

  it('a wrong key cancels nothing', async () => {
    const client = await WireClient.login(proxy.port);
    client.send(query('/* atomshard: shard=0 */ SELECT pg_sleep(60)'));
    await expect.poll(() => sleeping(0)).toBe(1);
    await cancel(client, 1);
    expect(await sleeping(0)).toBe(1);
    await cancel(client);
    expect((await client.ready()).errors[0]?.code).toBe('57014');
    client.end();
  });

  it('a connection that was cancelled does not carry the cancel to the next client', async () => {
    const first = await WireClient.login(proxy.port);
    const second = await WireClient.login(proxy.port);
    for (let turn = 0; turn < 20; turn++) {
      first.send(query('/* atomshard: shard=0 */ SELECT 1'));
      const cancelled = cancel(first);
      await first.ready();
      second.send(query('/* atomshard: shard=0 */ SELECT 2'), query('/* atomshard: shard=0 */ SELECT 3'));
      expect((await second.ready(2)).errors).toEqual([]);
      await cancelled;
    }
    first.end();
    second.end();
  });
});

describe('hanging up', () => {
  it('ends what the client left running, rolls its transaction back, and frees its connections', async () => {
    const client = await WireClient.login(proxy.port);
    client.send(query('BEGIN'), query('UPDATE accounts SET balance = 0'));
    await client.ready(2);
    client.send(query('/* atomshard: shard=1 */ SELECT pg_sleep(60)'));
    await expect.poll(() => sleeping(1)).toBe(1);
    client.end();
    await expect.poll(() => sleeping(1)).toBe(0);
    const other = await proxy.client();
    await expect
      .poll(async () => new Set((await other.query('SELECT balance FROM accounts')).rows.map((row) => row.balance)))
      .toEqual(new Set(['100']));
    await other.query('UPDATE accounts SET balance = 100');
  });

  it('many clients that come and go leave no transaction and no client behind', async () => {
    for (let round = 0; round < 5; round++) {
      const clients = await Promise.all(Array.from({ length: 10 }, () => WireClient.login(proxy.port)));
      for (const client of clients)
        client.send(query('BEGIN'), query('UPDATE accounts SET balance = balance WHERE id = 1'));
      for (const client of clients) client.end();
    }
    await expect
      .poll(
        async () =>
          (
            await Promise.all(
              [0, 1].map((shard) =>
                shards.query(shard, "SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"),
              ),
            )
          ).flat().length,
      )
      .toBe(0);
    const client = await proxy.client();
    expect((await client.query('SELECT balance FROM accounts WHERE id = 1')).rows).toEqual([{ balance: '100' }]);
  });
});

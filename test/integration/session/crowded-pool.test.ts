// More transactions than connections, each over two shards and in both orders: nobody may wait for a connection that is
// held by somebody who waits for his.
import { describe, expect, it } from 'vitest';
import {
  bind,
  describe as describeMessage,
  execute,
  parse,
  query,
  SYNC,
} from '../../../src/protocol/client-message-writer.ts';
import { startShards } from '../../support/postgres.ts';
import { startTestProxy } from '../../support/proxy-in-process.ts';
import { WireClient } from '../../support/wire-client.ts';

const pool = {
  size: 2,
  queueMax: 1_000,
  queueWaitMs: 60_000,
  idleMs: 60_000,
  lifetimeMs: 60_000,
  connectTimeoutMs: 5_000,
};

describe('a crowded pool', () => {
  it('transactions that cross each other on full pools all finish', { timeout: 30_000 }, async () => {
    await using shards = await startShards(2);
    await using proxy = await startTestProxy(shards, { pool });
    const setup = await proxy.client();
    await setup.query('CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)');
    for (let id = 1; id <= 60; id++) await setup.query(`INSERT INTO accounts (id, balance) VALUES (${id}, 0)`);
    const ids = await Promise.all(
      [0, 1].map(async (shard) =>
        (await shards.query<{ id: string }>(shard, 'SELECT id FROM accounts')).map(({ id }) => id),
      ),
    );
    const clients = await Promise.all(Array.from({ length: 20 }, () => proxy.client()));
    await Promise.all(
      clients.map(async (client, number) => {
        const near = ids[number % 2]?.[number];
        const far = ids[(number + 1) % 2]?.[number];
        for (let round = 0; round < 5; round++) {
          await client.query('BEGIN');
          await client.query(`UPDATE accounts SET balance = balance + 1 WHERE id = ${near}`);
          await client.query(`UPDATE accounts SET balance = balance + 1 WHERE id = ${far}`);
          await client.query('COMMIT');
          await client.query('SELECT id FROM accounts WHERE balance < 0');
        }
      }),
    );
    const sums = await Promise.all(
      [0, 1].map((shard) => shards.query(shard, 'SELECT sum(balance)::int AS sum FROM accounts')),
    );
    expect(sums.map(([row]) => Number(row?.sum)).reduce((a, b) => a + b)).toBe(200);
  });

  it('who connects or prepares while the pool is full does not wait for it', async () => {
    await using shards = await startShards(2);
    await using proxy = await startTestProxy(shards, { pool });
    const holders = await Promise.all(Array.from({ length: 4 }, () => proxy.client()));
    for (const [index, holder] of holders.entries()) {
      await holder.query('BEGIN');
      await holder.query(`/* atomshard: shard=${index % 2} */ SELECT 1`);
    }
    const client = await WireClient.login(proxy.port);
    client.send(parse('s', 'SELECT 1'), describeMessage('statement', 's'), SYNC);
    expect((await client.ready()).replies).toBe('1 t T Z(I)');
    client.send(query('BEGIN'), parse('t', 'SELECT 2'), SYNC);
    expect((await client.ready(2)).replies).toBe('C Z(T) 1 Z(T)');
    await Promise.all(holders.map((holder) => holder.query('COMMIT')));
    client.send(bind({ statement: 't' }), execute(''), SYNC);
    expect((await client.ready()).rows).toEqual([['2']]);
    client.end();
  });
});

// What rides in the packet of a client's statement: BEGIN in front of it and the question for the xid behind it, without
// a ReadyForQuery of their own, and so that no client can tell.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bind, COPY_DONE, copyData, execute, parse, query, SYNC } from '../../../src/protocol/client-message-writer.ts';
import { ByteRelay } from '../../support/byte-relay.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, type TestProxy } from '../../support/proxy-in-process.ts';
import { WireClient } from '../../support/wire-client.ts';

let shards: Shards;
let relays: ByteRelay[];
let proxy: TestProxy;
/** Two ids on each of the two shards. */
const idsOn: number[][] = [];

beforeAll(async () => {
  shards = await startShards(2);
  relays = await Promise.all(shards.shards.map(({ port }) => ByteRelay.to(port)));
  const places = shards.shards.map(({ name }, i) => ({
    name,
    host: '127.0.0.1',
    port: relays[i]?.port ?? 0,
    database: 'postgres',
  }));
  // One connection to a shard, so that the bytes between proxy and shard are those of the test's client.
  proxy = await startTestProxy(shards, { pool: { size: 1 }, shards: places });
  const client = await proxy.client();
  await client.query('CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0))');
  for (let id = 1; id <= 20; id++) await client.query(`INSERT INTO accounts (id, balance) VALUES (${id}, 100)`);
  for (const shard of [0, 1])
    idsOn.push((await shards.query<{ id: string }>(shard, 'SELECT id FROM accounts')).map(({ id }) => Number(id)));
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  for (const relay of relays) await relay[Symbol.asyncDispose]();
  await shards[Symbol.asyncDispose]();
});

const id = (shard: number, nth = 0) => idsOn[shard]?.[nth] ?? 0;
const UPDATE = 'UPDATE accounts SET balance = balance + $2::bigint WHERE id = $1::bigint';

/** Types of the messages that the proxy has sent to a shard over its client connection `from` some place on. */
function messagesTo(shard: number, from: readonly number[]): string {
  let types = '';
  for (const [i, { fromClient }] of (relays[shard]?.connections ?? []).entries()) {
    for (let at = from[i] ?? fromClient.length; at < fromClient.length; at += 1 + fromClient.readInt32BE(at + 1))
      types += String.fromCharCode(fromClient.readUInt8(at));
  }
  return types;
}

const sentSoFar = (shard: number) => (relays[shard]?.connections ?? []).map(({ fromClient }) => fromClient.length);

describe('BEGIN and the question for the xid ride with the statement', () => {
  it('a cross-shard transaction of prepared statements has one Sync for each write, one Query for each PREPARE and COMMIT PREPARED', async () => {
    const client = await proxy.client();
    const transfer = async () => {
      await client.query('BEGIN');
      for (const shard of [0, 1])
        await client.query({ name: 'add', text: UPDATE, values: [id(shard), shard ? 1 : -1] });
      await client.query('COMMIT');
    };
    // The first two prepare what is missing and teach the proxy that this session writes on several shards.
    await transfer();
    await transfer();
    const before = [0, 1].map(sentSoFar);
    await transfer();
    for (const shard of [0, 1]) expect(messagesTo(shard, before[shard] ?? [])).toBe(`PBE${'BDE'}${'BEC'}SQQ`);
  });

  it('the modes of BEGIN hold from the first statement on', async () => {
    const client = await proxy.client();
    await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY');
    const select = "SELECT current_setting('transaction_isolation') AS level FROM accounts WHERE id = $1::bigint";
    expect((await client.query(select, [id(1)])).rows).toEqual([{ level: 'serializable' }]);
    await expect(client.query(UPDATE, [id(1), 1])).rejects.toMatchObject({ code: '25006' });
    await client.query('ROLLBACK');
  });

  it('an error of the first statement leaves the block failed, with nothing written', async () => {
    const client = await WireClient.login(proxy.port);
    client.send(query('BEGIN'));
    await client.ready();
    client.send(parse('', UPDATE), bind({ values: [String(id(0)), '-1000'].map(Buffer.from) }), execute(), SYNC);
    const failed = await client.ready();
    expect(failed).toMatchObject({ replies: '1 2 E Z(E)', errors: [{ code: '23514' }] });
    client.send(query('ROLLBACK'));
    expect((await client.ready()).replies).toBe('C Z(I)');
    client.end();
  });

  it('a client sees the replies to its own messages and no others', async () => {
    const client = await WireClient.login(proxy.port);
    const write = (shard: number) => bind({ values: [String(id(shard)), '0'].map(Buffer.from) });
    for (let round = 0; round < 3; round++) {
      client.send(query('BEGIN'));
      await client.ready();
      for (const shard of [0, 1]) {
        client.send(parse('', UPDATE), write(shard), execute(), SYNC);
        expect(await client.ready()).toMatchObject({ replies: '1 2 C Z(T)', rows: [], errors: [] });
      }
      client.send(query('COMMIT'));
      expect((await client.ready()).replies).toBe('C Z(I)');
    }
    client.end();
  });

  it('a portal that waits for its next Execute survives the question', async () => {
    const client = await WireClient.login(proxy.port);
    const returning = '/* atomshard: shard=1 */ UPDATE accounts SET balance = balance RETURNING id';
    for (let round = 0; round < 2; round++) {
      client.send(query('BEGIN'));
      await client.ready();
      client.send(parse('', UPDATE), bind({ values: [String(id(0)), '0'].map(Buffer.from) }), execute(), SYNC);
      await client.ready();
      client.send(parse('', returning), bind({}), execute('', 1), SYNC);
      expect((await client.ready()).replies).toBe('1 2 D s Z(T)');
      client.send(execute('', 0), SYNC);
      const rest = await client.ready();
      expect(rest.errors).toEqual([]);
      expect(rest.rows).toHaveLength((idsOn[1]?.length ?? 0) - 1);
      client.send(query('COMMIT'));
      expect((await client.ready()).replies).toBe('C Z(I)');
    }
    client.end();
  });

  it('a COPY FROM STDIN may be the first statement, and nothing is asked behind it before it has ended', async () => {
    const client = await WireClient.login(proxy.port);
    const copy = '/* atomshard: shard=0 */ COPY accounts (id, balance) FROM STDIN';
    for (let round = 0; round < 2; round++) {
      client.send(query('BEGIN'));
      await client.ready();
      client.send(parse('', copy), bind({}), execute(), SYNC);
      await client.until((replies) => replies.includes('G'));
      expect(client.take().replies).toBe('1 2 G');
      client.send(copyData(Buffer.from(`${-1 - round}\t5\n`)), COPY_DONE, SYNC);
      expect(await client.ready()).toMatchObject({ replies: 'C Z(T)', errors: [] });
      client.send(parse('', UPDATE), bind({ values: [String(id(1)), '0'].map(Buffer.from) }), execute(), SYNC);
      expect((await client.ready()).replies).toBe('1 2 C Z(T)');
      client.send(query('COMMIT'));
      expect((await client.ready()).replies).toBe('C Z(I)');
    }
    expect(await shards.query(0, 'SELECT id FROM accounts WHERE id < 0 ORDER BY id')).toEqual([
      { id: '-2' },
      { id: '-1' },
    ]);
    client.end();
  });

  it('a prepared question that a function deallocates costs one transaction, and nothing is torn', async () => {
    const client = await proxy.client();
    const total = async () => {
      let sum = 0;
      for (const shard of [0, 1]) {
        const rows = await shards.query<{ balance: string }>(
          shard,
          `SELECT balance FROM accounts WHERE id = ${id(shard)}`,
        );
        sum += Number(rows[0]?.balance);
      }
      return sum;
    };
    const before = await total();
    const transfer = async () => {
      await client.query('BEGIN');
      for (const shard of [0, 1]) await client.query(UPDATE, [id(shard), shard === 0 ? -1 : 1]);
      return (await client.query('COMMIT')).command;
    };
    expect(await transfer()).toBe('COMMIT');
    await client.query("/* atomshard: shard=0 */ DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$");
    const second = await transfer().catch((error: { code: string }) => error.code);
    expect(['COMMIT', '26000', '40000']).toContain(second);
    if (second !== 'COMMIT') await client.query('ROLLBACK');
    expect(await transfer()).toBe('COMMIT');
    expect(await total()).toBe(before);
  });
});

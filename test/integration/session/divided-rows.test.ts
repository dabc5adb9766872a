// A multi-row INSERT whose values are bound, as most libraries send it: divided between the shards, whole or not at all.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  bind,
  describe as describeMessage,
  execute,
  parse,
  SYNC,
} from '../../../src/protocol/client-message-writer.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, type TestProxy } from '../../support/proxy-in-process.ts';
import { WireClient } from '../../support/wire-client.ts';

let shards: Shards;
let proxy: TestProxy;

beforeAll(async () => {
  shards = await startShards(3);
  proxy = await startTestProxy(shards);
  const client = await proxy.client();
  await client.query(
    'CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0), note text)',
  );
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await shards[Symbol.asyncDispose]();
});

const ids = (from: number, count = 12) => Array.from({ length: count }, (_, i) => from + i);
const INSERT = 'INSERT INTO accounts (id, balance, note) VALUES';
const places = (rows: number) =>
  Array.from({ length: rows }, (_, i) => `($${3 * i + 1}, $${3 * i + 2}, $${3 * i + 3})`).join(', ');
const rowsFor = (wanted: readonly number[]) =>
  wanted.flatMap((id) => [id, id * 10, id % 3 === 0 ? null : `note ${id}`]);

/** id → [balance, note], read from the shards themselves. */
async function stored(wanted: readonly number[]): Promise<Map<number, [number, string | null]>> {
  const found = new Map<number, [number, string | null]>();
  for (const shard of [0, 1, 2]) {
    const sql = `SELECT * FROM accounts WHERE id BETWEEN ${wanted[0]} AND ${wanted.at(-1)}`;
    for (const row of await shards.query<{ id: string; balance: string; note: string | null }>(shard, sql)) {
      expect(found.has(Number(row.id))).toBe(false);
      found.set(Number(row.id), [Number(row.balance), row.note]);
    }
  }
  return found;
}

const wholeFor = (wanted: readonly number[]) =>
  new Map(wanted.map((id) => [id, [id * 10, id % 3 === 0 ? null : `note ${id}`]]));

describe('a multi-row INSERT with parameters', () => {
  it('puts each row where its key belongs, and counts and returns all of them', async () => {
    const client = await proxy.client();
    const wanted = ids(1);
    const inserted = await client.query(`${INSERT} ${places(12)} RETURNING id, note`, rowsFor(wanted));
    expect(inserted.rowCount).toBe(12);
    expect(inserted.rows.map(({ id }) => Number(id)).toSorted((a, b) => a - b)).toEqual(wanted);
    expect(await stored(wanted)).toEqual(wholeFor(wanted));
    const again = await client.query('SELECT note FROM accounts WHERE id = $1', [4]);
    expect(again.rows).toEqual([{ note: 'note 4' }]);
  });

  it('prepared by name, executed with rows of several shards, then of one', async () => {
    const client = await proxy.client();
    const named = (from: number, step: number) => ({
      name: 'two rows',
      text: `${INSERT} ${places(2)}`,
      values: rowsFor([from, from + step]),
    });
    for (const from of [100, 110, 120, 130])
      for (const step of [1, 2, 3]) {
        await client.query(named(from + step * 2, step));
        await client.query('DELETE FROM accounts WHERE id >= 100');
      }
    await client.query(named(140, 1));
    expect(await stored([140, 141])).toEqual(wholeFor([140, 141]));
  });

  it('postgres.js and its array of rows, inside a transaction', async () => {
    const sql = proxy.sql();
    const wanted = ids(200);
    await sql.begin(async (inside) => {
      const rows = wanted.map((id) => ({ id, balance: id * 10, note: id % 3 === 0 ? null : `note ${id}` }));
      await inside`INSERT INTO accounts ${inside(rows)}`;
    });
    expect(await stored(wanted)).toEqual(wholeFor(wanted));
  });

  it('is all there or not there: one bad row, and no shard has any', async () => {
    const client = await proxy.client();
    const wanted = ids(300);
    const values = rowsFor(wanted);
    values[3 * 7 + 1] = -1;
    await expect(client.query(`${INSERT} ${places(12)}`, values)).rejects.toMatchObject({ code: '23514' });
    expect((await stored(wanted)).size).toBe(0);
    await client.query('BEGIN');
    await client.query(`${INSERT} ${places(12)}`, rowsFor(wanted));
    await client.query('ROLLBACK');
    expect((await stored(wanted)).size).toBe(0);
  });

  it('ON CONFLICT with a value of its own', async () => {
    const client = await proxy.client();
    const wanted = ids(400);
    await client.query(`${INSERT} ${places(12)}`, rowsFor(wanted));
    const upsert = `${INSERT} ${places(12)} ON CONFLICT (id) DO UPDATE SET balance = accounts.balance + $37`;
    expect((await client.query(upsert, [...rowsFor(wanted), 5])).rowCount).toBe(12);
    for (const [id, [balance]] of await stored(wanted)) expect(balance).toBe(id * 10 + 5);
  });

  it('message by message: Describe before Execute, one header, one tag', async () => {
    const client = await WireClient.login(proxy.port);
    const wanted = ids(500);
    const values = rowsFor(wanted).map((value) => (value === null ? null : String(value)));
    client.send(
      parse('rows', `${INSERT} ${places(12)} RETURNING id`),
      describeMessage('statement', 'rows'),
      bind({ portal: 'p', statement: 'rows', values }),
      describeMessage('portal', 'p'),
      execute('p'),
      SYNC,
    );
    const answer = await client.ready();
    expect(answer.replies.replaceAll(/(D )+/g, 'D… ')).toBe('1 t T 2 T D… C Z(I)');
    expect(answer.rows).toHaveLength(12);
    expect(await stored(wanted)).toEqual(wholeFor(wanted));
    client.end();
  });

  it('values in the binary format stay what they are, each with its own row', async () => {
    const client = await WireClient.login(proxy.port);
    const wanted = ids(700);
    const int8 = (value: number) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64BE(BigInt(value));
      return bytes;
    };
    const values = wanted.flatMap((id) => [int8(id), String(id * 10), id % 3 === 0 ? null : `note ${id}`]);
    const parameterFormats = wanted.flatMap(() => [1, 0, 0]);
    client.send(parse('', `${INSERT} ${places(12)}`), bind({ parameterFormats, values }), execute(), SYNC);
    expect(await client.ready()).toMatchObject({ replies: '1 2 C Z(I)', errors: [] });
    expect(await stored(wanted)).toEqual(wholeFor(wanted));
    client.end();
  });

  it('an error has no position: the shards were sent other texts than the client wrote', async () => {
    const client = await proxy.client();
    await client.query('ALTER TABLE accounts ADD COLUMN extra int');
    const named = (from: number) => ({
      name: 'with extra',
      text: `${INSERT} ${places(12)} RETURNING extra`,
      values: rowsFor(ids(from)),
    });
    await client.query(named(800));
    // Behind the proxy's back: the statement is prepared already, so that only the parts are parsed anew.
    await shards.exec('ALTER TABLE accounts DROP COLUMN extra');
    const error = await client.query(named(820)).catch((thrown: { code: string; position?: string }) => thrown);
    expect(error).toMatchObject({ code: '42703' });
    expect((error as { position?: string }).position).toBeUndefined();
    expect((await stored(ids(820))).size).toBe(0);
  });

  it('a value too few is an error, never a NULL', async () => {
    const client = await WireClient.login(proxy.port);
    const wanted = ids(600);
    const values = rowsFor(wanted).map(String).slice(0, -1);
    client.send(parse('', `${INSERT} ${places(12)}`), bind({ values }), execute(), SYNC);
    expect(await client.ready()).toMatchObject({ replies: expect.stringMatching(/E Z\(I\)$/) });
    expect((await stored(wanted)).size).toBe(0);
    client.end();
  });
});

// Rows are found or a statement is refused, whatever list of shards a proxy is started with: told by rows on real shards.
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ProxyConfigInput } from '../../../src/proxy/config.ts';
import { MARK_SCHEMA } from '../../../src/shard/placement-mark.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { FileProxy } from '../../support/proxy-from-file.ts';
import { startTestProxy, type TestProxy, testProxyConfig } from '../../support/proxy-in-process.ts';
import { ProxyProcess } from '../../support/proxy-process.ts';

let shards: Shards;

beforeAll(async () => {
  shards = await startShards(3);
}, 120_000);

afterEach(async () => {
  await shards.exec(`DROP TABLE IF EXISTS accounts; DROP SCHEMA IF EXISTS ${MARK_SCHEMA}`);
});

afterAll(async () => {
  await shards?.[Symbol.asyncDispose]();
});

/** The list with these indexes, in this order. */
const list = (...indexes: number[]): NonNullable<ProxyConfigInput['shards']> =>
  indexes.map((index) => {
    const { name, host, port } = shards.shard(index);
    return { name, host, port, database: 'postgres' };
  });

const with2 = { shards: () => list(0, 1) };
const TABLE = 'CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint)';

async function fill(proxy: TestProxy | FileProxy): Promise<void> {
  const client = await proxy.client();
  await client.query(TABLE);
  for (let id = 1; id <= 20; id++) await client.query('INSERT INTO accounts VALUES ($1, 1)', [id]);
}

async function everyRow(proxy: TestProxy): Promise<number[]> {
  const client = await proxy.client();
  const found: number[] = [];
  for (let id = 1; id <= 20; id++) {
    const { rows } = await client.query<{ id: string }>('SELECT id FROM accounts WHERE id = $1', [id]);
    found.push(...rows.map((row) => Number(row.id)));
  }
  return found;
}

const ALL_ROWS = Array.from({ length: 20 }, (_, index) => index + 1);
const marks = () =>
  Promise.all(
    [0, 1, 2].map(async (index) => {
      const [row] = await shards.query<{ mark: string | null }>(
        index,
        `SELECT obj_description(oid, 'pg_namespace') AS mark FROM pg_namespace WHERE nspname = '${MARK_SCHEMA}'`,
      );
      return row?.mark ?? null;
    }),
  );

describe('a proxy whose list of shards is another one', () => {
  it('does not start over rows, longer, shorter, or in another order; with the former list all rows are there', async () => {
    await using first = await startTestProxy(shards, { shards: with2.shards() });
    await fill(first);
    await expect(startTestProxy(shards, { shards: list(0, 1, 2) })).rejects.toThrow(
      /its rows are spread over shard-0, shard-1 \(4096 buckets\), not over shard-0, shard-1, shard-2 .* public.accounts has rows on shard-0/,
    );
    await expect(startTestProxy(shards, { shards: list(0) })).rejects.toThrow(/public.accounts has rows/);
    await expect(startTestProxy(shards, { shards: list(1, 0) })).rejects.toThrow(/public.accounts has rows/);
    await expect(startTestProxy(shards, { shards: list(0, 1), sharding: { buckets: 64 } })).rejects.toThrow(
      /64 buckets/,
    );
    // A new replica, and the one that was there all the time.
    await using replica = await startTestProxy(shards, { shards: list(0, 1) });
    expect(await everyRow(replica)).toEqual(ALL_ROWS);
    expect(await everyRow(first)).toEqual(ALL_ROWS);
  });

  it('ends with exit code 2 when it is restarted over its own log with another list', async () => {
    await using first = await startTestProxy(shards, { shards: list(0, 1) });
    await fill(first);
    await first.running.stop();
    const config = testProxyConfig(shards, path.join(first.directory, 'wal'));
    await using restarted = ProxyProcess.spawn({ directory: first.directory, config });
    expect(await restarted.exited).toMatchObject({ code: 2 });
    expect(restarted.log.join('\n')).toMatch(
      /public.accounts has rows on shard-0; rows are not moved: write the shards/,
    );
  });

  it('starts where no shard has a row, in either direction', async () => {
    for (const indexes of [[0, 1], [0, 1, 2], [1], [2, 0]]) {
      await using proxy = await startTestProxy(shards, { shards: list(...indexes) });
      expect(await (await proxy.client()).query('SELECT 1')).toMatchObject({ rowCount: 1 });
    }
  });

  it('does not leave a shard out while there are tables, because nobody can ask that one for rows', async () => {
    await using first = await startTestProxy(shards);
    await (await first.client()).query(TABLE);
    await expect(startTestProxy(shards, { shards: list(0, 1) })).rejects.toThrow(
      /shard-2, which is left out, may have/,
    );
  });

  it('two servers whose addresses were mixed up are not taken for each other', async () => {
    await using first = await startTestProxy(shards);
    await fill(first);
    const [one, other, third] = list(0, 1, 2);
    if (one === undefined || other === undefined || third === undefined) throw new Error('three shards');
    const mixed = [one, { ...third, name: other.name }, { ...other, name: third.name }];
    await expect(startTestProxy(shards, { shards: mixed })).rejects.toThrow(/this server is shard-2, not shard-1/);
  });
});

describe('several proxies', () => {
  it('that are started at once over new shards agree, and every row is found through each', async () => {
    const proxies = await Promise.all([startTestProxy(shards), startTestProxy(shards), startTestProxy(shards)]);
    const [first, second, third] = proxies;
    if (first === undefined || second === undefined || third === undefined) throw new Error('three proxies');
    await using _one = first;
    await using _two = second;
    await using _three = third;
    await fill(first);
    for (const proxy of proxies) expect(await everyRow(proxy)).toEqual(ALL_ROWS);
  });

  it('one of which got another list while there were no rows: the other refuses until it has read it too', async () => {
    await using slow = await FileProxy.start(shards, { shards: list(0, 1) });
    await using quick = await FileProxy.start(shards, { shards: list(0, 1) });
    const client = await slow.client();
    await client.query('SELECT 1');
    quick.write({ shards: list(0, 1, 2) });
    expect(await quick.running.reload()).toMatchObject({ kind: 'reloaded' });
    await expect(client.query(TABLE)).rejects.toThrow(/its rows are spread over shard-0, shard-1, shard-2/);
    const admin = await slow.admin();
    const status = async () => (await admin.query('SHOW STATUS')).rows[0]?.not_ready_reason;
    await expect.poll(status, { timeout: 30_000, interval: 200 }).toMatch(/its rows are spread over/);
    await fill(quick);
    slow.write({ shards: list(0, 1, 2) });
    expect(await slow.running.reload()).toMatchObject({ kind: 'reloaded' });
    const late = await slow.client();
    const found = await Promise.all(ALL_ROWS.map((id) => late.query('SELECT id FROM accounts WHERE id = $1', [id])));
    expect(found.map(({ rowCount }) => rowCount)).toEqual(ALL_ROWS.map(() => 1));
  });
});

describe('the record', () => {
  it('that was lost with its shard is written again by a proxy that runs', async () => {
    await using proxy = await startTestProxy(shards);
    const before = await marks();
    await shards.query(1, `DROP SCHEMA ${MARK_SCHEMA}`);
    await expect.poll(marks, { timeout: 30_000, interval: 500 }).toEqual(before);
    await (await proxy.client()).query(TABLE);
  }, 60_000);

  it('of a move that was broken off gives way to the former list where rows are, and to any where none are', async () => {
    const [first] = await (async () => {
      await using _proxy = await startTestProxy(shards);
      return marks();
    })();
    const moving = JSON.stringify({ format: 1, moving: true, from: first });
    await shards.query(0, `COMMENT ON SCHEMA ${MARK_SCHEMA} IS '${moving}'`);
    await shards.query(0, 'CREATE TABLE accounts (id bigint)');
    await shards.query(0, 'INSERT INTO accounts VALUES (1)');
    await expect(startTestProxy(shards, { shards: list(0, 1) })).rejects.toThrow(/public.accounts has rows on shard-0/);
    {
      await using _former = await startTestProxy(shards);
      expect((await marks())[0]).toBe(first);
    }
    await shards.query(0, 'DROP TABLE accounts');
    await shards.query(0, `COMMENT ON SCHEMA ${MARK_SCHEMA} IS '${moving}'`);
    await using _other = await startTestProxy(shards, { shards: list(0, 1) });
    expect((await marks())[0]).toContain('"shards":["shard-0","shard-1"]');
  });

  it('is needed from every shard before the first statement, and is not taken from a shard that is silent', async () => {
    await shards.shard(2).stop('fast');
    await using proxy = await startTestProxy(shards);
    await expect(proxy.client()).rejects.toThrow(/not recorded yet/);
    await shards.shard(2).start();
    await expect.poll(() => proxy.client().then(() => 'in', String), { timeout: 30_000, interval: 200 }).toBe('in');
  });
});

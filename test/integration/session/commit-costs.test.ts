// What is left out of a commit to make it cheaper is left out where nobody can tell: the xid is asked for through a
// prepared statement, and PREPARE leaves without SET LOCAL statement_timeout (docs/adr/0005).
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, type TestProxy } from '../../support/proxy-in-process.ts';

let shards: Shards;
let proxy: TestProxy;

// Deferred to PREPARE, where it takes longer than the time-outs below allow a statement.
const SLOW_PREPARE = `
  CREATE TABLE IF NOT EXISTS slow (id bigint PRIMARY KEY);
  CREATE OR REPLACE FUNCTION sleeping() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
  CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION sleeping();`;

beforeAll(async () => {
  shards = await startShards(2);
  proxy = await startTestProxy(shards, { pool: { size: 1 } });
  await shards.exec(`${SLOW_PREPARE}
    CREATE ROLE hasty LOGIN SUPERUSER; ALTER ROLE hasty SET statement_timeout = '200ms';`);
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await shards[Symbol.asyncDispose]();
});

type Client = Awaited<ReturnType<TestProxy['client']>>;

/** Writes a row on each shard in one transaction; `before` runs inside it. */
async function insertOnBoth(client: Client, id: number, ...before: string[]): Promise<void> {
  await client.query('BEGIN');
  for (const sql of before) await client.query(sql);
  for (const shard of [0, 1]) await client.query(`/* atomshard: shard=${shard} */ INSERT INTO slow VALUES (${id})`);
  await client.query('COMMIT');
}

const present = (id: number) =>
  Promise.all([0, 1].map(async (shard) => (await shards.query(shard, `SELECT FROM slow WHERE id = ${id}`)).length));

describe('a statement_timeout never cuts a PREPARE short', () => {
  it('set by the client', async () => {
    const client = await proxy.client();
    await client.query("SET statement_timeout = '200ms'");
    await insertOnBoth(client, 1);
    expect(await present(1)).toEqual([1, 1]);
  });

  it('set for the transaction', async () => {
    await insertOnBoth(await proxy.client(), 2, "SET LOCAL statement_timeout = '200ms'");
    await insertOnBoth(await proxy.client(), 3, "SELECT set_config('statement_timeout', '200ms', true)");
    expect([await present(2), await present(3)]).toEqual([
      [1, 1],
      [1, 1],
    ]);
  });

  it('asked for at startup, or set for the role', async () => {
    await insertOnBoth(await proxy.client({ options: '-c statement_timeout=200' }), 4);
    await insertOnBoth(await proxy.client({ user: 'hasty' }), 5);
    expect([await present(4), await present(5)]).toEqual([
      [1, 1],
      [1, 1],
    ]);
  });

  it('set inside a function', async () => {
    const hidden = "DO $$ BEGIN PERFORM set_config('statement_timeout', '200ms', false); END $$";
    await insertOnBoth(await proxy.client(), 6, `/* atomshard: shard=1 */ ${hidden}`);
    expect(await present(6)).toEqual([1, 1]);
  });
});

describe('the prepared question for the xid', () => {
  it('that a function deallocates costs one transaction, told as a refusal, and no more', async () => {
    await shards.exec('CREATE TABLE quick (id bigint PRIMARY KEY)');
    const client = await proxy.client();
    const both = async (id: number) => {
      await client.query('BEGIN');
      for (const shard of [0, 1])
        await client.query(`/* atomshard: shard=${shard} */ INSERT INTO quick VALUES (${id})`);
      return (await client.query('COMMIT')).command;
    };
    expect(await both(1)).toBe('COMMIT');
    await client.query("/* atomshard: shard=0 */ DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$");
    const second = await both(2).catch((error: { code: string }) => error.code);
    if (second !== 'COMMIT') await client.query('ROLLBACK').catch(() => undefined);
    expect(await both(3)).toBe('COMMIT');
    for (const shard of [0, 1]) {
      const ids = (await shards.query<{ id: string }>(shard, 'SELECT id FROM quick ORDER BY id')).map(({ id }) => id);
      expect(ids).toEqual(second === 'COMMIT' ? ['1', '2', '3'] : ['1', '3']);
    }
  });
});

// The recovery role as docs/RECOVERY.md has a person make it is enough for a proxy, and reads no table.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { PgShardProbe } from '../../../src/recovery/pg-shard-probe.ts';
import { renderGid, renderOwnerName } from '../../../src/transaction/gid.ts';
import { type Shards, startShards } from '../../support/postgres.ts';

const CLUSTER = 'k3x9q';
const DOCUMENT = readFileSync(path.resolve(import.meta.dirname, '../../../docs/RECOVERY.md'), 'utf8');
const [SECTION = ''] = /## The recovery role\n[\s\S]*?\n## /.exec(DOCUMENT) ?? [];
const [, SINCE_16 = ''] = /```sql\n([\s\S]*?)```/.exec(SECTION) ?? [];
/** What stands in a sentence of its own, over several lines. */
const [, BEFORE_16 = ''] = /`(CREATE ROLE atomshard_resolver_watch[^`]*)`/.exec(SECTION) ?? [];

const made = (sql: string) => sql.replaceAll('…', 'secret');

async function loggedIn(shards: Shards, user: string, application_name = 'test'): Promise<pg.Client> {
  const { host, port } = shards.shard(0);
  const client = new pg.Client({ host, port, user, database: 'postgres', application_name });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function expectEnough(shards: Shards): Promise<void> {
  const { host, port } = shards.shard(0);
  const transaction = { cluster: CLUSTER, instance: 'proxy-0', epoch: 7, seq: 1 };
  const gid = renderGid({
    transaction,
    index: 0,
    count: 1,
    participants: [{ shard: 'shard-0', xid: '99', timeline: 1 }],
  });
  const app = await loggedIn(shards, 'app', renderOwnerName(CLUSTER, 'proxy-0', 7));
  const ended = new Promise((resolve) => app.once('end', resolve));
  await app.query('CREATE TABLE kept (id int)');
  await app.query('BEGIN');
  await app.query('INSERT INTO kept VALUES (1)');
  await app.query(`PREPARE TRANSACTION '${gid}'`);
  const login = { user: 'atomshard_resolver', database: 'postgres', ownerName: renderOwnerName(CLUSTER, 'proxy-0', 8) };
  await using probe = closing(new PgShardProbe({ shard: 'shard-0', host, port, ...login, clock: systemClock }));
  expect(await probe.it.fence(CLUSTER, 'proxy-0', 8)).toEqual({
    kind: 'answer',
    value: { terminated: 1, remaining: 0 },
  });
  await ended;
  expect(await probe.it.scan()).toMatchObject({ kind: 'answer', value: { prepared: [{ gid }] } });
  expect(await probe.it.resolve(gid, 'commit')).toMatchObject({ kind: 'complete', tag: 'COMMIT PREPARED' });
  expect(await shards.query(0, 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
  const resolver = await loggedIn(shards, 'atomshard_resolver');
  await expect(resolver.query('SELECT * FROM kept')).rejects.toThrow('permission denied');
  await expect(resolver.query("SELECT pg_read_file('PG_VERSION')")).rejects.toThrow('permission denied');
  // As a proxy writes it.
  await resolver.query(`BEGIN; SET LOCAL ROLE NONE; COMMENT ON SCHEMA atomshard_placement IS 'a record'; COMMIT`);
  await resolver.end();
}

const closing = (it: PgShardProbe) => ({ it, [Symbol.asyncDispose]: () => it.close() });

describe('the recovery role that docs/RECOVERY.md describes', () => {
  it('is enough from PostgreSQL 16 on', async () => {
    await using shards = await startShards(1, { major: 18 });
    await shards.exec('CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO app');
    await shards.exec(made(SINCE_16));
    await expectEnough(shards);
  });

  it('is enough before 16', async () => {
    await using shards = await startShards(1, { major: 15 });
    await shards.exec('CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO app');
    const [create = '', , , schema = ''] = made(SINCE_16).split('\n');
    await shards.exec(`${create} ${made(BEFORE_16)}; ${schema}`);
    await expectEnough(shards);
  });
});

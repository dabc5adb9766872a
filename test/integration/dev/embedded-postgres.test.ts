// Embedded servers against the real binaries: started, killed, kept, refused.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { startShards } from '../../support/postgres.ts';

describe('embedded shards', () => {
  it('answer, are different servers, and keep prepared transactions through kill -9', async () => {
    await using shards = await startShards(3);
    const ids = await Promise.all(
      [0, 1, 2].map((i) =>
        shards.query<{ id: string }>(i, 'select system_identifier::text as id from pg_control_system()'),
      ),
    );
    expect(new Set(ids.flat().map((row) => row.id)).size).toBe(3);
    await shards.exec('create table t(a int)');
    const client = await shards.client(1);
    await client.query('begin');
    await client.query('insert into t values (1)');
    await client.query("prepare transaction 'x'");
    await shards.shard(1).kill9();
    await shards.shard(1).start();
    expect(await shards.query(1, 'select gid from pg_prepared_xacts')).toEqual([{ gid: 'x' }]);
    await shards.shard(2).restart({ max_prepared_transactions: '0' });
    expect(await shards.query(2, 'show max_prepared_transactions')).toEqual([{ max_prepared_transactions: '0' }]);
  });
});

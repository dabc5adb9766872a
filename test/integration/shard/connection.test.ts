// ServerConnection and Pool against real PostgreSQL: order, loss, cancelling, identity, a standby and its promotion.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import * as client from '../../../src/protocol/client-message-writer.ts';
import { STATUS } from '../../../src/protocol/message-type.ts';
import { ServerConnection } from '../../../src/shard/connection.ts';
import { Pool } from '../../../src/shard/pool.ts';
import type { ShardTarget } from '../../../src/shard/target.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { RecordingSink } from '../../unit/shard/recording-sink.ts';

let shards: Shards;
beforeAll(async () => {
  shards = await startShards(2);
});
afterAll(async () => {
  await shards[Symbol.asyncDispose]();
});

function target(index = 0): ShardTarget {
  const { host, port, user } = shards.shard(index);
  return { shard: `shard-${index}`, host, port, database: 'postgres', user, applicationName: 'as1:t:i.7' };
}
const options = { clock: systemClock, connectTimeoutMs: 5_000 };
const connect = (index = 0) => ServerConnection.connect(target(index), options);

function makePool(index: number, sizeMax = 4): Pool {
  return new Pool(target(index), {
    sizeMax,
    queueMax: 100,
    queueWaitMs: 5_000,
    idleMs: 60_000,
    lifetimeMs: 600_000,
    connectTimeoutMs: 5_000,
    backoffMinMs: 20,
    backoffMaxMs: 100,
    clock: systemClock,
  });
}

describe('a connection', () => {
  it('knows the identity that the server itself tells, in a form that PostgreSQL reads back', async () => {
    const connection = await connect();
    const { systemIdentifier, timeline, backendPid, backendStart } = connection.identity;
    const rows = await shards.query(
      0,
      `SELECT (SELECT system_identifier::text FROM pg_control_system()) AS sysid,
        (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
        (SELECT count(*)::int FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2::timestamptz
          AND application_name = 'as1:t:i.7') AS found`,
      [backendPid, backendStart],
    );
    expect(rows).toEqual([{ sysid: systemIdentifier, timeline, found: 1 }]);
    await connection.close();
  });

  it('answers pipelined commands in order, errors in their place', async () => {
    const connection = await connect();
    const texts = Array.from({ length: 200 }, (_, i) => (i % 7 === 3 ? 'SELECT 1/0' : `SELECT ${i}`));
    const replies = await Promise.all(texts.map((sql) => connection.command(sql)));
    expect(
      replies.map((reply, i) => {
        if (reply.kind === 'error') return reply.error.code;
        return reply.kind === 'complete' ? Number(reply.rows[0]?.[0]) === i : reply.kind;
      }),
    ).toEqual(texts.map((_, i) => (i % 7 === 3 ? '22012' : true)));
    await connection.close();
  });

  it('carries the extended protocol as one unit that ends with one ReadyForQuery', async () => {
    const connection = await connect();
    const sink = new RecordingSink();
    const unit = Buffer.concat([
      client.parse('s1', 'SELECT $1::int + generate_series(1, 3)'),
      client.describe('statement', 's1'),
      client.bind({ statement: 's1', values: ['10'] }),
      client.execute('', 2),
      client.close('statement', 's1'),
      client.SYNC,
    ]);
    connection.send(unit, sink);
    await sink.over;
    await new Promise((resolve) => setImmediate(resolve));
    expect(sink.heard.filter((what) => what !== 'flush')).toEqual(['1', 't', 'T', '2', 'D', 'D', 's', '3', 'ready I']);
    await connection.close();
  });

  it('reports the state of its transaction', async () => {
    const connection = await connect();
    await connection.command('BEGIN');
    expect(connection.transactionStatus).toBe(STATUS.transaction);
    await connection.command('SELECT 1/0');
    expect(connection.transactionStatus).toBe(STATUS.failed);
    // A COMMIT of a failed transaction is no error; only its tag tells.
    expect(await connection.command('COMMIT')).toMatchObject({ kind: 'complete', tag: 'ROLLBACK' });
    expect(connection.transactionStatus).toBe(STATUS.idle);
    await connection.close();
  });

  it('PgDog 14: PREPARE of a failed transaction completes with the tag ROLLBACK, visibly', async () => {
    const connection = await connect();
    await connection.command('BEGIN');
    await connection.command('SELECT 1/0');
    expect(await connection.command("PREPARE TRANSACTION 'x'")).toMatchObject({ kind: 'complete', tag: 'ROLLBACK' });
    await connection.close();
  });

  it('COPY in and out pass through, also when the server ends the COPY first', async () => {
    const connection = await connect();
    await connection.command('CREATE TEMP TABLE c (a int)');
    const good = new RecordingSink();
    connection.send(client.query('COPY c FROM STDIN'), good);
    connection.sendMore(client.copyData(Buffer.from('1\n2\n')));
    connection.sendMore(client.COPY_DONE);
    await good.over;
    expect(good.heard.filter((what) => what !== 'flush')).toEqual(['G', 'C', 'ready I']);
    const bad = new RecordingSink();
    connection.send(client.query('COPY c FROM STDIN'), bad);
    connection.sendMore(client.copyData(Buffer.from('not a number\n')));
    await bad.over;
    connection.sendMore(client.copyData(Buffer.from('3\n')));
    connection.sendMore(client.COPY_DONE);
    expect(await connection.command('SELECT count(*) FROM c')).toMatchObject({ rows: [['2']] });
    await connection.close();
  });

  it('cancels what it runs, and nothing that comes after', async () => {
    const connection = await connect();
    const sleeping = connection.command('SELECT pg_sleep(30)');
    await shards.untilAsleep(0);
    const cancelling = connection.cancel();
    expect(await sleeping).toMatchObject({ kind: 'error', error: { code: '57014' } });
    await cancelling;
    expect(connection.reusable).toBe(true);
    expect(await connection.command('SELECT 1')).toMatchObject({ kind: 'complete' });
    await connection.close();
  });

  it('pgjdbc XA: a backend terminated in the middle of a statement leaves it unknown, with 57P01', async () => {
    const connection = await connect();
    const sleeping = connection.command('SELECT pg_sleep(30)');
    await shards.untilAsleep(0);
    await shards.query(0, 'SELECT pg_terminate_backend($1)', [connection.identity.backendPid]);
    expect(await sleeping).toMatchObject({ kind: 'lost', lost: { reason: 'fatal', fatal: { code: '57P01' } } });
    expect(connection.closed).toBe(true);
  });

  it('a server killed with SIGKILL in the middle leaves every pipelined unit unknown', async () => {
    const connection = await connect(1);
    const replies = [connection.command('SELECT pg_sleep(30)'), connection.command('SELECT 1')];
    await shards.untilAsleep(1);
    await shards.shard(1).kill9();
    for (const reply of await Promise.all(replies)) expect(reply.kind).toBe('lost');
    await shards.shard(1).start();
  });

  it('carries large replies and large requests', async () => {
    const connection = await connect();
    const reply = await connection.command("SELECT repeat('x', 5000000)");
    expect(reply.kind === 'complete' && reply.rows[0]?.[0]?.length).toBe(5_000_000);
    const text = 'y'.repeat(3_000_000);
    expect(await connection.command(`SELECT length('${text}')`)).toMatchObject({ rows: [['3000000']] });
    expect(await connection.command("SELECT repeat('x', 40000000)")).toMatchObject({ kind: 'lost' });
  });
});

describe('a pool', () => {
  it('serves many transactions over few connections without mixing them', async () => {
    const pool = makePool(0, 3);
    const work = Array.from({ length: 100 }, async (_, i) => {
      const taken = await pool.take();
      if (taken.kind === 'refused') throw new Error(taken.error.message);
      const { connection } = taken;
      const replies = await Promise.all(['BEGIN', `SELECT ${i}`, 'COMMIT'].map((sql) => connection.command(sql)));
      pool.give(connection);
      return replies[1]?.kind === 'complete' && Number(replies[1].rows[0]?.[0]) === i;
    });
    expect((await Promise.all(work)).every(Boolean)).toBe(true);
    expect(pool.stats()).toMatchObject({ leased: 0, waiting: 0 });
    expect(pool.stats().opened).toBeLessThanOrEqual(3);
    await pool.close();
  });

  it('tells that a shard is down at once, serves the other shard meanwhile, and heals when it is back', async () => {
    const [down, up] = [makePool(1), makePool(0)];
    await shards.shard(1).stop('immediate');
    const refused = await down.take();
    expect(refused).toMatchObject({ kind: 'refused', error: { code: '08001' } });
    expect(refused.kind === 'refused' && refused.error.message).toContain('shard "shard-1"');
    expect((await up.take()).kind).toBe('leased');
    await shards.shard(1).start();
    let taken = await down.take();
    while (taken.kind === 'refused') {
      await new Promise((resolve) => setTimeout(resolve, 20));
      taken = await down.take();
    }
    expect(taken.connection.closed).toBe(false);
    await Promise.all([down.close(), up.close()]);
  });

  it('Zalando #1928: a standby is refused, and its promotion shows as a new timeline at once', async () => {
    const shard = shards.shard(1);
    const pool = makePool(1);
    const before = await pool.take();
    expect(before.kind === 'leased' && before.connection.identity.timeline).toBe(1);
    await shard.stop();
    await writeFile(path.join(shard.dataDirectory, 'standby.signal'), '');
    await shard.start();
    let answer = await pool.take();
    while (answer.kind === 'refused' && answer.error.message.includes('ECONNREFUSED')) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      answer = await pool.take();
    }
    expect(answer).toMatchObject({ kind: 'refused', error: { code: '57P03' } });
    expect(answer.kind === 'refused' && answer.error.message).toContain('the server is a standby');
    await shards.query(1, 'SELECT pg_promote()');
    const promoted = await connect(1);
    expect(promoted.identity.timeline).toBe(2);
    await promoted.close();
    await pool.close();
  });
});

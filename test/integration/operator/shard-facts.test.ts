// One look at real servers: what is prepared and whose it is, and the proof that settings were taken over.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { ShardFacts, ShardQuestion, SqlTarget } from '../../../src/operator/sql/facts.ts';
import { reloadShard } from '../../../src/operator/sql/reload.ts';
import { lookAtShard } from '../../../src/operator/sql/shard-facts.ts';
import { SqlSession } from '../../../src/operator/sql/sql-session.ts';
import { renderGid } from '../../../src/transaction/gid.ts';
import { encryptShard, TestAuthority } from '../../support/certificates.ts';
import { type Shards, startShards } from '../../support/postgres.ts';

const CLUSTER = 'k3x9q';
const QUESTION: ShardQuestion = { clusterId: CLUSTER, parameters: null };

let shards: Shards;
let session: SqlSession;

beforeAll(async () => {
  shards = await startShards(1, { maxPreparedTransactions: 17 });
  session = new SqlSession(targetOf(), systemClock);
});
afterAll(async () => {
  session.close();
  await shards[Symbol.asyncDispose]();
});

function targetOf(): SqlTarget {
  const { host, port, user } = shards.shard(0);
  return { name: 'shard-0', host, port, database: 'postgres', user, password: '', tls: { kind: 'disable' } };
}

async function look(question: ShardQuestion = QUESTION): Promise<ShardFacts> {
  const asked = await lookAtShard(session, question);
  if (asked.kind === 'failed') throw new Error(asked.failure.message);
  return asked.value;
}

async function until(settled: () => Promise<boolean>): Promise<void> {
  for (let waits = 0; waits < 500 && !(await settled()); waits += 1) await systemClock.sleep(10);
  expect(await settled()).toBe(true);
}

const gid = (cluster: string, instance: string, epoch: number, seq: number) =>
  renderGid({
    transaction: { cluster, instance, epoch, seq },
    index: 0,
    count: 1,
    participants: [{ shard: 'shard-0', xid: '99', timeline: 1 }],
  });

async function prepare(name: string, database = 'postgres'): Promise<void> {
  const client = await shards.client(0, { connectionString: shards.shard(0).url(database) });
  await client.query(`BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION '${name}'`);
  await client.end();
}

describe('a look at a shard', () => {
  it('says what the server is', async () => {
    const facts = await look();
    expect(facts).toMatchObject({
      primary: true,
      maxPreparedTransactions: 17,
      maxConnections: 128,
      dataChecksums: true,
    });
    expect(facts.version).toBeGreaterThan(180_000);
    expect(facts.systemIdentifier).toMatch(/^\d{19}$/);
    expect(facts.connections).toBeGreaterThan(0);
    expect(facts.startedMs).toBeLessThanOrEqual(facts.configurationLoadedMs + 60_000);
    expect(Math.abs(facts.nowMs - Date.now())).toBeLessThan(60_000);
    expect(facts.prepared).toMatchObject({ count: 0, ours: 0, runs: [], foreign: 0, oldestMs: null });
  });

  it('tells our prepared transactions by run from other clusters’, other programs’ and other databases’', async () => {
    await shards.query(0, 'CREATE DATABASE elsewhere');
    for (const [instance, epoch, seq] of [
      ['proxy-0', 7, 1],
      ['proxy-0', 7, 2],
      ['proxy-0', 8, 1],
      ['proxy-1', 3, 1],
    ] as const)
      await prepare(gid(CLUSTER, instance, epoch, seq));
    await prepare(gid('other', 'proxy-0', 7, 1));
    await prepare('xa-1');
    await prepare(gid(CLUSTER, 'proxy-0', 7, 9), 'elsewhere');
    const { prepared } = await look();
    expect(prepared).toMatchObject({ count: 7, ours: 4, foreign: 3 });
    expect(prepared.runs.map(({ instance, epoch, count }) => `${instance}.${epoch}: ${count}`)).toEqual([
      'proxy-0.7: 2',
      'proxy-0.8: 1',
      'proxy-1.3: 1',
    ]);
    expect(prepared.oldestMs).toBe(prepared.runs[0]?.oldestMs);
    expect(prepared.oldestForeignMs).toBeGreaterThanOrEqual(prepared.oldestMs ?? Infinity);
  });

  it('says that the certificate on the disk is newer than the one that the server has read, until it is reloaded', async () => {
    using authority = new TestAuthority();
    const made = { clusterId: CLUSTER, parameters: {} };
    const reloaded = () =>
      until(async () => {
        await reloadShard(session);
        return (await look(made)).certificateBehind === false;
      });
    expect((await look(made)).certificateBehind).toBe(false);
    await encryptShard(shards, 0, authority.server(['127.0.0.1']));
    await reloaded();
    const { certificate } = authority.server(['127.0.0.1']);
    await writeFile(path.join(shards.shard(0).dataDirectory, 'server.crt'), certificate);
    expect((await look(made)).certificateBehind).toBe(true);
    expect((await look()).certificateBehind).toBeUndefined();
    await reloaded();
    await shards.query(0, 'ALTER SYSTEM RESET ALL');
    await reloadShard(session);
  });

  it('asks a server whose file is somebody else’s about no setting', async () => {
    expect(await look()).toMatchObject({ differences: [], configurationFaults: [], fileBehind: false });
  });
});

describe('settings', () => {
  const write = (lines: string) => writeFile(path.join(shards.shard(0).dataDirectory, 'postgresql.conf'), `${lines}\n`);
  const parameters = { work_mem: '8192kB', statement_timeout: '90s', log_line_prefix: '%m [%p] ' };
  const question = { clusterId: CLUSTER, parameters };
  const lines = `work_mem = '8192kB'\nstatement_timeout = '90s'\nlog_line_prefix = '%m [%p] '`;

  // What initdb wrote is gone from the file and from the server: the file is ours alone, as in a shard's pod.
  beforeAll(async () => {
    await write('');
    await shards.shard(0).restart();
  });

  it('a reload is proven by the running values: before the file is there, while it waits, and after', async () => {
    await write('');
    await reloadShard(session);
    await until(async () => (await look(question)).differences.length === 2);
    expect(await look(question)).toMatchObject({ fileBehind: true, configurationFaults: [] });
    await write(lines);
    const waiting = await look(question);
    expect(waiting.fileBehind).toBe(false);
    expect(waiting.differences.map(({ name, desired, actual }) => [name, desired, actual])).toEqual([
      ['statement_timeout', '90s', '0'],
      ['work_mem', '8192kB', '4MB'],
    ]);
    expect(await reloadShard(session)).toEqual({ kind: 'answer', value: { sent: true } });
    await until(async () => (await look(question)).differences.length === 0);
  });

  it('a setting that only a restart changes says so, also when it is pending', async () => {
    const wanted = { ...question, parameters: { ...parameters, max_wal_senders: '3' } };
    await write(`${lines}\nmax_wal_senders = 3`);
    await reloadShard(session);
    await until(async () => (await look(wanted)).pendingRestart.length > 0);
    const facts = await look(wanted);
    expect(facts.pendingRestart).toEqual(['max_wal_senders']);
    expect(facts.configurationFaults).toEqual([]);
    expect(facts.differences).toMatchObject([{ name: 'max_wal_senders', desired: '3', needsRestart: true }]);
    await write(lines);
    await reloadShard(session);
    expect(await look(question)).toMatchObject({ pendingRestart: [], differences: [] });
  });

  it('what another file brings in by include is nobody’s difference', async () => {
    await writeFile(path.join(shards.shard(0).dataDirectory, 'initdb.conf'), "lc_time = 'C'\nwork_mem = '1MB'\n");
    await write(`include 'initdb.conf'\n${lines}`);
    await reloadShard(session);
    await until(
      async () => (await shards.query(0, `SELECT 1 FROM pg_settings WHERE sourcefile LIKE '%initdb.conf'`)).length > 0,
    );
    expect(await look(question)).toMatchObject({ differences: [], pendingRestart: [] });
    const wanted = { ...question, parameters: { ...parameters, work_mem: '2MB' } };
    expect(await look(wanted)).toMatchObject({ differences: [{ name: 'work_mem' }], fileBehind: true });
    await write(`include 'initdb.conf'\n${lines.replace('8192kB', '2MB')}`);
    expect(await look(wanted)).toMatchObject({ differences: [{ name: 'work_mem' }], fileBehind: false });
    await write(lines);
    await reloadShard(session);
  });

  it('a setting that is no longer written is a difference until the default is back', async () => {
    const { work_mem: _, ...fewer } = parameters;
    expect((await look({ ...question, parameters: fewer })).differences).toMatchObject([
      { name: 'work_mem', desired: null, actual: '8MB' },
    ]);
  });

  it('a value that the server refuses is a fault with the server’s reason, and the former one stays', async () => {
    const unknown = { ...question, parameters: { ...parameters, no_such_setting: '1' } };
    await write(`${lines}\nno_such_setting = 1`);
    await reloadShard(session);
    expect(await look(unknown)).toMatchObject({
      fileBehind: false,
      configurationFaults: [{ name: 'no_such_setting', message: 'unrecognized configuration parameter' }],
      differences: [{ name: 'no_such_setting', actual: null }],
    });
    const wrong = { ...question, parameters: { ...parameters, work_mem: 'plenty' } };
    await write(lines.replace('8192kB', 'plenty'));
    await reloadShard(session);
    expect(await look(wrong)).toMatchObject({
      configurationFaults: [{ name: 'work_mem', message: 'the server does not take the value "plenty"' }],
      differences: [{ name: 'work_mem', desired: 'plenty', actual: '8MB' }],
    });
    await write(lines);
    await reloadShard(session);
  });

  it('ALTER SYSTEM stands above the file: a reload would not help, and the look says why', async () => {
    await shards.query(0, "ALTER SYSTEM SET work_mem = '1MB'");
    await reloadShard(session);
    await until(async () => (await look(question)).differences.length > 0);
    expect((await look(question)).differences).toMatchObject([
      { name: 'work_mem', actual: '1MB', overriddenBy: 'ALTER SYSTEM' },
    ]);
    await shards.query(0, 'ALTER SYSTEM RESET work_mem');
    await reloadShard(session);
    await until(async () => (await look(question)).differences.length === 0);
  });
});

describe('a server that does not answer', () => {
  it('costs a deadline, and the session works again when the server does', async () => {
    const short = new SqlSession(targetOf(), systemClock, { connectTimeoutMs: 300, statementTimeoutMs: 300 });
    expect(await lookAtShard(short, QUESTION)).toMatchObject({ kind: 'answer' });
    await shards.shard(0).pause();
    try {
      expect(await lookAtShard(short, QUESTION)).toMatchObject({
        failure: { kind: 'timeout', message: 'shard-0: no answer within 300 ms' },
      });
    } finally {
      await shards.shard(0).resume();
    }
    expect(await lookAtShard(short, QUESTION)).toMatchObject({ kind: 'answer' });
    short.close();
    expect(await lookAtShard(short, QUESTION)).toMatchObject({ kind: 'failed' });
  });

  it('is found again after a restart without a failure in between', async () => {
    expect(await lookAtShard(session, QUESTION)).toMatchObject({ kind: 'answer' });
    await shards.shard(0).restart();
    expect(await lookAtShard(session, QUESTION)).toMatchObject({ kind: 'answer' });
    await shards.shard(0).stop('immediate');
    expect(await lookAtShard(session, QUESTION)).toMatchObject({ failure: { kind: 'unreachable' } });
    await shards.shard(0).start();
  });
});

// A real failover: a streaming standby is promoted, and recovery believes it exactly as far as it can know.
import { execFileSync } from 'node:child_process';
import { chownSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/dev/embedded-postgres.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { PgShardProbe } from '../../../src/recovery/pg-shard-probe.ts';
import { renderOwnerName } from '../../../src/transaction/gid.ts';
import { CLUSTER, INSTANCE, RecoveryGround } from '../../support/recovery-ground.ts';
import { EPOCH } from '../../support/told-log.ts';

let ground: RecoveryGround;
let standby: EmbeddedPostgres;
let probe: PgShardProbe;

beforeAll(async () => {
  ground = await RecoveryGround.start(2);
  standby = await standbyOf(ground.shards.shard(0));
  const ownerName = renderOwnerName(CLUSTER, INSTANCE, EPOCH);
  const { host, port, user } = standby;
  probe = new PgShardProbe({ shard: 'shard-0', host, port, user, database: 'postgres', ownerName, clock: systemClock });
});
afterAll(async () => {
  await probe?.close();
  await standby?.stop('immediate');
  await ground?.[Symbol.asyncDispose]();
});

/** A hot standby that streams from `primary`, which is stopped for a moment to be copied. */
async function standbyOf(primary: EmbeddedPostgres): Promise<EmbeddedPostgres> {
  await primary.stop('fast');
  const dataDirectory = `${primary.dataDirectory}-standby`;
  execFileSync('cp', ['-a', primary.dataDirectory, dataDirectory]);
  const signal = path.join(dataDirectory, 'standby.signal');
  const { uid, gid } = statSync(dataDirectory);
  writeFileSync(signal, '');
  chownSync(signal, uid, gid);
  await primary.start();
  const source = `host=127.0.0.1 port=${primary.port} user=${primary.user}`;
  const same = { max_prepared_transactions: '64', shared_buffers: '32MB', fsync: 'off' };
  return startEmbeddedPostgres({ dataDirectory, name: 'standby', parameters: { ...same, primary_conninfo: source } });
}

async function onStandby<Row>(sql: string): Promise<Row[]> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: standby.url() });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows as Row[];
  } finally {
    await client.end();
  }
}

async function caughtUp(): Promise<void> {
  const [position] = await ground.shards.query<{ lsn: string }>(0, 'SELECT pg_current_wal_lsn()::text AS lsn');
  for (let waits = 0; waits < 500; waits += 1) {
    const [reached] = await onStandby<{ there: boolean }>(
      `SELECT pg_last_wal_replay_lsn() >= '${position?.lsn}' AS there`,
    );
    if (reached?.there === true) return;
    await systemClock.sleep(20);
  }
  throw new Error('the standby never caught up');
}

describe('a failover', () => {
  it('Zalando #1928: a standby is neither fenced nor asked: it shows no prepared row, although it has the branch', async () => {
    const prepared = await ground.prepare([0, 1]);
    await caughtUp();
    expect(await onStandby('SELECT gid FROM pg_prepared_xacts')).toEqual([]);
    expect(await probe.scan()).toMatchObject({ kind: 'absent', cause: 'standby' });
    expect(await probe.fence(CLUSTER, INSTANCE, EPOCH)).toMatchObject({ kind: 'absent', cause: 'standby' });
    const report = await ground.recovery({ probes: new Map([...ground.probes, ['shard-0', probe]]) }).firstPass();
    expect(report.unreachableShards.map(({ shard }) => shard)).toEqual(['shard-0']);
    expect(await ground.preparedGids([0])).toEqual([prepared.branches[0]?.gid]);
    await ground.recovery().firstPass();
    expect(await ground.preparedGids()).toEqual([]);
  });

  it('a branch that the new primary holds prepared again finds its decision, though it had ended; others are verified', async () => {
    // `early` is committed on shard 0 before the failover, and the standby knows.
    const early = await ground.prepare([0, 1]);
    const [{ lsn = '' } = {}] = await ground.shards.query<{ lsn: string }>(
      0,
      'SELECT pg_current_wal_lsn()::text AS lsn',
    );
    await ground.shards.query(0, `COMMIT PREPARED '${early.branches[0]?.gid}'`);
    // `late` is committed everywhere and ended, but the standby has only heard of its PREPARE.
    const late = await ground.prepare([0, 1]);
    await caughtUp();
    await standby.stop('fast');
    for (const [shard, { gid }] of late.branches.entries())
      await ground.shards.query(shard, `COMMIT PREPARED '${gid}'`);
    for (const { key, decision } of [early, late]) ground.log.decisions.set(key, decision);
    ground.log.ended.add(late.key);
    await ground.shards.shard(0).kill9();
    await standby.start();
    await onStandby('SELECT pg_promote()');

    const recovery = ground.recovery({ probes: new Map([...ground.probes, ['shard-0', probe]]) });
    const report = await recovery.firstPass();
    expect(await onStandby('SELECT gid FROM pg_prepared_xacts')).toEqual([]);
    expect(await onStandby(`SELECT 1 AS one FROM t WHERE id = '${late.key}'`)).toEqual([{ one: 1 }]);
    // Without a position its commit on the other timeline cannot be told from a stranger's.
    expect(report.alarms.map(({ kind, shard }) => [kind, shard])).toEqual([['Unverified', 'shard-0']]);
    expect(ground.log.ended.has(early.key)).toBe(false);

    const participants = early.decision.participants.map((one) => ({
      ...one,
      ...(one.shard === 'shard-0' ? { lsn } : {}),
    }));
    ground.log.decisions.set(early.key, { ...early.decision, participants });
    const verified = await ground.recovery({ probes: new Map([...ground.probes, ['shard-0', probe]]) }).firstPass();
    expect(verified).toMatchObject({ confirmed: 1, alarms: [] });
    expect(ground.log.ended.has(early.key)).toBe(true);
    expect(await ground.rows(early, [1])).toEqual([1]);
  });
});

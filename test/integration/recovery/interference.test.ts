// Hands and hardware that meddle, on real shards: manual resolution, foreign gids, busy gids, dead shards, wrong roles, lost logs.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { branchState } from '../../../src/recovery/branch-state.ts';
import type { PassReport } from '../../../src/recovery/report.ts';
import { renderOwnerName } from '../../../src/transaction/gid.ts';
import { CLUSTER, INSTANCE, RecoveryGround, SYNCHRONOUS } from '../../support/recovery-ground.ts';
import { EPOCH } from '../../support/told-log.ts';

let ground: RecoveryGround;
beforeAll(async () => {
  ground = await RecoveryGround.start(3);
});
afterAll(() => ground[Symbol.asyncDispose]());

const kinds = (report: PassReport) => report.alarms.map(({ kind }) => kind).toSorted();

async function sweep(): Promise<void> {
  for (const shard of ground.shards.shards.keys()) {
    for (const gid of await ground.preparedGids([shard]))
      await ground.shards.query(shard, `ROLLBACK PREPARED '${gid}'`);
  }
  ground.log.decisions.clear();
}

/** A transaction whose xid is lost in a crash before anything of it is flushed; afterwards a stranger commits. */
async function forgetXid() {
  const client = await ground.client(1, EPOCH);
  await client.query(`BEGIN; INSERT INTO t VALUES ('forgotten', 1)`);
  const { rows } = await client.query(
    `SELECT pg_current_xact_id()::text AS xid, pid AS "backendPid", backend_start::text AS "backendStart"
       FROM pg_stat_activity WHERE pid = pg_backend_pid()`,
  );
  const { xid, backendPid, backendStart } = rows[0];
  await ground.shards.shard(1).kill9();
  await ground.shards.shard(1).start();
  await ground.shards.query(1, `INSERT INTO t VALUES ('a stranger', 1)`);
  const probe = ground.probe(1);
  const [status, scan] = [await probe.xidStatus(xid), await probe.scan()];
  await probe.close();
  if (status.kind !== 'answer' || scan.kind !== 'answer') throw new Error('no answer');
  const { systemIdentifier, timeline } = scan.value;
  const identity = { systemIdentifier, timeline, backendPid, backendStart };
  return { status: status.value, scan: scan.value, question: { shard: 'shard-1', xid, identity } };
}

describe('hands that meddle', () => {
  it('I17: ROLLBACK PREPARED by hand of a decided commit: an alarm, the rest commits, and it is never recorded as done', async () => {
    const prepared = await ground.prepare([0, 1, 2]);
    ground.log.decisions.set(prepared.key, prepared.decision);
    await ground.shards.query(1, `ROLLBACK PREPARED '${prepared.branches[1]?.gid}'`);
    const recovery = ground.recovery();
    const report = await recovery.firstPass();
    expect(await ground.rows(prepared, [0, 1, 2])).toEqual([1, 0, 1]);
    expect(kinds(report)).toEqual(['HeuristicRollback']);
    expect(report.held).toMatchObject([
      { askHuman: true, participants: [{ state: 'C' }, { state: 'A' }, { state: 'C' }] },
    ]);
    expect(kinds(await recovery.pass())).toEqual(['HeuristicMixed', 'HeuristicRollback']);
    expect(ground.log.ended.has(prepared.key)).toBe(false);
    await sweep();
  });

  it('COMMIT PREPARED by hand of what was never decided: the others follow, with an alarm', async () => {
    const prepared = await ground.prepare([0, 1]);
    await ground.shards.query(0, `COMMIT PREPARED '${prepared.branches[0]?.gid}'`);
    // This shard came up moments ago; only its shutdown or recovery checkpoint could prove the xid, so nothing is decided …
    const held = await ground.recovery().firstPass();
    expect(kinds(held)).toEqual(['DecisionLost']);
    expect(held.held).toMatchObject([{ reason: 'committed-unproven', askHuman: true }]);
    expect(await ground.rows(prepared, [0, 1])).toEqual([1, 0]);
    // … until a restart shows that the xid was on disk before it.
    await ground.shards.shard(0).restart();
    const report = await ground.recovery().firstPass();
    expect(kinds(report)).toEqual(['DecisionLost']);
    expect(await ground.rows(prepared, [0, 1])).toEqual([1, 1]);
    await sweep();
  });

  it('I10: foreign gids, other clusters and other instances stay as they are', async () => {
    const theirs = await ground.prepare([0, 1], { instance: 'proxy-1' });
    const other = await ground.prepare([0, 1], { cluster: 'other' });
    await ground.shards.query(2, `BEGIN; INSERT INTO t VALUES ('xa', 2); PREPARE TRANSACTION 'xa-1'`);
    const before = await ground.preparedGids();
    const report = await ground.recovery().firstPass();
    expect(await ground.preparedGids()).toEqual(before);
    expect(report).toMatchObject({ foundInDoubt: 0, foreign: { count: 3 } });
    expect(report.otherInstances.get('proxy-1')?.count).toBe(2);
    expect([theirs.key, other.key]).toHaveLength(2);
    await sweep();
  });

  it('I10: a gid of ours in another database of the same server is not this shard’s', async () => {
    await ground.shards.query(0, 'CREATE DATABASE neighbour');
    const prepared = await ground.prepare([0, 1]);
    const neighbour = ground.probe(0, { database: 'neighbour' });
    const scan = await neighbour.scan();
    expect(scan).toMatchObject({ kind: 'answer', value: { prepared: [] } });
    // Citus #6548: from the wrong database it could not be resolved either; that is an alarm, not success.
    const reply = await neighbour.resolve(prepared.branches[0]?.gid ?? '', 'abort');
    expect(reply).toMatchObject({ kind: 'error', error: { code: '0A000' } });
    await neighbour.close();
    await sweep();
  });

  it('a role that may not resolve is an alarm, and the transaction stays', async () => {
    await ground.shards.exec('CREATE ROLE reader LOGIN; GRANT pg_read_all_stats, pg_signal_backend TO reader');
    const prepared = await ground.prepare([0, 1]);
    const probes = new Map([...ground.probes, ['shard-1', ground.probe(1, { user: 'reader' })] as const]);
    const report = await ground.recovery({ probes }).firstPass();
    expect(kinds(report)).toEqual(['ResolverNotAllowed']);
    expect(await ground.preparedGids([1])).toEqual([prepared.branches[1]?.gid]);
    await probes.get('shard-1')?.close();
    await sweep();
  });

  it('a role that may not see other connections cannot fence, and says so', async () => {
    await ground.shards.query(0, 'CREATE ROLE blind LOGIN');
    const probe = ground.probe(0, { user: 'blind' });
    expect(await probe.fence(CLUSTER, INSTANCE, EPOCH)).toMatchObject({ kind: 'absent', cause: 'refused' });
    await probe.close();
  });
});

describe('gids that are busy', () => {
  it('55000: a COMMIT PREPARED that is being carried out elsewhere is waited for, then found done', async () => {
    await using waits = await RecoveryGround.start(1, SYNCHRONOUS);
    const prepared = await waits.prepare([0]);
    const waiting = await waits.prepareWhileWaiting(0, prepared);
    const probe = waits.probe(0);
    expect(await probe.resolve(waiting.gid, 'commit')).toMatchObject({ kind: 'error', error: { code: '55000' } });
    const recovery = waits.recovery();
    const finished: string[] = [];
    const participants = [{ shard: 'shard-0', gid: waiting.gid }];
    recovery.handOver({ ...prepared, decision: 'commit', participants }, ({ shard }) => finished.push(shard));
    await systemClock.sleep(200);
    expect(finished).toEqual([]);
    await waits.shards.query(0, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    await waiting.done;
    await recovery.idle();
    expect(finished).toEqual(['shard-0']);
    await probe.close();
  });
});

describe('hardware', () => {
  it('PgDog 11: a dead shard blocks neither the start nor the others; it is finished when it is back', async () => {
    const across = await ground.prepare([0, 2]);
    const beside = await ground.prepare([0, 1]);
    for (const { key, decision } of [across, beside]) ground.log.decisions.set(key, decision);
    await ground.shards.shard(2).stop('immediate');
    const recovery = ground.recovery();
    const report = await recovery.firstPass();
    expect(report).toMatchObject({ foundInDoubt: 2, committed: 1, waiting: 1 });
    expect(report.unreachableShards.map(({ shard }) => shard)).toEqual(['shard-2']);
    expect(await ground.rows(beside, [0, 1])).toEqual([1, 1]);
    recovery.start();
    await ground.shards.shard(2).start();
    for (let waits = 0; waits < 500 && !ground.log.ended.has(across.key); waits += 1) await systemClock.sleep(20);
    await recovery.stop();
    expect(await ground.rows(across, [0, 2])).toEqual([1, 1]);
    expect(ground.log.ended.has(across.key)).toBe(true);
    await sweep();
  });

  it('a shard that accepts connections but does not answer costs a deadline, not the pass', async () => {
    const prepared = await ground.prepare([0, 1]);
    const probes = new Map([
      ...ground.probes,
      ['shard-2', ground.probe(2, { deadlines: { connectTimeoutMs: 200 } })] as const,
    ]);
    await ground.shards.shard(2).pause();
    try {
      const report = await ground.recovery({ probes }).firstPass();
      expect(report.unreachableShards.map(({ shard }) => shard)).toEqual(['shard-2']);
      expect(await ground.rows(prepared, [0, 1])).toEqual([0, 0]);
      expect(await ground.preparedGids([0, 1])).toEqual([]);
    } finally {
      await ground.shards.shard(2).resume();
      await probes.get('shard-2')?.close();
    }
  });

  it('a lost log is an alarm: what every participant still holds is rolled back, because nobody was told success', async () => {
    const prepared = await ground.prepare([0, 1], { epoch: 900 });
    const report = await ground.recovery().firstPass();
    expect(kinds(report)).toEqual(['WalLost']);
    expect(report).toMatchObject({ foundInDoubt: 1, rolledBack: 1 });
    expect(await ground.rows(prepared, [0, 1])).toEqual([0, 0]);
  });

  it('an xid that PostgreSQL forgot in a crash and gave to a stranger is not taken for ours', async () => {
    // The premise needs luck: the WAL writer may be quicker than the kill. Five times in a row it is not.
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const forgotten = await forgetXid();
      if (forgotten.status !== 'committed') continue;
      const { question, scan } = forgotten;
      expect(await ground.recovery().outcomeOf(question)).toBe('aborted');
      const branch = { shard: 'shard-1', xid: question.xid, timeline: question.identity.timeline };
      expect(branchState(branch, 'committed', scan, { kind: 'unknown' }, null)).toMatchObject({ proven: false });
      return;
    }
    throw new Error('PostgreSQL never issued the number again');
  });

  it('a lone COMMIT whose reply was lost is told truly, and its old backend is gone', async () => {
    const scan = await ground.probe(0).scan();
    if (scan.kind !== 'answer') throw new Error(scan.why);
    const { systemIdentifier, timeline } = scan.value;
    for (const [last, outcome] of [
      ['COMMIT', 'committed'],
      ['ROLLBACK', 'aborted'],
      ['SELECT 1', 'aborted'],
    ] as const) {
      const client = await ground.client(0, EPOCH);
      const me =
        'SELECT pg_backend_pid() AS pid, backend_start::text AS start FROM pg_stat_activity WHERE pid = pg_backend_pid()';
      const { pid, start } = (await client.query(me)).rows[0];
      await client.query(`BEGIN; INSERT INTO t VALUES ('lone ${last}', 0)`);
      const { xid } = (await client.query('SELECT pg_current_xact_id()::text AS xid')).rows[0];
      await client.query(last);
      const identity = { systemIdentifier, timeline, backendPid: pid, backendStart: start };
      expect(await ground.recovery().outcomeOf({ shard: 'shard-0', xid, identity })).toBe(outcome);
      await expect(client.query('SELECT 1')).rejects.toThrow();
    }
  });

  it('its own connections bear the owner’s name, so that a later run ends them too', async () => {
    await ground.probes.get('shard-0')?.scan();
    const named = await ground.shards.query(0, 'SELECT 1 FROM pg_stat_activity WHERE application_name = $1', [
      renderOwnerName(CLUSTER, INSTANCE, EPOCH),
    ]);
    expect(named.length).toBeGreaterThan(0);
  });
});

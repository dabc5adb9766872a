// One pass over shards in memory: the order of its questions, whom it leaves alone, and what it says about it.
import { describe, expect, it } from 'vitest';
import { mergeReports, type PassReport } from '../../../src/recovery/report.ts';
import { renderTransactionId } from '../../../src/transaction/gid.ts';
import { PretendWorld } from '../../support/pretend-world.ts';
import { EPOCH } from '../../support/told-log.ts';

const kinds = (report: PassReport) => report.alarms.map(({ kind }) => kind).toSorted();

describe('the order of a pass', () => {
  it('Greenplum #10393: fences a shard before it looks at it, so no PREPARE can finish behind the look', async () => {
    const world = new PretendWorld(2);
    world.layOut({ 0: 'prepared', 1: 'working' });
    await world.recovery().firstPass();
    for (const shard of world.shards) expect(shard.asked.slice(0, 2)).toEqual(['fence', 'scan']);
  });

  it('asks about xids after the first scan and scans again before it acts', async () => {
    const world = new PretendWorld(2);
    const { branches } = world.layOut({ 0: 'prepared', 1: 'aborted' });
    await world.recovery().firstPass();
    expect(world.shard(0).asked).toEqual(['fence', 'scan', 'scan', `abort ${branches[0]?.gid}`]);
    expect(world.shard(1).asked).toEqual(['fence', 'scan', `status ${branches[1]?.xid}`, 'scan']);
  });

  it('Citus #1030 and #2095: what is being driven is left alone, read after the rows that could show it', async () => {
    const world = new PretendWorld(2);
    const driven = world.layOut({ 0: 'prepared', 1: 'prepared' }, { epoch: EPOCH });
    const scansWhenAsked: number[] = [];
    const driving = () => {
      scansWhenAsked.push(world.shard(0).asked.filter((what) => what === 'scan').length);
      return new Set([driven.key]);
    };
    const report = await world.recovery({ driving }).firstPass();
    expect(scansWhenAsked).toEqual([1]);
    expect(world.lives(driven)).toBe('pp');
    expect(report).toMatchObject({ foundInDoubt: 0, rolledBack: 0, waiting: 0 });
  });

  it('a live decision that is being driven is left alone as well', async () => {
    const world = new PretendWorld(2);
    const driven = world.layOut({ 0: 'prepared', 1: 'committed' }, { epoch: EPOCH, decided: true });
    await world.recovery({ driving: () => new Set([driven.key]) }).firstPass();
    expect(world.lives(driven)).toBe('pc');
    expect(world.log.ended.size).toBe(0);
  });

  it('what moves between the two scans is not acted upon in that round', async () => {
    const world = new PretendWorld(2);
    const moving = world.layOut({ 0: 'prepared', 1: 'working' });
    world.shard(1).unended = 1;
    const recovery = world.recovery({}, (what) => {
      // The zombie's PREPARE finishes while its xid is being asked about.
      if (what.startsWith('shard-1 status'))
        for (const branch of world.shard(1).branches.values()) branch.life = 'prepared';
    });
    const report = await recovery.firstPass();
    // The first round saw it move; the second one saw it stand still.
    expect(world.shard(1).asked.filter((what) => what === 'scan')).toHaveLength(4);
    expect(world.lives(moving)).toBe('aa');
    expect(report).toMatchObject({ foundInDoubt: 1, rolledBack: 1, waiting: 0 });
    expect(kinds(report)).toEqual(['FenceFailed']);
  });
});

describe('shards that do not answer', () => {
  it('PgDog 11: a dead shard holds up nothing of the others, and its own part is done when it is back', async () => {
    const world = new PretendWorld(3);
    const across = world.layOut({ 0: 'prepared', 2: 'prepared' }, { decided: true });
    const beside = world.layOut({ 0: 'prepared', 1: 'prepared' }, { decided: true });
    const undecided = world.layOut({ 1: 'prepared', 2: 'prepared' });
    world.shard(2).down = true;
    const recovery = world.recovery();
    const report = await recovery.firstPass();
    expect([across, beside, undecided].map((one) => world.lives(one))).toEqual(['cp', 'cc', 'ap']);
    expect(report.unreachableShards).toEqual([{ shard: 'shard-2', reason: 'down' }]);
    expect(report).toMatchObject({ foundInDoubt: 3, committed: 1, rolledBack: 1, waiting: 1 });
    world.shard(2).down = false;
    const later = await recovery.pass();
    expect([across, undecided].map((one) => world.lives(one))).toEqual(['cc', 'aa']);
    expect(later).toMatchObject({ foundInDoubt: 2, committed: 1, rolledBack: 1, unreachableShards: [] });
    const { committedIds, rolledBackIds } = mergeReports(report, later);
    expect(committedIds).toEqual([beside, across].map(({ transaction }) => renderTransactionId(transaction)));
    expect(new Set(rolledBackIds)).toEqual(new Set([renderTransactionId(undecided.transaction)]));
  });

  it('PgDog 10: a participant on a shard that was removed stays open, with an alarm, and END is not recorded', async () => {
    const world = new PretendWorld(2);
    const decided = world.layOut({ 0: 'prepared', 1: 'prepared' }, { decided: true });
    const probes = new Map([['shard-0', world.shard(0).probe()]]);
    const report = await world.recovery({ probes }).firstPass();
    expect(world.lives(decided)).toBe('cp');
    expect(report).toMatchObject({ committed: 0, waiting: 1 });
    expect(kinds(report)).toEqual(['ShardRemoved']);
    expect(world.log.ended.size).toBe(0);
  });

  it('PgDog 10: without a log, a shard that was removed is a reason to hold, whatever the others say', async () => {
    const world = new PretendWorld(2);
    const old = world.layOut({ 0: 'prepared', 1: 'prepared' }, { epoch: 900 });
    const report = await world.recovery({ probes: new Map([['shard-0', world.shard(0).probe()]]) }).firstPass();
    expect(world.lives(old)).toBe('pp');
    expect(report.held).toMatchObject([{ reason: 'lost-unreachable', askHuman: false }]);
  });

  it('Zalando #1928: a standby is not asked; what it would say is not evidence', async () => {
    const world = new PretendWorld(2);
    world.layOut({ 0: 'prepared', 1: 'prepared' }, { decided: true });
    world.shard(1).standby = true;
    const report = await world.recovery().firstPass();
    expect(report.unreachableShards).toEqual([{ shard: 'shard-1', reason: 'a standby' }]);
    expect(world.shard(1).asked.filter((what) => what !== 'fence' && !what.startsWith('commit'))).toEqual([]);
    expect(world.log.ended.size).toBe(0);
  });
});

describe('what nobody may settle quietly', () => {
  it('I17: a hand-made ROLLBACK PREPARED of a decided commit is an alarm for ever, and never recorded as done', async () => {
    const world = new PretendWorld(2);
    const decided = world.layOut({ 0: 'prepared', 1: 'aborted' }, { decided: true });
    const recovery = world.recovery();
    const first = await recovery.firstPass();
    const later = await recovery.pass();
    expect(kinds(first)).toEqual(['HeuristicRollback']);
    expect(kinds(later)).toEqual(['HeuristicMixed', 'HeuristicRollback']);
    expect(later.newAlarms.map(({ kind }) => kind)).toEqual(['HeuristicMixed']);
    for (const { held } of [first, later]) expect(held).toMatchObject([{ reason: 'heuristic', askHuman: true }]);
    expect(world.lives(decided)).toBe('ca');
    expect(world.log.ended.size).toBe(0);
  });

  it('I17: a participant that the shard has lost is an alarm, not "gone, so committed"', async () => {
    const world = new PretendWorld(2);
    const decided = world.layOut({ 0: 'prepared', 1: 'prepared' }, { decided: true });
    world.shard(1).branches.clear();
    const report = await world.recovery().firstPass();
    expect(world.lives(decided)).toBe('c?');
    expect(kinds(report)).toEqual(['ParticipantLost']);
    expect(world.log.ended.size).toBe(0);
  });

  it('a gone participant on another server or timeline is unverified, not committed', async () => {
    const world = new PretendWorld(2);
    world.layOut({ 0: 'prepared', 1: 'committed' }, { decided: true });
    world.shard(1).timeline = 2;
    const report = await world.recovery().firstPass();
    expect(kinds(report)).toEqual(['Unverified']);
    expect(world.log.ended.size).toBe(0);
  });

  it('a lost log: what all participants still hold prepared is rolled back, with an alarm', async () => {
    const world = new PretendWorld(2);
    const old = world.layOut({ 0: 'prepared', 1: 'prepared' }, { epoch: 900 });
    const report = await world.recovery().firstPass();
    expect(world.lives(old)).toBe('aa');
    expect(report).toMatchObject({ foundInDoubt: 1, rolledBack: 1 });
    expect(kinds(report)).toEqual(['WalLost']);
  });

  it('a lost log: a participant that committed decides for all', async () => {
    const world = new PretendWorld(3);
    const old = world.layOut({ 0: 'prepared', 1: 'committed', 2: 'prepared' }, { epoch: 900 });
    // It had not restarted since long before.
    for (const shard of world.shards) shard.livingSinceMs = 0;
    await world.recovery().firstPass();
    expect(world.lives(old)).toBe('ccc');
  });

  it('a lost log and an early acknowledgement: held for a person', async () => {
    const world = new PretendWorld(2);
    const old = world.layOut({ 0: 'prepared', 1: 'prepared' }, { epoch: 900, earlyAcknowledged: true });
    const report = await world.recovery().firstPass();
    expect(world.lives(old)).toBe('pp');
    expect(report.held).toMatchObject([
      { reason: 'lost-the-rest', askHuman: true, participants: [{ state: 'P' }, { state: 'P' }] },
    ]);
  });

  it('a lost log and a fence that fails: nobody knows whether its owner still acts, so it waits', async () => {
    const world = new PretendWorld(2);
    const old = world.layOut({ 0: 'prepared', 1: 'prepared' }, { epoch: 900 });
    world.shard(1).unended = 1;
    const report = await world.recovery().firstPass();
    expect(world.lives(old)).toBe('pp');
    expect(report.waiting).toBe(1);
  });

  it('an intact log that lost a decision: the proven commit of one participant decides, with an alarm', async () => {
    const world = new PretendWorld(2);
    const torn = world.layOut({ 0: 'prepared', 1: 'committed' });
    for (const shard of world.shards) shard.livingSinceMs = 0;
    const report = await world.recovery().firstPass();
    expect(world.lives(torn)).toBe('cc');
    expect(kinds(report)).toEqual(['DecisionLost']);
  });

  it('the same with a server that restarted since: held, because the number may be a stranger’s', async () => {
    const world = new PretendWorld(2);
    const torn = world.layOut({ 0: 'prepared', 1: 'committed' });
    for (const shard of world.shards) shard.livingSinceMs = shard.nowMs - 10;
    const report = await world.recovery().firstPass();
    expect(world.lives(torn)).toBe('pc');
    expect(report.held).toMatchObject([{ reason: 'committed-unproven', askHuman: true }]);
  });

  it('a transaction of a later epoch means that this process is the stale one: it touches nothing', async () => {
    const world = new PretendWorld(2);
    const newer = world.layOut({ 0: 'prepared', 1: 'prepared' }, { epoch: EPOCH + 1 });
    const report = await world.recovery().firstPass();
    expect(world.lives(newer)).toBe('pp');
    expect(kinds(report)).toContain('NewerEpoch');
  });

  it('a log that cannot be read is not a log without decisions: nothing is judged', async () => {
    const world = new PretendWorld(2);
    const decided = world.layOut({ 0: 'prepared', 1: 'prepared' }, { decided: true });
    const undecided = world.layOut({ 0: 'prepared', 1: 'prepared' });
    world.log.unreadable = true;
    const report = await world.recovery().firstPass();
    expect([decided, undecided].map((one) => world.lives(one))).toEqual(['pp', 'pp']);
    expect(kinds(report)).toContain('LogUnreadable');
  });

  it('a prepared branch that its COMMIT record does not name stops everything about that transaction', async () => {
    const world = new PretendWorld(2);
    const decided = world.layOut({ 0: 'prepared', 1: 'prepared' }, { decided: true });
    const decision = world.log.decisions.get(decided.key);
    if (decision === undefined) throw new Error('it was decided');
    world.log.decisions.set(decided.key, { ...decision, participants: decision.participants.slice(0, 1) });
    const report = await world.recovery().firstPass();
    expect(world.lives(decided)).toBe('pp');
    expect(report.held).toMatchObject([{ reason: 'contradictory', askHuman: true }]);
    expect(kinds(report)).toContain('GidMistake');
  });

  it('I10: other instances, other clusters and other products are counted, aged and left alone', async () => {
    const world = new PretendWorld(2);
    const theirs = world.layOut({ 0: 'prepared', 1: 'prepared' }, { instance: 'proxy-1' });
    const foreign = world.layOut({ 0: 'prepared', 1: 'prepared' }, { cluster: 'other' });
    world.shard(0).foreign.push({ gid: 'xa_1', xid: '5', preparedAtMs: world.shard(0).nowMs - 60_000 });
    const report = await world.recovery().firstPass();
    expect([theirs, foreign].map((one) => world.lives(one))).toEqual(['pp', 'pp']);
    expect(report.foreign).toEqual({ count: 3, oldestAgeMs: 60_000 });
    expect(report.otherInstances.get('proxy-1')).toEqual({ count: 2, oldestAgeMs: 1_000 });
    expect(world.shards.map(({ resolves }) => resolves)).toEqual([0, 0]);
  });
});

describe('the life of the passes', () => {
  it('asks the log once about what stays in doubt, not once per pass', async () => {
    const world = new PretendWorld(2);
    world.layOut({ 0: 'prepared', 1: 'prepared' }, { epoch: 900, earlyAcknowledged: true });
    const recovery = world.recovery();
    await recovery.firstPass();
    await recovery.pass();
    expect(world.log.lookups).toBe(1);
  });

  it('two callers of one pass share it', async () => {
    const world = new PretendWorld(1);
    const recovery = world.recovery();
    const [one, other] = await Promise.all([recovery.pass(), recovery.pass()]);
    expect(one).toBe(other);
    expect(world.shard(0).asked).toEqual(['fence', 'scan']);
  });

  it('a zombie PREPARE that surfaces after the first pass is found by a later one', async () => {
    const world = new PretendWorld(2);
    const zombie = world.layOut({ 0: 'prepared', 1: 'aborted' });
    const recovery = world.recovery();
    await recovery.firstPass();
    expect(world.lives(zombie)).toBe('aa');
    const surfaced = world.shard(1).branches.get(zombie.branches[1]?.gid ?? '');
    if (surfaced !== undefined) surfaced.life = 'prepared';
    expect(world.lives(zombie)).toBe('ap');
    await recovery.pass();
    expect(world.lives(zombie)).toBe('aa');
  });
});

// What a commit hands over is finished for ever with backoff, each participant by itself; and how a lost COMMIT reply is settled.
import { describe, expect, it } from 'vitest';
import type { Alarm } from '../../../src/recovery/alarm.ts';
import type { RecoveryDeps } from '../../../src/recovery/recovery.ts';
import type { Unfinished, UnfinishedParticipant } from '../../../src/transaction/resolver.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { type LaidOut, PretendWorld } from '../../support/pretend-world.ts';
import { EPOCH } from '../../support/told-log.ts';

class Handing {
  readonly clock = new ManualClock();
  readonly alarms: Alarm[] = [];
  readonly finished: string[] = [];
  readonly world: PretendWorld;
  readonly recovery;

  constructor(shards: number, deps: Partial<RecoveryDeps> = {}) {
    this.world = new PretendWorld(shards);
    const onAlarm = (alarm: Alarm) => this.alarms.push(alarm);
    this.recovery = this.world.recovery({ clock: this.clock, intervalMs: 5_000, onAlarm, ...deps });
  }

  give(
    { transaction, branches }: LaidOut,
    decision: Unfinished['decision'],
    rest: Partial<UnfinishedParticipant> = {},
  ): void {
    const participants = branches.map(({ shard, gid, xid }) => ({ shard, gid, xid, ...rest }));
    this.recovery.handOver({ transaction, decision, participants }, ({ shard }) => this.finished.push(shard));
  }
}

const IDENTITY = { systemIdentifier: '7001', timeline: 1, backendPid: 4711, backendStart: '2026-11-21 11:00:00+00' };

describe('what was handed over', () => {
  it('is tried at once, without waiting for a pass', async () => {
    const handing = new Handing(2);
    const laidOut = handing.world.layOut({ 0: 'prepared', 1: 'prepared' }, { decided: true, epoch: EPOCH });
    handing.give(laidOut, 'commit');
    await handing.clock.pass(0);
    expect(handing.world.lives(laidOut)).toBe('cc');
    expect(handing.finished.toSorted()).toEqual(['shard-0', 'shard-1']);
    expect(handing.recovery.handedOverCount).toBe(0);
  });

  it('PgDog 11: a dead shard delays its own participant only, which is retried with growing pauses', async () => {
    const handing = new Handing(2);
    const laidOut = handing.world.layOut({ 0: 'prepared', 1: 'prepared' }, { decided: true, epoch: EPOCH });
    handing.world.shard(1).down = true;
    handing.give(laidOut, 'commit');
    await handing.clock.pass(60_000);
    expect(handing.finished).toEqual(['shard-0']);
    expect(Math.max(...handing.clock.slept)).toBeLessThanOrEqual(5_000 * 1.25);
    expect(handing.clock.slept[0]).toBeLessThan(50);
    expect(handing.clock.slept.length).toBeLessThan(30);
    handing.world.shard(1).down = false;
    await handing.clock.pass(7_000);
    expect(handing.finished).toEqual(['shard-0', 'shard-1']);
    expect(handing.alarms).toEqual([]);
  });

  it('waiters for a shard that a pass finds alive again need not sit out their pause', async () => {
    const handing = new Handing(1);
    const laidOut = handing.world.layOut({ 0: 'prepared' }, { decided: true, epoch: EPOCH });
    handing.world.shard(0).down = true;
    handing.give(laidOut, 'commit');
    await handing.clock.pass(30_000);
    await handing.recovery.pass();
    handing.world.shard(0).down = false;
    await handing.recovery.pass();
    await handing.clock.pass(0);
    expect(handing.finished).toEqual(['shard-0']);
  });

  it('a busy participant (55000) is tried again, and nothing is concluded from it', async () => {
    const handing = new Handing(1);
    const laidOut = handing.world.layOut({ 0: 'prepared' }, { decided: true, epoch: EPOCH });
    handing.world.shard(0).busy = 3;
    handing.give(laidOut, 'commit');
    await handing.clock.pass(0);
    expect(handing.finished).toEqual([]);
    await handing.clock.pass(1_000);
    expect(handing.finished).toEqual(['shard-0']);
    expect(handing.world.shard(0).resolves).toBe(4);
  });

  it('PgDog 1: a gid that is gone (42704) is only done once the transaction is seen committed', async () => {
    const handing = new Handing(2);
    const laidOut = handing.world.layOut({ 0: 'committed', 1: 'aborted' }, { decided: true, epoch: EPOCH });
    handing.give(laidOut, 'commit');
    await handing.clock.pass(60_000);
    expect(handing.finished).toEqual(['shard-0']);
    // Once, although it is looked at again and again.
    expect(handing.alarms.map(({ kind, shard }) => [kind, shard])).toEqual([['HeuristicRollback', 'shard-1']]);
    expect(handing.recovery.handedOverCount).toBe(1);
  });

  it('a lost reply to COMMIT PREPARED is verified, not repeated blindly', async () => {
    const handing = new Handing(1);
    const laidOut = handing.world.layOut({ 0: 'prepared' }, { decided: true, epoch: EPOCH });
    handing.world.shard(0).repliesToLose = 1;
    handing.give(laidOut, 'commit');
    await handing.clock.pass(1_000);
    expect(handing.finished).toEqual(['shard-0']);
    expect(handing.world.lives(laidOut)).toBe('c');
  });

  it('PgDog 9: an abort ends the backend whose PREPARE is still queued before it believes that there is nothing', async () => {
    const handing = new Handing(1);
    const laidOut = handing.world.layOut({ 0: 'working' }, { epoch: EPOCH });
    handing.give(laidOut, 'abort', { identity: IDENTITY });
    await handing.clock.pass(1_000);
    expect(handing.world.lives(laidOut)).toBe('a');
    expect(handing.world.shard(0).asked.slice(0, 3)).toEqual([
      expect.stringMatching(/^abort/),
      'terminate backend',
      'scan',
    ]);
    expect(handing.finished).toEqual(['shard-0']);
  });

  it('a backend that does not end keeps its participant open: its PREPARE may still come', async () => {
    const handing = new Handing(1);
    const laidOut = handing.world.layOut({ 0: 'aborted' }, { epoch: EPOCH });
    handing.world.shard(0).unended = 1;
    handing.give(laidOut, 'abort', { identity: IDENTITY });
    await handing.clock.pass(20_000);
    expect(handing.finished).toEqual([]);
    handing.world.shard(0).unended = 0;
    await handing.clock.pass(7_000);
    expect(handing.finished).toEqual(['shard-0']);
  });

  it('without a backend to end, an abort ends whoever still carries the xid', async () => {
    const handing = new Handing(1);
    const laidOut = handing.world.layOut({ 0: 'working' }, { epoch: EPOCH });
    handing.give(laidOut, 'abort');
    await handing.clock.pass(1_000);
    expect(handing.world.lives(laidOut)).toBe('a');
    expect(handing.finished).toEqual(['shard-0']);
  });

  it('an abort whose branch turns out committed raises the alarm and lets go: nothing more can be done', async () => {
    const handing = new Handing(1);
    const laidOut = handing.world.layOut({ 0: 'committed' }, { epoch: EPOCH });
    handing.give(laidOut, 'abort');
    await handing.clock.pass(1_000);
    expect(handing.alarms.map(({ kind }) => kind)).toEqual(['HeuristicCommit']);
    expect(handing.finished).toEqual(['shard-0']);
  });

  it('a shard that is not in the topology never counts as finished', async () => {
    const handing = new Handing(2, { probes: new Map() });
    const laidOut = handing.world.layOut({ 0: 'prepared' }, { decided: true, epoch: EPOCH });
    handing.give(laidOut, 'commit');
    await handing.clock.pass(60_000);
    expect(handing.finished).toEqual([]);
    expect(handing.alarms.map(({ kind }) => kind)).toEqual(['ShardRemoved']);
  });

  it('passes leave handed-over transactions to their own loop', async () => {
    const handing = new Handing(1);
    const laidOut = handing.world.layOut({ 0: 'prepared' }, { decided: true, epoch: EPOCH });
    handing.world.shard(0).busy = 1;
    handing.give(laidOut, 'commit');
    const report = await handing.recovery.pass();
    expect(report.foundInDoubt).toBe(0);
    expect(handing.world.shard(0).resolves).toBe(1);
  });

  it('stop ends the waiting at once and leaves the rest prepared, for the next start', async () => {
    const handing = new Handing(1);
    const laidOut = handing.world.layOut({ 0: 'prepared' }, { decided: true, epoch: EPOCH });
    handing.world.shard(0).down = true;
    handing.give(laidOut, 'commit');
    handing.recovery.start();
    await handing.clock.pass(1_000);
    await handing.recovery.stop();
    expect(handing.finished).toEqual([]);
    expect(handing.clock.sleeping).toBe(0);
    handing.world.shard(0).down = false;
    await handing.world.recovery().firstPass();
    expect(handing.world.lives(laidOut)).toBe('c');
  });
});

describe('the outcome of a lone COMMIT whose reply was lost', () => {
  const OLD_BACKEND_MS = Date.UTC(2026, 10, 21, 11);

  function asking(life: 'working' | 'committed' | 'aborted') {
    const handing = new Handing(1);
    const { branches } = handing.world.layOut({ 0: life }, { epoch: EPOCH });
    const shard = handing.world.shard(0);
    shard.livingSinceMs = OLD_BACKEND_MS - 60_000;
    const question = { shard: 'shard-0', xid: branches[0]?.xid ?? '', identity: IDENTITY };
    const ask = async (waitMs = 10_000) => {
      const answer = handing.recovery.outcomeOf(question);
      await handing.clock.pass(waitMs);
      return answer;
    };
    return { ask, shard };
  }

  it.each(['committed', 'aborted'] as const)('is %s when the status says so', async (life) => {
    expect(await asking(life).ask()).toBe(life);
  });

  it('ends the old backend before it asks, so that a COMMIT still queued cannot overtake the answer', async () => {
    const { ask, shard } = asking('working');
    expect(await ask()).toBe('aborted');
    expect(shard.asked[0]).toBe('terminate backend');
  });

  it('waits for a shard that is coming back, and is unknown when it does not come in time', async () => {
    const { ask, shard } = asking('committed');
    shard.down = true;
    expect(await ask()).toBe('unknown');
    const again = ask();
    shard.down = false;
    expect(await again).toBe('committed');
  });

  it('is unknown on another timeline or another server', async () => {
    const { ask, shard } = asking('committed');
    shard.timeline = 2;
    expect(await ask()).toBe('unknown');
  });

  it('after a crash of the shard "committed" counts only for an xid that was on disk before', async () => {
    const { ask, shard } = asking('committed');
    shard.livingSinceMs = OLD_BACKEND_MS + 60_000;
    expect(await ask()).toBe('unknown');
    shard.recoveredNextXid = '702';
    expect(await ask()).toBe('committed');
    // The number was free again when the shard came back: whoever committed it, it was not this transaction.
    shard.recoveredNextXid = '701';
    expect(await ask()).toBe('aborted');
  });

  it('is unknown on a shard that is not in the topology', async () => {
    const handing = new Handing(1, { probes: new Map() });
    expect(await handing.recovery.outcomeOf({ shard: 'shard-9', xid: '1', identity: IDENTITY })).toBe('unknown');
  });
});

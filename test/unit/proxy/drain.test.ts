// Clean is only said after a pass that began when nobody was left and found nothing anywhere.
import { describe, expect, it } from 'vitest';
import { Drain } from '../../../src/proxy/drain.ts';
import type { PassReport } from '../../../src/recovery/report.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const EMPTY: PassReport = {
  foundInDoubt: 0,
  committed: 0,
  committedIds: [],
  rolledBack: 0,
  rolledBackIds: [],
  confirmed: 0,
  held: [],
  waiting: 0,
  foreign: { count: 0, oldestAgeMs: 0 },
  otherInstances: new Map(),
  unreachableShards: [],
  backendsFenced: 0,
  alarms: [],
  newAlarms: [],
  durationMs: 1,
};

function ground() {
  const world = {
    clients: 1,
    busy: true,
    unfinished: 0,
    report: EMPTY,
    reports: [] as PassReport[],
    passes: 0,
    draining: false,
  };
  const clock = new ManualClock();
  const drain = new Drain({
    clock,
    listener: {
      get clients() {
        return world.clients;
      },
      drain: () => {
        world.draining = true;
      },
      resume: () => {
        world.draining = false;
      },
    },
    busy: () => world.busy,
    unfinished: () => world.unfinished,
    pass: async () => {
      world.passes++;
      return world.reports.shift() ?? world.report;
    },
    passIntervalMs: () => 1_000,
  });
  return { world, clock, drain };
}

describe('Drain', () => {
  it('asks no shard while a client or a commit is there', async () => {
    const { world, clock, drain } = ground();
    drain.begin();
    await clock.pass(500);
    world.clients = 0;
    await clock.pass(500);
    expect([world.passes, drain.clean]).toEqual([0, false]);
    world.busy = false;
    await clock.pass(500);
    expect(drain.clean).toBe(true);
  });

  it.each<[string, Partial<PassReport>]>([
    ['something is in doubt', { foundInDoubt: 1 }],
    ['something is held', { held: [{ transaction: 'x', reason: 'r', askHuman: true, participants: [] }] }],
    ['somebody drives something', { waiting: 1 }],
    ['a shard does not answer', { unreachableShards: [{ shard: 's', reason: 'r' }] }],
  ])('is not clean while %s, and looks again until it is', async (_, left) => {
    const { world, clock, drain } = ground();
    Object.assign(world, { clients: 0, busy: false, report: { ...EMPTY, ...left } });
    drain.begin();
    await clock.pass(3_000);
    expect([drain.clean, world.passes > 1]).toEqual([false, true]);
    world.report = EMPTY;
    await clock.pass(1_100);
    expect(drain.clean).toBe(true);
  });

  it('a pass that was under way when the last one left is not believed: it looks once more', async () => {
    const { world, clock, drain } = ground();
    Object.assign(world, { clients: 0, busy: false, reports: [EMPTY, { ...EMPTY, foundInDoubt: 1 }] });
    drain.begin();
    await clock.pass(500);
    expect([world.passes, drain.clean]).toEqual([2, false]);
    await clock.pass(1_000);
    expect(drain.clean).toBe(true);
  });

  it('is not clean while the log has a decision without its end', async () => {
    const { world, clock, drain } = ground();
    Object.assign(world, { clients: 0, busy: false, unfinished: 1 });
    drain.begin();
    await clock.pass(3_000);
    expect(drain.clean).toBe(false);
  });

  it('RESUME takes it back at once', async () => {
    const { world, clock, drain } = ground();
    Object.assign(world, { clients: 0, busy: false });
    drain.begin();
    await clock.pass(100);
    expect([drain.clean, world.draining]).toEqual([true, true]);
    drain.resume();
    expect([drain.clean, world.draining]).toEqual([false, false]);
    const { passes } = world;
    await clock.pass(5_000);
    expect(world.passes).toBe(passes);
  });
});

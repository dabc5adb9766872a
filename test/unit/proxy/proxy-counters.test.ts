// What a proxy remembers of its recoveries for somebody who looks every few seconds.
import { describe, expect, it } from 'vitest';
import { ProxyCounters } from '../../../src/proxy/proxy-counters.ts';
import type { PassReport } from '../../../src/recovery/report.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const report = (committed: number, rolledBack: number, held = 0): PassReport => ({
  ...{ foundInDoubt: committed + rolledBack + held, committed, rolledBack, confirmed: 0, waiting: 0 },
  committedIds: Array.from({ length: committed }, (_, at) => `c${at}`),
  rolledBackIds: Array.from({ length: rolledBack }, (_, at) => `r${at}`),
  held: Array.from({ length: held }, () => ({ transaction: 't', reason: 'r', askHuman: true, participants: [] })),
  ...{ foreign: { count: 0, oldestAgeMs: 0 }, otherInstances: new Map(), unreachableShards: [], backendsFenced: 0 },
  ...{ alarms: [], newAlarms: [], durationMs: 1 },
});

describe('the last recovery', () => {
  it('is the last that had something to do: passes that find nothing do not hide it', async () => {
    const clock = new ManualClock();
    const counters = new ProxyCounters(clock);
    counters.passEnded(report(2, 1));
    const first = counters.lastRecovery;
    expect(first).toMatchObject({ committed: 2, committedIds: ['c0', 'c1'], rolledBackIds: ['r0'], held: 0 });
    await clock.pass(5_000);
    counters.passEnded(report(0, 0));
    expect(counters.lastRecovery).toBe(first);
    expect(counters.lastPass?.report.committed).toBe(0);
  });

  it('grows while pass after pass ends something, and begins anew after a quiet minute', async () => {
    const clock = new ManualClock();
    const counters = new ProxyCounters(clock);
    counters.passEnded(report(0, 0));
    expect(counters.lastRecovery).toMatchObject({ committed: 0, rolledBack: 0, held: 0 });
    counters.passEnded(report(2, 0, 1));
    await clock.pass(5_000);
    counters.passEnded(report(1, 1, 1));
    expect(counters.lastRecovery).toMatchObject({ committed: 3, rolledBack: 1, held: 1 });
    expect(counters.lastRecovery?.committedIds).toEqual(['c0', 'c1', 'c0']);
    await clock.pass(60_000);
    counters.passEnded(report(0, 0, 1));
    expect(counters.lastRecovery).toMatchObject({ committed: 3, held: 1 });
    counters.passEnded(report(1, 0, 0));
    expect(counters.lastRecovery).toMatchObject({ committed: 1, committedIds: ['c0'], rolledBack: 0, held: 0 });
    counters.passEnded(report(1_000, 0, 0));
    expect([counters.lastRecovery?.committed, counters.lastRecovery?.committedIds.length]).toEqual([1_001, 8]);
  });
});

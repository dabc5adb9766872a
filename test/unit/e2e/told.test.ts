// The comparison of status and log with the shards, which must be able to find a difference.
import { describe, expect, it } from 'vitest';
import { logDisagreement, toldOtherwise } from '../../e2e/harness/told.ts';
import type { RunFindings } from '../../e2e/load/reckoning.ts';

const RUN: RunFindings = {
  instance: 'proxy-1',
  epoch: 7,
  counts: { committed: 1, rolledBack: 1, mixed: 0, left: 0 },
  halfCommitted: 0,
  ends: { 'as1:k3x9q:proxy-1.7.1': 'committed', 'as1:k3x9q:proxy-1.7.2': 'rolledBack' },
  resolvedAfterMs: 2_000,
};
const DIED = Date.parse('2026-11-21T15:00:00.700Z');
const told = { time: '2026-11-21T15:00:03Z', committed: 1, rolledBack: 1, held: 0 };

describe('the status', () => {
  it('agrees when it tells the same counts of a recovery since', () => {
    expect(toldOtherwise(RUN, DIED, told)).toBeUndefined();
    expect(toldOtherwise(RUN, DIED, { ...told, time: '2026-11-21T15:00:00Z' })).toBeUndefined();
  });

  it.each([
    ['other counts', { ...told, committed: 2 }, 'the status says 2 committed, 1 rolled back and 0 held'],
    ['something held', { ...told, held: 1 }, '1 held'],
    ['an older recovery', { ...told, time: '2026-11-21T14:59:30Z' }, 'no recovery since proxy-1 died'],
    ['nothing', undefined, 'no recovery since'],
  ])('disagrees when it tells %s', (_, said, words) => {
    expect(toldOtherwise(RUN, DIED, said)).toContain(words);
  });
});

describe('the log', () => {
  it('agrees when it has what committed and nothing of what did not', () => {
    expect(logDisagreement(RUN, new Set(['as1:k3x9q:proxy-1.7.1', 'as1:k3x9q:proxy-1.6.4']))).toEqual([]);
  });

  it('disagrees about a commit that it does not have and a rollback that it has', () => {
    expect(logDisagreement(RUN, new Set(['as1:k3x9q:proxy-1.7.2']))).toEqual([
      'proxy-1: as1:k3x9q:proxy-1.7.1 is committed, and its log knows nothing of it',
      'proxy-1: as1:k3x9q:proxy-1.7.2 is rolled back, and its log says commit',
    ]);
  });
});

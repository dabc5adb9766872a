// The plan of an end-to-end run, and the judge of a round, which must be able to find something wrong.
import { describe, expect, it } from 'vitest';
import { violationsIn } from '../../e2e/harness/round.ts';
import { spread } from '../../e2e/harness/table.ts';
import type { Reckoning, RunFindings } from '../../e2e/load/reckoning.ts';
import { SCENARIOS } from '../../e2e/scenarios/all.ts';
import { planRounds } from '../../e2e/scenarios/plan.ts';
import { Random } from '../../support/random.ts';

const names = (seed: number, kills: number, has: readonly ('operator' | 'nodes')[] = ['operator', 'nodes']) =>
  planRounds(SCENARIOS, new Random(seed), { kills, has }).map(({ name }) => name);

describe('the plan of a run', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(names(7, 100)).toEqual(names(7, 100));
    expect(names(7, 100)).not.toEqual(names(8, 100));
  });

  it('takes every kind once before any comes again, whatever the number of kills', () => {
    const plan = planRounds(SCENARIOS, new Random(3), { kills: 1, has: ['operator', 'nodes'] });
    const kinds = new Set(SCENARIOS.map(({ kind }) => kind));
    expect(plan.map(({ kind }) => kind).toSorted()).toEqual([...kinds].toSorted());
  });

  it('goes on until enough is killed, and every scenario has its turn', () => {
    const plan = planRounds(SCENARIOS, new Random(3), { kills: 400, has: ['operator', 'nodes'] });
    expect(plan.reduce((sum, { kills }) => sum + kills, 0)).toBeGreaterThanOrEqual(400);
    expect(new Set(plan)).toEqual(new Set(SCENARIOS));
  });

  it('leaves out what the ground is not fit for', () => {
    expect(names(1, 200, ['operator'])).not.toContain('api-server-down');
    expect(names(1, 200)).toContain('api-server-down');
  });

  it('has one name for each scenario', () => {
    expect(new Set(SCENARIOS.map(({ name }) => name)).size).toBe(SCENARIOS.length);
  });
});

const RUN: RunFindings = {
  instance: 'proxy-0',
  epoch: 7,
  counts: { committed: 1, rolledBack: 0, mixed: 0, left: 0 },
  halfCommitted: 0,
  ends: { 'as1:k3x9q:proxy-0.7.1': 'committed' },
  resolvedAfterMs: 2_000,
};

const SOUND: Reckoning = {
  paused: true,
  drained: true,
  verdict: {
    acknowledgedMissing: [],
    refusedPresent: [],
    torn: [],
    strange: [],
    misplaced: [],
    unbalanced: [],
    untold: [],
    preparedLeft: [],
    sumBefore: 1,
    sumAfter: 1,
    unknownCommitted: 0,
    unknownAborted: 0,
    acrossShards: 1,
    sound: true,
  },
  told: { pending: 0, acknowledged: 1, refused: 0, unknown: 0 },
  summary: '',
  loadStarts: 1,
  hangs: 0,
  faults: [{ runs: [RUN], pauses: undefined }],
  tookMs: 1,
};

describe('the judge of a round', () => {
  const wrong = (change: Partial<Reckoning>, leavesDoubt = true, healthyAtMs = 5_000) =>
    violationsIn({ leavesDoubt }, [{ atMs: 1_000 }], healthyAtMs, { ...SOUND, ...change });
  const withRun = (run: Partial<RunFindings>) => ({ faults: [{ runs: [{ ...RUN, ...run }], pauses: undefined }] });

  it('acquits a round in which all is as it must be', () => {
    expect(wrong({})).toEqual([]);
  });

  it.each([
    ['paused', { paused: false }, 'no answer'],
    ['drained', { drained: false }, 'still prepared'],
    ['hangs', { hangs: 2 }, '2 statements'],
    ['torn rows', { verdict: { ...SOUND.verdict, sound: false, torn: ['x'] } }, 'torn (1): x'],
    ['a mixed transaction', withRun({ counts: { ...RUN.counts, mixed: 1 }, ends: { t: 'mixed' } }), 'mixed: t'],
    ['one that is left', withRun({ counts: { ...RUN.counts, left: 1 }, ends: { t: 'left' } }), 'left: t'],
    ['one resolved too late', withRun({ resolvedAfterMs: 65_000 }), '61000 ms after health'],
    ['nothing in doubt', withRun({ ends: {} }), 'proved nothing'],
  ] as const)('convicts for %s', (_, change, words) => {
    expect(wrong(change).join('\n')).toContain(words);
  });

  it('asks for nothing in doubt where a scenario promises none', () => {
    expect(wrong(withRun({ ends: {} }), false)).toEqual([]);
  });
});

describe('spread', () => {
  it('is the lower median and the largest', () => {
    expect(spread([5, 1, 9, 3])).toBe('3 / 9');
    expect(spread([4])).toBe('4');
    expect(spread([])).toBe('');
  });
});

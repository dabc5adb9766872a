// What the cluster tests report as "in doubt" and "resolved after" comes from these few functions.
import { describe, expect, it } from 'vitest';
import { diedAt, doubtAfter, epochBefore, readObservations } from '../../e2e/load/observations.ts';
import { pausesAround } from '../../e2e/load/pauses.ts';

const gid = (run: string, seq: number) => `as1:k3x9q:${run}.${seq}::0/2:shard-0=${seq}@1`;
const line = (atMs: number, shard: string, gids: readonly string[], owners: readonly string[] = []) =>
  `${JSON.stringify({ atMs, shard, prepared: gids.map((each, i) => ({ gid: each, xid: String(i) })), owners })}\n`;

describe('observations', () => {
  const text = [
    line(100, 'shard-0', [], ['as1:k3x9q:proxy-0.7', 'as1:k3x9q:proxy-1.5']),
    line(900, 'shard-0', [gid('proxy-0.7', 1), gid('proxy-1.5', 9)]),
    line(950, 'shard-1', [gid('proxy-0.7', 1)]),
    line(1_400, 'shard-0', [gid('proxy-0.7', 1)]),
    line(2_000, 'shard-0', [gid('proxy-0.8', 1)], ['as1:k3x9q:proxy-0.8']),
    `${JSON.stringify({ atMs: 2_100, shard: 'shard-1', down: 'ECONNREFUSED' })}\n`,
    '{"atMs":3',
  ].join('');
  const observations = readObservations(text, 5_000);

  it('knows which run lived before a fault, and none that came later', () => {
    expect(epochBefore(observations, 'proxy-0', 1_000)).toBe(7);
    expect(epochBefore(observations, 'proxy-0', 2_500)).toBe(8);
    expect(epochBefore(observations, 'proxy-2', 2_500)).toBeUndefined();
  });

  it('takes a run for dead when no shard sees it any more, whatever comes up later', () => {
    const zombie = line(4_000, 'shard-0', [], ['as1:k3x9q:proxy-0.7', 'as1:k3x9q:proxy-0.8']);
    const later = readObservations(text.replace('{"atMs":3', zombie), 5_000);
    expect(diedAt(later, 'proxy-0', 7, 500)).toBe(950);
    expect(diedAt(later, 'proxy-0', 7, 1_000)).toBe(1_000);
  });

  it('finds what the killed run left on every shard and when the last of it was gone', () => {
    const doubt = doubtAfter(observations, 'proxy-0', 7, 1_000);
    expect(doubt.branches.map(({ shard }) => shard)).toEqual(['shard-0', 'shard-1']);
    expect(doubt.resolvedAtMs).toBe(2_100);
  });

  it('leaves out other instances, later runs, and what was gone before the fault', () => {
    expect(doubtAfter(observations, 'proxy-1', 5, 1_000).branches).toHaveLength(1);
    expect(doubtAfter(observations, 'proxy-1', 5, 1_300)).toEqual({ branches: [], resolvedAtMs: undefined });
    expect(doubtAfter(observations, 'proxy-0', 8, 2_200).branches.map((branch) => branch.gid)).toEqual([
      gid('proxy-0.8', 1),
    ]);
  });
});

describe('pauses', () => {
  it('are measured per client from its last answer to its next acknowledgement, and for all together', () => {
    const answers = [
      { client: 0, told: 'acknowledged', atMs: 990 },
      { client: 1, told: 'acknowledged', atMs: 980 },
      { client: 1, told: 'acknowledged', atMs: 1_050 },
      { client: 0, told: 'unknown', atMs: 1_100 },
      { client: 1, told: 'acknowledged', atMs: 1_400 },
      { client: 0, told: 'acknowledged', atMs: 1_490 },
      { client: 0, told: 'acknowledged', atMs: 9_000 },
    ] as const;
    expect(pausesAround(answers, 1_000, 2_000)).toEqual({ worstMs: 500, medianMs: 70, allMs: 350 });
    expect(pausesAround(answers, 9_500, 9_900)).toBeUndefined();
  });
});

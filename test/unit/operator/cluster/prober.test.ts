// Looks beside the workers: each server for itself, told only when it says something else, and never one pod's word for another's.
import { describe, expect, it } from 'vitest';
import { type Aims, type Eye, Prober } from '../../../../src/operator/cluster/prober.ts';
import type { Asked, ShardFacts, SqlTarget } from '../../../../src/operator/sql/facts.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { PROXY_FACTS, SHARD_FACTS } from './seen-cluster.ts';

const TLS = { kind: 'disable' } as const;
const target = (name: string): SqlTarget => ({
  ...{ name, host: '10.0.0.1', port: 5432, database: 'app', user: 'postgres', password: 'x', tls: TLS },
});
const QUESTION = { clusterId: 'k3x9q', parameters: null };
const aims = (names: readonly string[], incarnation = 'pod-1'): Aims => ({
  shards: names.map((name) => ({ target: target(name), question: QUESTION, incarnation })),
  proxies: [],
});
const answer = (facts: Partial<ShardFacts> = {}): Asked<ShardFacts> => ({
  kind: 'answer',
  value: { ...SHARD_FACTS, ...facts },
});
const refused = (name: string): Asked<never> => ({
  kind: 'failed',
  failure: { kind: 'unreachable', message: `${name}: no connection` },
});

function scene() {
  const clock = new ManualClock();
  const says = new Map<string, () => Promise<Asked<ShardFacts>>>();
  const told: string[] = [];
  const closed: string[] = [];
  const looks = new Map<string, number>();
  const openShard = ({ name }: SqlTarget): Eye<ShardFacts> => ({
    look: () => {
      looks.set(name, (looks.get(name) ?? 0) + 1);
      return says.get(name)?.() ?? Promise.resolve(answer());
    },
    close: () => closed.push(name),
  });
  const openProxy = () => ({
    look: async () => ({ kind: 'answer', value: PROXY_FACTS }) as const,
    close: () => undefined,
  });
  const prober = new Prober({ clock, openShard, openProxy, onChange: (key) => told.push(key) });
  const settle = () => clock.pass(0);
  return { clock, says, told, closed, looks, prober, settle };
}

describe('a prober', () => {
  it('tells the first answer, then nothing while only what nobody decides by changes', async () => {
    const { clock, says, told, prober, settle } = scene();
    says.set('shard-0', async () => answer({ nowMs: clock.nowMs(), connections: clock.nowMs() }));
    prober.aim('test/bank', aims(['shard-0']));
    await settle();
    await clock.pass(60_000);
    expect(told).toEqual(['test/bank']);
    prober.stop();
  });

  it('asks a server that hangs no more often, and all others as ever', async () => {
    const { clock, says, looks, prober, settle } = scene();
    says.set('shard-0', () => new Promise(() => undefined));
    prober.aim('test/bank', aims(['shard-0', 'shard-1']));
    await settle();
    await clock.pass(20_000);
    expect(looks.get('shard-0')).toBe(1);
    expect(looks.get('shard-1')).toBeGreaterThan(3);
    prober.stop();
  });

  it('says since when a server fails, and what it said last', async () => {
    const { clock, says, prober, settle } = scene();
    prober.aim('test/bank', aims(['shard-0']));
    await settle();
    says.set('shard-0', async () => refused('shard-0'));
    await clock.pass(10_000);
    const look = prober.looksOf('test/bank').shards.get('shard-0');
    expect(look).toMatchObject({ kind: 'failed', last: { facts: SHARD_FACTS } });
    expect(look?.kind === 'failed' ? look.atMs - look.sinceMs : 0).toBeGreaterThan(3_000);
    prober.stop();
  });

  it('says since when it fails in the same way: a server that comes up late has only just lacked its database', async () => {
    const { clock, says, prober, settle } = scene();
    says.set('shard-0', async () => refused('shard-0'));
    prober.aim('test/bank', aims(['shard-0']));
    await settle();
    await clock.pass(40_000);
    const failure = { kind: 'missing-database', message: 'database "app" does not exist' } as const;
    says.set('shard-0', async () => ({ kind: 'failed', failure }));
    await clock.pass(3_000);
    const look = prober.looksOf('test/bank').shards.get('shard-0');
    if (look?.kind !== 'failed') throw new Error('it fails');
    expect(look.atMs - look.sinceMs).toBeGreaterThan(40_000);
    expect(look.atMs - look.kindSinceMs).toBeLessThan(3_000);
    prober.stop();
  });

  it("takes no pod's word for its successor's", async () => {
    const { says, prober, settle } = scene();
    prober.aim('test/bank', aims(['shard-0']));
    await settle();
    says.set('shard-0', () => new Promise(() => undefined));
    prober.aim('test/bank', aims(['shard-0'], 'pod-2'));
    await settle();
    expect(prober.looksOf('test/bank').shards.get('shard-0')).toEqual({ kind: 'never' });
    prober.stop();
  });

  it('closes the connection to whom it no longer asks', async () => {
    const { closed, prober, settle } = scene();
    prober.aim('test/bank', aims(['shard-0', 'shard-1']));
    await settle();
    prober.aim('test/bank', aims(['shard-1']));
    expect(closed).toEqual(['shard-0']);
    prober.forget('test/bank');
    expect(closed).toEqual(['shard-0', 'shard-1']);
    expect(prober.looksOf('test/bank').shards.size).toBe(0);
  });

  it('looks at once where something was done', async () => {
    const { looks, prober, settle } = scene();
    prober.aim('test/bank', aims(['shard-0']));
    await settle();
    prober.hurry('test/bank', 'shard-0');
    await settle();
    expect(looks.get('shard-0')).toBe(2);
    prober.stop();
  });
});

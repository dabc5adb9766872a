// The operator recovers for a dead proxy while both of them are killed at random and may be at it at once: the end is always whole.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { recoverInstance } from '../../../src/operator/recovery/instance-run.ts';
import type { EvidenceReport } from '../../../src/transaction/evidence-lines.ts';
import type { LogEvidence } from '../../../src/transaction/log-evidence.ts';
import { Killed, layOut, lefts, mortal, SHARDS } from '../../support/left-transactions.ts';
import type { Step } from '../../support/pretend-shard.ts';
import { PretendWorld } from '../../support/pretend-world.ts';
import { EPOCH } from '../../support/told-log.ts';

const clock = { ...systemClock, sleep: () => Promise.resolve() };

/** Who acts, and when it is killed; `down`: a shard that is away meanwhile. */
interface Act {
  readonly who: 'operator' | 'proxy' | 'both';
  readonly at: number;
  readonly down: number | undefined;
}

const acts: fc.Arbitrary<Act> = fc.record({
  who: fc.constantFrom('operator', 'proxy', 'both'),
  at: fc.nat(60),
  down: fc.option(fc.nat(SHARDS - 1), { nil: undefined }),
});

/** What the Job prints: the log up to the run before the proxy's next one. */
async function readLog(world: PretendWorld, ids: readonly string[]): Promise<EvidenceReport> {
  const words = new Map<string, LogEvidence>(await world.log.lookup(new Set(ids)));
  const log = { status: 'whole', walId: 'told', epoch: EPOCH - 1, firstEpoch: 1000, problems: [] } as const;
  return { kind: 'read', dump: { ...log, live: [...world.log.live()], words }, lastHolder: null };
}

const swallow = (error: unknown): void => {
  if (!(error instanceof Killed)) throw error;
};

async function operatorActs(world: PretendWorld, step: Step, log: 'there' | 'lost' = 'there'): Promise<void> {
  const wish = {
    clusterId: 'k3x9q',
    instance: 'proxy-0',
    epochSeen: EPOCH - 1,
    hasLog: log === 'there',
    mayLive: null,
  };
  const outcome = await recoverInstance(wish, {
    probes: new Map(world.shards.map((shard) => [shard.name, shard.probe(step)])),
    readLog: (ids) => readLog(world, ids),
    clock,
    controlPoint: (name) => step(name),
    onStep: () => undefined,
  });
  expect(outcome.kind).toBe('passed');
}

async function proxyActs(world: PretendWorld, step: Step): Promise<void> {
  await world.recovery({ controlPoint: step }, step).firstPass();
}

async function perform(world: PretendWorld, { who, at, down }: Act): Promise<void> {
  for (const [index, shard] of world.shards.entries()) shard.down = index === down;
  const actors = who === 'both' ? [operatorActs, proxyActs] : [who === 'operator' ? operatorActs : proxyActs];
  await Promise.all(actors.map((act) => act(world, mortal(at).step).catch(swallow)));
}

function heal(world: PretendWorld): void {
  for (const shard of world.shards) shard.down = false;
}

describe('the operator beside the proxy that it recovers for', () => {
  it('I8: ends whole, whoever is killed wherever, alone or both at once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(lefts, { minLength: 1, maxLength: 4 }),
        fc.array(acts, { maxLength: 6 }),
        fc.constantFrom('operator', 'proxy'),
        async (all, story, last) => {
          const world = new PretendWorld(SHARDS);
          layOut(world, all);
          for (const act of story) await perform(world, act);
          heal(world);
          await (last === 'operator' ? operatorActs : proxyActs)(world, () => undefined);
          for (const [at, { decided }] of all.entries()) {
            const laidOut = world.transactions[at];
            if (laidOut !== undefined) expect(world.lives(laidOut)).toMatch(decided ? /^c+$/ : /^a+$/);
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  it('what the operator ended the proxy finds done, and closes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(lefts, { minLength: 1, maxLength: 4 }), async (all) => {
        const world = new PretendWorld(SHARDS);
        layOut(world, all);
        await operatorActs(world, () => undefined);
        const resolves = world.shards.map((shard) => shard.resolves);
        await proxyActs(world, () => undefined);
        expect(world.shards.map((shard) => shard.resolves)).toEqual(resolves);
        const open = [...world.log.live()];
        expect(open).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  it('with a lost log no transaction is ever torn, whatever is killed; what cannot be proven stays prepared', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(lefts, { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(40), { maxLength: 4 }),
        async (all, deaths) => {
          const world = new PretendWorld(SHARDS);
          layOut(world, all);
          for (const at of deaths) await operatorActs(world, mortal(at).step, 'lost').catch(swallow);
          await operatorActs(world, () => undefined, 'lost');
          for (const laidOut of world.transactions) {
            const lives = world.lives(laidOut);
            expect(lives.includes('c') && lives.includes('a')).toBe(false);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('a proxy whose lock is held is not touched by any question but what stands prepared', async () => {
    const world = new PretendWorld(2);
    const laidOut = world.layOut({ 0: 'prepared', 1: 'working' });
    const outcome = await recoverInstance(
      { clusterId: 'k3x9q', instance: 'proxy-0', epochSeen: EPOCH, hasLog: true, mayLive: null },
      {
        probes: new Map(world.shards.map((shard) => [shard.name, shard.probe()])),
        readLog: async () => ({ kind: 'locked', holder: 'the proxy' }),
        clock,
        controlPoint: () => undefined,
        onStep: () => undefined,
      },
    );
    expect(outcome).toMatchObject({ kind: 'blocked', why: 'owner-alive' });
    expect(world.lives(laidOut)).toBe('pw');
    expect(world.shards.flatMap((shard) => shard.asked)).toEqual(['scan', 'scan']);
  });
});

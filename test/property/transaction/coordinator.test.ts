import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CommitOutcome } from '../../../src/transaction/commit-outcome.ts';
import { CommitWorld, type Trouble, type WorldPlan } from './commit-world.ts';

const trouble = (weightOfNone: number) =>
  fc.oneof(
    { weight: weightOfNone, arbitrary: fc.constant<Trouble>('none') },
    {
      weight: 2,
      arbitrary: fc.constantFrom<Trouble>(
        'refused',
        'doubtful',
        'lost before',
        'lost after',
        'hangs before',
        'hangs after',
      ),
    },
  );

const plans: fc.Arbitrary<WorldPlan> = fc.record({
  branches: fc.array(
    fc.record({
      wrote: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
      xidKnown: fc.boolean(),
      vote: trouble(8),
      finish: trouble(6),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  log: fc.oneof(
    { weight: 6, arbitrary: fc.constant('good' as const) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('full', 'refuses', 'fails with the record', 'fails without it'),
    },
  ),
  crashAfter: fc.oneof(fc.constant(1e9), fc.nat({ max: 45 })),
  arrivesAfterCrash: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
  statusCanBeLearned: fc.boolean(),
});

/** How often each end was reached: a run that never got anywhere proves nothing. */
const reached = new Map<string, number>();

async function live(scheduler: fc.Scheduler, plan: WorldPlan): Promise<void> {
  const world = new CommitWorld(scheduler, plan);
  const outcome = world.coordinator.commit(world.branches());
  const told = await scheduler.waitFor(Promise.race([outcome, world.crashed]));
  const kind = told === 'crashed' ? `crashed, record ${world.record}` : told.kind;
  reached.set(kind, (reached.get(kind) ?? 0) + 1);
  const quiet =
    told === 'crashed' ? [] : world.shards.filter((shard) => shard.fate === 'open' && shard.destroyed === null);
  await scheduler.waitIdle();
  const frozen = world.coordinator.driving().size > 0;
  if (world.isDead || frozen) world.recover();
  judge(world, told, quiet.length, frozen);
}

function judge(world: CommitWorld, told: CommitOutcome | 'crashed', quietOpen: number, stillDriven: boolean): void {
  expect(world.violations).toEqual([]);
  const wrote = world.plan.branches.map((branch) => branch.wrote);
  const writers = world.shards.filter((_, i) => wrote[i]);
  const committed = writers.filter((shard) => shard.fate === 'committed').length;
  expect(writers.filter((shard) => shard.fate === 'prepared')).toEqual([]);
  // I1: all or nothing.
  expect([0, writers.length]).toContain(committed);
  if (told !== 'crashed') {
    // I2, I3: what the client was told is true.
    if (told.kind === 'committed') expect(committed).toBe(writers.length);
    if (told.kind === 'aborted') expect(committed).toBe(0);
    if (told.kind === 'unknown') expect(told.error.code).toBe('08007');
    // Every connection is out of its transaction when the answer is given.
    if (told.kind === 'committed') expect(quietOpen).toBe(0);
    // I9: what is not frozen by the log is not driven for ever.
    const frozen = world.logged > 0 && world.plan.log.startsWith('fails');
    if (!world.isDead) expect(stillDriven).toBe(frozen);
  }
  // I16: with one writer at most, nothing is prepared and nothing logged.
  if (writers.length < 2) expect([world.prepared, world.logged]).toEqual([0, 0]);
}

describe('the coordinator under any schedule, with faults and a crash anywhere', () => {
  it('keeps I1–I6, I9 and I16 for up to four participants', async () => {
    await fc.assert(fc.asyncProperty(fc.scheduler(), plans, live), { numRuns: 3000 });
    // The premise: every kind of end was reached.
    for (const kind of ['committed', 'aborted', 'unknown', 'crashed, record none', 'crashed, record committed']) {
      expect(reached.get(kind) ?? 0, kind).toBeGreaterThan(20);
    }
  });
});

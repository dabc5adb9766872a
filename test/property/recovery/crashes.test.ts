// Recovery is idempotent: killed anywhere inside itself, any number of times, it ends where an undisturbed one ends.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Killed, type Left, layOut, lefts, mortal, SHARDS } from '../../support/left-transactions.ts';
import { PretendWorld } from '../../support/pretend-world.ts';

interface Trouble {
  readonly down: readonly number[];
  readonly busy: number;
  readonly repliesToLose: number;
}

const troubles: fc.Arbitrary<Trouble> = fc.record({
  down: fc.uniqueArray(fc.nat(SHARDS - 1), { maxLength: SHARDS }),
  busy: fc.nat(2),
  repliesToLose: fc.nat(2),
});

function makeTrouble(world: PretendWorld, { down, busy, repliesToLose }: Trouble): void {
  for (const [index, shard] of world.shards.entries()) {
    shard.down = down.includes(index);
    shard.busy = busy;
    shard.repliesToLose = repliesToLose;
  }
}

async function passUntil(world: PretendWorld, at: number): Promise<boolean> {
  const process = mortal(at);
  const recovery = world.recovery({ controlPoint: process.step }, process.step);
  try {
    await recovery.firstPass();
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
  }
  return process.died();
}

/** Heals the world and lets recovery run to its end, then asks whether everything is whole. */
async function expectWhole(world: PretendWorld, all: readonly Left[]): Promise<void> {
  makeTrouble(world, { down: [], busy: 0, repliesToLose: 0 });
  await passUntil(world, Number.POSITIVE_INFINITY);
  for (const [at, { decided }] of all.entries()) {
    const laidOut = world.transactions[at];
    if (laidOut === undefined) continue;
    expect(world.lives(laidOut)).toMatch(decided ? /^c+$/ : /^a+$/);
    if (decided) expect(world.log.ended.has(laidOut.key)).toBe(true);
  }
}

describe('recovery killed inside itself', () => {
  it('I8: ends whole whatever was left, wherever and however often it was killed, whatever the shards do meanwhile', async () => {
    const kills = fc.array(fc.tuple(fc.nat(60), troubles), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.array(lefts, { minLength: 1, maxLength: 4 }), kills, async (all, deaths) => {
        const world = new PretendWorld(SHARDS);
        layOut(world, all);
        for (const [at, trouble] of deaths) {
          makeTrouble(world, trouble);
          await passUntil(world, at);
        }
        await expectWhole(world, all);
      }),
      { numRuns: 300 },
    );
  });

  it('I8: every single step is tried as the last one, and every step of the pass after it', async () => {
    const all: Left[] = [
      { decided: true, lives: ['prepared', 'prepared', 'committed'] },
      { decided: false, lives: ['prepared', 'working', 'prepared'] },
    ];
    let deaths = 0;
    for (let first = 0, died = true; died; first += 1) {
      for (let second = 0, again = true; again; second += 3) {
        const world = new PretendWorld(SHARDS);
        layOut(world, all);
        died = await passUntil(world, first);
        again = await passUntil(world, second);
        deaths += Number(died) + Number(again);
        await expectWhole(world, all);
      }
    }
    expect(deaths).toBeGreaterThan(100);
  });

  it('a second pass over a whole world does nothing at all', async () => {
    const world = new PretendWorld(SHARDS);
    layOut(world, [{ decided: true, lives: ['prepared', 'committed'] }]);
    await passUntil(world, Number.POSITIVE_INFINITY);
    const before = world.shards.map(({ resolves }) => resolves);
    const report = await world.recovery().firstPass();
    expect(report).toMatchObject({ foundInDoubt: 0, committed: 0, rolledBack: 0, confirmed: 0, waiting: 0 });
    expect(world.shards.map(({ resolves }) => resolves)).toEqual(before);
  });
});

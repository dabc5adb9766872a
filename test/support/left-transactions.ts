// What a crash of the coordinator leaves on the shards, drawn at random, and processes that die at a given step.
import fc from 'fast-check';
import type { BranchLife, Step } from './pretend-shard.ts';
import type { PretendWorld } from './pretend-world.ts';

/** How many shards the drawn transactions spread over. */
export const SHARDS = 3;

export class Killed extends Error {}

/** A process that dies at its `at`-th step; after that nothing of it has any effect. */
export function mortal(at: number): { readonly step: Step; readonly died: () => boolean } {
  let steps = 0;
  return {
    step: () => {
      steps += 1;
      if (steps > at) throw new Killed();
    },
    died: () => steps > at,
  };
}

/** What a crash of the coordinator can leave of one transaction. */
export interface Left {
  readonly decided: boolean;
  readonly lives: readonly BranchLife[];
}

export const lefts: fc.Arbitrary<Left> = fc.boolean().chain((decided) =>
  fc.record({
    decided: fc.constant(decided),
    // Decided: every branch was prepared, some may have committed. Undecided: any stage up to prepared.
    lives: fc.array(
      decided
        ? fc.constantFrom<BranchLife>('prepared', 'committed')
        : fc.constantFrom<BranchLife>('working', 'prepared', 'aborted'),
      { minLength: 2, maxLength: SHARDS },
    ),
  }),
);

/** Lays them out, each beginning one shard further than the one before. */
export function layOut(world: PretendWorld, all: readonly Left[]): void {
  for (const [at, { decided, lives }] of all.entries()) {
    world.layOut(new Map(lives.map((life, index) => [(index + at) % SHARDS, life])), { decided });
  }
}

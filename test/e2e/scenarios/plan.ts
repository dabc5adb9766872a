// Which scenarios a run takes, in which order: drawn from the seed, every kind once before any comes again; pure.
import type { Random } from '../../support/random.ts';
import type { Need, Scenario } from './scenario.ts';

export interface PlanOptions {
  /** Rounds are added until the scenarios promise so many kills, and every kind was taken once. */
  readonly kills: number;
  /** What this run's ground has. */
  readonly has: readonly Need[];
}

export const possible = (scenarios: readonly Scenario[], has: readonly Need[]): Scenario[] =>
  scenarios.filter(({ needs }) => needs.every((need) => has.includes(need)));

export function planRounds(scenarios: readonly Scenario[], random: Random, { kills, has }: PlanOptions): Scenario[] {
  const kinds = [...Map.groupBy(possible(scenarios, has), ({ kind }) => kind).values()];
  if (kinds.length === 0) return [];
  const plan: Scenario[] = [];
  let taken: Scenario[] = [];
  let promised = 0;
  for (let cycle = 0; cycle === 0 || promised < kills; cycle += 1) {
    for (const kind of shuffled(random, kinds)) {
      if (cycle > 0 && promised >= kills) break;
      // All of a kind have their turn before one has its second.
      if (kind.every((scenario) => taken.includes(scenario)))
        taken = taken.filter((scenario) => !kind.includes(scenario));
      const scenario = random.pick(kind.filter((each) => !taken.includes(each)));
      taken.push(scenario);
      plan.push(scenario);
      promised += scenario.kills;
    }
  }
  return plan;
}

function shuffled<Item>(random: Random, items: readonly Item[]): Item[] {
  const left = [...items];
  return Array.from(items, () => left.splice(random.between(0, left.length - 1), 1)).flat();
}

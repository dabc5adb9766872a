// The options of an end-to-end run, from the command line or, under vitest, from the environment.
import { Random } from '../support/random.ts';
import { SCENARIOS } from './scenarios/all.ts';
import { planRounds, possible } from './scenarios/plan.ts';
import type { Need, Scenario } from './scenarios/scenario.ts';

export interface RunOptions {
  readonly seed: number;
  /** At least so many processes, pods, nodes and volumes are taken away. */
  readonly kills: number;
  /** Only these, once each in the given order; empty: a plan drawn from the seed. */
  readonly scenarios: readonly string[];
  /** Nodes and the API server are left alone. */
  readonly gentle: boolean;
}

/** Enough to have every kind of scenario once. */
export const KILLS_DEFAULT = 15;

export function optionsFromEnv(env: Readonly<Record<string, string | undefined>>): RunOptions {
  return {
    seed: Number(env.E2E_SEED ?? Random.freshSeed()),
    kills: Number(env.E2E_KILLS ?? KILLS_DEFAULT),
    scenarios: (env.E2E_SCENARIO ?? '').split(',').filter((name) => name !== ''),
    gentle: env.E2E_GENTLE !== undefined,
  };
}

export function needsMet(canBreak: boolean, { gentle }: Pick<RunOptions, 'gentle'>): Need[] {
  return canBreak && !gentle ? ['operator', 'nodes'] : ['operator'];
}

/** The rounds of a run. Throws for a scenario that does not exist, or that this ground has not got what it needs for. */
export function roundsOf({ seed, kills, scenarios }: RunOptions, has: readonly Need[]): Scenario[] {
  if (scenarios.length === 0) return planRounds(SCENARIOS, new Random(seed).fork(2_000), { kills, has });
  const here = possible(SCENARIOS, has);
  return scenarios.map((name) => {
    const found = here.find((scenario) => scenario.name === name);
    if (found !== undefined) return found;
    const exists = SCENARIOS.some((scenario) => scenario.name === name);
    throw new Error(exists ? `${name} needs nodes that may be broken` : `no scenario ${name}; --list shows all`);
  });
}

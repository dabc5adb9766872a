// One round: break something under load, wait for health, stop the load, compare everything, and say what was wrong.

import { describeVerdict } from '../../support/judge.ts';
import type { Reckoning, RunFindings } from '../load/reckoning.ts';
import type { Fault, Ground, Scenario } from '../scenarios/scenario.ts';
import { cluesSince } from './clues.ts';
import { logDisagreement, loggedCommits, statusDisagreement } from './told.ts';

/** Issue 6: nothing of ours is prepared this long after health. */
const RESOLVED_AFTER_HEALTH_MS = 60_000;
const HEALTH_TIMEOUT_MS = 180_000;
/** What runs before a fault and after health, so that there is something to hit and something to compare. */
const LOAD_BEFORE_MS = 1_500;
const LOAD_AFTER_MS = 500;

export interface RoundResult {
  readonly scenario: Scenario;
  readonly faults: readonly Fault[];
  /** From the first fault to health. */
  readonly healthyAfterMs: number | undefined;
  readonly reckoning: Reckoning | undefined;
  /** In words; none when the round is sound. */
  readonly violations: readonly string[];
  readonly tookMs: number;
  /** What everybody said meanwhile, when it is not sound. */
  readonly clues?: string;
}

/** Runs one scenario to its end. Never rejects: what goes wrong is a violation. */
export async function runRound(ground: Ground, scenario: Scenario): Promise<RoundResult> {
  const { system, load } = ground;
  const beganMs = Date.now();
  const violations: string[] = [];
  let faults: readonly Fault[] = [];
  let healthyAfterMs: number | undefined;
  let reckoning: Reckoning | undefined;
  let isBroken = false;
  try {
    await system.untilHealthy(HEALTH_TIMEOUT_MS);
    await system.untilOperatorReady();
    await system.rest(LOAD_BEFORE_MS);
    faults = await scenario.run(ground);
    const first = Math.min(...faults.map(({ atMs }) => atMs));
    const healthyAtMs = await system.untilHealthy(scenario.healthTimeoutMs ?? HEALTH_TIMEOUT_MS);
    healthyAfterMs = healthyAtMs - first;
    await system.rest(LOAD_AFTER_MS);
    reckoning = await load.reckon(faults.map(({ atMs, instances }) => ({ atMs, instances })));
    violations.push(...violationsIn(scenario, faults, healthyAtMs, reckoning));
    violations.push(...(await disagreements(ground, scenario, faults, reckoning)));
    violations.push(...((await scenario.check?.(ground, reckoning)) ?? []));
  } catch (error) {
    violations.push(error instanceof Error ? describeError(error) : String(error));
    isBroken = true;
  }
  const clues = violations.length === 0 ? {} : { clues: await cluesSince(system, beganMs) };
  if (isBroken) await system.withdrawOrders().catch(() => undefined);
  return { scenario, faults, healthyAfterMs, reckoning, violations, tookMs: Date.now() - beganMs, ...clues };
}

/** Compares what became of the transactions with each dead proxy's log, and with the status where one recovery was the last. */
export async function disagreements(
  { system }: Ground,
  scenario: Pick<Scenario, 'losesLog' | 'losesStatus'>,
  faults: readonly Fault[],
  reckoning: Reckoning,
): Promise<string[]> {
  const wrong: string[] = [];
  if (scenario.losesLog !== true)
    for (const run of runsOf(reckoning)) {
      const pod = `${system.cluster}-${run.instance}`;
      wrong.push(...logDisagreement(run, await loggedCommits(system, pod)));
    }
  const at = faults.findLastIndex(({ instances }) => instances.length > 0);
  const [run, ...others] = reckoning.faults[at]?.runs ?? [];
  const single = others.length === 0 && (faults[at]?.byHand ?? 0) === 0;
  const comparable = run !== undefined && single && Object.keys(run.ends).length > 0;
  if (comparable && scenario.losesStatus !== true)
    wrong.push(...(await statusDisagreement(system, run, faults[at]?.atMs ?? 0)));
  return wrong;
}

const describeError = (error: Error): string =>
  error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;

export const runsOf = (reckoning: Reckoning | undefined): RunFindings[] =>
  (reckoning?.faults ?? []).flatMap(({ runs }) => runs);

/** What a reckoning says that must not be; pure. */
export function violationsIn(
  scenario: Pick<Scenario, 'leavesDoubt'>,
  faults: readonly Pick<Fault, 'atMs'>[],
  healthyAtMs: number,
  reckoning: Reckoning,
): string[] {
  const { verdict, paused, drained, hangs } = reckoning;
  const runs = runsOf(reckoning);
  const wrong: string[] = [];
  if (!paused) wrong.push('clients had no answer after the load was told to pause');
  if (!drained) wrong.push(`still prepared after health: ${verdict.preparedLeft.join(', ')}`);
  if (!verdict.sound) wrong.push(describeVerdict(verdict));
  if (hangs > 0) wrong.push(`${hangs} statements were never answered`);
  for (const { counts, ends } of runs)
    for (const end of ['mixed', 'left'] as const)
      if (counts[end] > 0) {
        const which = Object.entries(ends).flatMap(([id, its]) => (its === end ? [id] : []));
        wrong.push(`${end}: ${which.join(', ')}`);
      }
  reckoning.faults.forEach((fault, index) => {
    const atMs = faults[index]?.atMs ?? healthyAtMs;
    for (const { instance, resolvedAfterMs = 0 } of fault.runs)
      if (atMs + resolvedAfterMs > healthyAtMs + RESOLVED_AFTER_HEALTH_MS)
        wrong.push(`${instance}: in doubt until ${atMs + resolvedAfterMs - healthyAtMs} ms after health`);
  });
  const found = runs.reduce((sum, { ends }) => sum + Object.keys(ends).length, 0);
  if (scenario.leavesDoubt && found === 0) wrong.push('nothing was found in doubt, so it proved nothing');
  return wrong;
}

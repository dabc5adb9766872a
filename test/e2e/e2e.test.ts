// The end-to-end run as tests, one per round, so that each is counted: `E2E_SEED`, `E2E_KILLS`, `E2E_SCENARIO` as the flags of `npm run e2e`.
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { foldersFrom } from '../cluster/harness/folders.ts';
import { openRecorded } from '../cluster/harness/open.ts';
import { silentReport, stderrReport } from '../cluster/harness/report.ts';
import { noCluster } from '../cluster/test-cluster.ts';
import { type OpenGround, openGround } from './harness/ground.ts';
import { renderNumbers } from './harness/numbers.ts';
import { type RoundResult, runRound } from './harness/round.ts';
import { renderTable } from './harness/table.ts';
import { needsMet, optionsFromEnv, roundsOf } from './options.ts';

const options = optionsFromEnv(process.env);
const provided = inject('cluster');
const folders = foldersFrom(process.env);
const cluster = 'missing' in provided ? undefined : await openRecorded(folders, provided.name, silentReport);
const plan = roundsOf(options, needsMet(cluster?.canBreak ?? false, options)).map((scenario, index) => ({
  scenario,
  round: index + 1,
  title: scenario.title,
}));

describe.skipIf(noCluster)(`a sharded cluster that is broken under load (seed ${options.seed})`, () => {
  const closing = new AsyncDisposableStack();
  let ground: OpenGround;
  const rounds: RoundResult[] = [];

  beforeAll(async () => {
    if (cluster === undefined) throw new Error('the cluster is gone');
    const imagesFrom = process.env.ATOMSHARD_IMAGES_FROM;
    const { seed } = options;
    ground = await openGround({ cluster, folders, seed, report: stderrReport(), imagesFrom, closing });
  }, 900_000);

  afterAll(async () => {
    console.info(`seed ${options.seed}\n${renderTable(rounds)}\n\n${renderNumbers(rounds)}`);
    await closing.disposeAsync();
  });

  it.each(plan)('round $round: $title', async ({ scenario }) => {
    const round = await runRound(ground, scenario);
    rounds.push(round);
    if (round.clues !== undefined) console.info(round.clues);
    expect(round.violations, `seed ${options.seed}: ${round.faults.map(({ what }) => what).join('; ')}`).toEqual([]);
  });

  it('proves its premise: as many kills as wanted, transactions found in doubt, and both decisions taken', () => {
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    const runs = rounds.flatMap(({ reckoning }) => reckoning?.faults.flatMap((fault) => fault.runs) ?? []);
    const kills = sum(rounds.flatMap(({ faults }) => faults.map((fault) => fault.kills)));
    if (options.scenarios.length > 0) return;
    expect(kills).toBeGreaterThanOrEqual(options.kills);
    expect(sum(runs.map(({ counts }) => counts.committed))).toBeGreaterThan(0);
    expect(sum(runs.map(({ counts }) => counts.rolledBack))).toBeGreaterThan(0);
  });
});

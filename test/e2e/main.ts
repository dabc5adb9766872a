#!/usr/bin/env node
// `npm run e2e`: breaks a sharded cluster on a real Kubernetes under load, again and again, and compares rows with what clients were told.
import { Command } from 'commander';
import type { Cluster } from '../cluster/harness/cluster.ts';
import { foldersFrom } from '../cluster/harness/folders.ts';
import { DEFAULT_NAME } from '../cluster/harness/open.ts';
import { type Report, stderrReport } from '../cluster/harness/report.ts';
import { Random } from '../support/random.ts';
import { openE2eCluster } from './harness/cluster.ts';
import { openGround } from './harness/ground.ts';
import { cleanWhenInterrupted } from './harness/interruption.ts';
import { renderNumbers } from './harness/numbers.ts';
import { type RoundResult, runRound } from './harness/round.ts';
import { renderTable } from './harness/table.ts';
import { KILLS_DEFAULT, needsMet, type RunOptions, roundsOf } from './options.ts';
import { SCENARIOS } from './scenarios/all.ts';

interface Flags {
  readonly kills: number;
  readonly seed?: number;
  readonly scenario?: readonly string[];
  readonly gentle?: true;
  readonly keep?: true;
  readonly list?: true;
  readonly name: string;
  readonly kubeconfig?: string;
}

const folders = foldersFrom(process.env);

function describeRound({ scenario, faults, reckoning, healthyAfterMs, violations }: RoundResult): string {
  const found = (reckoning?.faults ?? []).flatMap(({ runs }) => runs);
  const sum = (part: 'committed' | 'rolledBack') => found.reduce((total, { counts }) => total + counts[part], 0);
  const what = faults.map((fault) => fault.what).join('; ');
  const ends = `${sum('committed')} committed, ${sum('rolledBack')} rolled back`;
  const verdict = violations.length === 0 ? 'sound' : `WRONG: ${violations.join('\n            ')}`;
  return `${scenario.name}: ${what}; in doubt: ${ends}; healthy after ${healthyAfterMs} ms; ${verdict}`;
}

async function play(
  options: RunOptions,
  cluster: Cluster,
  keep: boolean,
  report: Report,
  closing: AsyncDisposableStack,
): Promise<RoundResult[]> {
  const plan = roundsOf(options, needsMet(cluster.canBreak, options));
  report.say(`seed ${options.seed}; ${plan.length} rounds: ${plan.map(({ name }) => name).join(' ')}`);
  const imagesFrom = process.env.ATOMSHARD_IMAGES_FROM;
  const ground = await openGround({ cluster, folders, seed: options.seed, report, imagesFrom, keep, closing });
  const rounds: RoundResult[] = [];
  for (const scenario of plan) {
    const round = await runRound(ground, scenario);
    report.step(describeRound(round));
    if (round.clues !== undefined) report.say(round.clues);
    rounds.push(round);
  }
  return rounds;
}

async function main(flags: Flags): Promise<number> {
  if (flags.list === true) {
    for (const { name, title } of SCENARIOS) process.stdout.write(`${name.padEnd(36)} ${title}\n`);
    return 0;
  }
  const { kills, seed = Random.freshSeed(), scenario: scenarios = [], gentle = false, keep = false } = flags;
  const report = stderrReport();
  const { name, kubeconfig } = flags;
  await using closing = new AsyncDisposableStack();
  closing.defer(cleanWhenInterrupted(() => closing.disposeAsync()));
  const cluster = await openE2eCluster(folders, { name, kubeconfig, keep }, report, closing);
  const rounds = await play({ seed, kills, scenarios, gentle }, cluster, keep, report, closing);
  process.stdout.write(`\n${renderTable(rounds)}\n\n${renderNumbers(rounds)}\n\n`);
  const wrong = rounds.filter(({ violations }) => violations.length > 0);
  for (const round of wrong) process.stdout.write(`${describeRound(round)}\n`);
  process.stdout.write(wrong.length === 0 ? `Every figure is right (seed ${seed}).\n` : `WRONG, seed ${seed}.\n`);
  return wrong.length === 0 ? 0 : 1;
}

const program = new Command('e2e')
  .description(
    'Breaks a sharded cluster on a real Kubernetes under load and compares rows with what clients were told.',
  )
  .option(
    '--kills <n>',
    'go on until so many processes, pods, nodes and volumes were taken away',
    Number,
    KILLS_DEFAULT,
  )
  .option('--seed <n>', 'draw the same scenarios in the same order again', Number)
  .option('--scenario <name...>', 'only these, in this order')
  .option('--gentle', 'leave nodes and the API server alone')
  .option('--keep', 'leave the namespace, and the cluster if it was made for this')
  .option('--list', 'name all scenarios')
  .option('--name <name>', 'which test cluster', process.env.ATOMSHARD_CLUSTER ?? DEFAULT_NAME)
  .option('--kubeconfig <file>', 'use the cluster of this file instead of making one')
  .addHelpText('after', '\nExit code 1 when a single figure is wrong.')
  .action(async (flags: Flags) => {
    process.exitCode = await main(flags);
  });

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`e2e: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
}

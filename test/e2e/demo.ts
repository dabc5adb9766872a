#!/usr/bin/env node
// `npm run demo:k8s`: from nothing to a ShardedCluster under load, a proxy killed in the middle of a commit, and its recovery as kubectl shows it.
//
// Everything is real. The proxies run the image of the end-to-end tests, which is the product with named places where it can
// be stopped: so the kill hits a transaction that is decided and committed on some of its shards only, every time.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Command } from 'commander';
import { foldersFrom } from '../cluster/harness/folders.ts';
import type { Kubectl } from '../cluster/harness/kubectl.ts';
import { DEFAULT_NAME } from '../cluster/harness/open.ts';
import { type Report, reportTo } from '../cluster/harness/report.ts';
import { Random } from '../support/random.ts';
import { openE2eCluster } from './harness/cluster.ts';
import { type OpenGround, openGround } from './harness/ground.ts';
import { cleanWhenInterrupted } from './harness/interruption.ts';
import { preparedOn } from './harness/prepared.ts';
import { disagreements, violationsIn } from './harness/round.ts';
import type { Reckoning, RunFindings } from './load/reckoning.ts';
import type { Fault } from './scenarios/scenario.ts';
import { HALF_COMMITTED, holdOne } from './scenarios/stops.ts';

interface Flags {
  readonly seed?: number;
  readonly name: string;
  readonly kubeconfig?: string;
  readonly keep?: true;
}

/** Prints what a kubectl that never ends says, until it is killed; a line that only grew older is left out. */
function follow(kubectl: Kubectl, report: Report, title: string, args: readonly string[]): ChildProcess {
  const [program = '', ...rest] = kubectl.argv(args);
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'ignore'] });
  let last = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    const content = line.replace(/\s+\S+$/, '');
    if (content !== last) report.step(`${title} │ ${line}`);
    last = content;
  });
  return child;
}

const EVENT_COLUMNS = 'custom-columns=TYPE:.type,REASON:.reason,NOTE:.note';
const ABOUT_CLUSTER = ['--field-selector', 'regarding.kind=ShardedCluster'];

function followCluster(kubectl: Kubectl, report: Report): ChildProcess[] {
  return [
    follow(kubectl, report, 'shcl', ['get', 'shcl', '-w']),
    follow(kubectl, report, 'event', [
      ...['get', 'events.v1.events.k8s.io', '-w', '--no-headers', '-o', EVENT_COLUMNS],
      ...ABOUT_CLUSTER,
    ]),
  ];
}

/** Stops a transaction between its second COMMIT PREPARED and the rest, and deletes the proxy's pod by force. */
async function killInCommit(ground: OpenGround, report: Report): Promise<Fault> {
  const { system } = ground;
  const proxy = ground.random.between(0, system.proxies - 1);
  const [pod, instance] = [system.proxyPod(proxy), system.instance(proxy)];
  report.step('a transaction is stopped: its decision is in the log, and not all of its shards have committed');
  await holdOne(ground, proxy, HALF_COMMITTED);
  const shards = await preparedOn(ground, instance);
  report.step(`pg_prepared_xacts has it on ${shards.map((shard) => `shard-${shard}`).join(', ')}`);
  const uid = (await system.pod(pod))?.metadata.uid;
  report.step(`kubectl delete pod ${pod} --force`);
  const atMs = await system.deletePod(pod);
  await system.untilReplaced(pod, uid);
  return { what: `${pod} deleted by force`, atMs, kills: 1, instances: [instance], measures: 'proxy-death' };
}

function table(reckoning: Reckoning, run: RunFindings | undefined, healthyAfterMs: number): string {
  const { verdict, told, faults } = reckoning;
  const number = (value: number) => value.toLocaleString('en-US');
  const ms = (value: number | undefined) => (value === undefined ? '-' : `${number(value)} ms`);
  const rows: readonly (readonly [string, string])[] = [
    ['transfers acknowledged', number(told.acknowledged)],
    ['  of all transfers, with rows on 2 shards or more', number(verdict.acrossShards)],
    ['refused / unknown to the client', `${number(told.refused)} / ${number(told.unknown)}`],
    ['transactions found in doubt', number(Object.keys(run?.ends ?? {}).length)],
    ['  committed / rolled back by recovery', `${run?.counts.committed} / ${run?.counts.rolledBack}`],
    ['from the kill to the last of them resolved', ms(run?.resolvedAfterMs)],
    ['from the kill to a healthy cluster', ms(healthyAfterMs)],
    ['longest pause of a client', ms(faults[0]?.pauses?.worstMs)],
    ['sum of all balances before / after', `${number(verdict.sumBefore)} / ${number(verdict.sumAfter)}`],
    ['acknowledged but missing', number(verdict.acknowledgedMissing.length)],
    ['refused but present', number(verdict.refusedPresent.length)],
    ['on some shards only (torn)', number(verdict.torn.length + (run?.counts.mixed ?? 0))],
    ['still prepared', number(verdict.preparedLeft.length)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value.padStart(14)}`).join('\n');
}

async function play(ground: OpenGround, report: Report): Promise<boolean> {
  const { system, load } = ground;
  await system.rest(5_000);
  const fault = await killInCommit(ground, report);
  const healthyAtMs = await system.untilHealthy(180_000);
  report.step('the cluster is healthy again; the load goes on for a moment');
  await system.rest(3_000);
  report.step('the load is paused; every shard is read directly and compared with what the clients were told');
  const reckoning = await load.reckon([fault]);
  const violations = [
    ...violationsIn({ leavesDoubt: true }, [fault], healthyAtMs, reckoning),
    ...(await disagreements(ground, {}, [fault], reckoning)),
  ];
  const [run] = reckoning.faults[0]?.runs ?? [];
  console.log(`\n${table(reckoning, run, healthyAtMs - fault.atMs)}\n`);
  console.log(violations.length === 0 ? 'Every figure is right.' : `WRONG:\n${violations.join('\n')}`);
  return violations.length === 0;
}

async function main(flags: Flags): Promise<number> {
  const { seed = Random.freshSeed(), name, keep = false } = flags;
  const report = reportTo((text) => process.stdout.write(text));
  const folders = foldersFrom(process.env);
  await using closing = new AsyncDisposableStack();
  closing.defer(cleanWhenInterrupted(() => closing.disposeAsync()));
  const choice = { name, kubeconfig: flags.kubeconfig, keep };
  const cluster = await openE2eCluster(folders, choice, report, closing);
  const followers: ChildProcess[] = [];
  const imagesFrom = process.env.ATOMSHARD_IMAGES_FROM;
  try {
    const onOperator = (kubectl: Kubectl) => followers.push(...followCluster(kubectl, report));
    const ground = await openGround({
      closing,
      cluster,
      folders,
      seed,
      report,
      imagesFrom,
      keep,
      purpose: 'demo',
      onOperator,
    });
    const right = await play(ground, report);
    for (const child of followers) child.kill();
    if (keep)
      report.say(`kept: kubectl --kubeconfig ${cluster.record.kubeconfig} -n ${ground.namespace.name} get shcl,pods`);
    return right ? 0 : 1;
  } finally {
    for (const child of followers) child.kill();
  }
}

const program = new Command('demo:k8s')
  .description(
    'A ShardedCluster under load on a real Kubernetes, a proxy killed in the middle of a commit, and its recovery.',
  )
  .option('--seed <n>', 'draw the same transfers again', Number)
  .option('--keep', 'leave the namespace, and the cluster if it was made for this')
  .option('--name <name>', 'which test cluster', process.env.ATOMSHARD_CLUSTER ?? DEFAULT_NAME)
  .option('--kubeconfig <file>', 'use the cluster of this file instead of making one')
  .action(async (flags: Flags) => {
    process.exitCode = await main(flags);
  });

try {
  await program.parseAsync();
} catch (error) {
  console.error(`demo:k8s: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

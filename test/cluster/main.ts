#!/usr/bin/env node
// The cluster command: `npm run cluster -- up|down|status|env|images|load|node`. Parses, opens the cluster, does one thing.
import { Command, Option } from 'commander';
import type { Cluster } from './harness/cluster.ts';
import { foldersFrom } from './harness/folders.ts';
import { DEFAULT_NAME, findRecorded, openOrCreate, openRecorded, wayFor } from './harness/open.ts';
import { listRecords } from './harness/record.ts';
import { type Report, silentReport, stderrReport } from './harness/report.ts';
import { buildImages, isAvailable } from './images/catalogue.ts';
import { IMAGE_NAMES, type ImageName, imageNames } from './images/names.ts';

interface GlobalOptions {
  readonly name: string;
  readonly kubeconfig?: string;
  readonly way?: 'kind' | 'bare';
}

const folders = foldersFrom(process.env);
const program = new Command('cluster')
  .description('A real Kubernetes for tests: an existing one, kind, or one built from Go modules on this machine.')
  .option('--name <name>', 'which cluster; several live side by side', process.env.ATOMSHARD_CLUSTER ?? DEFAULT_NAME)
  .option('--kubeconfig <file>', 'use the cluster of this file instead of making one')
  .addOption(new Option('--way <way>', 'force one way').choices(['kind', 'bare']));

const options = (): GlobalOptions => program.opts<GlobalOptions>();
const shellLines = (cluster: Cluster): string =>
  `export KUBECONFIG=${cluster.record.kubeconfig}\nexport ATOMSHARD_CLUSTER=${cluster.record.name}\n`;

/** The cluster of `--name`, which must be on record. */
async function recorded(report: Report): Promise<Cluster> {
  const cluster = await openRecorded(folders, options().name, report);
  if (cluster === undefined) throw new Error(`no cluster ${options().name}; \`npm run cluster -- up\` makes one`);
  return cluster;
}

program
  .command('up')
  .description('make the cluster, or bring it back to health; does nothing when all is well')
  .option('--nodes <n>', 'how many nodes', Number, 1)
  .action(async ({ nodes }: { nodes: number }) => {
    const report = stderrReport();
    const { name, kubeconfig, way: only } = options();
    const way = await wayFor(folders, name, kubeconfig ?? process.env.KUBECONFIG, only);
    report.say(`cluster ${name}: ${way.kind}, because ${way.why}`);
    const cluster = await openOrCreate(folders, name, way, report);
    await cluster.up(nodes, report);
    process.stdout.write(shellLines(cluster));
  });

program
  .command('down')
  .description('remove the cluster and everything that it left on this machine')
  .option('--all', 'every cluster on record')
  .action(async ({ all }: { all?: true }) => {
    const report = stderrReport();
    const names = all === true ? listRecords(folders).map(({ name }) => name) : [options().name];
    for (const name of names) {
      const cluster = findRecorded(folders, name);
      if (cluster === undefined) report.say(`cluster ${name}: nothing to do`);
      else await cluster.down(report);
    }
  });

program
  .command('status')
  .description('what is on record and what lives of it')
  .action(async () => {
    for (const record of listRecords(folders)) {
      const cluster = await openRecorded(folders, record.name, silentReport);
      process.stdout.write(`cluster ${record.name} (${record.way}), KUBECONFIG=${record.kubeconfig}\n`);
      process.stdout.write(`${await cluster?.status()}\n`);
    }
  });

program
  .command('env')
  .description('lines for the shell: eval $(npm run -s cluster -- env)')
  .action(async () => {
    process.stdout.write(shellLines(await recorded(silentReport)));
  });

/** Those named, or all that this machine can build. */
const wanted = (names: readonly string[]): ImageName[] =>
  imageNames(names).filter((name) => names.length > 0 || isAvailable(name));

program
  .command('images')
  .description(`build images (${IMAGE_NAMES.join(', ')}) where their content changed, and print their references`)
  .argument('[names...]', 'which; all that this machine can build when none is named')
  .action(async (names: string[]) => {
    for (const image of await buildImages(wanted(names), folders, stderrReport())) {
      process.stdout.write(`${image.reference}\t${image.archive}\n`);
    }
  });

program
  .command('load')
  .description('build images where their content changed, and make them known to every node')
  .argument('[names...]', 'which; all that this machine can build when none is named')
  .action(async (names: string[]) => {
    const report = stderrReport();
    const cluster = await recorded(silentReport);
    const images = await buildImages(wanted(names), folders, report);
    await cluster.load(images);
    report.step(`on every node: ${images.map(({ reference }) => reference).join(' ')}`);
  });

program
  .command('node')
  .description('a node fails: stop (its power), cut (its network), start (both again)')
  .argument('<what>', 'stop, cut or start')
  .argument('<node>', 'its name in `kubectl get nodes`')
  .action(async (what: string, node: string) => {
    const cluster = await recorded(silentReport);
    if (what === 'stop') await cluster.stopNode(node);
    else if (what === 'cut') await cluster.cutNode(node);
    else if (what === 'start') await cluster.startNode(node);
    else throw new Error(`node ${what}: wanted stop, cut or start`);
  });

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`cluster: ${error instanceof Error ? error.message : String(error)}\n`);
  if (process.env.ATOMSHARD_CLUSTER_DEBUG !== undefined) process.stderr.write(`${String((error as Error).stack)}\n`);
  process.exitCode = 1;
}

#!/usr/bin/env node
// `kubectl atomshard`: what an on-call engineer needs of a ShardedCluster. Parses and prints; each command is a file beside this.
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { type FenceOptions, fence } from './fence.ts';
import { findCluster } from './find-cluster.ts';
import { Kubectl, type KubectlFlags } from './kubectl.ts';
import { EXIT, PluginError } from './plugin-error.ts';
import { type ResolveOptions, resolve } from './resolve.ts';
import { statusExitCode, statusLines } from './status.ts';
import { gatherPrepared, transactionLines } from './transactions.ts';
import { readWal } from './wal.ts';

/** Set where this is one file of its own, which has no package beside it. */
declare const BUNDLED_VERSION: string | undefined;

const version = typeof BUNDLED_VERSION === 'string' ? BUNDLED_VERSION : packageVersion();

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

function seconds(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('must be a whole number of seconds');
}

const EXIT_CODES = '\nExit codes: 0 done, 1 failed, 2 usage, 3 refused.';

const program = new Command('kubectl-atomshard')
  .description('Looks into a ShardedCluster and ends what only a person can end.')
  .version(version)
  // As kubectl's own, before or behind the command.
  .option('-n, --namespace <namespace>', 'where the ShardedCluster is')
  .option('--context <context>', 'context of the kubeconfig')
  .option('--kubeconfig <file>', 'the kubeconfig')
  .configureHelp({ showGlobalOptions: true })
  .showHelpAfterError('(add --help for what is possible)')
  .exitOverride();

const kubectl = (): Kubectl => new Kubectl(program.opts<KubectlFlags>());

program
  .command('status [cluster]')
  .description('shards, proxies, the last recovery, and every condition that is not as it should be')
  .option('-o, --output <format>', 'json: the status as it is')
  .addHelpText('after', '\nExit codes: 0 it serves and every transaction has ended, 1 not so.')
  .action(async (name: string | undefined, options: { output?: string }) => {
    const cluster = await findCluster(kubectl(), name);
    if (options.output === 'json') say(JSON.stringify(cluster.status ?? {}, null, 2));
    else for (const line of statusLines(cluster, Date.now())) say(line);
    process.exitCode = statusExitCode(cluster);
  });

program
  .command('transactions [cluster]')
  .description('transactions that are prepared now, oldest first, and why they are held')
  .option('-o, --output <format>', 'json')
  .action(async (name: string | undefined, options: { output?: string }) => {
    const cluster = await findCluster(kubectl(), name);
    const view = await gatherPrepared(kubectl(), cluster);
    if (options.output === 'json') say(JSON.stringify(view, null, 2));
    else for (const line of transactionLines(view, cluster)) say(line);
  });

program
  .command('resolve <transaction>')
  .description('end a held transaction by hand; the operator checks the evidence and tells who did it')
  .option('--commit', 'commit it wherever it is prepared')
  .option('--abort', 'roll it back wherever it is prepared')
  .requiredOption('--reason <text>', 'why; it stands in the Event')
  .option('--force', 'even against what the evidence proves: this breaks atomicity')
  .option('--yes', 'do not ask')
  .option('--timeout <seconds>', 'how long to wait for the operator', seconds, 180)
  .addHelpText('after', EXIT_CODES)
  .action(async (transaction: string, options: ResolveOptions) => {
    process.exitCode = await resolve(kubectl(), transaction, options, say);
  });

program
  .command('fence <proxy> [cluster]')
  .description('a proxy that is away will not come back: recover for it now, without its grace period')
  .option('--yes', 'do not ask')
  .option('--timeout <seconds>', 'how long to wait until it is over', seconds, 180)
  .addHelpText('after', EXIT_CODES)
  .action(async (proxy: string, name: string | undefined, options: FenceOptions) => {
    process.exitCode = await fence(kubectl(), await findCluster(kubectl(), name), proxy, options, say);
  });

const wal = program.command('wal').description("a proxy's write-ahead log, whether or not the proxy runs");

for (const what of ['dump', 'verify'] as const) {
  wal
    .command(`${what} <proxy> [cluster]`)
    .description(what === 'dump' ? 'print every record' : 'check every record')
    .option('--json', 'one JSON object a line (dump)')
    .option('--image <image>', 'image to read with, when there is no pod to tell it')
    .addHelpText('after', '\nExit codes of verify: 0 whole, 1 damaged, 2 empty, 3 not readable.')
    .action(async (proxy: string, name: string | undefined, options: { json?: boolean; image?: string }) => {
      process.exitCode = await readWal(kubectl(), await findCluster(kubectl(), name), proxy, what, options);
    });
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof PluginError) {
    process.stderr.write(`kubectl atomshard: ${error.message}\n`);
    process.exitCode = error.exitCode;
  } else if (error instanceof Error && 'exitCode' in error) {
    // Commander has said it.
    process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  } else {
    throw error;
  }
}

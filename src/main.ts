#!/usr/bin/env node
// The command line: parses, builds, runs; no logic. Each command loads only what it needs.
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import type { OperatorFlags } from './operator/settings.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(`must be a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

function transactionKeys(text: string): string[] {
  const keys = text.split(',').filter((key) => key !== '');
  const wrong = keys.find((key) => !/^\d{1,15}\.\d{1,15}$/.test(key));
  if (wrong !== undefined) throw new InvalidArgumentError(`"${wrong}" is not <epoch>.<seq>`);
  return keys;
}

/** Ends the process when all that was printed is with whoever reads it: what a slow pipe has not taken yet would be lost. */
async function leave(code: number): Promise<never> {
  // A reader that went away (`| head`) is no reason to stay.
  process.stdout.on('error', () => process.exit(code));
  await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
  process.exit(code);
}

const program = new Command('atomshard')
  .description('Sharded PostgreSQL whose cross-shard transactions are atomic and stay atomic through every crash.')
  .version(version)
  .showHelpAfterError('(add --help for what is possible)');

program
  .command('proxy')
  .description('run the proxy in front of shards that already exist')
  .requiredOption('--config <file>', 'configuration, YAML (see docs/CONFIGURATION.md)')
  .option('--instance <name>', 'name of this proxy; stands above the configuration')
  .addHelpText(
    'after',
    '\nExit codes: 0 stopped, 1 unexpected, 2 configuration, 3 log locked or damaged, 4 log failed while running.',
  )
  .action(async ({ config, instance }: { config: string; instance?: string }) => {
    const { runProxy } = await import('./proxy/run.ts');
    process.exit(await runProxy(config, instance === undefined ? {} : { instance }));
  });

program
  .command('operator')
  .description('run the Kubernetes operator: makes and keeps what ShardedClusters ask for')
  .option('--namespaces <list>', 'namespaces to watch, with commas between them; without it, all')
  .option('--image <image>', 'image of proxies that name none (default: $ATOMSHARD_IMAGE, else of the own Pod)')
  .option(
    '--http-port <port>',
    'port of /livez, /readyz and /metrics; 0 takes a free one',
    wholeNumber(0, 65_535),
    8080,
  )
  .option('--no-leader-election', 'lead without asking, for one that surely is alone')
  .option('--lease-name <name>', 'name of the Lease by which one of several leads', 'atomshard-operator')
  .option('--lease-namespace <namespace>', 'where that Lease is (default: the namespace of the own Pod)')
  .option('--log-level <level>', 'debug, info, warn, error or silent', 'info')
  .option('--workers <n>', 'clusters that are reconciled at a time', wholeNumber(1, 64), 4)
  .option('--resync <duration>', 'after this time everything is looked at again, e.g. 30m', '10h')
  .option('--kubeconfig <file>', 'access to Kubernetes outside a Pod (default: $KUBECONFIG)')
  .option('--context <name>', 'context of that file; without it, the current one')
  .addHelpText('after', '\nExit codes: 0 stopped, 1 unexpected, 2 flags or access, 3 lost the lead.')
  .action(async (flags: OperatorFlags) => {
    const { runOperator } = await import('./operator/run.ts');
    process.exit(await runOperator(flags, version));
  });

program
  .command('dev')
  .description('run PostgreSQL shards and the proxy on this machine; no container, no Kubernetes')
  .option('-f, --file <file>', 'a ShardedCluster document; flags override it')
  .option('--shards <n>', 'number of shards', wholeNumber(1, 64))
  .option('--postgres <major>', 'PostgreSQL major version', wholeNumber(14, 99))
  .option('--directory <dir>', 'where data is kept between runs', '.atomshard')
  .option('--port <port>', 'port of the proxy; 0 takes a free one', wholeNumber(0, 65_535))
  .action(async (options: DevFlags) => {
    const { runDev } = await import('./dev/dev.ts');
    process.exit(await runDev(options));
  });

interface DevFlags {
  readonly file?: string;
  readonly shards?: number;
  readonly postgres?: number;
  readonly directory: string;
  readonly port?: number;
}

const wal = program
  .command('wal')
  .description('look into a write-ahead log, or repair one; the first two change nothing');

wal
  .command('dump <directory>')
  .description('print every record; safe beside a running proxy')
  .option('--json', 'one JSON object a line')
  .action(async (directory: string, options: { json?: boolean }) => {
    const { walDump } = await import('./proxy/wal-commands.ts');
    await leave(await walDump(directory, options));
  });

wal
  .command('verify <directory>')
  .description('check every record; exit code 0 whole (a torn tail is), 1 damaged, 2 empty, 3 not readable')
  .action(async (directory: string) => {
    const { walVerify } = await import('./proxy/wal-commands.ts');
    await leave(await walVerify(directory));
  });

wal
  .command('repair <directory>')
  .description('cut what is not readable, after keeping a copy; asks first')
  .option('--yes', 'do not ask')
  .option('--lose-acknowledged', 'cut acknowledged records too, when no better copy of the log exists')
  .action(async (directory: string, options: { yes?: boolean; loseAcknowledged?: boolean }) => {
    const { walRepair } = await import('./proxy/wal-commands.ts');
    await leave(await walRepair(directory, options));
  });

wal
  .command('evidence <directory>')
  .description('what a stopped proxy decided, as JSON lines for the operator; locks the log while it reads')
  .option('--ids <list>', 'also the word about these transactions: <epoch>.<seq>,…', transactionKeys, [])
  .option('--wait-seconds <n>', 'how long to wait for the lock', wholeNumber(0, 3_600), 0)
  .addHelpText('after', '\nExit codes: 0 read, 3 locked by a process that lives, or not readable.')
  .action(async (directory: string, options: { ids: string[]; waitSeconds: number }) => {
    const { walEvidence } = await import('./proxy/wal-commands.ts');
    await leave(await walEvidence(directory, options));
  });

await program.parseAsync();

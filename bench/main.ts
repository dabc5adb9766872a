// `npm run bench -- wal|commit|route|memory|operator [--quick]`: JSON lines, the ratio first, every opponent in the same run.
import { Command } from 'commander';

const program = new Command('bench').description('Measures AtomShard beside its opponents; prints JSON lines.');
const add = (name: string, description: string, run: (options: { quick: boolean }) => Promise<void>) =>
  program
    .command(name)
    .description(description)
    .option('--quick', 'a bounded form for a look', false)
    .action(async (options: { quick: boolean }) => {
      await run(options);
      process.exit(0);
    });

add('wal', 'group commit and append rate against a bare write+fdatasync loop', async (options) =>
  (await import('./wal.ts')).benchWal(options),
);
add(
  'commit',
  'cross-shard commits against the same by hand; one-shard transactions with 2pc on and off',
  async (options) => (await import('./commit.ts')).benchCommit(options),
);
add('route', 'SELECT by key against PgBouncer and a direct connection', async (options) =>
  (await import('./route.ts')).benchRoute(options),
);
add('memory', 'RSS of the proxy idle, with 200 clients, and under load for ten minutes', async (options) =>
  (await import('./memory.ts')).benchMemory(options),
);
add('operator', 'on a real Kubernetes: create, edit, idle, and memory with twenty clusters', async (options) =>
  (await import('./operator.ts')).benchOperator(options),
);

await program.parseAsync();

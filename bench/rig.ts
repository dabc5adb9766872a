// What the benchmarks of the proxy share: shards that really sync, the proxy as a process of its own, CPU and memory figures.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import type { ProxyConfigInput } from '../src/proxy/config.ts';
import { type Shards, startShards } from '../test/support/postgres.ts';
import { COMMAND_LINE, ProxyProcess } from '../test/support/proxy-process.ts';

export const CLIENTS = 16;
export const ACCOUNTS = 10_000;

/** Shards with fsync on: a commit that is not durable is not the same work. */
export function startDurableShards(count: number): Promise<Shards> {
  return startShards(count, { fsync: true });
}

/** The directory of a benchmark's log: on a real disk, never tmpfs. */
export function logDirectory(name: string): string {
  const directory = path.resolve(import.meta.dirname, '../.atomshard/bench', name);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  return directory;
}

export function startBenchProxy(
  shards: Shards,
  name: string,
  overrides: Partial<ProxyConfigInput> = {},
): Promise<ProxyProcess> {
  const directory = logDirectory(name);
  return ProxyProcess.start({
    directory,
    entry: COMMAND_LINE,
    config: {
      listen: { host: '127.0.0.1', port: 0 },
      cluster: 'bench',
      database: 'app',
      wal: { directory: path.join(directory, 'wal') },
      authentication: { method: 'trust' },
      shards: shards.shards.map(({ name: shard, host, port }) => ({ name: shard, host, port, database: 'postgres' })),
      resolver: { user: 'postgres' },
      sharding: { tables: [{ name: 'accounts', key: 'id', type: 'bigint' }] },
      log: { level: 'error' },
      ...overrides,
    },
  });
}

/** Makes and fills `accounts` through the proxy, and the same rows in `accounts_all` on shard 0. */
export async function loadAccounts(shards: Shards, proxyPort: number): Promise<void> {
  const client = new pg.Client({ host: '127.0.0.1', port: proxyPort, user: 'postgres', database: 'app' });
  await client.connect();
  await client.query('CREATE TABLE IF NOT EXISTS accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)');
  for (let id = 1; id <= ACCOUNTS; id++)
    await client.query('INSERT INTO accounts (id, balance) VALUES ($1, 1000) ON CONFLICT DO NOTHING', [id]);
  await client.end();
  await shards.query(0, 'CREATE TABLE IF NOT EXISTS accounts_all (id bigint PRIMARY KEY, balance bigint NOT NULL)');
  await shards.query(
    0,
    `INSERT INTO accounts_all SELECT i, 1000 FROM generate_series(1, ${ACCOUNTS}) AS i ON CONFLICT DO NOTHING`,
  );
  await shards.exec('VACUUM ANALYZE');
}

/** User plus system CPU time of a process, milliseconds (from /proc, ticks of 10 ms). */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Resident memory of a process, MiB. */
export function rssMib(pid: number): number {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Math.round(Number(line?.[1] ?? 0) / 1024);
}

/** Runs `work` again and again on `workers` sides for `durationMs`; returns how often it finished per second. */
export async function perSecond(
  workers: number,
  durationMs: number,
  work: (worker: number) => Promise<void>,
): Promise<number> {
  const end = performance.now() + durationMs;
  let done = 0;
  const started = performance.now();
  await Promise.all(
    Array.from({ length: workers }, async (_, worker) => {
      while (performance.now() < end) {
        await work(worker);
        done++;
      }
    }),
  );
  return (done * 1000) / (performance.now() - started);
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
export const round = (value: number, digits = 2): number => Number(value.toFixed(digits));
export const print = (line: object): void => console.log(JSON.stringify(line));

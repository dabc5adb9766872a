// SELECT by key with pgbench: direct, through PgBouncer (transaction mode) where it is installed, and through the proxy over
// two shards. Rounds alternate; throughput and CPU per transaction of the middle process.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Shards } from '../test/support/postgres.ts';
import {
  ACCOUNTS,
  CLIENTS,
  cpuMs,
  loadAccounts,
  logDirectory,
  median,
  print,
  round,
  startBenchProxy,
  startDurableShards,
} from './rig.ts';

interface Target {
  readonly name: 'direct' | 'pgbouncer' | 'proxy';
  readonly port: number;
  readonly database: string;
  readonly table: string;
  readonly pid: number | undefined;
}

const found = (program: string): boolean => spawnSync('which', [program]).status === 0;

async function startPgBouncer(shards: Shards, directory: string): Promise<{ child: ChildProcess; port: number }> {
  const port = 16_432;
  const server = shards.shard(0);
  const config = path.join(directory, 'pgbouncer.ini');
  writeFileSync(
    config,
    `[databases]\napp = host=${server.host} port=${server.port} dbname=postgres user=postgres\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=${port}\nauth_type=any\npool_mode=transaction\ndefault_pool_size=20\nmax_client_conn=1000\n${preparedInPgBouncer() ? 'max_prepared_statements=100\n' : ''}unix_socket_dir=\nlogfile=/dev/null\n`,
  );
  chmodSync(directory, 0o755);
  chmodSync(config, 0o644);
  // PgBouncer refuses to run as root.
  const asNobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const child = spawn('pgbouncer', ['-q', config], { stdio: 'ignore', ...asNobody });
  await sleep(500);
  return { child, port };
}

async function pgbench(
  target: Target,
  mode: string,
  clients: number,
  seconds: number,
  script: string,
): Promise<{ tps: number; cpuUs: number }> {
  const before = target.pid === undefined ? 0 : cpuMs(target.pid);
  const child = spawn('pgbench', [
    '-n',
    '-M',
    mode,
    '-c',
    String(clients),
    '-j',
    '1',
    '-T',
    String(seconds),
    '-f',
    script,
    '-h',
    '127.0.0.1',
    '-p',
    String(target.port),
    '-U',
    'postgres',
    target.database,
  ]);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  await new Promise((resolve) => child.once('close', resolve));
  const tps = Number(/tps = ([\d.]+)/.exec(output)?.[1]);
  if (!(tps > 0)) throw new Error(`pgbench on ${target.name} failed:\n${output}`);
  const cpu = target.pid === undefined ? 0 : cpuMs(target.pid) - before;
  return { tps, cpuUs: (cpu * 1000) / (tps * seconds) };
}

export async function benchRoute({ quick }: { quick: boolean }): Promise<void> {
  if (!found('pgbench')) throw new Error('pgbench is not installed (Debian: postgresql-contrib)');
  const seconds = quick ? 2 : 8;
  const rounds = quick ? 1 : 3;
  const directory = logDirectory('route-scripts');
  await using shards = await startDurableShards(2);
  await using proxy = await startBenchProxy(shards, 'route');
  await loadAccounts(shards, proxy.ready.port);
  const bouncer = found('pgbouncer') ? await startPgBouncer(shards, directory) : undefined;
  const targets: Target[] = [
    { name: 'direct', port: shards.shard(0).port, database: 'postgres', table: 'accounts_all', pid: undefined },
    { name: 'proxy', port: proxy.ready.port, database: 'app', table: 'accounts', pid: proxy.pid },
  ];
  if (bouncer !== undefined) {
    targets.push({
      name: 'pgbouncer',
      port: bouncer.port,
      database: 'app',
      table: 'accounts_all',
      pid: bouncer.child.pid,
    });
  }
  try {
    for (const mode of ['simple', 'prepared']) {
      const versions = targets.filter(
        (target) => !(target.name === 'pgbouncer' && mode === 'prepared' && !preparedInPgBouncer()),
      );
      const results = new Map<string, { tps: number; cpuUs: number }[]>();
      for (let index = 0; index < rounds; index++) {
        for (const target of versions) {
          const script = path.join(directory, `${target.name}.sql`);
          writeFileSync(
            script,
            `\\set id random(1, ${ACCOUNTS})\nSELECT balance FROM ${target.table} WHERE id = :id;\n`,
          );
          const result = await pgbench(target, mode, CLIENTS, seconds, script);
          results.set(target.name, [...(results.get(target.name) ?? []), result]);
        }
      }
      const tps = (name: string) => median((results.get(name) ?? []).map((result) => result.tps));
      const cpu = (name: string) => round(median((results.get(name) ?? []).map((result) => result.cpuUs)), 1);
      print({
        bench: `route.${mode}`,
        ratio: results.has('pgbouncer') ? round(tps('proxy') / tps('pgbouncer')) : null,
        ratioToDirect: round(tps('proxy') / tps('direct')),
        proxyTps: round(tps('proxy'), 0),
        proxyCpuUs: cpu('proxy'),
        pgbouncerTps: results.has('pgbouncer') ? round(tps('pgbouncer'), 0) : null,
        pgbouncerCpuUs: results.has('pgbouncer') ? cpu('pgbouncer') : null,
        directTps: round(tps('direct'), 0),
        clients: CLIENTS,
        rounds,
        seconds,
      });
    }
  } finally {
    bouncer?.child.kill('SIGTERM');
  }
}

/** Prepared statements in transaction mode came with PgBouncer 1.21. */
function preparedInPgBouncer(): boolean {
  const version = /PgBouncer (\d+)\.(\d+)/.exec(String(spawnSync('pgbouncer', ['--version']).stdout));
  return Number(version?.[1]) > 1 || Number(version?.[2]) >= 21;
}

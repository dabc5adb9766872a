// A proxy in the test's own process, over real shards: the same startProxy as in production, with a log of its own.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import postgres from 'postgres';
import { checkProxyConfig, type ProxyConfigInput } from '../../src/proxy/config.ts';
import { type RunningProxy, startProxy } from '../../src/proxy/proxy.ts';
import { createLog } from '../../src/telemetry/log.ts';
import type { Shards } from './postgres.ts';

/** The tables that most tests use; `accounts` and `transfers` are sharded by account, `currencies` is on every shard. */
export const TEST_TABLES: NonNullable<NonNullable<ProxyConfigInput['sharding']>['tables']> = [
  { name: 'accounts', key: 'id', type: 'bigint' },
  { name: 'entries', key: 'account_id', type: 'bigint' },
  { name: 'notes', key: 'slug', type: 'text' },
  { name: 'devices', key: 'id', type: 'uuid' },
  { name: 'currencies', reference: true },
];

export class TestProxy implements AsyncDisposable {
  readonly running: RunningProxy;
  readonly directory: string;
  readonly #ends: (() => Promise<unknown>)[] = [];

  constructor(running: RunningProxy, directory: string) {
    this.running = running;
    this.directory = directory;
  }

  get port(): number {
    return this.running.port;
  }

  url(user = 'postgres'): string {
    return `postgres://${user}@127.0.0.1:${this.port}/app`;
  }

  /** A connected `pg` client, ended with the proxy. */
  async client(config: pg.ClientConfig = {}): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.url(), ...config });
    client.on('error', () => undefined);
    await client.connect();
    this.#ends.push(() => client.end());
    return client;
  }

  /** A postgres.js pool of `max` connections, ended with the proxy. */
  sql(max = 1): postgres.Sql {
    const sql = postgres(this.url(), { max, onnotice: () => undefined });
    this.#ends.push(() => sql.end({ timeout: 1 }));
    return sql;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#ends.map((end) => end()));
    await this.running.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Proxies over the same shards are instances of one cluster, so that they leave each other's transactions alone. */
let instances = 0;

/** A configuration over `shards` with trust, the test tables and quick timings; `overrides` replace whole sections. */
export function testProxyConfig(
  shards: Shards,
  walDirectory: string,
  overrides: Partial<ProxyConfigInput> = {},
): ProxyConfigInput {
  return {
    listen: { host: '127.0.0.1', port: 0 },
    cluster: 'test1',
    instance: `proxy-${instances++}`,
    database: 'app',
    wal: { directory: walDirectory, segmentBytes: 1 << 20, reserveBytes: 1 << 18 },
    authentication: { method: 'trust', users: [] },
    shards: shards.shards.map((shard) => ({
      name: shard.name,
      host: shard.host,
      port: shard.port,
      database: 'postgres',
    })),
    resolver: { user: 'postgres' },
    sharding: { tables: TEST_TABLES },
    recovery: { intervalMs: 500 },
    shutdown: { graceMs: 1_000 },
    log: { level: 'error' },
    ...overrides,
  };
}

export async function startTestProxy(shards: Shards, overrides: Partial<ProxyConfigInput> = {}): Promise<TestProxy> {
  const directory = await mkdtemp(path.join(tmpdir(), 'atomshard-wal-'));
  const config = checkProxyConfig(testProxyConfig(shards, path.join(directory, 'wal'), overrides), 'test');
  const running = await startProxy(config, { log: createLog(config.log.level) });
  return new TestProxy(running, directory);
}

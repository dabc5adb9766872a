// Shards, the real proxy as a child process and the transfer load, wired up: what the crash tests and the demo both stand on.
import path from 'node:path';
import pg from 'pg';
import { freePort } from '../../src/dev/embedded-postgres.ts';
import type { ProxyConfigInput } from '../../src/proxy/config.ts';
import { untilNonePrepared } from '../support/in-doubt.ts';
import { describeVerdict, judge, type Verdict } from '../support/judge.ts';
import { type Shards, startShards } from '../support/postgres.ts';
import { ProxyProcess, type ProxyStart } from '../support/proxy-process.ts';
import { openAccounts, TRANSFER_SHARDING, TRANSFER_TABLES, TransferLoad } from '../support/transfer-load.ts';

export interface RigOptions {
  readonly shards: number;
  readonly clients: number;
  readonly seed: number;
  readonly accounts: number;
  readonly initialBalance: number;
  /** What to run instead of `atomshard proxy`. */
  readonly entry?: readonly string[];
  readonly fsync?: boolean;
  readonly config?: Partial<ProxyConfigInput>;
}

const HEAL_TIMEOUT_MS = 30_000;
const USER = 'postgres';
const walDirectoryIn = (directory: string) => path.join(directory, 'wal');

export class CrashRig implements AsyncDisposable {
  readonly shards: Shards;
  readonly load: TransferLoad;
  /** The newest proxy; it may be dead. */
  proxy: ProxyProcess;
  readonly #start: ProxyStart;

  private constructor(shards: Shards, load: TransferLoad, proxy: ProxyProcess, start: ProxyStart) {
    this.shards = shards;
    this.load = load;
    this.proxy = proxy;
    this.#start = start;
  }

  /** Starts everything and opens the accounts through the proxy; the load does not run yet. */
  static async start(options: RigOptions): Promise<CrashRig> {
    const shards = await startShards(options.shards, { fsync: options.fsync ?? false, maxPreparedTransactions: 200 });
    let proxy: ProxyProcess | undefined;
    try {
      const config = rigConfig(shards, await freePort(), options.config);
      const start = { directory: shards.directory, config, ...(options.entry ? { entry: options.entry } : {}) };
      proxy = await ProxyProcess.start(start);
      const url = proxy.url(USER);
      await createTables(url);
      const accounts = Array.from({ length: options.accounts }, (_, i) => i + 1);
      await openAccounts(url, accounts, options.initialBalance);
      const { clients, seed, initialBalance } = options;
      const load = new TransferLoad({ url, accounts, initialBalance, clients, seed, legsMax: options.shards + 1 });
      return new CrashRig(shards, load, proxy, start);
    } catch (error) {
      await proxy?.kill9();
      await shards[Symbol.asyncDispose]();
      if (proxy === undefined) throw error;
      throw new Error(`the accounts could not be opened: ${proxy.log.slice(-20).join('\n')}`, { cause: error });
    }
  }

  /** The proxy's log. */
  get walDirectory(): string {
    return walDirectoryIn(this.shards.directory);
  }

  /** Starts the next proxy on the same log and port, and waits until it is ready. */
  async restartProxy(args: readonly string[] = []): Promise<ProxyProcess> {
    this.spawnProxy(args);
    await this.proxy.untilReady();
    return this.proxy;
  }

  /** Starts the next proxy without waiting. The one before must be dead. */
  spawnProxy(args: readonly string[] = []): ProxyProcess {
    this.proxy = ProxyProcess.spawn({ ...this.#start, args });
    return this.proxy;
  }

  /** A proxy that runs: this one, or after a test that failed the next, so that one failure does not become many. */
  async ensureProxy(): Promise<void> {
    if (this.proxy.gone) await this.restartProxy();
  }

  /** Pauses the load, waits for recovery, reads all shards. Throws with everything that is known when it is not sound. */
  async reckon(context: string): Promise<Verdict> {
    await this.load.pause();
    await untilNonePrepared(this.shards.shards, HEAL_TIMEOUT_MS);
    const verdict = await judge(this.shards.shards, this.load.ledger);
    if (verdict.sound && this.load.hangs === 0) return verdict;
    const said = this.proxy.log.slice(-30).join('\n');
    throw new Error(
      `${context}: ${describeVerdict(verdict)}\nhangs ${this.load.hangs}\n${this.load.ledger.summary()}\n${said}`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const stopped = this.load.stop();
    await this.proxy.kill9();
    await stopped;
    await this.shards[Symbol.asyncDispose]();
  }
}

/** Tables made through the proxy: DDL goes to all shards in one transaction, which is a two-phase commit already. */
async function createTables(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const statement of TRANSFER_TABLES.split(';')) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Small segments and a short memory, so that rotation and pruning happen under the kills as well. */
function rigConfig(shards: Shards, port: number, more: Partial<ProxyConfigInput> = {}): ProxyConfigInput {
  return {
    listen: { host: '127.0.0.1', port },
    cluster: 'k3x9q',
    instance: 'proxy-0',
    database: 'app',
    wal: {
      directory: walDirectoryIn(shards.directory),
      segmentBytes: 256 * 1024,
      reserveBytes: 1024 * 1024,
      retentionMs: 2_000,
    },
    authentication: { method: 'trust' },
    shards: shards.shards.map(({ name, host, port: shardPort }) => ({
      name,
      host,
      port: shardPort,
      database: 'postgres',
    })),
    resolver: { user: USER },
    sharding: { buckets: 4096, unlisted: 'reject', tables: [...TRANSFER_SHARDING] },
    recovery: { intervalMs: 1_000 },
    pool: { size: 24 },
    log: { level: 'info' },
    ...more,
  };
}

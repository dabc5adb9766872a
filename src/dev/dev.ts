// `atomshard dev`: embedded PostgreSQL shards and the proxy in one process, from the same document that the operator takes.
//
// It is for one machine and one user: everything listens on 127.0.0.1 and trusts whoever can connect there, as `initdb` does
// by default. Data stay in the directory; only the ports of the shards may differ between runs.
import path from 'node:path';
import { checkProxyConfig, type ProxyConfig } from '../proxy/config.ts';
import { proxyConfigFromShardedCluster, type ShardedCluster } from '../proxy/config-from-cluster.ts';
import { startProxy } from '../proxy/proxy.ts';
import { EXIT, exitCodeOf } from '../proxy/run.ts';
import { createLog } from '../telemetry/log.ts';
import { keepCluster, shardDirectoryOf, walDirectoryOf } from './dev-directory.ts';
import { readDevDocument } from './dev-document.ts';
import { DevError } from './dev-error.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts';
import { ensureDatabase } from './roles.ts';

export interface DevOptions {
  /** A ShardedCluster document; without it one is made of `shards`, which otherwise overrides the document. */
  readonly file?: string | undefined;
  readonly shards?: number | undefined;
  /** PostgreSQL's major, e.g. 16; the installed package's by default. */
  readonly postgresMajor?: number | undefined;
  /** Data are kept here between runs. */
  readonly directory: string;
  /** Of the proxy; 0 takes any free one. */
  readonly port: number;
  /** Says what happens, line by line. */
  readonly say: (line: string) => void;
}

/** What dev needs of a running proxy. */
export interface DevProxy {
  readonly port: number;
  /** Resolves when the log has failed. */
  readonly failed: Promise<unknown>;
  /** Finishes running transactions, closes the log. */
  stop(): Promise<void>;
}

export interface RunningDev extends AsyncDisposable {
  readonly shards: readonly EmbeddedPostgres[];
  readonly config: ProxyConfig;
  /** For psql and every driver. */
  readonly url: string;
  /** Resolves when the proxy's log has failed: the process must end. */
  readonly failed: Promise<unknown>;
  /** First the proxy, which still needs the shards to finish, then the shards. Idempotent. */
  stop(): Promise<void>;
}

const DATABASE = 'app';
const SUPERUSER = 'postgres';

/** Beside the pool, recovery and people connect too. */
const CONNECTIONS_SPARE = 28;

/**
 * Starts shards and proxy; when it rejects, nothing of it runs any more.
 * Throws DevError or ConfigError, whose messages are for the user.
 */
export async function startDev(
  options: DevOptions,
  startProxy: (config: ProxyConfig) => Promise<DevProxy>,
): Promise<RunningDev> {
  const cluster = readDevDocument(options.file, options.shards);
  const directory = path.resolve(options.directory);
  const layout = { shards: cluster.spec.shards.count ?? 1, buckets: cluster.spec.sharding.buckets };
  const kept = await keepCluster(directory, layout);
  const shards = await startShardServers(cluster, directory, options);
  try {
    const users = cluster.spec.credentials.users.map((user) => user.name);
    await Promise.all(
      shards.map((shard) => ensureDatabase(shard.url(), DATABASE, users.length === 0 ? [DATABASE] : users)),
    );
    const place = {
      clusterId: kept.cluster,
      instance: 'proxy-0',
      listen: { host: '127.0.0.1', port: options.port },
      database: DATABASE,
      walDirectory: walDirectoryOf(directory),
      shards: shards.map(({ name, host, port }) => ({ name, host, port, database: DATABASE })),
      authentication: { method: 'trust' as const },
      resolver: { user: SUPERUSER },
    };
    const config = checkProxyConfig(proxyConfigFromShardedCluster(cluster, place), options.file ?? 'flags');
    const proxy = await startProxy(config);
    const url = `postgres://${users[0] ?? DATABASE}@127.0.0.1:${proxy.port}/${DATABASE}`;
    return new Dev(shards, config, url, proxy);
  } catch (error) {
    await stopAll(shards);
    throw error;
  }
}

class Dev implements RunningDev {
  readonly shards: readonly EmbeddedPostgres[];
  readonly config: ProxyConfig;
  readonly url: string;
  readonly failed: Promise<unknown>;
  readonly #proxy: DevProxy;
  #stopped: Promise<void> | undefined;

  constructor(shards: readonly EmbeddedPostgres[], config: ProxyConfig, url: string, proxy: DevProxy) {
    this.shards = shards;
    this.config = config;
    this.url = url;
    this.failed = proxy.failed;
    this.#proxy = proxy;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stopInOrder();
    return this.#stopped;
  }

  async #stopInOrder(): Promise<void> {
    try {
      await this.#proxy.stop();
    } finally {
      // A crash here, or a proxy that could not finish: what is prepared waits on the shards' disks for the next run.
      await stopAll(this.shards);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** All at once; when one fails to start, the others are stopped before its error is thrown. */
async function startShardServers(
  cluster: ShardedCluster,
  directory: string,
  options: DevOptions,
): Promise<readonly EmbeddedPostgres[]> {
  const poolSize = cluster.spec.proxy.pool.size ?? 20;
  const say = options.say;
  const start = (name: string) =>
    startEmbeddedPostgres({
      name,
      dataDirectory: shardDirectoryOf(directory, name),
      user: SUPERUSER,
      parameters: {
        // One pool per user and shard; every connection may hold one prepared transaction.
        max_connections: String(poolSize * Math.max(1, cluster.spec.credentials.users.length) + CONNECTIONS_SPARE),
        ...cluster.spec.postgres.parameters,
      },
      ...(options.postgresMajor === undefined ? {} : { major: options.postgresMajor }),
      onLine: (line) => say(`${name}: ${line}`),
      onDeath: (dead, exit) =>
        say(
          `${dead} has ended by itself (${exit.signal ?? `exit code ${exit.code}`}); the end of its log:\n${exit.logTail}`,
        ),
    });
  const names = Array.from({ length: cluster.spec.shards.count ?? 1 }, (_, index) => `shard-${index}`);
  say(`starting ${names.length} PostgreSQL shards in ${directory}`);
  const started = await Promise.allSettled(names.map(start));
  const running = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  const failed = started.find((each) => each.status === 'rejected');
  if (failed === undefined) return running;
  await stopAll(running);
  throw failed.reason;
}

async function stopAll(shards: readonly EmbeddedPostgres[]): Promise<void> {
  const stopped = await Promise.allSettled(shards.map((shard) => shard.stop('fast')));
  const failed = stopped.find((each) => each.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** What the command line gives; `port` 6432 when left out. */
export interface DevFlags {
  readonly file?: string;
  readonly shards?: number;
  readonly postgres?: number;
  readonly directory: string;
  readonly port?: number;
}

const PORT_DEFAULT = 6432;

/**
 * Runs until a signal or a failure of the log ends it; resolves with the exit code, as runProxy's;
 * 2 is also what cannot be run as asked. A second signal ends at once, which is safe: the shards' watchers stop the servers,
 * and the log is written for exactly that.
 */
export async function runDev(flags: DevFlags): Promise<number> {
  const say = (line: string) => console.log(`atomshard dev: ${line}`);
  const { postgres: postgresMajor, port = PORT_DEFAULT, ...rest } = flags;
  const log = createLog('warn');
  const asked = firstSignal();
  try {
    const dev = await startDev({ ...rest, postgresMajor, port, say }, (config) => startProxy(config, { log }));
    for (const shard of dev.shards) say(`${shard.name}: PostgreSQL ${shard.major}, ${shard.url(DATABASE)}`);
    if (dev.config.sharding.tables.length === 0)
      say('no table is sharded: each is kept whole on every shard; name some with -f FILE (spec.sharding.tables)');
    say(`ready; Ctrl-C stops it. Connect with: psql ${dev.url}`);
    const ended = await Promise.race([asked, dev.failed.then((failure) => ({ failure }))]);
    if (typeof ended !== 'string') {
      // Nothing may be acknowledged by this process any more; what was prepared stays prepared for the next run.
      say(`the write-ahead log has failed: ${String(ended.failure)}; ending, so that the next run recovers`);
      return EXIT.logFailed;
    }
    say(`${ended}: finishing transactions, then stopping the shards; once more to end at once`);
    await dev.stop();
    say(`stopped; the data stay in ${path.resolve(flags.directory)}`);
    return EXIT.clean;
  } catch (error) {
    const code = error instanceof DevError ? EXIT.configuration : exitCodeOf(error);
    const stack = code === EXIT.unexpected && error instanceof Error ? error.stack : undefined;
    console.error(`atomshard dev: ${stack ?? (error instanceof Error ? error.message : String(error))}`);
    return code;
  }
}

function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        resolve(signal);
        process.once(signal, () => process.exit(130));
      });
    }
  });
}

// Real PostgreSQL shards for one test file: started in parallel in a directory of their own, gone afterwards, also after failures.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/dev/embedded-postgres.ts';

export interface ShardsOptions {
  /** PostgreSQL settings for every shard. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Off by default: what is written survives every kill of a process, only not a power cut; commits are much faster. */
  readonly fsync?: boolean;
  readonly maxPreparedTransactions?: number;
  /** Logical names; `shard-0`, `shard-1`, … by default. */
  readonly names?: readonly string[];
  readonly password?: string;
  readonly major?: number;
}

const PREFIX = 'atomshard-test-';

export class Shards implements AsyncDisposable {
  readonly directory: string;
  readonly shards: readonly EmbeddedPostgres[];
  readonly #pools = new Map<number, pg.Pool>();

  constructor(directory: string, shards: readonly EmbeddedPostgres[]) {
    this.directory = directory;
    this.shards = shards;
  }

  /** Shard `index`; throws when there is none. */
  shard(index: number): EmbeddedPostgres {
    const found = this.shards[index];
    if (found === undefined) throw new Error(`there is no shard ${index}; ${this.shards.length} were started`);
    return found;
  }

  /** A small pool of direct connections to one shard, as superuser. Its errors while idle are nobody's problem. */
  pool(index: number): pg.Pool {
    let pool = this.#pools.get(index);
    if (pool === undefined) {
      pool = new pg.Pool({ connectionString: this.shard(index).url(), max: 4, allowExitOnIdle: true });
      pool.on('error', () => undefined);
      this.#pools.set(index, pool);
    }
    return pool;
  }

  /** A direct connection of its own, to be ended by the caller. */
  async client(index: number, config: pg.ClientConfig = {}): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.shard(index).url(), ...config });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  /** Runs one statement on one shard, directly. */
  async query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    index: number,
    sql: string,
    parameters: readonly unknown[] = [],
  ): Promise<Row[]> {
    const result = await this.pool(index).query<Row>(sql, [...parameters]);
    return result.rows;
  }

  /** Runs the same text (several statements allowed) on every shard. */
  async exec(sql: string): Promise<void> {
    await Promise.all(this.shards.map((_, index) => this.pool(index).query(sql)));
  }

  /** Waits until somebody's pg_sleep() has begun: what interrupts a statement earlier may come before it, and is forgotten. */
  async untilAsleep(index: number): Promise<void> {
    const asleep = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    while ((await this.query(index, asleep)).length === 0) await sleep(10);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([...this.#pools.values()].map((pool) => pool.end()));
    await removeShards(this.directory, this.shards);
  }
}

/** Starts `count` empty shards; use with `await using`. What was started is stopped and removed when one fails to start. */
export async function startShards(count: number, options: ShardsOptions = {}): Promise<Shards> {
  await sweep();
  const directory = await mkdtemp(path.join(os.tmpdir(), `${PREFIX}${process.pid}-`));
  await chmod(directory, 0o755);
  const durable = options.fsync === true ? {} : { fsync: 'off', full_page_writes: 'off' };
  const parameters = {
    max_prepared_transactions: String(options.maxPreparedTransactions ?? 64),
    shared_buffers: '32MB',
    ...durable,
    ...options.parameters,
  };
  const start = (name: string) =>
    startEmbeddedPostgres({
      dataDirectory: path.join(directory, name),
      name,
      parameters,
      ...(options.password === undefined ? {} : { password: options.password }),
      ...(options.major === undefined ? {} : { major: options.major }),
    });
  const names = options.names ?? Array.from({ length: count }, (_, index) => `shard-${index}`);
  // The first alone when no template exists yet would be kinder, but two initdb at once do no harm.
  const started = await Promise.allSettled(names.map(start));
  const shards = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  const failed = started.find((each) => each.status === 'rejected');
  if (failed !== undefined) {
    await removeShards(directory, shards);
    throw failed.reason;
  }
  return new Shards(directory, shards);
}

async function removeShards(directory: string, shards: readonly EmbeddedPostgres[]): Promise<void> {
  await Promise.allSettled(shards.map((shard) => shard.stop('immediate')));
  await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}

const ABANDONED_MS = 2 * 3_600_000;

/** Removes what killed test runs left behind: old directories whose process is gone (as far as this machine can tell). */
async function sweep(): Promise<void> {
  if (process.platform !== 'linux') return;
  for (const name of readdirSync(os.tmpdir())) {
    const pid = /^atomshard-test-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    const place = path.join(os.tmpdir(), name);
    const made = statSync(place, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - made > ABANDONED_MS) await rm(place, { recursive: true, force: true }).catch(() => undefined);
  }
}

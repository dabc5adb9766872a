// The pools of a proxy: one per shard and user, made when a user first logs in.
import type { Clock } from '../kernel/clock.ts';
import { Pool } from '../shard/pool.ts';
import type { ProxyConfig } from './config.ts';

/** Connections for further shards, as a multiple of the pool's size. */
const FURTHER_MAX = 3;

export class Backends {
  readonly #config: ProxyConfig;
  readonly #applicationName: string;
  readonly #clock: Clock;
  readonly #byUser = new Map<string, readonly Pool[]>();
  readonly #furtherByUser = new Map<string, readonly Pool[]>();

  /** `applicationName` names instance and epoch on the shards, so that a later epoch can fence this one. */
  constructor(config: ProxyConfig, applicationName: string, clock: Clock) {
    this.#config = config;
    this.#applicationName = applicationName;
    this.#clock = clock;
  }

  /** One pool per shard, in the order of the configuration, for the user that `user` is on the shards. */
  poolsFor(user: string): readonly Pool[] {
    return this.#poolsOf(user, this.#byUser, this.#config.pool.size);
  }

  /**
   * Pools for the second and later shards of a transaction. With as many connections as there can be transactions that
   * began elsewhere nobody who holds one ever waits here; from five shards on that many are not kept, only three times the size.
   */
  furtherPoolsFor(user: string): readonly Pool[] {
    const { pool, shards } = this.#config;
    return this.#poolsOf(user, this.#furtherByUser, pool.size * Math.max(1, Math.min(shards.length - 1, FURTHER_MAX)));
  }

  #poolsOf(user: string, byUser: Map<string, readonly Pool[]>, sizeMax: number): readonly Pool[] {
    const { serverUser, authentication } = this.#config;
    const login = serverUser ?? authentication.users.find(({ name }) => name === user) ?? { name: user };
    let pools = byUser.get(login.name);
    if (pools === undefined) {
      pools = this.#config.shards.map((shard) => this.#makePool(shard, login, sizeMax));
      byUser.set(login.name, pools);
    }
    return pools;
  }

  /** Every pool there is, with its user. */
  *all(): Iterable<{ readonly user: string; readonly pool: Pool }> {
    for (const byUser of [this.#byUser, this.#furtherByUser]) {
      for (const [user, pools] of byUser) for (const pool of pools) yield { user, pool };
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.all()].map(({ pool }) => pool.close()));
  }

  #makePool(
    shard: ProxyConfig['shards'][number],
    login: { name: string; password?: string | undefined },
    sizeMax: number,
  ): Pool {
    const { pool } = this.#config;
    return new Pool(
      {
        shard: shard.name,
        host: shard.host,
        port: shard.port,
        database: shard.database,
        user: login.name,
        password: login.password,
        applicationName: this.#applicationName,
        parameters: { client_encoding: 'UTF8' },
      },
      {
        sizeMax,
        queueMax: pool.queueMax,
        queueWaitMs: pool.queueWaitMs,
        idleMs: pool.idleMs,
        lifetimeMs: pool.lifetimeMs,
        connectTimeoutMs: pool.connectTimeoutMs,
        clock: this.#clock,
      },
    );
  }
}

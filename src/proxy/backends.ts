// The pools of a proxy: one per shard and user, made when a user first logs in.
import type { Clock } from '../kernel/clock.ts';
import { Pool } from '../shard/pool.ts';
import type { ProxyConfig } from './config.ts';

export class Backends {
  readonly #config: ProxyConfig;
  readonly #applicationName: string;
  readonly #clock: Clock;
  readonly #byUser = new Map<string, readonly Pool[]>();

  /** `applicationName` names instance and epoch on the shards, so that a later epoch can fence this one. */
  constructor(config: ProxyConfig, applicationName: string, clock: Clock) {
    this.#config = config;
    this.#applicationName = applicationName;
    this.#clock = clock;
  }

  /** One pool per shard, in the order of the configuration, for the user that `user` is on the shards. */
  poolsFor(user: string): readonly Pool[] {
    const { serverUser, authentication } = this.#config;
    const login = serverUser ?? authentication.users.find(({ name }) => name === user) ?? { name: user };
    let pools = this.#byUser.get(login.name);
    if (pools === undefined) {
      pools = this.#config.shards.map((shard) => this.#makePool(shard, login));
      this.#byUser.set(login.name, pools);
    }
    return pools;
  }

  /** Every pool there is, with its user. */
  *all(): Iterable<{ readonly user: string; readonly pool: Pool }> {
    for (const [user, pools] of this.#byUser) for (const pool of pools) yield { user, pool };
  }

  async close(): Promise<void> {
    await Promise.all([...this.all()].map(({ pool }) => pool.close()));
  }

  #makePool(shard: ProxyConfig['shards'][number], login: { name: string; password?: string | undefined }): Pool {
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
        sizeMax: pool.size,
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

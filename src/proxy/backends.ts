// The pools of a proxy: one per shard and user, made when a user first logs in. A reload changes them in place, so that
// sessions keep what they hold and take the new shards and addresses as soon as they need them.
import type { Clock } from '../kernel/clock.ts';
import { renderMark } from '../shard/placement-mark.ts';
import { Pool, type PoolOptions } from '../shard/pool.ts';
import type { ShardTarget } from '../shard/target.ts';
import type { ProxyConfig } from './config.ts';
import type { LiveConfig } from './live-config.ts';
import { placementOf } from './placement-decision.ts';

/** Connections for further shards, as a multiple of the pool's size. */
const FURTHER_MAX = 3;

/** For the first shard of a transaction, or for the others: see leaseConnection. */
export type PoolKind = 'first' | 'further';

interface Login {
  readonly name: string;
  readonly password?: string | undefined;
}

export class Backends {
  readonly #live: LiveConfig;
  readonly #applicationName: string;
  readonly #clock: Clock;
  readonly #byUser: Readonly<Record<PoolKind, Map<string, Pool[]>>> = { first: new Map(), further: new Map() };

  /** `applicationName` names instance and epoch on the shards, so that a later epoch can fence this one. */
  constructor(live: LiveConfig, applicationName: string, clock: Clock) {
    this.#live = live;
    this.#applicationName = applicationName;
    this.#clock = clock;
  }

  /** One pool per shard, in the order of the configuration, for the user that `user` is on the shards. */
  poolsFor(user: string): readonly Pool[] {
    return this.#poolsOf(user, 'first');
  }

  /**
   * Pools for the second and later shards of a transaction. With as many connections as there can be transactions that
   * began elsewhere nobody who holds one ever waits here; from five shards on that many are not kept, only three times the size.
   */
  furtherPoolsFor(user: string): readonly Pool[] {
    return this.#poolsOf(user, 'further');
  }

  /** Every pool there is, with its user. */
  *all(): Iterable<{ readonly user: string; readonly kind: PoolKind; readonly pool: Pool }> {
    for (const kind of ['first', 'further'] as const) {
      for (const [user, pools] of this.#byUser[kind]) for (const pool of pools) yield { user, kind, pool };
    }
  }

  /** Puts the configuration that is in force now on every pool, and makes pools for shards that are new. */
  reconfigure(): void {
    for (const kind of ['first', 'further'] as const) {
      for (const [user, pools] of this.#byUser[kind]) {
        // A user that is gone keeps its login for the sessions that it still has.
        const login = this.#loginOf(user) ?? { name: user, password: pools[0]?.target.password };
        for (const [index, shard] of this.#live.current.shards.entries()) {
          const pool = pools[index];
          if (pool === undefined) pools.push(this.#makePool(shard, login, kind));
          else pool.reconfigure(this.#target(shard, login), this.#options(kind));
        }
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.all()].map(({ pool }) => pool.close()));
  }

  #poolsOf(user: string, kind: PoolKind): readonly Pool[] {
    const { serverUser, authentication } = this.#live.current;
    const login = serverUser ?? authentication.users.find(({ name }) => name === user) ?? { name: user };
    let pools = this.#byUser[kind].get(login.name);
    if (pools === undefined) {
      pools = this.#live.current.shards.map((shard) => this.#makePool(shard, login, kind));
      this.#byUser[kind].set(login.name, pools);
    }
    return pools;
  }

  #loginOf(name: string): Login | undefined {
    const { serverUser, authentication } = this.#live.current;
    if (serverUser?.name === name) return serverUser;
    return authentication.users.find((user) => user.name === name);
  }

  #makePool(shard: ProxyConfig['shards'][number], login: Login, kind: PoolKind): Pool {
    return new Pool(this.#target(shard, login), this.#options(kind));
  }

  #target(shard: ProxyConfig['shards'][number], { name: user, password }: Login): ShardTarget {
    const { name, ...place } = shard;
    const applicationName = this.#applicationName;
    const placement = renderMark(placementOf(this.#live.current), name);
    const parameters = { client_encoding: 'UTF8' };
    return { shard: name, ...place, user, password, applicationName, placement, parameters };
  }

  #options(kind: PoolKind): PoolOptions {
    const { pool, shards } = this.#live.current;
    const { size, queueMax, queueWaitMs, idleMs, lifetimeMs, connectTimeoutMs } = pool;
    const further = size * Math.max(1, Math.min(shards.length - 1, FURTHER_MAX));
    const sizeMax = kind === 'first' ? size : further;
    return { sizeMax, queueMax, queueWaitMs, idleMs, lifetimeMs, connectTimeoutMs, clock: this.#clock };
  }
}

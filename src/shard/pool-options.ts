// What a pool is told when it is made, what it answers, and what it shows about itself.
import type { Clock } from '../kernel/clock.ts';
import type { SqlError } from '../protocol/sql-error.ts';
import type { ServerConnection } from './connection.ts';
import type { ConnectOptions, ShardTarget } from './target.ts';

export interface PoolOptions {
  /** Connections at most, open and opening. */
  readonly sizeMax: number;
  /** Waiters at most; the next one is refused with 53300. */
  readonly queueMax: number;
  /** How long one waits for a connection, milliseconds. */
  readonly queueWaitMs: number;
  /** An idle connection is closed after this, milliseconds. */
  readonly idleMs: number;
  /** No connection is reused once it is older, milliseconds; each one gets 80 to 100 % of it. */
  readonly lifetimeMs: number;
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
  /** Between failed connects, milliseconds; doubled each time up to the second. */
  readonly backoffMinMs?: number | undefined;
  readonly backoffMaxMs?: number | undefined;
  /** Jitter, [0, 1). */
  readonly random?: (() => number) | undefined;
  /** How a connection is made; throws ConnectFailure and nothing else. */
  readonly connect?: ((target: ShardTarget, options: ConnectOptions) => Promise<ServerConnection>) | undefined;
}

export type Taken =
  | { readonly kind: 'leased'; readonly connection: ServerConnection }
  | { readonly kind: 'refused'; readonly error: SqlError };

export interface PoolStats {
  readonly sizeMax: number;
  readonly idle: number;
  readonly leased: number;
  readonly opening: number;
  readonly waiting: number;
  /** How long the first in the queue has waited, milliseconds. */
  readonly oldestWaitMs: number;
  /** Since the pool was made. */
  readonly opened: number;
  readonly connectFailures: number;
  readonly waitTimeouts: number;
  /** Why no connection can be made at the moment. */
  readonly lastFailure: string | undefined;
}

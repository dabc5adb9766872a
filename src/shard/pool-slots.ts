// What a pool keeps of each connection, and of each one who waits for one.
import type { SqlError } from '../protocol/sql-error.ts';
import type { ServerConnection } from './connection.ts';
import type { PoolOptions, Taken } from './pool-options.ts';

/** Idle and old connections are looked at this often at least. */
const SWEEP_MS_MAX = 30_000;

export interface Slot {
  readonly connection: ServerConnection;
  /** The pool's generation when it was made. */
  readonly generation: number;
  /** Monotonic milliseconds, like the other times here. */
  readonly expiresAtMs: number;
  leased: boolean;
  idleSinceMs: number;
}

export interface Waiter {
  readonly since: number;
  readonly deadlineMs: number;
  readonly resolve: (taken: Taken) => void;
}

export const refused = (error: SqlError): Taken => ({ kind: 'refused', error });

/** When a pool has to look at itself again; infinity when nothing can come due. */
export function nextLookAtMs(
  nowMs: number,
  connections: number,
  firstWaiter: Waiter | undefined,
  retryAtMs: number,
  { idleMs, lifetimeMs }: Pick<PoolOptions, 'idleMs' | 'lifetimeMs'>,
): number {
  let atMs = Number.POSITIVE_INFINITY;
  if (connections > 0) atMs = nowMs + Math.max(1, Math.min(SWEEP_MS_MAX, idleMs / 2, lifetimeMs / 2));
  if (firstWaiter === undefined) return atMs;
  atMs = Math.min(atMs, firstWaiter.deadlineMs);
  // Only a time to come: a connect that is under way ends by itself, and looking every millisecond helps nobody.
  return retryAtMs > nowMs ? Math.min(atMs, retryAtMs) : atMs;
}

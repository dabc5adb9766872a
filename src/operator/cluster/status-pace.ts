// Whether a status must be written: at once when it says something else, and seldom when only numbers moved that always move.
import type { ShardedClusterStatus } from '../api/sharded-cluster.generated.ts';

/** How old positions in a busy log may be. */
export const VOLATILE_INTERVAL_MS = 30_000;

export class StatusPace {
  /** When a status of the cluster was last worth writing, by its id. */
  readonly #writtenMs = new Map<string, number>();

  /** True when the API server must hear of `now`. */
  isWorthWriting(before: ShardedClusterStatus | undefined, now: ShardedClusterStatus, nowMs: number): boolean {
    if (text(before) === text(now)) return false;
    const key = now.clusterId ?? '';
    const dueMs = (this.#writtenMs.get(key) ?? Number.NEGATIVE_INFINITY) + VOLATILE_INTERVAL_MS;
    if (text(stable(before)) === text(stable(now)) && nowMs < dueMs) return false;
    this.#writtenMs.set(key, nowMs);
    return true;
  }
}

/** Without what changes with every transaction. */
function stable(status: ShardedClusterStatus | undefined): ShardedClusterStatus | undefined {
  if (status === undefined) return undefined;
  const { shards, proxies, ...rest } = status;
  return {
    ...rest,
    shards: (shards ?? []).map(({ preparedTransactions: _, ...shard }) => shard),
    proxies: (proxies ?? []).map(({ positions: _, ...proxy }) => proxy),
  };
}

/** Keys in order: the API server hands objects out in an order of its own. */
function text(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([one], [other]) => (one < other ? -1 : 1)))
      : part,
  );
}

// What is prepared on the shards and what became of it, asked of the shards themselves and never of the proxy.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { ShardAddress } from './judge.ts';

/** One prepared branch of ours. */
export interface PreparedBranch {
  readonly shard: string;
  readonly gid: string;
  /** `as1:<cluster>:<instance>.<epoch>.<seq>`: the same for all branches of one transaction. */
  readonly transaction: string;
  readonly xid: string;
}

export interface Outcome {
  /** Transactions, not branches. */
  readonly committed: number;
  readonly rolledBack: number;
  /** Committed on one shard and rolled back on another: the one thing that must never be. */
  readonly mixed: readonly string[];
  /** Not ended yet. */
  readonly left: readonly string[];
}

/** Asks one shard over a connection of its own. */
export async function askShard<Row extends pg.QueryResultRow>(
  shard: ShardAddress,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: shard.url() });
  await client.connect();
  try {
    return (await client.query<Row>(sql, [...values])).rows;
  } finally {
    await client.end();
  }
}

/** Every branch of ours that is prepared now. */
export async function preparedBranches(shards: readonly ShardAddress[]): Promise<PreparedBranch[]> {
  const sql = `SELECT gid, transaction::text AS xid FROM pg_prepared_xacts WHERE gid LIKE 'as1:%' ORDER BY prepared`;
  const lists = await Promise.all(
    shards.map(async (shard) => {
      const rows = await askShard<{ gid: string; xid: string }>(shard, sql);
      return rows.map(({ gid, xid }) => ({
        shard: shard.name,
        gid,
        transaction: gid.split(':').slice(0, 3).join(':'),
        xid,
      }));
    }),
  );
  return lists.flat();
}

export const transactionsOf = (branches: readonly PreparedBranch[]): string[] => [
  ...new Set(branches.map((branch) => branch.transaction)),
];

/** How branches ended, by pg_xact_status. The shards are young: their xids have not wrapped, so 32 bits are the xid8. */
export async function outcomeOf(
  shards: readonly ShardAddress[],
  branches: readonly PreparedBranch[],
): Promise<Outcome> {
  const ends = new Map<string, Set<string>>();
  for (const shard of shards) {
    const mine = branches.filter((branch) => branch.shard === shard.name);
    const sql = 'SELECT xid, pg_xact_status(xid::xid8) AS status FROM unnest($1::text[]) AS xid';
    const rows = await askShard<{ xid: string; status: string }>(shard, sql, [mine.map((branch) => branch.xid)]);
    const statusOf = new Map(rows.map((row) => [row.xid, row.status]));
    for (const { transaction, xid } of mine)
      ends.set(transaction, (ends.get(transaction) ?? new Set()).add(statusOf.get(xid) ?? 'unknown'));
  }
  const only = (status: string) => [...ends.values()].filter((set) => set.size === 1 && set.has(status)).length;
  const having = (wanted: (set: ReadonlySet<string>) => boolean) =>
    [...ends].flatMap(([transaction, set]) => (wanted(set) ? [transaction] : []));
  return {
    committed: only('committed'),
    rolledBack: only('aborted'),
    mixed: having((set) => set.has('committed') && set.has('aborted')),
    left: having((set) => [...set].some((status) => status !== 'committed' && status !== 'aborted')),
  };
}

/** Waits until nothing of ours is prepared any more; false when it still is after `timeoutMs`. */
export async function untilNonePrepared(shards: readonly ShardAddress[], timeoutMs: number): Promise<boolean> {
  const endMs = performance.now() + timeoutMs;
  while ((await preparedBranches(shards)).length > 0) {
    if (performance.now() > endMs) return false;
    await sleep(50);
  }
  return true;
}

/**
 * Waits until the shards have noticed that the proxy is gone: a backend may still be busy with its last PREPARE. One that
 * waits for a lock notices nothing: often it waits for what is in doubt, and only the next proxy's fence ends it.
 */
export async function untilNoBackends(shards: readonly ShardAddress[], timeoutMs = 10_000): Promise<void> {
  const sql = `SELECT count(*)::int AS n FROM pg_stat_activity
    WHERE application_name LIKE 'as1:%' AND wait_event_type IS DISTINCT FROM 'Lock'`;
  const endMs = performance.now() + timeoutMs;
  for (const shard of shards) {
    while ((await askShard<{ n: number }>(shard, sql))[0]?.n !== 0) {
      if (performance.now() > endMs) throw new Error(`${shard.name} still has backends of a killed proxy`);
      await sleep(5);
    }
  }
}

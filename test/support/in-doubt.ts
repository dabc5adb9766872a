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
  /** How many branches the transaction has; those that are not prepared any more are committed, or never were. */
  readonly count: number;
}

/** mixed: committed on one shard and rolled back on another, the one thing that must never be. left: not ended yet. */
export type End = 'committed' | 'rolledBack' | 'mixed' | 'left';

export interface Outcome {
  /** By transaction, not by branch. */
  readonly ends: ReadonlyMap<string, End>;
  readonly counts: Readonly<Record<End, number>>;
  /** Committed ones of which a branch was not prepared any more when the list was made: it had committed already. */
  readonly halfCommitted: number;
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
        transaction: transactionOf(gid),
        xid,
        count: Number(/:\d+\/(\d+):/.exec(gid)?.[1]),
      }));
    }),
  );
  return lists.flat();
}

/** `as1:<cluster>:<instance>.<epoch>.<seq>` of a gid. */
export const transactionOf = (gid: string): string => gid.split(':').slice(0, 3).join(':');

export const transactionsOf = (branches: readonly PreparedBranch[]): string[] => [
  ...new Set(branches.map((branch) => branch.transaction)),
];

/** How branches ended, by pg_xact_status. The shards are young: their xids have not wrapped, so 32 bits are the xid8. */
export async function outcomeOf(
  shards: readonly ShardAddress[],
  branches: readonly PreparedBranch[],
): Promise<Outcome> {
  const statuses = new Map<string, string[]>();
  for (const shard of shards) {
    const mine = branches.filter((branch) => branch.shard === shard.name);
    if (mine.length === 0) continue;
    const sql = 'SELECT xid, pg_xact_status(xid::xid8) AS status FROM unnest($1::text[]) AS xid';
    const rows = await askShard<{ xid: string; status: string }>(shard, sql, [mine.map((branch) => branch.xid)]);
    const statusOf = new Map(rows.map((row) => [row.xid, row.status]));
    for (const { transaction, xid } of mine)
      statuses.set(transaction, [...(statuses.get(transaction) ?? []), statusOf.get(xid) ?? 'unknown']);
  }
  const ends = new Map([...statuses].map(([transaction, each]) => [transaction, endOf(each)]));
  const counts: Record<End, number> = { committed: 0, rolledBack: 0, mixed: 0, left: 0 };
  for (const end of ends.values()) counts[end] += 1;
  const halfCommitted = [...ends].filter(([transaction, end]) => {
    const found = branches.filter((branch) => branch.transaction === transaction);
    return end === 'committed' && found.length < (found[0]?.count ?? 0);
  });
  return { ends, counts, halfCommitted: halfCommitted.length };
}

function endOf(statuses: readonly string[]): End {
  if (statuses.every((status) => status === 'committed')) return 'committed';
  if (statuses.every((status) => status === 'aborted')) return 'rolledBack';
  return statuses.includes('committed') && statuses.includes('aborted') ? 'mixed' : 'left';
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

// Prepared transactions as a list for people: branches brought together by their transaction, everybody else's only counted. Pure.
import { parseGid, renderTransactionId } from '../../transaction/gid.ts';
import { rowsByName, type SqlResult } from './sql-session.ts';

export interface PreparedTransaction {
  readonly id: string;
  /** Of its oldest branch. */
  readonly ageMs: number;
  readonly shards: readonly string[];
}

export interface PreparedList {
  readonly transactions: readonly PreparedTransaction[];
  readonly foreign: number;
  /** Shards that did not answer, with the reason. */
  readonly unseen: readonly string[];
}

interface Branch {
  readonly shard: string;
  /** Null for somebody else's. */
  readonly id: string | null;
  readonly ageMs: number;
}

/** The rows of SHOW PREPARED. */
export function preparedFromProxy(result: SqlResult): PreparedList {
  const rows = rowsByName(result);
  const unseen = rows.flatMap((row) => (row.get('error') == null ? [] : [`${row.get('shard')}: ${row.get('error')}`]));
  const branches = rows.flatMap((row): Branch[] => {
    if (row.get('gid') == null) return [];
    const ageMs = Number(row.get('age_seconds') ?? 0) * 1_000;
    return [{ shard: row.get('shard') ?? '', id: row.get('transaction') ?? null, ageMs }];
  });
  return { ...listed(branches), unseen };
}

/** Rows of pg_prepared_xacts, for the cluster with this id. */
export function preparedFromGids(
  clusterId: string,
  rows: readonly { readonly shard: string; readonly gid: string; readonly ageMs: number }[],
): Omit<PreparedList, 'unseen'> {
  return listed(
    rows.map(({ shard, gid, ageMs }) => {
      const transaction = parseGid(gid)?.transaction;
      const id = transaction?.cluster === clusterId ? renderTransactionId(transaction) : null;
      return { shard, id, ageMs };
    }),
  );
}

function listed(branches: readonly Branch[]): Omit<PreparedList, 'unseen'> {
  const found = new Map<string, PreparedTransaction>();
  for (const { id, shard, ageMs } of branches) {
    if (id === null) continue;
    const before = found.get(id) ?? { id, ageMs, shards: [] };
    found.set(id, { id, ageMs: Math.max(before.ageMs, ageMs), shards: [...before.shards, shard].toSorted() });
  }
  return { transactions: [...found.values()], foreign: branches.filter(({ id }) => id === null).length };
}

// The judge: reads the rows on every shard directly, never through the proxy, and compares them with what clients were told.
import pg from 'pg';
import type { TransferLedger } from './transfer-ledger.ts';

/** Everything that one shard holds, read in one snapshot. */
export interface ShardRows {
  readonly shard: string;
  readonly accounts: readonly { readonly id: number; readonly balance: number }[];
  readonly transfers: readonly { readonly account: number; readonly transfer: string; readonly amount: number }[];
  /** gids of all prepared transactions of this database. */
  readonly prepared: readonly string[];
}

export interface Verdict {
  readonly acknowledgedMissing: readonly string[];
  readonly refusedPresent: readonly string[];
  /** Rows for some of the transfer's accounts only, whatever the client was told. */
  readonly torn: readonly string[];
  /** Rows that no client intended, or with another amount. */
  readonly strange: readonly string[];
  /** Accounts that are on no shard or on several, and transfer rows that are not on their account's shard. */
  readonly misplaced: readonly string[];
  /** Accounts whose balance is not the first balance plus their transfer rows: something was applied twice or half. */
  readonly unbalanced: readonly string[];
  /** Transfers that nobody has been told about although the load is paused. */
  readonly untold: readonly string[];
  /** Prepared transactions of ours, as `shard gid`. */
  readonly preparedLeft: readonly string[];
  readonly sumBefore: number;
  readonly sumAfter: number;
  /** Unknown to the client, and found whole: how many were committed and how many were not. */
  readonly unknownCommitted: number;
  readonly unknownAborted: number;
  /** How many transfers have all their rows on two shards or more: a judge that saw none has proven nothing. */
  readonly acrossShards: number;
  readonly sound: boolean;
}

/** Judges the rows. Pure. The load must be paused and recovery finished; `gidPrefix` tells which prepared ones are ours. */
export function judgeRows(shards: readonly ShardRows[], ledger: TransferLedger, gidPrefix = 'as1:'): Verdict {
  const home = new Map<number, string>();
  const misplaced: string[] = [];
  const change = new Map<number, number>();
  const found = new Map<string, Map<number, { amount: number; shard: string }>>();
  for (const { shard, accounts } of shards)
    for (const { id } of accounts) {
      if (home.has(id)) misplaced.push(`account ${id} on ${home.get(id)} and ${shard}`);
      home.set(id, shard);
    }
  for (const id of ledger.initial.keys()) if (!home.has(id)) misplaced.push(`account ${id} on no shard`);
  for (const { shard, transfers } of shards)
    for (const { account, transfer, amount } of transfers) {
      if (home.get(account) !== shard) misplaced.push(`transfer ${transfer} of account ${account} on ${shard}`);
      change.set(account, (change.get(account) ?? 0) + amount);
      const rows = found.get(transfer) ?? new Map<number, { amount: number; shard: string }>();
      found.set(transfer, rows.set(account, { amount, shard }));
    }
  const balances = new Map(shards.flatMap(({ accounts }) => accounts.map((row) => [row.id, row.balance] as const)));
  const unbalanced = [...ledger.initial].flatMap(([id, first]) => {
    const expected = first + (change.get(id) ?? 0);
    return balances.get(id) === expected ? [] : [`account ${id}: ${balances.get(id)} instead of ${expected}`];
  });
  const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);
  const fate = compareWithTold(found, ledger);
  const preparedLeft = shards.flatMap(({ shard, prepared }) =>
    prepared.filter((gid) => gid.startsWith(gidPrefix)).map((gid) => `${shard} ${gid}`),
  );
  const faults = { ...fate.faults, misplaced, unbalanced, preparedLeft };
  const [sumBefore, sumAfter] = [sum(ledger.initial.values()), sum(balances.values())];
  const sound = Object.values(faults).every((list) => list.length === 0) && sumBefore === sumAfter;
  return { ...faults, ...fate.counts, sumBefore, sumAfter, sound };
}

function compareWithTold(
  found: ReadonlyMap<string, ReadonlyMap<number, { readonly amount: number; readonly shard: string }>>,
  ledger: TransferLedger,
) {
  const faults = {
    acknowledgedMissing: [] as string[],
    refusedPresent: [] as string[],
    torn: [] as string[],
    strange: [...found.keys()].filter((id) => !ledger.records.has(id)),
    untold: [] as string[],
  };
  const counts = { unknownCommitted: 0, unknownAborted: 0, acrossShards: 0 };
  for (const [id, { plan, told, why }] of ledger.records) {
    const rows = found.get(id);
    const named = `${id} (${plan.kind}, ${why || told})`;
    if (told === 'pending') faults.untold.push(named);
    // A transfer that only reads has no rows to show; rows of it would be strange.
    const expected = plan.kind === 'readOnly' ? [] : plan.legs;
    const present = expected.filter((leg) => rows?.get(leg.account)?.amount === leg.amount);
    if ((rows?.size ?? 0) !== present.length) faults.strange.push(named);
    if (present.length > 0 && present.length < expected.length) faults.torn.push(named);
    if (told === 'acknowledged' && present.length < expected.length) faults.acknowledgedMissing.push(named);
    if (told === 'refused' && present.length > 0) faults.refusedPresent.push(named);
    if (told === 'unknown') counts[present.length > 0 ? 'unknownCommitted' : 'unknownAborted'] += 1;
    if (new Set([...(rows?.values() ?? [])].map((row) => row.shard)).size > 1) counts.acrossShards += 1;
  }
  return { faults, counts };
}

/** Reads one shard, in one snapshot, over a connection of its own. */
export async function readShard(shard: string, url: string): Promise<ShardRows> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const accounts = await client.query<{ id: string; balance: string }>('SELECT id, balance FROM accounts');
    const transfers = await client.query<{ account_id: string; transfer_id: string; amount: string }>(
      'SELECT account_id, transfer_id, amount FROM transfers',
    );
    const prepared = await client.query<{ gid: string }>(
      'SELECT gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared',
    );
    return {
      shard,
      accounts: accounts.rows.map((row) => ({ id: Number(row.id), balance: Number(row.balance) })),
      transfers: transfers.rows.map((row) => ({
        account: Number(row.account_id),
        transfer: row.transfer_id,
        amount: Number(row.amount),
      })),
      prepared: prepared.rows.map((row) => row.gid),
    };
  } finally {
    await client.end();
  }
}

export interface ShardAddress {
  readonly name: string;
  url(): string;
}

/** Reads every shard and judges. */
export async function judge(shards: readonly ShardAddress[], ledger: TransferLedger): Promise<Verdict> {
  return judgeRows(await Promise.all(shards.map((shard) => readShard(shard.name, shard.url()))), ledger);
}

/** The verdict as lines for people; the lists are cut, with their full length said. */
export function describeVerdict(verdict: Verdict): string {
  const lists = Object.entries(verdict).flatMap(([name, value]) =>
    Array.isArray(value) && value.length > 0
      ? [`${name} (${value.length}): ${value.slice(0, 5).join('; ')}${value.length > 5 ? '; …' : ''}`]
      : [],
  );
  return [`sum ${verdict.sumBefore} before, ${verdict.sumAfter} after`, ...lists].join('\n');
}

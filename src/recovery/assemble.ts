// From the prepared rows of all shards to transactions in doubt; pure, and nothing that is not ours comes out as ours.
import { type Gid, parseGid, type TransactionId, transactionKey } from '../transaction/gid.ts';
import type { Alarm } from './alarm.ts';
import type { BranchIdentity } from './evidence.ts';
import type { PreparedRow, ShardScan } from './shard-probe.ts';

/** One prepared row of ours, where it was found. */
export interface PreparedBranch {
  readonly shard: string;
  readonly gid: Gid;
  readonly row: PreparedRow;
}

export interface InDoubt {
  readonly transaction: TransactionId;
  readonly branches: readonly PreparedBranch[];
}

/** Prepared transactions that somebody else answers for: counted and aged, never touched. */
export interface Foreign {
  readonly count: number;
  readonly oldestAgeMs: number;
}

export interface Assembled {
  /** By `<epoch>.<seq>`. */
  readonly inDoubt: ReadonlyMap<string, InDoubt>;
  /** Not of this cluster, or not of this product at all. */
  readonly foreign: Foreign;
  /** Of this cluster's other instances, by name. */
  readonly otherInstances: ReadonlyMap<string, Foreign>;
  readonly alarms: readonly Alarm[];
}

const NONE: Foreign = { count: 0, oldestAgeMs: 0 };

/** Sorts every prepared row of every shard that answered. */
export function assemble(cluster: string, instance: string, scans: ReadonlyMap<string, ShardScan>): Assembled {
  const inDoubt = new Map<string, InDoubt & { branches: PreparedBranch[] }>();
  const otherInstances = new Map<string, Foreign>();
  const alarms: Alarm[] = [];
  let foreign = NONE;
  for (const [shard, scan] of scans) {
    for (const row of scan.prepared) {
      const gid = parseGid(row.gid);
      const ageMs = Math.max(0, scan.nowMs - row.preparedAtMs);
      if (gid === null || gid.transaction.cluster !== cluster) {
        foreign = aged(foreign, ageMs);
      } else if (gid.transaction.instance !== instance) {
        const other = gid.transaction.instance;
        otherInstances.set(other, aged(otherInstances.get(other) ?? NONE, ageMs));
      } else {
        const mistake = mistakeOf(shard, gid, row);
        if (mistake !== null) alarms.push({ kind: 'GidMistake', shard, message: `${row.gid}: ${mistake}` });
        else collect(inDoubt, { shard, gid, row });
      }
    }
  }
  return { inDoubt, foreign, otherInstances, alarms };
}

/** Why a row is not what its name says, or null. Rows with a mistake are left alone: acting on them is guessing. */
function mistakeOf(shard: string, gid: Gid, row: PreparedRow): string | null {
  const own = gid.participants[gid.index];
  if (own === undefined) return null;
  if (own.shard !== shard) return `names shard ${own.shard} but is prepared on ${shard}`;
  return own.xid === row.xid ? null : `names xid ${own.xid} but carries ${row.xid}`;
}

function collect(inDoubt: Map<string, InDoubt & { branches: PreparedBranch[] }>, branch: PreparedBranch): void {
  const key = transactionKey(branch.gid.transaction);
  const known = inDoubt.get(key);
  if (known === undefined) inDoubt.set(key, { transaction: branch.gid.transaction, branches: [branch] });
  else known.branches.push(branch);
}

function aged(foreign: Foreign, ageMs: number): Foreign {
  return { count: foreign.count + 1, oldestAgeMs: Math.max(foreign.oldestAgeMs, ageMs) };
}

export interface ListedBranches {
  readonly branches: readonly BranchIdentity[];
  readonly complete: boolean;
  readonly earlyAcknowledged: boolean;
}

/**
 * All participants that the prepared branches name, themselves included; null when the names contradict each other.
 * Every gid carries the same list, up to where it was cut, so two of them never disagree by accident.
 */
export function listedBranches(branches: readonly PreparedBranch[]): ListedBranches | null {
  const byIndex = new Map<number, BranchIdentity>();
  const counts = new Set(branches.map(({ gid }) => gid.count));
  const early = new Set(branches.map(({ gid }) => gid.flags.startsWith('e')));
  if (counts.size !== 1 || early.size !== 1) return null;
  for (const { shard, gid, row } of branches) {
    const named: (readonly [number, BranchIdentity])[] = [...gid.participants.entries()];
    // Its own entry may have been cut off; the row itself knows shard and xid.
    for (const [index, branch] of [...named, [gid.index, { shard, gid: row.gid, xid: row.xid }] as const]) {
      const known = byIndex.get(index);
      if (known !== undefined && (known.shard !== branch.shard || known.xid !== branch.xid)) return null;
      byIndex.set(index, { ...known, ...branch });
    }
  }
  const [count] = counts;
  return { branches: [...byIndex.values()], complete: byIndex.size === count, earlyAcknowledged: early.has(true) };
}

// One transaction in doubt before its shards are asked: who takes part, what the log says, who may still act. Pure.
import type { TransactionId } from '../transaction/gid.ts';
import type { LogEvidence as LoggedEvidence } from '../transaction/log-evidence.ts';
import { type InDoubt, listedBranches, type PreparedBranch } from './assemble.ts';
import type { XidExistence } from './branch-state.ts';
import type { BranchIdentity, LogEvidence, Owner } from './evidence.ts';
import type { RecoverySubject } from './subject.ts';

export interface Case {
  readonly transaction: TransactionId;
  readonly log: LogEvidence;
  readonly owner: Owner;
  readonly branches: readonly BranchIdentity[];
  /** All participants are among `branches`. */
  readonly complete: boolean;
  readonly earlyAcknowledged: boolean;
  /** The prepared rows deny each other or the log; nothing may be concluded from them. */
  readonly contradictory: boolean;
  /** Shard by gid, of the rows that were found prepared. */
  readonly prepared: ReadonlyMap<string, string>;
  readonly existence: XidExistence;
}

/** Brings together what the shards hold (`inDoubt`) and what the log says about the transaction `<epoch>.<seq>`. */
export function caseOf(
  key: string,
  inDoubt: InDoubt | undefined,
  logged: LoggedEvidence | undefined,
  subject: RecoverySubject,
  unfenced: ReadonlySet<string>,
): Case {
  const rows = inDoubt?.branches ?? [];
  const listed = logged?.kind === 'commit' ? decidedBranches(logged.decision.participants, rows) : listedBranches(rows);
  const branches = listed?.branches ?? [];
  const transaction = inDoubt?.transaction ?? transactionOf(key, subject);
  const log = evidenceOf(logged);
  return {
    transaction,
    log,
    owner: ownerOf(transaction, log, branches, subject, unfenced),
    branches,
    complete: listed?.complete ?? false,
    earlyAcknowledged: listed?.earlyAcknowledged ?? false,
    contradictory: listed === null,
    prepared: new Map(rows.map(({ shard, row }) => [row.gid, shard])),
    existence: existenceOf(log, rows),
  };
}

/** The record's own list, unless a row stands prepared that it does not name. */
function decidedBranches(participants: readonly BranchIdentity[], rows: readonly PreparedBranch[]) {
  const named = ({ shard, row }: PreparedBranch) =>
    participants.some((participant) => participant.shard === shard && participant.gid === row.gid);
  return rows.every(named) ? { branches: participants, complete: true, earlyAcknowledged: false } : null;
}

/** No word from the log counts as lost, never as "nothing was decided". */
export function evidenceOf(logged: LoggedEvidence | undefined): LogEvidence {
  switch (logged?.kind) {
    case 'commit':
      // The local engine makes records durable before anything acts on them, so an uncertain one has no answer yet.
      return logged.committed ? 'commit' : 'uncertain-down';
    case 'abort':
      return 'abort';
    case 'none-above-watermark':
      return 'none';
    case 'below-watermark':
      return 'pruned';
    case 'damaged':
      return 'damaged';
    case 'lost':
    case undefined:
      return 'lost';
  }
}

function ownerOf(
  transaction: TransactionId,
  log: LogEvidence,
  branches: readonly BranchIdentity[],
  subject: RecoverySubject,
  unfenced: ReadonlySet<string>,
): Owner {
  if (transaction.epoch > subject.epoch) return 'alive';
  if (subject.ownership === 'fenced') return 'fenced';
  if (log !== 'lost') return 'self-idle';
  // Its log may be in other hands, so only the fence on every shard that it names shows that it cannot act.
  return branches.some(({ shard }) => unfenced.has(shard)) ? 'alive' : 'fenced';
}

function existenceOf(log: LogEvidence, rows: readonly PreparedBranch[]): XidExistence {
  // A COMMIT record is written after every PREPARE was answered, so the xids are on the shards' disks.
  if (log === 'commit' || log === 'uncertain-commit' || log === 'uncertain-down') return { kind: 'prepared' };
  if (rows.length === 0) return { kind: 'unknown' };
  return { kind: 'sibling', preparedAtMs: Math.min(...rows.map(({ row }) => row.preparedAtMs)) };
}

function transactionOf(key: string, { cluster, instance }: RecoverySubject): TransactionId {
  const [epoch = 0, seq = 0] = key.split('.').map(Number);
  return { cluster, instance, epoch, seq };
}

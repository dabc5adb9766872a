// What a client is told about its COMMIT: committed, aborted or unknown; an error never stands for a transaction that
// will commit, and success never for one that may not.
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import { renderTransactionId, type TransactionId } from './gid.ts';

export type CommitOutcome =
  | {
      readonly kind: 'committed';
      /** Present when a decision was logged. */
      readonly transaction?: TransactionId;
      /** Participants that the resolver still drives; the client gets unfinishedWarning() when it is not 0. */
      readonly unfinished: number;
      /** What the shards said beside their yes, to be passed on as PostgreSQL does. */
      readonly notices: readonly SqlError[];
    }
  /** Definite: committed nowhere. The client keeps its connection and gets this error. */
  | { readonly kind: 'aborted'; readonly error: SqlError }
  /** 08007: may be committed, now or later; the error names how to ask. */
  | { readonly kind: 'unknown'; readonly error: SqlError };

/** How the outcome of one branch can be asked of its shard. */
export interface Evidence {
  readonly shard: string;
  readonly xid: string | null | undefined;
}

/** Success of a transaction with one branch, the common case; allocated once. */
export const COMMITTED: CommitOutcome = Object.freeze({ kind: 'committed', unfinished: 0, notices: [] });

/** For a client whose transaction is committed while some shards still have to be reached. */
export function unfinishedWarning(transaction: TransactionId, unfinished: number): SqlError {
  const message = `transaction ${renderTransactionId(transaction)} is committed, but ${unfinished} of its shards did not confirm yet`;
  const hint = 'It will be finished there as soon as they answer; until then reads of them may miss it.';
  return { severity: 'WARNING', code: SQLSTATE.warning, message, hint };
}

/** The decision to commit stands, but no shard confirmed it within the wait. */
export function unconfirmedError(transaction: TransactionId, evidence: Evidence): SqlError {
  const message = `transaction ${renderTransactionId(transaction)} is decided to commit, but no shard has confirmed it yet`;
  return unknownError(message, undefined, `It will be committed as soon as its shards answer. ${howToAsk(evidence)}`);
}

/** The log failed while it took the decision. */
export function undecidedError(transaction: TransactionId, evidence: Evidence): SqlError {
  const message = `the decision log failed while transaction ${renderTransactionId(transaction)} was being decided`;
  return unknownError(message, undefined, `Recovery will commit it everywhere or nowhere. ${howToAsk(evidence)}`);
}

/** The reply to a plain COMMIT was lost, and its shard cannot say what became of it. */
export function lostReplyError(why: SqlError, evidence: Evidence): SqlError {
  const message = `whether the transaction committed is unknown: ${evidence.shard} did not answer COMMIT`;
  return unknownError(message, why.detail ?? why.message, howToAsk(evidence));
}

/** Two-phase commit is off, and a shard failed behind one that had committed. */
export function tornError(committed: readonly string[], failed: string, why: SqlError): SqlError {
  const message = `the transaction is committed on ${committed.join(', ')} but not on ${failed}`;
  return unknownError(message, why.message, 'Two-phase commit is switched off (twoPhaseCommit.enabled: false).');
}

function unknownError(message: string, detail: string | undefined, hint: string): SqlError {
  return sqlError(SQLSTATE.transactionResolutionUnknown, message, { detail, hint });
}

function howToAsk({ shard, xid }: Evidence): string {
  if (typeof xid !== 'string') return 'Look for its rows before running it again.';
  return `To ask, on ${shard}: SELECT pg_xact_status('${xid}')`;
}

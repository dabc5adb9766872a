// What a server's reply says about a branch: yes, no or unknown, never a guess in between; only a definite no may undo
// what other participants prepared. Pure; shared by the coordinator and by recovery.
//
//   reply            to PREPARE             to COMMIT              to COMMIT / ROLLBACK PREPARED
//   expected tag     yes                    yes                    done
//   … and 01000 (1)  no, and prepared       yes, warning passed on verify (COMMIT) · done (ROLLBACK)
//   tag ROLLBACK     no (2)                 no (2)                 –
//   any other tag    unknown                unknown                unknown
//   ERROR            no                     no                     by its code: retry · verify · configuration
//   fatal (3), lost  unknown                unknown                unknown
//
// (1) "canceling wait for synchronous replication": the standby may not have it. A warning that a user's deferred
//     trigger raised has the same SQLSTATE, so the C function that raised it is looked at, which is never translated.
// (2) COMMIT and PREPARE of a failed transaction roll it back and answer with the tag ROLLBACK, without an error.
// (3) severity FATAL or PANIC, 57P01–57P05 and 25P03–25P04, class 08: the last word of a connection, which may well
//     come after the command took effect.
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import type { CommandReply } from '../shard/branch-link.ts';

/** What one branch answered when it was asked to prepare or to commit. */
export type Vote =
  | { readonly kind: 'yes'; readonly notices: readonly SqlError[] }
  /** Definitely not committed; `prepared` when it nevertheless stands prepared and must be rolled back by its gid. */
  | { readonly kind: 'no'; readonly error: SqlError; readonly prepared: boolean }
  /** Nobody knows; `error` says why, in words for a client whose transaction is rolled back because of it. */
  | { readonly kind: 'unknown'; readonly error: SqlError };

/**
 * What became of COMMIT PREPARED or ROLLBACK PREPARED.
 * - done: it took effect here.
 * - retry: not now (busy, out of resources); send it again later.
 * - verify: the gid is not there (or its commit may not be replicated); ask the transaction's status, assume nothing.
 * - configuration: it cannot work before somebody changes something (role, database, settings); alarm and retry.
 * - unknown: the connection is gone; ask again.
 */
export type FinishVerdict = 'done' | 'retry' | 'verify' | 'configuration' | 'unknown';

const FATAL_CODES: ReadonlySet<string> = new Set(['57P01', '57P02', '57P03', '57P04', '57P05', '25P03', '25P04']);
const NOBODY_RAISED_BUT_A_USER = 'exec_stmt_raise';

/** True when `error` ends the connection, so that it says nothing certain about the command before it. */
export function isFatal(error: SqlError): boolean {
  if (error.severity === 'FATAL' || error.severity === 'PANIC') return true;
  return FATAL_CODES.has(error.code) || error.code.startsWith('08');
}

/** Judges the reply to PREPARE TRANSACTION on `shard`. */
export function classifyPrepare(shard: string, reply: CommandReply): Vote {
  const vote = classifyTagged(shard, reply, 'PREPARE TRANSACTION');
  const doubt = vote.kind === 'yes' ? vote.notices.find(isReplicationDoubt) : undefined;
  if (doubt === undefined) return vote;
  const message = `${shard} prepared the transaction but stopped waiting for its synchronous standby`;
  return { kind: 'no', prepared: true, error: rolledBack(message, doubt.message) };
}

/** Judges the reply to a plain COMMIT on `shard`; like PostgreSQL it passes a replication warning on and means yes. */
export function classifyCommit(shard: string, reply: CommandReply): Vote {
  return classifyTagged(shard, reply, 'COMMIT');
}

/** Judges the reply to COMMIT PREPARED or ROLLBACK PREPARED. */
export function classifyFinish(reply: CommandReply, wanted: 'COMMIT PREPARED' | 'ROLLBACK PREPARED'): FinishVerdict {
  if (reply.kind === 'lost') return 'unknown';
  if (reply.kind === 'error') return classifyFinishError(reply.error);
  if (reply.tag !== wanted) return 'unknown';
  // A rollback needs no standby: a standby that never heard of it finds no decision and presumes abort.
  return wanted === 'COMMIT PREPARED' && reply.notices.some(isReplicationDoubt) ? 'verify' : 'done';
}

/** Judges an ERROR to COMMIT PREPARED or ROLLBACK PREPARED, for callers that have the error from elsewhere. */
export function classifyFinishError(error: SqlError): FinishVerdict {
  if (isFatal(error)) return 'unknown';
  if (error.code === SQLSTATE.undefinedObject) return 'verify';
  if (error.code === SQLSTATE.objectNotInPrerequisiteState) {
    // 55000 is both "is busy" and "prepared transactions are disabled"; only texts differ, and those are translated.
    return /max_prepared_transactions/.test(`${error.message} ${error.hint ?? ''}`) ? 'configuration' : 'retry';
  }
  if (error.code === SQLSTATE.insufficientPrivilege || error.code === SQLSTATE.featureNotSupported)
    return 'configuration';
  // 40001, 40P01, class 53, a cancelled statement, and whatever nobody foresaw: the gid still stands, so ask again.
  return 'retry';
}

/** The error of a transaction that was rolled back everywhere for a reason outside SQL; safe to run again. */
export function rolledBack(message: string, detail?: string): SqlError {
  return sqlError('40000', `transaction was rolled back: ${message}`, {
    detail,
    hint: 'Nothing of it was committed on any shard; it is safe to run it again.',
  });
}

/** The error for a client whose transaction is rolled back because a command before its commit did not complete. */
export function refusalOf(shard: string, reply: Exclude<CommandReply, { readonly kind: 'complete' }>): SqlError {
  return reply.kind === 'error' && !isFatal(reply.error) ? reply.error : lostError(shard, reply);
}

function classifyTagged(shard: string, reply: CommandReply, wanted: string): Vote {
  switch (reply.kind) {
    case 'lost':
      return { kind: 'unknown', error: lostError(shard, reply) };
    case 'error':
      if (!isFatal(reply.error)) return { kind: 'no', error: reply.error, prepared: false };
      return { kind: 'unknown', error: lostError(shard, reply) };
    case 'complete':
      if (reply.tag === wanted) return { kind: 'yes', notices: reply.notices };
      if (reply.tag === 'ROLLBACK') {
        return { kind: 'no', error: rolledBack(`it had already failed on ${shard}`), prepared: false };
      }
      return { kind: 'unknown', error: rolledBack(`${shard} answered ${wanted} with the tag "${reply.tag}"`) };
  }
}

function isReplicationDoubt(notice: SqlError): boolean {
  if (notice.severity !== 'WARNING') return false;
  if (isFatal(notice)) return true;
  return notice.code === SQLSTATE.warning && notice.other?.R !== NOBODY_RAISED_BUT_A_USER;
}

function lostError(shard: string, reply: Exclude<CommandReply, { readonly kind: 'complete' }>): SqlError {
  const lastWord = reply.kind === 'error' ? reply.error : reply.lost.fatal;
  const detail = lastWord === undefined ? undefined : `${lastWord.severity}: ${lastWord.message}`;
  return rolledBack(`the connection to ${shard} was lost`, detail ?? (reply.kind === 'lost' ? reply.lost.message : ''));
}

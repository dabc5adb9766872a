// How a client's transaction ends: COMMIT through the coordinator (one shard, read-only or two-phase), or ROLLBACK.
import { noticeResponse } from '../protocol/server-message.ts';
import { SQLSTATE, sqlError } from '../protocol/sql-error.ts';
import { unfinishedWarning } from '../transaction/commit-outcome.ts';
import type { ClientTransaction } from './client-transaction.ts';
import { connectionMemory } from './connection-memory.ts';
import { DONE, type Ran, ranInto, type SessionState } from './session-state.ts';

/**
 * Commits `session.transaction` on every shard or on none and ends it. Done: committed (a WARNING was written if some
 * shard still has to be finished). Error: what the client must be told; a definite error means committed nowhere.
 */
export async function commitTransaction(session: SessionState): Promise<Ran> {
  const transaction = session.transaction;
  if (transaction === undefined) return DONE;
  await transaction.settleXids();
  session.expectsSeveralWriters = transaction.writers > 1;
  // From here on a cancel request could only turn a known outcome into an unknown one.
  session.committing = true;
  const outcome = await session.services.coordinator.commit(
    [...transaction.branches.values()].map((branch) => ({
      link: branch.connection,
      written: branch.writes > 0,
      xid: branch.xid,
    })),
  );
  session.committing = false;
  if (outcome.kind === 'committed') {
    keepSettings(session, transaction);
  } else if (transaction.journal.hasSettings) {
    // A SET outlives a prepared transaction that was rolled back: what is in force there is not known any more.
    for (const { connection } of transaction.branches.values())
      connection.destroy('its session settings are not known');
  }
  endTransaction(session, transaction);
  if (outcome.kind !== 'committed') return ranInto(outcome.error);
  for (const notice of outcome.notices) session.writer.write(noticeResponse(notice));
  if (outcome.unfinished > 0 && outcome.transaction !== undefined) {
    session.writer.write(noticeResponse(unfinishedWarning(outcome.transaction, outcome.unfinished)));
  }
  return DONE;
}

/** Rolls `session.transaction` back everywhere and ends it. */
export async function rollbackTransaction(session: SessionState): Promise<void> {
  const transaction = session.transaction;
  if (transaction === undefined) return;
  await transaction.rollBack();
  endTransaction(session, transaction);
}

function keepSettings(session: SessionState, transaction: ClientTransaction): void {
  if (!transaction.journal.hasSettings) return;
  session.settings = transaction.journal.settingsAfterCommit(session.settings);
  for (const { connection } of transaction.branches.values()) connectionMemory(connection).settings = session.settings;
}

function endTransaction(session: SessionState, transaction: ClientTransaction): void {
  transaction.release();
  session.transaction = undefined;
}

/** What PostgreSQL answers to statements in a failed block. */
export const failedBlockError = sqlError(
  SQLSTATE.inFailedTransaction,
  'current transaction is aborted, commands ignored until end of transaction block',
);

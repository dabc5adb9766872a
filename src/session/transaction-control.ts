// BEGIN, COMMIT, ROLLBACK and savepoints as the client sees them: answered like one PostgreSQL, carried to every shard
// that takes part.
import { commandComplete, warning } from '../protocol/server-message.ts';
import { SQLSTATE, sqlError } from '../protocol/sql-error.ts';
import { ClientTransaction } from './client-transaction.ts';
import { DONE, type Ran, ranInto, type SessionState } from './session-state.ts';
import { quoteIdentifier } from './settings.ts';
import { commandOn } from './statement-runner.ts';
import { commitTransaction, rollbackTransaction } from './transaction-end.ts';

function answer(session: SessionState, tag: string): Ran {
  session.writer.write(commandComplete(tag));
  return DONE;
}

/** BEGIN and START TRANSACTION: answered here; shards hear of it when a statement goes there. */
export function beginBlock(session: SessionState, modes: string, text: string): Ran {
  const { transaction } = session;
  if (transaction === undefined) {
    session.transaction = new ClientTransaction(session, { hidden: false, modes });
  } else if (transaction.hidden) {
    // As in PostgreSQL, BEGIN inside an implicit block makes it a regular one, with what it did so far.
    transaction.hidden = false;
  } else {
    session.writer.write(warning('there is already a transaction in progress', SQLSTATE.activeTransaction));
  }
  return answer(session, /^start/i.test(text.trimStart()) ? 'START TRANSACTION' : 'BEGIN');
}

export async function commitBlock(session: SessionState, chain: boolean): Promise<Ran> {
  const { transaction } = session;
  if (transaction === undefined) return outsideBlock(session, 'COMMIT', chain);
  if (transaction.hidden)
    session.writer.write(warning('there is no transaction in progress', SQLSTATE.noActiveTransaction));
  if (transaction.state !== 'open') {
    await rollbackTransaction(session);
    chainBlock(session, transaction, chain);
    return answer(session, 'ROLLBACK');
  }
  const ran = await commitTransaction(session);
  if (ran.kind !== 'done') return ran;
  chainBlock(session, transaction, chain);
  return answer(session, 'COMMIT');
}

export async function rollbackBlock(session: SessionState, chain: boolean): Promise<Ran> {
  const { transaction } = session;
  if (transaction === undefined) return outsideBlock(session, 'ROLLBACK', chain);
  if (transaction.hidden)
    session.writer.write(warning('there is no transaction in progress', SQLSTATE.noActiveTransaction));
  await rollbackTransaction(session);
  chainBlock(session, transaction, chain);
  return answer(session, 'ROLLBACK');
}

function chainBlock(session: SessionState, ended: ClientTransaction, chain: boolean): void {
  if (chain) session.transaction = new ClientTransaction(session, { hidden: false, modes: ended.journal.modes });
}

function outsideBlock(session: SessionState, verb: 'COMMIT' | 'ROLLBACK', chain: boolean): Ran {
  if (chain) {
    return ranInto(sqlError(SQLSTATE.noActiveTransaction, `${verb} AND CHAIN can only be used in transaction blocks`));
  }
  session.writer.write(warning('there is no transaction in progress', SQLSTATE.noActiveTransaction));
  return answer(session, verb);
}

export async function setSavepoint(session: SessionState, name: string): Promise<Ran> {
  const { transaction } = session;
  if (transaction === undefined || transaction.hidden) return ranInto(onlyInBlock('SAVEPOINT'));
  const ran = await toAllBranches(transaction, `SAVEPOINT ${quoteIdentifier(name)}`);
  if (ran.kind !== 'done') return ran;
  transaction.journal.savepoint(name);
  return answer(session, 'SAVEPOINT');
}

export async function releaseSavepoint(session: SessionState, name: string): Promise<Ran> {
  const { transaction } = session;
  if (transaction === undefined || transaction.hidden) return ranInto(onlyInBlock('RELEASE SAVEPOINT'));
  if (!transaction.journal.hasSavepoint(name)) return ranInto(noSavepoint(name));
  const ran = await toAllBranches(transaction, `RELEASE SAVEPOINT ${quoteIdentifier(name)}`);
  if (ran.kind !== 'done') return ran;
  transaction.journal.release(name);
  return answer(session, 'RELEASE');
}

/** ROLLBACK TO reaches every participant: late ones had the savepoint replayed when they joined. */
export async function rollbackToSavepoint(session: SessionState, name: string): Promise<Ran> {
  const { transaction } = session;
  if (transaction === undefined || transaction.hidden) return ranInto(onlyInBlock('ROLLBACK TO SAVEPOINT'));
  if (!transaction.journal.hasSavepoint(name)) return ranInto(noSavepoint(name));
  if (transaction.state === 'broken') {
    return ranInto(
      sqlError(
        SQLSTATE.inFailedTransaction,
        'a shard lost its part of this transaction, so it can only be rolled back whole',
        {
          hint: 'Send ROLLBACK and try the transaction again.',
        },
      ),
    );
  }
  const ran = await toAllBranches(transaction, `ROLLBACK TO SAVEPOINT ${quoteIdentifier(name)}`);
  if (ran.kind !== 'done') return ran;
  transaction.journal.rollbackTo(name);
  transaction.reopen();
  return answer(session, 'ROLLBACK');
}

/** Sends one command to every participant. */
export function toAllBranches(transaction: ClientTransaction, sql: string): Promise<Ran> {
  return commandOn(transaction, [...transaction.branches.values()], sql);
}

const onlyInBlock = (what: string) =>
  sqlError(SQLSTATE.noActiveTransaction, `${what} can only be used in transaction blocks`);

const noSavepoint = (name: string) => sqlError('3B001', `savepoint "${name}" does not exist`);

// Runs one routed statement on its shard or shards: alone (the shard commits it), or inside the client's transaction.
// Replies go straight to the client; ReadyForQuery is never written here.

import { STATUS } from '../protocol/message-type.ts';
import { errorResponse } from '../protocol/server-message.ts';
import { readSqlError } from '../protocol/server-message-reader.ts';
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import type { CommandReply } from '../shard/branch-link.ts';
import type { ServerConnection } from '../shard/connection.ts';
import { ClientTransaction, isBranch, type SessionBranch } from './client-transaction.ts';
import { type Dispatch, relayUnit } from './dispatch.ts';
import { connectionLostError, firstThenOthers, leaseConnection, returnConnection } from './lease.ts';
import { type MergedEnd, MergedReply, type MergeRule } from './merge.ts';
import type { OtherError, UnitEnd } from './relay.ts';
import { DONE, FAILED, type Ran, ranInto, type SessionState } from './session-state.ts';
import { commitTransaction, rollbackTransaction } from './transaction-end.ts';

export interface StatementTraits {
  readonly writes: boolean;
  readonly merge: MergeRule;
  /** LOCK TABLE that gives the writers of a reference table one order on all shards (see PlannedStatement.lockFirst). */
  readonly lockFirst?: string | undefined;
}

/** Runs on one shard outside any transaction: the shard itself commits. The hot path. `further`: see leaseConnection. */
export async function runAlone(
  session: SessionState,
  shard: number,
  dispatch: Dispatch,
  writes: boolean,
  further = false,
): Promise<Ran> {
  const lease = await leaseConnection(session, shard, further);
  if (lease.kind === 'refused') return ranInto(lease.error);
  const { connection } = lease;
  const end = await relayUnit(session, connection, dispatch);
  returnConnection(session, connection);
  if (end.kind === 'lost') return ranInto(connectionLostError(connection.shard, end.lost, writes));
  return end.errored ? FAILED : DONE;
}

/** Reads on several shards outside any transaction, or writes there when automatic two-phase commit is off. */
async function runAloneOnMany(
  session: SessionState,
  shards: readonly number[],
  dispatch: Dispatch,
  traits: StatementTraits,
): Promise<Ran> {
  const leases = await firstThenOthers(shards, (shard, further) => leaseConnection(session, shard, further));
  const reply = new MergedReply(session.writer, traits.merge, dispatch.prefix, dispatch.correct);
  const refused = leases.find((lease) => lease.kind === 'refused');
  const connections: { shard: number; connection: ServerConnection }[] = [];
  for (const [index, lease] of leases.entries()) {
    const shard = shards[index];
    if (lease.kind === 'leased' && shard !== undefined) connections.push({ shard, connection: lease.connection });
  }
  if (refused === undefined) {
    for (const { shard, connection } of connections) sendMerged(reply, connection, shard, dispatch);
  }
  const end: MergedEnd | undefined = refused === undefined ? await reply.ended() : undefined;
  for (const { connection } of connections) returnConnection(session, connection);
  if (refused !== undefined) return ranInto(refused.error);
  return finishMerged(reply, end, traits.writes);
}

function sendMerged(reply: MergedReply, connection: ServerConnection, shard: number, dispatch: Dispatch): void {
  const { bytes, onParsed } = dispatch.merged(connection, shard);
  connection.send(bytes, reply.sinkFor(connection, onParsed));
}

function finishMerged(reply: MergedReply, end: MergedEnd | undefined, writes: boolean): Ran {
  if (end === undefined) return DONE;
  if (end.kind === 'lost') return ranInto(connectionLostError(end.shard, end.lost, writes));
  reply.finish(end);
  return end.kind === 'error' ? FAILED : DONE;
}

/** Runs on several shards outside the client's own transaction. */
export async function runOnMany(
  session: SessionState,
  shards: readonly number[],
  dispatch: Dispatch,
  traits: StatementTraits,
): Promise<Ran> {
  if (!traits.writes || !session.services.autoTwoPhaseCommit) return runAloneOnMany(session, shards, dispatch, traits);
  const transaction = new ClientTransaction(session, { hidden: true, modes: '' });
  session.transaction = transaction;
  const { ran, conclude } = await runMergedInside(session, transaction, shards, dispatch, traits);
  // The hidden block dies with its statement, whatever its end (PgDog 7).
  if (conclude === undefined) {
    await rollbackTransaction(session);
    return ran;
  }
  const committed = await commitTransaction(session);
  if (committed.kind === 'error') return committed;
  conclude();
  return DONE;
}

/** Runs inside `session.transaction` on one shard. */
export async function runInside(
  session: SessionState,
  transaction: ClientTransaction,
  shard: number,
  dispatch: Dispatch,
  writes: boolean,
): Promise<Ran> {
  const branch = await transaction.join(shard, dispatch.carries);
  if (!isBranch(branch)) return ranInto(branch);
  const copies = dispatch.copies === true;
  const otherError: OtherError = (chunk, start, end) =>
    transaction.isVictim ? errorResponse(transaction.told(readSqlError(chunk, start, end))) : undefined;
  const riders = dispatch.carries === true ? transaction.riders(branch, writes && !copies) : undefined;
  const ended = relayUnit(session, branch.connection, dispatch, otherError, riders);
  if (writes && !copies) transaction.wrote(branch);
  const end = await ended;
  if (writes && copies) transaction.wrote(branch);
  const ran = ranInside(transaction, branch, end);
  await transaction.statementEnded(ran.kind !== 'done');
  return ran;
}

function ranInside(transaction: ClientTransaction, branch: SessionBranch, end: UnitEnd): Ran {
  if (end.kind === 'lost') {
    transaction.breakOff();
    return ranInto(branchLost(branch, end.lost));
  }
  if (end.status === STATUS.idle) {
    const error = endedUnderneath(transaction, branch);
    // The client has its error when it got one: a BEGIN that was refused, or a procedure that failed behind its COMMIT.
    return end.errored ? FAILED : ranInto(error);
  }
  return end.errored ? FAILED : DONE;
}

/** Runs inside `session.transaction` on several shards. */
export async function runInsideOnMany(
  session: SessionState,
  transaction: ClientTransaction,
  shards: readonly number[],
  dispatch: Dispatch,
  traits: StatementTraits,
): Promise<Ran> {
  const { ran, conclude } = await runMergedInside(session, transaction, shards, dispatch, traits);
  conclude?.();
  return ran;
}

/** `conclude` writes the tag; it is there only when the statement succeeded on every shard. */
async function runMergedInside(
  session: SessionState,
  transaction: ClientTransaction,
  shards: readonly number[],
  dispatch: Dispatch,
  traits: StatementTraits,
): Promise<{ ran: Ran; conclude?: () => void }> {
  const reply = new MergedReply(session.writer, traits.merge, dispatch.prefix, dispatch.correct);
  const joined = await firstThenOthers(shards, (shard) => transaction.join(shard));
  const branches = joined.filter(isBranch);
  const refused = joined.find((branch): branch is SqlError => !isBranch(branch));
  if (refused !== undefined) return { ran: ranInto(refused) };
  if (traits.lockFirst !== undefined) {
    const locked = await lockInOrder(transaction, branches, traits.lockFirst);
    if (locked.kind !== 'done') return { ran: locked };
  }
  for (const [index, branch] of branches.entries()) {
    sendMerged(reply, branch.connection, branch.shard, dispatch);
    if (traits.writes) transaction.wrote(branch);
    // Statements that lock whole tables (DDL, TRUNCATE, LOCK) take the first shard first, or two of them could each hold
    // one shard and wait for the other's, which no server sees.
    if (index === 0 && traits.merge === 'first' && (await reply.ended()).kind !== 'complete') break;
  }
  const end = await reply.ended();
  const error = end.kind === 'error' ? transaction.told(end.error) : undefined;
  await transaction.statementEnded(end.kind !== 'complete');
  if (end.kind === 'lost') {
    transaction.breakOff();
    return { ran: ranInto(connectionLostError(end.shard, end.lost, false)) };
  }
  if (error !== undefined) {
    session.writer.write(errorResponse(error));
    return { ran: FAILED };
  }
  return { ran: DONE, conclude: () => reply.finish(end) };
}

/** Takes the lock on the first shard, then on the others: who has the first one is first everywhere. */
async function lockInOrder(
  transaction: ClientTransaction,
  branches: readonly SessionBranch[],
  sql: string,
): Promise<Ran> {
  const [first, ...others] = branches.toSorted((a, b) => a.shard - b.shard);
  for (const together of [first === undefined ? [] : [first], others]) {
    const ran = await commandOn(transaction, together, sql);
    if (ran.kind !== 'done') return ran;
  }
  return DONE;
}

/** Sends one command to these participants; the first error (or loss) is the statement's. */
export async function commandOn(
  transaction: ClientTransaction,
  branches: readonly SessionBranch[],
  sql: string,
): Promise<Ran> {
  const replies = await Promise.all(branches.map((branch) => branch.connection.command(sql)));
  const ran = firstFailure(transaction, branches, replies);
  await transaction.statementEnded(ran.kind !== 'done');
  return ran;
}

function firstFailure(
  transaction: ClientTransaction,
  branches: readonly SessionBranch[],
  replies: readonly CommandReply[],
): Ran {
  for (const [index, reply] of replies.entries()) {
    if (reply.kind === 'complete') continue;
    if (reply.kind === 'error') return ranInto(transaction.told(reply.error));
    transaction.breakOff();
    return ranInto(connectionLostError(branches[index]?.connection.shard ?? 'a shard', reply.lost, false));
  }
  return DONE;
}

function branchLost(branch: SessionBranch, lost: Parameters<typeof connectionLostError>[1]): SqlError {
  return {
    ...connectionLostError(branch.connection.shard, lost, false),
    hint: 'The transaction is rolled back; it may be tried again.',
  };
}

/** A shard left the block on its own (a COMMIT hidden in a procedure): atomicity is gone, so say so and stop. */
function endedUnderneath(transaction: ClientTransaction, branch: SessionBranch): SqlError {
  transaction.breakOff();
  branch.connection.destroy('its transaction block ended underneath the session');
  return sqlError(
    SQLSTATE.invalidTransactionState,
    `the transaction block on ${branch.connection.shard} ended unexpectedly`,
    {
      hint: 'Do not run COMMIT or ROLLBACK inside procedures called within a cross-shard transaction.',
    },
  );
}

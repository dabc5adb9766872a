// One planned statement, from either protocol: control and settings are the session's own, everything else is routed.

import { unreachable } from '../kernel/assert.ts';
import { commandComplete, dataRow } from '../protocol/server-message.ts';
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import type { BoundParameters, PlannedStatement, Route, RoutingError } from '../routing/plan.ts';
import type { ClientTransaction } from './client-transaction.ts';
import { cursorShards, rememberCursor } from './cursors.ts';
import type { Dispatch } from './dispatch.ts';
import { noSuchShard } from './lease.ts';
import type { MergeRule } from './merge.ts';
import { showsOwn } from './own-commands.ts';
import { noteSchemaChange, schemaRefusal } from './schema-watch.ts';
import { executeSessionCommand } from './session-commands.ts';
import { DONE, type Ran, ranInto, type SessionState } from './session-state.ts';
import { runSetConfig } from './set-config.ts';
import { runAlone, runInside, runInsideOnMany, runOnMany } from './statement-runner.ts';
import {
  beginBlock,
  commitBlock,
  releaseSavepoint,
  rollbackBlock,
  rollbackToSavepoint,
  setSavepoint,
} from './transaction-control.ts';
import { failedBlockError } from './transaction-end.ts';

/**
 * Runs `statement`; replies up to and including CommandComplete are written, unless an error is returned unwritten.
 * `route` is only asked for statements that go to shards.
 */
export async function executeStatement(
  session: SessionState,
  statement: PlannedStatement,
  route: () => Route,
  dispatch: Dispatch,
): Promise<Ran> {
  const { action } = statement;
  const { transaction } = session;
  if (transaction !== undefined && transaction.state !== 'open' && !leavesFailedBlock(statement)) {
    return ranInto(failedBlockError);
  }
  noteSchemaChange(session, action);
  switch (action.kind) {
    case 'begin':
      return beginBlock(session, action.modes, statement.text);
    case 'commit':
      return commitBlock(session, action.chain);
    case 'rollback':
      return rollbackBlock(session, action.chain);
    case 'savepoint':
      return setSavepoint(session, action.name);
    case 'release':
      return releaseSavepoint(session, action.name);
    case 'rollbackTo':
      return rollbackToSavepoint(session, action.name);
    case 'set':
    case 'resetAll':
    case 'setTransaction':
    case 'setSessionCharacteristics':
    case 'setConstraints':
    case 'discard':
    case 'deallocate':
      return executeSessionCommand(session, action, statement.text);
    case 'cursor':
      return runCursor(session, statement, route, dispatch);
    case 'query':
      return runRouted(session, statement, route(), dispatch, action.merge);
    case 'copy':
      return runRouted(session, statement, route(), { ...dispatch, copies: true }, action.merge);
    case 'ddl': {
      const ran = await runRouted(session, statement, route(), dispatch, 'first');
      // Plans and result types of prepared statements may have changed on every connection: prepare them anew.
      session.services.statementNames.forgetAll();
      return ran;
    }
    case 'lock':
      if (transaction === undefined) return ranInto(lockOutsideBlock);
      return runRouted(session, statement, route(), dispatch, 'first');
    case 'show':
      if (!showsOwn(action)) return runRouted(session, statement, route(), dispatch, 'first');
      session.writer.write(dataRow([session.applicationName]));
      session.writer.write(commandComplete('SHOW'));
      return DONE;
    case 'explain':
    case 'notification':
    case 'procedure':
    case 'ddlOutsideTransaction':
    case 'preparedTransaction':
    case 'sqlPrepare':
    case 'sqlExecute':
      return runRouted(session, statement, route(), dispatch, 'first');
    default:
      return unreachable(action);
  }
}

/** On several shards it would be a transaction of its own, so no shard would say so. */
const lockOutsideBlock = sqlError(SQLSTATE.noActiveTransaction, 'LOCK TABLE can only be used in transaction blocks');

function leavesFailedBlock(statement: PlannedStatement): boolean {
  const { kind } = statement.action;
  return kind === 'commit' || kind === 'rollback' || kind === 'rollbackTo';
}

/** Where a statement goes for this session: SET atomshard.shard stands above the router, a comment above both. */
export function routeFor(
  session: SessionState,
  statement: PlannedStatement,
  parameters: BoundParameters | undefined,
): Route {
  const refused = schemaRefusal(session, statement);
  if (refused !== undefined) return { kind: 'refused', error: refused };
  const { forcedShard } = session;
  if (forcedShard === undefined || statement.manual) return statement.route(parameters);
  return statement.routeTo(forcedShard, parameters);
}

/** The shards a route means for this session now, or why there is none. */
export function shardsOf(session: SessionState, route: Route): readonly number[] | SqlError {
  switch (route.kind) {
    case 'one':
      return route.shard < session.pools.length ? [route.shard] : noSuchShard(route.shard, session.pools.length);
    case 'some':
      return route.shards;
    case 'all':
      return session.pools.map((_pool, shard) => shard);
    case 'split':
      return route.parts.map((part) => part.shard);
    case 'any':
      return [joinedShard(session.transaction) ?? session.anyShard(route.prefer)];
    case 'refused':
      return routingSqlError(route.error);
    default:
      return unreachable(route);
  }
}

function joinedShard(transaction: ClientTransaction | undefined): number | undefined {
  return transaction?.branches.keys().next().value;
}

export function routingSqlError(error: RoutingError): SqlError {
  return sqlError(error.code, error.message, {
    detail: error.detail,
    hint: error.hint,
    position: error.position?.toString(),
  });
}

/** Runs a statement where `route` says, alone or inside the session's transaction. */
export async function runRouted(
  session: SessionState,
  statement: PlannedStatement,
  route: Route,
  dispatch: Dispatch,
  merge: MergeRule,
): Promise<Ran> {
  const shards = shardsOf(session, route);
  if (!Array.isArray(shards)) return ranInto(shards as SqlError);
  const places = shards as readonly number[];
  if (statement.setConfig) return runSetConfig(session, statement, places, dispatch);
  const { writes } = statement;
  const { transaction } = session;
  const [first, second] = places;
  if (first === undefined) return DONE;
  if (second === undefined && route.kind !== 'split') {
    if (transaction === undefined) return runAlone(session, first, dispatch, writes);
    return runInside(session, transaction, first, dispatch, writes);
  }
  const traits = { writes, merge, lockFirst: statement.lockFirst };
  if (transaction === undefined) return runOnMany(session, places, dispatch, traits);
  return runInsideOnMany(session, transaction, places, dispatch, traits);
}

/** DECLARE goes where its query goes and is remembered; FETCH and CLOSE follow it. */
async function runCursor(
  session: SessionState,
  statement: PlannedStatement,
  route: () => Route,
  dispatch: Dispatch,
): Promise<Ran> {
  const { action } = statement;
  if (action.kind !== 'cursor') return DONE;
  if (action.verb === 'declare') {
    const target = route();
    const shards = shardsOf(session, target);
    const ran = await runRouted(session, statement, target, dispatch, 'first');
    if (ran.kind === 'done' && Array.isArray(shards)) rememberCursor(session, action, shards);
    return ran;
  }
  return runRouted(session, statement, { kind: 'some', shards: cursorShards(session, action) }, dispatch, 'first');
}

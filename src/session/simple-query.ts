// The simple protocol: one Query, one or several statements. Several are one implicit transaction unless they control it
// themselves, as in PostgreSQL; when all of them belong to one shard the shard gets the Query as it came.
import { query } from '../protocol/client-message-writer.ts';
import { EMPTY_QUERY_RESPONSE, errorResponse } from '../protocol/server-message.ts';
import type { PlannedStatement, QueryPlan, Route } from '../routing/plan.ts';
import { ClientTransaction } from './client-transaction.ts';
import { simpleDispatch } from './dispatch.ts';
import { executeStatement, routeFor } from './execute-statement.ts';
import { endImplicitBlock } from './extended-query.ts';
import { OWN_ROW, showsOwn } from './own-commands.ts';
import { correctionFor, withoutPosition } from './rewritten-text.ts';
import { currentPlan } from './schema-watch.ts';
import { DONE, type Ran, type SessionState } from './session-state.ts';
import { runAlone, runInside } from './statement-runner.ts';
import { rollbackTransaction } from './transaction-end.ts';

/** Runs one Query; everything up to, but without, ReadyForQuery is written. `frame` is the message as it came. */
export async function runSimpleQuery(session: SessionState, text: string, frame: Buffer): Promise<void> {
  const plan = session.services.router.plan(text);
  const ran = await runPlan(session, plan, frame);
  if (ran.kind === 'done') return;
  if (ran.kind === 'error') session.writer.write(errorResponse(ran.error));
  if (session.transaction?.hidden === true) await rollbackTransaction(session);
  else session.fail();
}

async function runPlan(session: SessionState, plan: QueryPlan, frame: Buffer): Promise<Ran> {
  const [only, second] = plan.statements;
  if (only === undefined) {
    session.writer.write(EMPTY_QUERY_RESPONSE);
    return DONE;
  }
  if (second === undefined) return runOne(session, only, frame);
  const { transaction } = session;
  if (transaction !== undefined && transaction.state !== 'open') return runScript(session, plan.statements);
  const shard = commonShard(session, plan.statements);
  if (shard === undefined) return runScript(session, plan.statements);
  const writes = plan.statements.some((statement) => statement.writes);
  if (transaction === undefined) return runAlone(session, shard, simpleDispatch(frame), writes);
  return runInside(session, transaction, shard, simpleDispatch(frame), writes);
}

async function runOne(session: SessionState, statement: PlannedStatement, frame: Buffer): Promise<Ran> {
  if (showsOwn(statement.action) && (session.transaction?.state ?? 'open') === 'open') session.writer.write(OWN_ROW);
  const route = routeFor(session, statement, undefined);
  const ran = await executeStatement(session, statement, () => route, dispatchFor(statement, route, frame));
  if (ran.kind !== 'done' && statement.rewritten !== undefined) session.services.schema.doubt();
  return ran;
}

function dispatchFor({ rewritten }: PlannedStatement, route: Route, frame: Buffer) {
  if (route.kind === 'split') {
    return simpleDispatch(frame, new Map(route.parts.map((part) => [part.shard, part.text])), withoutPosition);
  }
  if (rewritten === undefined) return simpleDispatch(frame);
  return simpleDispatch(query(rewritten.text), undefined, correctionFor(rewritten));
}

/** The one shard that all of these plain reads and writes belong to: then nobody has to coordinate them. */
function commonShard(session: SessionState, statements: readonly PlannedStatement[]): number | undefined {
  if (session.forcedShard !== undefined) return undefined;
  let place: number | undefined;
  for (const statement of statements) {
    // A rewritten statement cannot be sent within the Query as it came.
    if (statement.action.kind !== 'query' || statement.setConfig || statement.rewritten !== undefined) return undefined;
    const route = statement.route(undefined);
    if (route.kind === 'any') continue;
    if (route.kind !== 'one') return undefined;
    place ??= route.shard;
    if (place !== route.shard) return undefined;
  }
  return place;
}

async function runScript(session: SessionState, statements: readonly PlannedStatement[]): Promise<Ran> {
  for (const planned of statements) {
    const statement = currentPlan(session, planned);
    if (session.transaction === undefined && statement.action.kind !== 'begin') {
      session.transaction = new ClientTransaction(session, { hidden: true, modes: '' });
    }
    const ran = await runOne(session, statement, query(statement.text));
    if (ran.kind !== 'done') return ran;
  }
  return endImplicitBlock(session);
}

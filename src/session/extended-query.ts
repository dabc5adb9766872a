// The extended protocol: walks the messages of one batch (up to Sync or Flush), gathers those that go to the same shards
// into groups, and keeps PostgreSQL's promise that everything up to Sync is one transaction, also across shards.
import { readBind, readClose, readDescribe, readExecute, readParse } from '../protocol/client-message.ts';
import { CLIENT } from '../protocol/message-type.ts';
import {
  BIND_COMPLETE,
  CLOSE_COMPLETE,
  errorResponse,
  PARSE_COMPLETE,
  parameterDescription,
} from '../protocol/server-message.ts';
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import type { Merge, Route, StatementAction } from '../routing/plan.ts';
import { BoundValues } from './bound-values.ts';
import { cursorShards, findPortal, rememberCursor } from './cursors.ts';
import { executeStatement, routeFor, shardsOf } from './execute-statement.ts';
import { groupDispatch } from './extended-group.ts';
import { Gathering } from './gathering.ts';
import { describeOwn, isOwn } from './own-commands.ts';
import { currentPlan, noteSchemaChange } from './schema-watch.ts';
import { type ClientStatement, DONE, FAILED, type Ran, ranInto, type SessionState } from './session-state.ts';
import { keepSetConfig, settingCalls } from './set-config.ts';
import { commitTransaction, rollbackTransaction } from './transaction-end.ts';

/** One message of the batch: its type byte and the whole frame. */
export interface ClientFrame {
  readonly type: number;
  readonly frame: Buffer;
}

const ANYWHERE: Route = { kind: 'any' };

export class ExtendedBatch {
  readonly #session: SessionState;
  readonly #gathering: Gathering;
  /** Statements of this batch that the client does not know to exist yet; forgotten if the batch fails before. */
  readonly #unconfirmed = new Set<ClientStatement>();

  /** Something of this batch was sent with columns that the client did not name. */
  #rewritten = false;

  constructor(session: SessionState) {
    this.#session = session;
    this.#gathering = new Gathering(session);
  }

  /**
   * Runs the messages. `toSync`: the batch ends with Sync (else with Flush, and goes on). Returns false when an error was
   * sent, after which everything up to the next Sync is skipped.
   */
  async run(frames: readonly ClientFrame[], toSync: boolean): Promise<boolean> {
    let ran: Ran = DONE;
    for (const { type, frame } of frames) {
      ran = await this.#message(type, frame);
      if (ran.kind !== 'done') break;
    }
    if (ran.kind === 'done') ran = await this.#gathering.flush(toSync);
    if (ran.kind !== 'done') await this.#failed(ran);
    return ran.kind === 'done';
  }

  async #failed(ran: Ran): Promise<void> {
    const session = this.#session;
    if (ran.kind === 'error') session.writer.write(errorResponse(ran.error));
    if (this.#rewritten) session.services.schema.doubt();
    for (const statement of this.#unconfirmed) {
      if (session.statements.get(statement.name) === statement) session.statements.delete(statement.name);
    }
    if (session.transaction?.hidden === true) await rollbackTransaction(session);
    else session.fail();
  }

  async #message(type: number, frame: Buffer): Promise<Ran> {
    switch (type) {
      case CLIENT.parse:
        return this.#parse(frame);
      case CLIENT.bind:
        return this.#bind(frame);
      case CLIENT.describe:
        return this.#describe(frame);
      case CLIENT.execute:
        return this.#execute(frame);
      case CLIENT.close:
        return this.#close(frame);
      default:
        return DONE;
    }
  }

  async #parse(frame: Buffer): Promise<Ran> {
    const session = this.#session;
    const { name, text, parameterTypes } = readParse(frame, 0, frame.length);
    if (name !== '' && session.statements.has(name)) {
      return this.#afterGroup(
        sqlError(SQLSTATE.duplicatePreparedStatement, `prepared statement "${name}" already exists`),
      );
    }
    if (session.statements.size >= session.services.preparedStatementsMax) {
      return this.#afterGroup(
        sqlError(
          SQLSTATE.configurationLimitExceeded,
          `more than ${session.services.preparedStatementsMax} prepared statements in one session`,
          {
            hint: 'Close or DEALLOCATE those that are not needed, or raise limits.preparedStatementsMax.',
          },
        ),
      );
    }
    const plan = session.services.router.plan(text);
    const planned = plan.statements.length === 1 ? plan.statements[0] : undefined;
    const told = { shape: undefined, name: '' };
    const statement: ClientStatement = { name, text, parameterTypes, planned, told };
    session.statements.set(name, statement);
    if (isOwn(statement)) {
      this.#gathering.own(PARSE_COMPLETE);
      return DONE;
    }
    this.#unconfirmed.add(statement);
    this.#gathering.add({ kind: 'parse', statement, confirmed: () => this.#unconfirmed.delete(statement) });
    return DONE;
  }

  async #bind(frame: Buffer): Promise<Ran> {
    const session = this.#session;
    const bind = readBind(frame, 0, frame.length);
    const statement = this.#current(session.statements.get(bind.statement));
    if (statement === undefined) return this.#afterGroup(noStatement(bind.statement));
    if (isOwn(statement)) {
      session.portals.set(bind.portal, { statement, shards: [] });
      this.#gathering.own(BIND_COMPLETE);
      return DONE;
    }
    const { planned } = statement;
    this.#rewritten ||= planned?.rewritten !== undefined;
    const values = new BoundValues(bind, frame, statement.parameterTypes);
    const route = planned === undefined ? ANYWHERE : routeFor(session, planned, values);
    const shards = this.#placesFor(statement, route);
    if (!Array.isArray(shards)) return this.#afterGroup(shards as SqlError);
    const ran = await this.#gathering.moveTo(shards);
    if (ran.kind !== 'done') return ran;
    session.portals.set(bind.portal, { statement, shards });
    if (planned?.action.kind === 'cursor') rememberCursor(session, planned.action, shards);
    this.#gathering.add({ kind: 'bind', statement, frame, parts: route.kind === 'split' ? route.parts : undefined });
    this.#gathering.mergeBy(mergeOf(planned?.action), planned?.lockFirst);
    return DONE;
  }

  /** The statement with a plan for the tables as they are; what is gathered already keeps its own plan and text. */
  #current(statement: ClientStatement | undefined): ClientStatement | undefined {
    if (statement?.planned?.outdated !== true) return statement;
    const fresh = { ...statement, planned: currentPlan(this.#session, statement.planned) };
    this.#session.statements.set(statement.name, fresh);
    if (this.#unconfirmed.has(statement)) this.#unconfirmed.add(fresh);
    return fresh;
  }

  #placesFor(statement: ClientStatement, route: Route): readonly number[] | SqlError {
    const action = statement.planned?.action;
    if (action?.kind === 'cursor' && action.verb !== 'declare') return cursorShards(this.#session, action);
    const gathered = this.#gathering.shards;
    // What may run anywhere joins what is already going somewhere: no second packet, no second participant.
    if (route.kind === 'any' && gathered?.length === 1) return gathered;
    if (statement.planned?.setConfig === true) {
      const calls = settingCalls(statement.text);
      if ('code' in calls) return calls;
    }
    return shardsOf(this.#session, route);
  }

  async #describe(frame: Buffer): Promise<Ran> {
    const session = this.#session;
    const { target, name } = readDescribe(frame, 0, frame.length);
    if (target === 'statement') {
      const statement = session.statements.get(name);
      if (statement === undefined) return this.#afterGroup(noStatement(name));
      if (isOwn(statement)) this.#gathering.own(parameterDescription([]), describeOwn(statement));
      else {
        const ran = await this.#gathering.leaveMerged();
        if (ran.kind !== 'done') return ran;
        this.#gathering.add({ kind: 'describe-statement', statement });
      }
      return DONE;
    }
    const portal = findPortal(session, name);
    if (portal === undefined) return this.#afterGroup(noPortal(name));
    if (isOwn(portal.statement)) {
      this.#gathering.own(describeOwn(portal.statement));
      return DONE;
    }
    const ran = await this.#gathering.moveTo(portal.shards);
    if (ran.kind === 'done') this.#gathering.add({ kind: 'describe-portal', statement: portal.statement, frame });
    return ran;
  }

  async #execute(frame: Buffer): Promise<Ran> {
    const session = this.#session;
    const { portal: name, rowsMax } = readExecute(frame, 0, frame.length);
    const portal = findPortal(session, name);
    if (portal === undefined) return this.#afterGroup(noPortal(name));
    const { planned } = portal.statement;
    if (planned !== undefined && isOwn(portal.statement)) {
      const ran = await this.#gathering.flush(false);
      if (ran.kind !== 'done') return ran;
      return executeStatement(session, planned, () => ANYWHERE, groupDispatch([], session.services.statementNames));
    }
    if (portal.shards.length > 1 && rowsMax > 0) {
      return this.#afterGroup(
        sqlError(SQLSTATE.featureNotSupported, 'a row limit in Execute is not supported across shards', {
          hint: 'Fetch all rows (fetch size 0), or bind the shard key.',
        }),
      );
    }
    let ran = await this.#gathering.moveTo(portal.shards);
    if (ran.kind !== 'done') return ran;
    if (portal.shards.length > 1 && this.#gathering.executes > 0) {
      ran = await this.#gathering.flush(false);
      if (ran.kind !== 'done') return ran;
      this.#gathering.shards = portal.shards;
    }
    if (planned !== undefined) noteSchemaChange(session, planned.action);
    this.#gathering.add({ kind: 'execute', frame });
    this.#gathering.executed(planned?.setConfig !== true && (planned?.writes ?? true), planned?.action.kind === 'copy');
    if (planned?.action.kind === 'ddl') session.services.statementNames.forgetAll();
    if (planned?.setConfig !== true) return DONE;
    ran = await this.#gathering.flush(false);
    return ran.kind === 'done' ? keepSetConfig(session, planned, portal.shards[0] ?? 0) : ran;
  }

  async #close(frame: Buffer): Promise<Ran> {
    const session = this.#session;
    const { target, name } = readClose(frame, 0, frame.length);
    if (target === 'statement') {
      session.statements.delete(name);
      this.#gathering.own(CLOSE_COMPLETE);
      return DONE;
    }
    const portal = findPortal(session, name);
    session.portals.delete(name);
    const here = portal !== undefined && portal.shards.length === 1 && portal.shards[0] === this.#gathering.shards?.[0];
    const open = portal !== undefined && session.transaction?.branches.has(portal.shards[0] ?? -1) === true;
    if (portal === undefined || portal.shards.length !== 1 || !(here || open)) {
      this.#gathering.own(CLOSE_COMPLETE);
      return DONE;
    }
    const ran = await this.#gathering.moveTo(portal.shards);
    if (ran.kind === 'done') this.#gathering.add({ kind: 'close-portal', frame });
    return ran;
  }

  /** An error of ours stands behind the replies to what came before it. */
  async #afterGroup(error: SqlError): Promise<Ran> {
    const ran = await this.#gathering.flush(false);
    return ran.kind === 'done' ? ranInto(error) : ran;
  }
}

/** Sync: the hidden block, if there is one, commits. */
export async function endImplicitBlock(session: SessionState): Promise<Ran> {
  if (session.transaction?.hidden !== true) return DONE;
  const ran = await commitTransaction(session);
  if (ran.kind !== 'error') return ran;
  session.writer.write(errorResponse(ran.error));
  return FAILED;
}

function mergeOf(action: StatementAction | undefined): Merge {
  if (action === undefined) return 'concat';
  return action.kind === 'query' || action.kind === 'copy' ? action.merge : 'first';
}

const noStatement = (name: string) =>
  sqlError(
    SQLSTATE.invalidStatementName,
    name === '' ? 'unnamed prepared statement does not exist' : `prepared statement "${name}" does not exist`,
  );

const noPortal = (name: string) => sqlError(SQLSTATE.invalidCursorName, `portal "${name}" does not exist`);

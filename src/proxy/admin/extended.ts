// The extended protocol of the admin database: statements and portals by name. A portal's rows are made when it is first
// executed, and are the same until it is closed.
import {
  formatOf,
  readBind,
  readClose,
  readDescribe,
  readExecute,
  readParse,
  type TargetMessage,
} from '../../protocol/client-message.ts';
import { CLIENT } from '../../protocol/message-type.ts';
import {
  BIND_COMPLETE,
  CLOSE_COMPLETE,
  EMPTY_QUERY_RESPONSE,
  noticeResponse,
  PARSE_COMPLETE,
  PORTAL_SUSPENDED,
  parameterDescription,
} from '../../protocol/server-message.ts';
import { SQLSTATE, type SqlError, sqlError } from '../../protocol/sql-error.ts';
import type { AdminDesk } from './admin-desk.ts';
import { type AdminAnswer, describeColumns, encodeRow, type ShownColumn, tagOf } from './answer.ts';
import { type AdminCommand, readCommands } from './command.ts';

/** Names that one administrator may keep. */
const NAMES_MAX = 1_000;

/** `command` undefined: the text was empty. */
interface Statement {
  readonly command: AdminCommand | undefined;
}

interface Portal extends Statement {
  readonly columns: readonly ShownColumn[];
  readonly formats: readonly number[];
  answer: AdminAnswer | undefined;
  sent: number;
}

export class AdminStatements {
  readonly #desk: AdminDesk;
  readonly #write: (bytes: Buffer) => void;
  readonly #statements = new Map<string, Statement>();
  readonly #portals = new Map<string, Portal>();

  constructor(desk: AdminDesk, write: (bytes: Buffer) => void) {
    this.#desk = desk;
    this.#write = write;
  }

  /** Answers one message, or returns the error that is to be sent. `executed` hears of each command that ran. */
  async message(type: number, bytes: Buffer, executed: (command: AdminCommand) => void): Promise<SqlError | undefined> {
    switch (type) {
      case CLIENT.parse:
        return this.#parse(bytes);
      case CLIENT.bind:
        return this.#bind(bytes);
      case CLIENT.describe:
        return this.#describe(readDescribe(bytes, 0, bytes.length));
      case CLIENT.execute:
        return this.#execute(bytes, executed);
      default:
        return this.#close(readClose(bytes, 0, bytes.length));
    }
  }

  closePortals(): void {
    this.#portals.clear();
  }

  #parse(bytes: Buffer): SqlError | undefined {
    const { name, text } = readParse(bytes, 0, bytes.length);
    const commands = readCommands(text);
    if (!Array.isArray(commands)) return commands as SqlError;
    if (commands.length > 1) {
      return sqlError(SQLSTATE.syntaxError, 'cannot insert multiple commands into a prepared statement');
    }
    if (this.#statements.size >= NAMES_MAX) return sqlError(SQLSTATE.configurationLimitExceeded, 'too many statements');
    this.#statements.set(name, { command: commands[0] });
    this.#write(PARSE_COMPLETE);
    return undefined;
  }

  #bind(bytes: Buffer): SqlError | undefined {
    const { portal, statement, parameterCount, resultFormats } = readBind(bytes, 0, bytes.length);
    const known = this.#statements.get(statement);
    if (known === undefined) return unknownStatement(statement);
    if (parameterCount > 0) {
      const hint = 'Write the value into the command.';
      return sqlError(SQLSTATE.protocolViolation, 'commands of the admin database have no parameters', { hint });
    }
    if (this.#portals.size >= NAMES_MAX) return sqlError(SQLSTATE.configurationLimitExceeded, 'too many portals');
    const columns = this.#columnsOf(known);
    const formats = columns.map((_, index) => formatOf(resultFormats, index));
    this.#portals.set(portal, { ...known, columns, formats, answer: undefined, sent: 0 });
    this.#write(BIND_COMPLETE);
    return undefined;
  }

  #describe({ target, name }: TargetMessage): SqlError | undefined {
    if (target === 'portal') {
      const portal = this.#portals.get(name);
      if (portal === undefined) return unknownPortal(name);
      this.#write(describeColumns(portal.columns, portal.formats));
      return undefined;
    }
    const statement = this.#statements.get(name);
    if (statement === undefined) return unknownStatement(name);
    this.#write(parameterDescription([]));
    this.#write(describeColumns(this.#columnsOf(statement), []));
    return undefined;
  }

  async #execute(bytes: Buffer, executed: (command: AdminCommand) => void): Promise<SqlError | undefined> {
    const { portal: name, rowsMax } = readExecute(bytes, 0, bytes.length);
    const portal = this.#portals.get(name);
    if (portal === undefined) return unknownPortal(name);
    if (portal.command === undefined) {
      this.#write(EMPTY_QUERY_RESPONSE);
      return undefined;
    }
    if (portal.answer === undefined) {
      portal.answer = await this.#desk.answer(portal.command);
      if (portal.answer.kind !== 'error') executed(portal.command);
    }
    const { answer } = portal;
    if (answer.kind === 'error') return answer.error;
    if (answer.kind === 'done') {
      for (const notice of answer.notices ?? []) this.#write(noticeResponse(notice));
      this.#write(tagOf(answer));
      return undefined;
    }
    const end = rowsMax === 0 ? answer.rows.length : Math.min(answer.rows.length, portal.sent + rowsMax);
    const rows = answer.rows.slice(portal.sent, end);
    portal.sent = end;
    const suspended = rowsMax > 0 && rows.length === rowsMax;
    const encoded = rows.map((row) => encodeRow(portal.columns, row, portal.formats));
    this.#write(Buffer.concat([...encoded, suspended ? PORTAL_SUSPENDED : tagOf(answer)]));
    return undefined;
  }

  #close({ target, name }: TargetMessage): SqlError | undefined {
    if (target === 'portal') this.#portals.delete(name);
    else this.#statements.delete(name);
    this.#write(CLOSE_COMPLETE);
    return undefined;
  }

  #columnsOf({ command }: Statement): readonly ShownColumn[] {
    return command === undefined ? [] : this.#desk.columns(command);
  }
}

const unknownStatement = (name: string): SqlError =>
  sqlError(SQLSTATE.invalidStatementName, `prepared statement "${name}" does not exist`);
const unknownPortal = (name: string): SqlError =>
  sqlError(SQLSTATE.invalidCursorName, `portal "${name}" does not exist`);

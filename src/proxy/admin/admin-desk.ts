// Answers commands: looks each up in one table of functions. What they do to the proxy they do through ProxyControl, so
// that nothing here knows how a reload or a drain works.
import { InvariantError, unreachable } from '../../kernel/assert.ts';
import { SQLSTATE, sqlError } from '../../protocol/sql-error.ts';
import type { AdminAnswer, AdminRow, ShownColumn } from './answer.ts';
import { type AdminCommand, PARAMETERS } from './command.ts';
import { COMMANDS, type CommandName } from './command-table.ts';
import type { AdminValue } from './value.ts';

/** Everything that can be asked of a proxy; rows in the order of the command's columns. */
export type CommandActions = Readonly<
  Record<
    Exclude<CommandName, 'SHOW HELP'>,
    (argument: string) => AdminRow[] | AdminAnswer | Promise<AdminRow[] | AdminAnswer>
  >
>;

export interface DeskFacts {
  readonly version: string;
  /** The name of the admin database. */
  readonly database: string;
}

export class AdminDesk {
  readonly #actions: CommandActions;
  readonly #facts: DeskFacts;
  readonly #user: string;

  constructor(actions: CommandActions, facts: DeskFacts, user: string) {
    this.#actions = actions;
    this.#facts = facts;
    this.#user = user;
  }

  /** ParameterStatus at the beginning of a session. */
  parameters(applicationName: string): ReadonlyMap<string, string> {
    return new Map([
      ['application_name', applicationName],
      ...Object.entries({
        server_version: this.#serverVersion,
        server_encoding: 'UTF8',
        client_encoding: 'UTF8',
        DateStyle: 'ISO, MDY',
        IntervalStyle: 'postgres',
        TimeZone: 'UTC',
        integer_datetimes: 'on',
        standard_conforming_strings: 'on',
        is_superuser: 'off',
        session_authorization: this.#user,
        default_transaction_read_only: 'off',
        in_hot_standby: 'off',
      }),
    ]);
  }

  /** The columns that `command` will answer with; none for one without rows. */
  columns(command: AdminCommand): readonly ShownColumn[] {
    switch (command.kind) {
      case 'command':
        return COMMANDS[command.name].columns;
      case 'nothing':
        return [];
      case 'parameter':
        return [{ name: command.name, type: 'text' }];
      case 'probe':
        return command.columns.map((name) => ({ name, type: 'int8' }));
      case 'select':
        return command.items.map((item) => this.#selected(item).column);
      default:
        return unreachable(command);
    }
  }

  /** Never rejects, but for a broken invariant: a question of an administrator must not end what serves clients. */
  async answer(command: AdminCommand): Promise<AdminAnswer> {
    try {
      return await this.#answer(command);
    } catch (error) {
      if (error instanceof InvariantError) throw error;
      return refused('internalError', error instanceof Error ? error.message : String(error));
    }
  }

  async #answer(command: AdminCommand): Promise<AdminAnswer> {
    switch (command.kind) {
      case 'command':
        return this.#own(command.name, command.argument);
      case 'nothing':
        return { kind: 'done', tag: command.tag };
      case 'parameter': {
        const value = command.name === 'server_version' ? this.#serverVersion : (PARAMETERS[command.name] ?? '');
        return { kind: 'rows', tag: 'SHOW', rows: [[value]] };
      }
      case 'probe':
        return { kind: 'rows', tag: 'SELECT', rows: [] };
      case 'select':
        return { kind: 'rows', tag: 'SELECT', rows: [command.items.map((item) => this.#selected(item).value)] };
      default:
        return unreachable(command);
    }
  }

  async #own(name: CommandName, argument: string): Promise<AdminAnswer> {
    if (name === 'SHOW HELP') return { kind: 'rows', tag: 'SHOW', rows: helpRows() };
    const answer = await this.#actions[name](argument);
    if (!Array.isArray(answer)) return answer as AdminAnswer;
    return { kind: 'rows', tag: name.startsWith('SHOW') ? 'SHOW' : name, rows: answer as AdminRow[] };
  }

  /** Drivers read the number in front, and choose what they may send by it. */
  get #serverVersion(): string {
    return `18.0 (AtomShard ${this.#facts.version})`;
  }

  #selected(item: string): { readonly column: ShownColumn; readonly value: AdminValue } {
    if (/^\d/.test(item)) return { column: { name: '?column?', type: 'int4' }, value: Number(item) };
    if (item.startsWith("'")) {
      return { column: { name: '?column?', type: 'text' }, value: item.slice(1, -1).replaceAll("''", "'") };
    }
    const name = item.toLowerCase();
    if (name === 'pg_is_in_recovery') return { column: { name, type: 'bool' }, value: false };
    if (name === 'pg_backend_pid') return { column: { name, type: 'int4' }, value: 0 };
    const values: Readonly<Record<string, string>> = {
      version: `PostgreSQL ${this.#serverVersion}, admin database`,
      current_database: this.#facts.database,
      current_schema: 'public',
      pg_advisory_unlock_all: '',
    };
    return { column: { name, type: 'text' }, value: values[name] ?? this.#user };
  }
}

function helpRows(): AdminRow[] {
  return Object.entries(COMMANDS).map(([command, { argument, help }]) => [
    argument === undefined ? command : `${command} <${argument}>`,
    help,
  ]);
}

/** A refusal of an administrator's command. */
export function refused(code: keyof typeof SQLSTATE, message: string, hint?: string): AdminAnswer {
  return { kind: 'error', error: sqlError(SQLSTATE[code], message, hint === undefined ? {} : { hint }) };
}

// From the text of a query to the commands in it. Pure. What drivers and psql send by themselves is understood and does
// nothing; anything else is a syntax error that says where the list is.
import { SQLSTATE, type SqlError, sqlError } from '../../protocol/sql-error.ts';
import { Lexer, TOKEN } from '../../sql/lexer.ts';
import { COMMANDS, type CommandName } from './command-table.ts';

export type AdminCommand =
  | { readonly kind: 'command'; readonly name: CommandName; readonly argument: string }
  /** Answered with its tag and nothing else; `block` is what it does to the transaction state that clients are shown. */
  | { readonly kind: 'nothing'; readonly tag: string; readonly block?: 'begin' | 'end' }
  /** A parameter of the server that drivers ask for. */
  | { readonly kind: 'parameter'; readonly name: string }
  /** A query that a driver sends by itself and that has no rows here. */
  | { readonly kind: 'probe'; readonly columns: readonly string[] }
  /** SELECT of literals and of the few functions that drivers ask for. */
  | { readonly kind: 'select'; readonly items: readonly string[] };

interface Token {
  readonly kind: number;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** The commands of one query, in order; none for an empty one. */
export function readCommands(text: string): readonly AdminCommand[] | SqlError {
  const commands: AdminCommand[] = [];
  for (const tokens of statementsOf(text)) {
    const malformed = tokens.find(({ kind }) => kind === TOKEN.malformed);
    if (malformed !== undefined) return syntaxError(malformed);
    const command = readCommand(tokens, text);
    if (command === undefined) return syntaxError(tokens[0]);
    commands.push(command);
  }
  return commands;
}

function syntaxError(token: Token | undefined): SqlError {
  return sqlError(SQLSTATE.syntaxError, `syntax error at or near "${token?.text ?? ''}"`, {
    hint: 'This is the admin database of a proxy. SHOW HELP lists its commands.',
    position: String((token?.start ?? 0) + 1),
  });
}

function statementsOf(text: string): Token[][] {
  const statements: Token[][] = [];
  let current: Token[] = [];
  const lexer = new Lexer(text);
  for (let kind = lexer.next(); kind !== TOKEN.end; kind = lexer.next()) {
    if (kind === TOKEN.comment) continue;
    const token = { kind, text: text.slice(lexer.start, lexer.end), start: lexer.start, end: lexer.end };
    // What cannot be read is the end of it: the lexer stands still there.
    if (kind === TOKEN.malformed) return [...statements, [...current, { ...token, text: text.slice(lexer.start) }]];
    if (token.text === ';') {
      if (current.length > 0) statements.push(current);
      current = [];
    } else current.push(token);
  }
  return current.length > 0 ? [...statements, current] : statements;
}

/** Statements that have nothing to do here, by their first word. */
const NOTHING: Readonly<Record<string, AdminCommand>> = {
  SET: { kind: 'nothing', tag: 'SET' },
  RESET: { kind: 'nothing', tag: 'RESET' },
  CLOSE: { kind: 'nothing', tag: 'CLOSE CURSOR ALL' },
  UNLISTEN: { kind: 'nothing', tag: 'UNLISTEN' },
  DISCARD: { kind: 'nothing', tag: 'DISCARD' },
  DEALLOCATE: { kind: 'nothing', tag: 'DEALLOCATE' },
  BEGIN: { kind: 'nothing', tag: 'BEGIN', block: 'begin' },
  START: { kind: 'nothing', tag: 'START TRANSACTION', block: 'begin' },
  COMMIT: { kind: 'nothing', tag: 'COMMIT', block: 'end' },
  END: { kind: 'nothing', tag: 'COMMIT', block: 'end' },
  ROLLBACK: { kind: 'nothing', tag: 'ROLLBACK', block: 'end' },
  ABORT: { kind: 'nothing', tag: 'ROLLBACK', block: 'end' },
};

function readCommand(tokens: readonly Token[], text: string): AdminCommand | undefined {
  const words = tokens.map((token) => token.text.toUpperCase());
  const [first = '', second = ''] = words;
  if (first === 'SELECT') return readProbe(words) ?? readSelect(words.slice(1), tokens.slice(1));
  const nothing = NOTHING[first];
  if (nothing !== undefined) return nothing;
  const name = first === 'SHOW' ? `SHOW ${second}` : first;
  if (Object.hasOwn(COMMANDS, name)) return readOwn(name as CommandName, tokens.slice(first === 'SHOW' ? 2 : 1), text);
  if (first !== 'SHOW' || second === '') return undefined;
  return readParameter(words.slice(1));
}

/** postgres.js looks for array types when it connects. */
const PROBES: readonly { readonly text: string; readonly columns: readonly string[] }[] = [
  {
    text: `SELECT B . OID , B . TYPARRAY FROM PG_CATALOG . PG_TYPE A LEFT JOIN PG_CATALOG . PG_TYPE B ON B . OID = A . TYPELEM WHERE A . TYPCATEGORY = 'A' GROUP BY B . OID , B . TYPARRAY ORDER BY B . OID`,
    columns: ['oid', 'typarray'],
  },
];

function readProbe(words: readonly string[]): AdminCommand | undefined {
  const text = words.join(' ');
  const probe = PROBES.find((known) => known.text === text);
  return probe && { kind: 'probe', columns: probe.columns };
}

function readOwn(name: CommandName, rest: readonly Token[], text: string): AdminCommand | undefined {
  const [begin] = rest;
  const end = rest.at(-1);
  if (COMMANDS[name].argument === undefined)
    return begin === undefined ? { kind: 'command', name, argument: '' } : undefined;
  if (begin === undefined || end === undefined) return undefined;
  // A statement as a string, so that it may have semicolons, or as it is.
  const argument =
    rest.length === 1 && begin.kind === TOKEN.string ? unquoted(begin.text) : text.slice(begin.start, end.end);
  if (name === 'KILL' && !/^[0-9]{1,10}$/.test(argument)) return undefined;
  return { kind: 'command', name, argument };
}

const unquoted = (literal: string): string => literal.slice(1, -1).replaceAll("''", "'");

function readParameter(words: readonly string[]): AdminCommand | undefined {
  const name =
    words.join(' ') === 'TRANSACTION ISOLATION LEVEL' ? 'transaction_isolation' : words.join(' ').toLowerCase();
  return Object.hasOwn(PARAMETERS, name) ? { kind: 'parameter', name } : undefined;
}

/** What drivers ask a server for; `server_version` is filled in by who answers. */
export const PARAMETERS: Readonly<Record<string, string>> = {
  server_version: '',
  server_encoding: 'UTF8',
  client_encoding: 'UTF8',
  standard_conforming_strings: 'on',
  integer_datetimes: 'on',
  datestyle: 'ISO, MDY',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  'time zone': 'UTC',
  is_superuser: 'off',
  search_path: 'public',
  default_transaction_read_only: 'off',
  transaction_read_only: 'off',
  in_hot_standby: 'off',
  transaction_isolation: 'read committed',
  default_transaction_isolation: 'read committed',
  max_identifier_length: '63',
};

/** Functions and values that connection tests select, without their schema and parentheses. */
export const SELECTABLE: ReadonlySet<string> = new Set([
  'VERSION',
  'CURRENT_DATABASE',
  'CURRENT_USER',
  'SESSION_USER',
  'USER',
  'CURRENT_SCHEMA',
  'PG_IS_IN_RECOVERY',
  'PG_BACKEND_PID',
  'PG_ADVISORY_UNLOCK_ALL',
]);

function readSelect(words: readonly string[], tokens: readonly Token[]): AdminCommand | undefined {
  const items: string[] = [];
  for (let at = 0; at < words.length; at++) {
    if (words[at] === 'PG_CATALOG' && words[at + 1] === '.') at += 2;
    const token = tokens[at];
    const word = words[at] ?? '';
    if (token?.kind === TOKEN.integer || token?.kind === TOKEN.string) items.push(token.text);
    else if (SELECTABLE.has(word)) items.push(word);
    else return undefined;
    if (words[at + 1] === '(' && words[at + 2] === ')') at += 2;
    const next = words[at + 1];
    if (next === undefined) return { kind: 'select', items };
    if (next !== ',') return undefined;
    at++;
  }
  return undefined;
}

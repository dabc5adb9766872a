// PostgreSQL's own parser (libpg-query 18, WebAssembly) behind two functions: text → statements, or why there are
// none. The rule: what a client sends can make this answer `syntaxError` or `tooComplex`, and never harms the parser.
import { loadModule, type Node, parseSync, SqlError } from 'libpg-query';
import { assert, InvariantError } from '../kernel/assert.ts';
import { Lexer, TOKEN } from './lexer.ts';

/** One statement with its own text: from behind the previous semicolon to its own, comments included. */
export interface ParsedStatement {
  readonly node: Node;
  readonly text: string;
  /** Byte offset (UTF-8) of `text` in the whole; `location` fields of the tree count from the start of the whole. */
  readonly byteStart: number;
}

/**
 * - syntaxError: PostgreSQL refuses it too, with few exceptions (`'a' -- c ⏎ 'b'` is one string to it, an error to
 *   libpg-query), so such a text must not be run anywhere. `position` counts characters from 1.
 * - tooComplex: a server might well run it, but it is too long or too deep to be read here, so nobody knows what it is.
 */
export type ParseOutcome =
  | { readonly kind: 'parsed'; readonly statements: readonly ParsedStatement[] }
  | { readonly kind: 'syntaxError'; readonly message: string; readonly position: number }
  | { readonly kind: 'tooComplex'; readonly message: string };

const TEXT_CHARACTERS_MAX = 16_000_000;

/**
 * A stack overflow inside WebAssembly leaves the module damaged for every later text (measured: at 6,000 nested tokens,
 * after a few dozen of them nothing parses any more), so no client's text may come near it.
 */
const NESTING_WEIGHT_MAX = 4_000;
const PARENTHESIS_WEIGHT = 3;
const MALFORMED_MAX = 4_000;
const SET_OPERATION = /^(?:union|intersect|except)$/i;

let loaded = false;

/** Loads the WebAssembly module; once, before the first parse. */
export async function loadParser(): Promise<void> {
  await loadModule();
  loaded = true;
}

/** Parses a whole Query text (17–48 µs for a usual statement: never where a cached plan would do). */
export function parse(text: string): ParseOutcome {
  assert(loaded, 'loadParser() has been awaited before parse()');
  if (text === '') return { kind: 'parsed', statements: [] };
  // A NUL would cut the text for the parser, but not for us.
  if (text.includes('\0')) return { kind: 'tooComplex', message: 'there is a NUL in the text' };
  if (text.length > TEXT_CHARACTERS_MAX) {
    return { kind: 'tooComplex', message: `the text is longer than ${TEXT_CHARACTERS_MAX} characters` };
  }
  if (nestingWeight(text) > NESTING_WEIGHT_MAX) {
    return { kind: 'tooComplex', message: 'the text nests or chains its expressions too deeply' };
  }
  try {
    return { kind: 'parsed', statements: cut(text, parseSync(text).stmts ?? []) };
  } catch (error) {
    if (error instanceof SqlError) {
      return { kind: 'syntaxError', message: error.message, position: (error.sqlDetails?.cursorPosition ?? 0) + 1 };
    }
    // Not the client's fault: memory of the module can no longer be trusted.
    throw new InvariantError(`the SQL parser broke: ${String(error)}`, { cause: error });
  }
}

/**
 * An upper bound of how deep a tree the text can become: what stands in one pair of parentheses between two commas may
 * chain (1 + 1 + …), each pair of parentheses nests.
 */
function nestingWeight(text: string): number {
  if (text.length < NESTING_WEIGHT_MAX / PARENTHESIS_WEIGHT) return 0;
  const lexer = new Lexer(text);
  const opened: number[] = [];
  let floor = 0;
  let weight = 0;
  let setOperations = 0;
  let most = 0;
  for (let kind = lexer.next(); kind !== TOKEN.end; kind = lexer.next()) {
    if (kind === TOKEN.comment || kind === TOKEN.string) continue;
    // Nobody counts what stands behind it.
    if (kind === TOKEN.malformed) return text.length - lexer.start > MALFORMED_MAX ? Number.POSITIVE_INFINITY : most;
    const code = kind === TOKEN.punctuation ? text.charCodeAt(lexer.start) : 0;
    if (code === 0x28 || code === 0x5b) {
      opened.push(floor);
      weight += PARENTHESIS_WEIGHT;
      floor = weight;
    } else if (code === 0x29 || code === 0x5d) {
      // The chain goes on behind the parenthesis from where it stood before it.
      weight = floor - PARENTHESIS_WEIGHT + 1;
      floor = opened.pop() ?? 0;
      if (weight < floor) weight = floor;
    } else if (code === 0x2c) weight = floor;
    else if (code === 0x3b && opened.length === 0) weight = 0;
    else weight += 1;
    // Set operations chain over the commas of their select lists, so each of them counts to the end.
    if (kind === TOKEN.word && SET_OPERATION.test(lexer.slice())) setOperations += 1;
    if (weight + setOperations > most) most = weight + setOperations;
  }
  return most;
}

interface RawStatement {
  readonly stmt?: Node;
  readonly stmt_location?: number;
  readonly stmt_len?: number;
}

function cut(text: string, raw: readonly RawStatement[]): ParsedStatement[] {
  const first = raw[0];
  if (first === undefined) return [];
  if (raw.length === 1 && first.stmt_len === undefined && first.stmt !== undefined) {
    // Leading comments are kept: they may say where to go.
    return [{ node: first.stmt, text, byteStart: 0 }];
  }
  const bytes = Buffer.from(text, 'utf8');
  const statements: ParsedStatement[] = [];
  let start = 0;
  for (const one of raw) {
    if (one.stmt === undefined) continue;
    const from = one.stmt_location ?? 0;
    const end = one.stmt_len === undefined || one.stmt_len === 0 ? bytes.length : from + one.stmt_len;
    statements.push({ node: one.stmt, text: bytes.toString('utf8', start, end), byteStart: start });
    start = end + 1;
  }
  return statements;
}

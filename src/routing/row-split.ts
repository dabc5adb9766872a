// A multi-row INSERT cut into one text per shard. The rule: every part is the original text without the other shards'
// rows, byte for byte but for the numbers of its parameters, which are counted anew; if the rows found are not as many as
// the parser counted, or a parameter could be read with another type than in the whole text, nothing is cut.
import { Lexer, TOKEN } from '../sql/lexer.ts';
import type { BoundParameters, RoutePart } from './plan.ts';

const OUTSIDE = -1;

interface Row {
  readonly start: number;
  readonly end: number;
}

/**
 * `placed[i]` is the shard of row i; `parameters` is given when the text has some. Undefined when the rows cannot be found
 * with certainty, or a parameter cannot be given to one of them as it would be to all.
 */
export function splitRows(
  text: string,
  placed: readonly number[],
  shards: readonly number[],
  parameters: BoundParameters | undefined,
): RoutePart[] | undefined {
  const rows = findRows(text);
  const first = rows[0];
  const last = rows.at(-1);
  if (rows.length !== placed.length || first === undefined || last === undefined) return undefined;
  if (parameters !== undefined && !keepTheirTypes(text, rows, parameters)) return undefined;
  const head = text.slice(0, first.start);
  const tail = text.slice(last.end);
  return shards.map((shard) => {
    const own = rows.filter((_, row) => placed[row] === shard).map((row) => text.slice(row.start, row.end));
    const part = head + own.join(', ') + tail;
    return parameters === undefined ? { shard, text: part } : { shard, ...numberedAnew(part) };
  });
}

/** Calls back for every `$n` of a text: its place, and n - 1. */
function eachParameter(text: string, found: (start: number, end: number, index: number) => void): void {
  const lexer = new Lexer(text);
  for (;;) {
    const kind = lexer.next();
    if (kind === TOKEN.end || kind === TOKEN.malformed) return;
    if (kind === TOKEN.parameter) found(lexer.start, lexer.end, Number(text.slice(lexer.start + 1, lexer.end)) - 1);
  }
}

/**
 * Whether the cut texts give each parameter the type that the whole text gives it. Without a declared type it is the place
 * where it stands first that decides, so it must not stand in two rows, or in a row and outside. A Bind with another
 * number of values than the text has parameters is left for PostgreSQL to refuse, which needs the whole text.
 */
function keepTheirTypes(text: string, rows: readonly Row[], parameters: BoundParameters): boolean {
  /** Parameter → the row it stands in, or OUTSIDE. */
  const homes = new Map<number, number>();
  let kept = true;
  let row = 0;
  let highest = -1;
  eachParameter(text, (start, _end, index) => {
    while ((rows[row]?.end ?? Number.POSITIVE_INFINITY) <= start) row++;
    const home = (rows[row]?.start ?? Number.POSITIVE_INFINITY) <= start ? row : OUTSIDE;
    const known = homes.get(index);
    if (known !== undefined && known !== home && parameters.typeOid(index) === 0) kept = false;
    homes.set(index, known ?? home);
    highest = Math.max(highest, index);
  });
  return kept && highest + 1 === parameters.count;
}

/** The text with its parameters counted from $1 on, and which of the client's (from 0) each of them is. */
function numberedAnew(text: string): { text: string; parameters: readonly number[] } {
  const numbers = new Map<number, number>();
  let numbered = '';
  let at = 0;
  eachParameter(text, (start, end, index) => {
    const number = numbers.get(index) ?? numbers.size + 1;
    numbers.set(index, number);
    numbered += `${text.slice(at, start)}$${number}`;
    at = end;
  });
  return { text: numbered + text.slice(at), parameters: [...numbers.keys()] };
}

type State = 'none' | 'values' | 'list' | 'comma';

/**
 * The row list behind the last VALUES outside parentheses that opens one: before it a table may be called values, behind
 * it no `values (` can stand.
 */
function findRows(text: string): Row[] {
  const lexer = new Lexer(text);
  let rows: Row[] = [];
  let depth = 0;
  let start = 0;
  /** none → values (the word was read) → list (rows are being read) → comma (another row must follow). */
  let state = 'none' as State;
  for (;;) {
    const kind = lexer.next();
    if (kind === TOKEN.end) return depth === 0 && state !== 'comma' ? rows : [];
    if (kind === TOKEN.malformed) return [];
    if (kind === TOKEN.comment) continue;
    const character = kind === TOKEN.punctuation ? text[lexer.start] : undefined;
    if (character === '(') {
      if (depth === 0) {
        if (state === 'values') rows = [];
        if (state === 'values' || state === 'comma') start = lexer.start;
        else state = 'none';
      }
      depth += 1;
    } else if (character === ')') {
      depth -= 1;
      if (depth === 0 && (state === 'values' || state === 'comma')) {
        rows.push({ start, end: lexer.end });
        state = 'list';
      }
    } else if (depth === 0) {
      if (kind === TOKEN.word && lexer.slice().toLowerCase() === 'values') state = 'values';
      else state = character === ',' && state === 'list' ? 'comma' : 'none';
    }
  }
}

// A multi-row INSERT cut into one text per shard. The rule: every part is the original text without the other shards'
// rows, byte for byte; if the rows found are not as many as the parser counted, nothing is cut.
import { Lexer, TOKEN } from '../sql/lexer.ts';
import type { RoutePart } from './plan.ts';

interface Row {
  readonly start: number;
  readonly end: number;
}

/** `placed[i]` is the shard of row i. Undefined when the rows cannot be found with certainty. */
export function splitRows(text: string, placed: readonly number[], shards: readonly number[]): RoutePart[] | undefined {
  const rows = findRows(text);
  const first = rows[0];
  const last = rows.at(-1);
  if (rows.length !== placed.length || first === undefined || last === undefined) return undefined;
  const head = text.slice(0, first.start);
  const tail = text.slice(last.end);
  return shards.map((shard) => ({
    shard,
    text:
      head +
      rows
        .filter((_, row) => placed[row] === shard)
        .map((row) => text.slice(row.start, row.end))
        .join(', ') +
      tail,
  }));
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

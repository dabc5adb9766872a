// The shape of a statement: its text with the literals cut out, so that simple queries with ever new literals share one
// plan. The rule: two texts of one shape parse to trees that differ only in the values of those literals; anything odd
// (prefixed strings, dollar quotes, several statements, routing comments, utility commands) has no shape.
import { Lexer, TOKEN } from './lexer.ts';

/** A literal that was cut out: its place in the text and its token class. */
export interface Hole {
  readonly start: number;
  readonly end: number;
  readonly kind: 'string' | 'integer' | 'decimal';
}

export interface Shape {
  /** The whole remaining text, not a digest: a digest could be forged into another statement's plan. */
  readonly key: string;
  readonly holes: readonly Hole[];
}

const HOLES_MAX = 256;
const TEXT_CHARACTERS_MAX = 16_384;

/** Only statements whose literals are plain values in the grammar; SET, CREATE and the like read theirs as options. */
const FIRST_WORD = /^(?:select|insert|update|delete|with)$/i;

/** Cuts the literals out (about 0.3 µs for a short statement), or undefined when the text has no certain shape. */
export function shapeOf(text: string): Shape | undefined {
  if (text.length > TEXT_CHARACTERS_MAX) return undefined;
  const lexer = new Lexer(text);
  const holes: Hole[] = [];
  let key = '';
  let copied = 0;
  let first = true;
  let ended = false;
  for (;;) {
    // Words matter only until the first has been seen, and again behind a semicolon.
    const kind = first || ended ? lexer.next() : lexer.nextLiteral();
    const { start, end } = lexer;
    if (kind === TOKEN.end) break;
    if (kind === TOKEN.comment) {
      if (text.includes('atomshard', start)) return undefined;
      // A comment is white space; ever new ones (trace ids) must not make ever new shapes.
      key += `${text.slice(copied, start)} `;
      copied = end;
      continue;
    }
    if (ended) return undefined;
    switch (kind) {
      case TOKEN.word:
        if (first && !FIRST_WORD.test(lexer.slice())) return undefined;
        break;
      case TOKEN.quotedName:
      case TOKEN.parameter:
        break;
      case TOKEN.punctuation:
        if (text.charCodeAt(start) === 0x3b) ended = true;
        break;
      case TOKEN.string:
        holes.push({ start, end, kind: 'string' });
        key += `${text.slice(copied, start)}\u0001s`;
        copied = end;
        break;
      case TOKEN.integer:
        holes.push({ start, end, kind: 'integer' });
        key += `${text.slice(copied, start)}\u0001i`;
        copied = end;
        break;
      case TOKEN.largeInteger:
        holes.push({ start, end, kind: 'integer' });
        key += `${text.slice(copied, start)}\u0001l`;
        copied = end;
        break;
      case TOKEN.decimal:
        holes.push({ start, end, kind: 'decimal' });
        key += `${text.slice(copied, start)}\u0001d`;
        copied = end;
        break;
      case TOKEN.otherString:
      case TOKEN.malformed:
        return undefined;
    }
    if (first && kind !== TOKEN.word && text.charCodeAt(start) !== 0x28) return undefined;
    if (kind === TOKEN.word) first = false;
    if (holes.length > HOLES_MAX) return undefined;
  }
  if (first) return undefined;
  return { key: holes.length === 0 && copied === 0 ? text : key + text.slice(copied), holes };
}

/** The value of a cut-out literal: a string without its quotes, a number as it is written. */
export function holeText(text: string, hole: Hole): string {
  if (hole.kind !== 'string') return text.slice(hole.start, hole.end);
  const inner = text.slice(hole.start + 1, hole.end - 1);
  return inner.includes("'") ? inner.replaceAll("''", "'") : inner;
}

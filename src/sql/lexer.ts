// PostgreSQL's token rules (scan.l, standard_conforming_strings on) over a JavaScript string, without an object per token.
// The rule it keeps: where a literal, a quoted name or a comment begins and ends is exactly what libpg-query's scan says
// (held by a differential test); operators come out one character at a time, which is all that readers here need.

import { CLASS, DIGIT, isDigit, isWordPart, PLAIN, SPACE, WORD_START } from './characters.ts';

export const TOKEN = {
  end: 0,
  /** Unquoted word: identifier or keyword. */
  word: 1,
  quotedName: 2,
  /** '…' without prefix, in one piece: its value is the text between with '' as '. */
  string: 3,
  /** E'', B'', X'', N'', U&'', $tag$…$tag$ and strings continued on the next line. */
  otherString: 4,
  /** Fits int4, so the grammar calls it ICONST. */
  integer: 5,
  largeInteger: 6,
  /** Has a point or an exponent, or is written in base 16, 8 or 2 or with underscores. */
  decimal: 7,
  /** $1 */
  parameter: 8,
  punctuation: 9,
  comment: 10,
  /** Unterminated or malformed: PostgreSQL refuses the whole text. */
  malformed: 11,
} as const;

export type TokenKind = (typeof TOKEN)[keyof typeof TOKEN];

const QUOTE = 0x27;
const DOUBLE_QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DOLLAR = 0x24;
const DASH = 0x2d;
const SLASH = 0x2f;
const STAR = 0x2a;
const DOT = 0x2e;

const DOLLAR_TAG = /\$(?:[A-Za-z_\u0080-\uffff][A-Za-z_0-9\u0080-\uffff]*)?\$/y;
/** `'` after white space with a newline in it continues the string before it. */
const CONTINUATION = /(?:[ \t\f\v]|--[^\n\r]*)*[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*[\n\r])*'/y;
const OTHER_NUMBER =
  /0x(?:_?[0-9a-f])+|0o(?:_?[0-7])+|0b(?:_?[01])+|(?:\d+(?:_\d+)*(?:\.(?!\.)(?:\d+(?:_\d+)*)?)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?/iy;

/** A cursor over one text: `next()` moves to the next token and returns its kind; `start` and `end` say where it is. */
export class Lexer {
  readonly #text: string;
  #disputed = false;
  start = 0;
  end = 0;

  constructor(text: string) {
    this.#text = text;
  }

  next(): TokenKind {
    const text = this.#text;
    let at = this.end;
    let code = text.charCodeAt(at);
    while (code < 128 && CLASS[code] === SPACE) code = text.charCodeAt(++at);
    this.start = at;
    this.end = at;
    if (at >= text.length) return TOKEN.end;
    if (code >= 128) return this.#word(code);
    const kind = CLASS[code];
    if (kind === WORD_START) return this.#settled(this.#word(code));
    if (kind === DIGIT) return this.#number();
    switch (code) {
      case QUOTE:
        return this.#settled(this.#string(at, TOKEN.string));
      case DOUBLE_QUOTE:
        return this.#closing(at + 1, DOUBLE_QUOTE) ? TOKEN.quotedName : TOKEN.malformed;
      case DOLLAR:
        return this.#dollar();
      case DASH:
        if (text.charCodeAt(at + 1) === DASH) return this.#lineComment();
        break;
      case SLASH:
        if (text.charCodeAt(at + 1) === STAR) return this.#blockComment();
        break;
      case DOT:
        if (isDigit(text.charCodeAt(at + 1))) return this.#otherNumber();
        // `..` is one token: in 1..2 the 2 is a number of its own.
        if (text.charCodeAt(at + 1) === DOT) {
          this.end = at + 2;
          return TOKEN.punctuation;
        }
        break;
      default:
        // Control characters (\v was not white space before 16) are left to the parser.
        if (code < 32 || code === 127) return this.#malformed();
    }
    this.end = at + 1;
    return TOKEN.punctuation;
  }

  /** Like `next()`, but passes over words and plain punctuation: the fast way through a text whose literals are wanted. */
  nextLiteral(): TokenKind {
    const text = this.#text;
    let at = this.end;
    for (;;) {
      const code = text.charCodeAt(at);
      // At the end the code is NaN, which is neither.
      const kind = code < 128 ? CLASS[code] : code >= 128 ? WORD_START : undefined;
      if (kind === SPACE || kind === PLAIN) at += 1;
      else if (kind === WORD_START) {
        const second = text.charCodeAt(at + 1);
        // A prefixed string or an ordinary word: `next` knows.
        if (second === QUOTE || second === 0x26) break;
        at += 1;
        for (let part = second; isWordPart(part); part = text.charCodeAt(at)) at += 1;
      } else break;
    }
    this.end = at;
    return this.next();
  }

  #settled(kind: TokenKind): TokenKind {
    return this.#disputed ? this.#malformed() : kind;
  }

  /** The characters of the current token. */
  slice(): string {
    return this.#text.slice(this.start, this.end);
  }

  #word(first: number): TokenKind {
    const text = this.#text;
    let at = this.start + 1;
    const second = text.charCodeAt(at);
    if (second === QUOTE) {
      const prefix = first | 0x20;
      // e, b, x, n before a quote with nothing between are string prefixes.
      if (prefix === 0x65) return this.#escapeString(at);
      if (prefix === 0x62 || prefix === 0x78) return this.#bitString(at);
      if (prefix === 0x6e) return this.#string(at, TOKEN.otherString);
    } else if (second === 0x26 && (first | 0x20) === 0x75) {
      const third = text.charCodeAt(at + 1);
      if (third === QUOTE) return this.#string(at + 1, TOKEN.otherString);
      if (third === DOUBLE_QUOTE) return this.#closing(at + 2, DOUBLE_QUOTE) ? TOKEN.quotedName : TOKEN.malformed;
    }
    for (let code = second; isWordPart(code); code = text.charCodeAt(at)) at += 1;
    this.end = at;
    return TOKEN.word;
  }

  #number(): TokenKind {
    const text = this.#text;
    let at = this.start + 1;
    while (isDigit(text.charCodeAt(at))) at += 1;
    const after = text.charCodeAt(at);
    if (after === DOT && text.charCodeAt(at + 1) !== DOT) return this.#otherNumber();
    if (isWordPart(after) && after !== DOLLAR) return this.#otherNumber();
    if (after === DOLLAR) return this.#malformed();
    this.end = at;
    const small = at - this.start < 10 || Number(text.slice(this.start, at)) <= 2_147_483_647;
    return small ? TOKEN.integer : TOKEN.largeInteger;
  }

  #otherNumber(): TokenKind {
    OTHER_NUMBER.lastIndex = this.start;
    if (!OTHER_NUMBER.test(this.#text)) return this.#malformed();
    this.end = OTHER_NUMBER.lastIndex;
    // "Trailing junk after numeric literal".
    return isWordPart(this.#text.charCodeAt(this.end)) ? this.#malformed() : TOKEN.decimal;
  }

  #dollar(): TokenKind {
    const text = this.#text;
    let at = this.start + 1;
    while (isDigit(text.charCodeAt(at))) at += 1;
    if (at > this.start + 1) {
      if (isWordPart(text.charCodeAt(at))) return this.#malformed();
      this.end = at;
      return TOKEN.parameter;
    }
    DOLLAR_TAG.lastIndex = this.start;
    if (!DOLLAR_TAG.test(text)) return this.#malformed();
    const bodyStart = DOLLAR_TAG.lastIndex;
    const tag = text.slice(this.start, bodyStart);
    const close = text.indexOf(tag, bodyStart);
    if (close < 0) return this.#malformed();
    this.end = close + tag.length;
    return TOKEN.otherString;
  }

  /** Moves `end` behind the closing quote; two quotes in a row are one character. */
  #closing(from: number, quote: number): boolean {
    const text = this.#text;
    for (let at = from; at < text.length; at += 1) {
      if (text.charCodeAt(at) !== quote) continue;
      if (text.charCodeAt(at + 1) === quote) {
        at += 1;
        continue;
      }
      this.end = at + 1;
      return true;
    }
    this.end = text.length;
    return false;
  }

  #string(quoteAt: number, kind: TokenKind): TokenKind {
    if (!this.#closing(quoteAt + 1, QUOTE)) return TOKEN.malformed;
    let result = kind;
    while (this.#continues()) {
      result = TOKEN.otherString;
      if (!this.#closing(this.end, QUOTE)) return TOKEN.malformed;
    }
    return result;
  }

  #escapeString(quoteAt: number): TokenKind {
    const text = this.#text;
    let at = quoteAt + 1;
    for (;;) {
      const code = text.charCodeAt(at);
      if (at >= text.length) return this.#malformed();
      if (code === BACKSLASH) at += 2;
      else if (code !== QUOTE) at += 1;
      else if (text.charCodeAt(at + 1) === QUOTE) at += 2;
      else {
        this.end = at + 1;
        if (!this.#continues()) return TOKEN.otherString;
        at = this.end;
      }
    }
  }

  #bitString(quoteAt: number): TokenKind {
    let from = quoteAt + 1;
    for (;;) {
      const close = this.#text.indexOf("'", from);
      if (close < 0) return this.#malformed();
      this.end = close + 1;
      if (!this.#continues()) return TOKEN.otherString;
      from = this.end;
    }
  }

  /** Is the string that ends at `end` continued on a later line? Then `end` moves behind the quote that opens the rest. */
  #continues(): boolean {
    const after = this.#text.charCodeAt(this.end);
    if (after !== DASH && !(after <= 0x20)) return false;
    CONTINUATION.lastIndex = this.end;
    if (!CONTINUATION.test(this.#text)) return false;
    const between = this.#text.slice(this.end, CONTINUATION.lastIndex);
    this.end = CONTINUATION.lastIndex;
    // PostgreSQL continues a string over a comment, libpg-query does not: nobody but the server can say what this is.
    if (between.includes('--')) this.#disputed = true;
    return true;
  }

  #lineComment(): TokenKind {
    const text = this.#text;
    let at = this.start + 2;
    for (let code = text.charCodeAt(at); at < text.length && code !== 0x0a && code !== 0x0d; ) {
      at += 1;
      code = text.charCodeAt(at);
    }
    this.end = at;
    return TOKEN.comment;
  }

  #blockComment(): TokenKind {
    const text = this.#text;
    let depth = 1;
    let at = this.start + 2;
    while (depth > 0) {
      if (at >= text.length) return this.#malformed();
      const code = text.charCodeAt(at);
      const next = text.charCodeAt(at + 1);
      if (code === STAR && next === SLASH) {
        depth -= 1;
        at += 2;
      } else if (code === SLASH && next === STAR) {
        depth += 1;
        at += 2;
      } else at += 1;
    }
    this.end = at;
    return TOKEN.comment;
  }

  #malformed(): TokenKind {
    this.end = this.#text.length;
    return TOKEN.malformed;
  }
}

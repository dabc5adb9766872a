// Character classes of PostgreSQL's scanner as tables. The rule: everything above ASCII is part of a word, as in scan.l.

export const SPACE = 1;
export const WORD_START = 2;
export const DIGIT = 4;
export const PLAIN = 8;

/** Character classes of ASCII; everything above is part of words, as in scan.l. */
export const CLASS = new Uint8Array(128);
for (const character of ' \t\n\r\f') CLASS[character.charCodeAt(0)] = SPACE;
for (const character of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_') {
  CLASS[character.charCodeAt(0)] = WORD_START;
}
for (const character of '0123456789') CLASS[character.charCodeAt(0)] = DIGIT;
// Never the start of a literal, a comment or a quoted name.
for (const character of '()[],=<>*+:!@#%^&|?~{}`') CLASS[character.charCodeAt(0)] = PLAIN;

const IN_WORD = new Uint8Array(128);
for (const character of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789$') {
  IN_WORD[character.charCodeAt(0)] = 1;
}

export function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** A character inside an unquoted word; NaN, behind the end, is no part. */
export function isWordPart(code: number): boolean {
  if (code < 128) return IN_WORD[code] === 1;
  return code >= 128;
}

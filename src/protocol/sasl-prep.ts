// SASLprep (RFC 4013) of passwords as PostgreSQL does it: what cannot be prepared is used as it is.
// Left out of the RFC: the list of code points below U+10000 that were unassigned in Unicode 3.2. It matters only for a
// password that mixes such a character, younger than 2002, with one that NFKC changes.

/** Spaces that become U+0020 (table C.1.2). */
const OTHER_SPACES = /[\u00A0\u1680\u2000-\u200B\u202F\u205F\u3000]/gu;
/** Characters that vanish (table B.1); U+200B is a space above, as in PostgreSQL. */
const VANISHING = /\u00AD|\u034F|\u1806|[\u180B-\u180D]|\u200C|\u200D|\u2060|[\uFE00-\uFE0F]|\uFEFF/gu;
/** Control, private, non-character, surrogate, not for plain text, not canonical, display-changing, tagging (C.2 … C.9). */
const PROHIBITED =
  /[\p{Cc}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}\u06DD\u070F\u180E\u2028\u2029\u2061-\u2063\u206A-\u206F\uFFF9-\uFFFD\u2FF0-\u2FFB\u200E\u200F\u202A-\u202E\u{1D173}-\u{1D17A}\u{E0001}\u{E0020}-\u{E007F}]/u;
/** Beyond U+FFFF: what was not assigned in Unicode 3.2, such as every emoji (table A.1). */
const UNASSIGNED =
  /(?![\u{10300}-\u{1031E}\u{10320}-\u{10323}\u{10330}-\u{1034A}\u{10400}-\u{10425}\u{10428}-\u{1044D}\u{1D000}-\u{1D7FF}\u{20000}-\u{2A6D6}\u{2F800}-\u{2FA1D}])[\u{10000}-\u{10FFFF}]/u;
const RIGHT_TO_LEFT = /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFC]/u;
const LETTER = /\p{L}/u;

/** True when the text keeps RFC 3454 §6: right-to-left text has no left-to-right letter and begins and ends its own way. */
function directionsAreFine(text: string): boolean {
  if (!RIGHT_TO_LEFT.test(text)) return true;
  const characters = [...text];
  if (characters.some((character) => LETTER.test(character) && !RIGHT_TO_LEFT.test(character))) return false;
  return RIGHT_TO_LEFT.test(characters[0] ?? '') && RIGHT_TO_LEFT.test(characters.at(-1) ?? '');
}

/** The form of a password that goes into the key derivation. */
export function saslPrep(password: string): string {
  if (/^[\x20-\x7E]*$/.test(password)) return password;
  const prepared = password.replace(OTHER_SPACES, ' ').replace(VANISHING, '').normalize('NFKC');
  if (prepared === '' || PROHIBITED.test(prepared) || UNASSIGNED.test(prepared)) return password;
  if (!directionsAreFine(prepared)) return password;
  return prepared;
}

// Elements of a one-dimensional PostgreSQL array, text or binary. The rule: anything but a plain list (bounds, nesting,
// malformed input) is answered with false, never with some of the elements.
import type { WireType } from './placement.ts';

const ELEMENT_OID: Readonly<Record<WireType, readonly number[]>> = {
  int2: [21],
  int4: [23],
  int8: [20],
  text: [25, 1043],
  uuid: [2950],
};

/** What separates elements of the text form; any other character is part of one. */
const SPACE = /[ \t\n\v\f\r]/;

/** Calls `element` with the characters of each one that is not NULL, until it says false. True: all were read. */
export function readTextArray(text: string, element: (text: string) => boolean): boolean {
  return readText(text.trim(), element);
}

/** The same for the binary form; the elements must be of the type that `wire` names. */
export function readBinaryArray(bytes: Buffer, wire: WireType, element: (bytes: Buffer) => boolean): boolean {
  return readBinary(bytes, ELEMENT_OID[wire], element);
}

function readText(text: string, element: (text: string) => boolean): boolean {
  if (!text.startsWith('{') || !text.endsWith('}') || text.length < 2) return false;
  const end = text.length - 1;
  let at = skipSpace(text, 1);
  if (at === end) return true;
  for (;;) {
    at = skipSpace(text, at);
    const quoted = text[at] === '"';
    const part = quoted ? quotedElement(text, at + 1, end) : plainElement(text, at, end);
    if (part === undefined) return false;
    const isNull = !quoted && part.value.toLowerCase() === 'null';
    if (!isNull && !element(part.value)) return false;
    at = skipSpace(text, part.next);
    if (at === end) return true;
    if (text[at] !== ',') return false;
    at += 1;
  }
}

interface Part {
  readonly value: string;
  readonly next: number;
}

function quotedElement(text: string, from: number, end: number): Part | undefined {
  let value = '';
  for (let at = from; at < end; at += 1) {
    const character = text[at];
    if (character === '"') return { value, next: at + 1 };
    if (character === '\\') at += 1;
    if (at >= end) return undefined;
    value += text[at];
  }
  return undefined;
}

function plainElement(text: string, from: number, end: number): Part | undefined {
  let at = from;
  while (at < end && text[at] !== ',') {
    if (/["\\{}]/.test(text[at] ?? '')) return undefined;
    at += 1;
  }
  const value = text.slice(from, at).replace(/[ \t\n\v\f\r]+$/, '');
  return value === '' ? undefined : { value, next: at };
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && SPACE.test(text[at] ?? '')) at += 1;
  return at;
}

/** ndim, flags, element oid, then per dimension length and lower bound, then length-prefixed elements. */
function readBinary(bytes: Buffer, oids: readonly number[], element: (bytes: Buffer) => boolean): boolean {
  if (bytes.length < 12) return false;
  const dimensions = bytes.readInt32BE(0);
  if (!oids.includes(bytes.readUInt32BE(8))) return false;
  if (dimensions === 0) return bytes.length === 12;
  if (dimensions !== 1 || bytes.length < 20) return false;
  const count = bytes.readInt32BE(12);
  let at = 20;
  for (let index = 0; index < count; index += 1) {
    if (at + 4 > bytes.length) return false;
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length < 0) continue;
    if (at + length > bytes.length) return false;
    if (!element(bytes.subarray(at, at + length))) return false;
    at += length;
  }
  return count >= 0 && at === bytes.length;
}

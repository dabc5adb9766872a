// DER, the writing half of it: just what a certificate is made of. Reading is left to node:crypto.
//
//   [tag, 1 byte][length: 1 byte below 128, else 0x80 + count and that many bytes][content]
import { assert } from '../../kernel/assert.ts';

/** Universal tags; 0x20 says that the content is made of values. */
const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

export function value(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content]);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  const shortest = bytes.subarray(bytes.findIndex((byte) => byte !== 0));
  return Buffer.concat([Buffer.of(tag, 0x80 | shortest.length), shortest, content]);
}

export const sequence = (...values: readonly Buffer[]) => value(TAG.sequence, Buffer.concat(values));
export const set = (...values: readonly Buffer[]) => value(TAG.set, Buffer.concat(values));
export const octetString = (content: Buffer) => value(TAG.octetString, content);
export const utf8String = (text: string) => value(TAG.utf8String, Buffer.from(text));
export const boolean = (truth: boolean) => value(TAG.boolean, Buffer.of(truth ? 0xff : 0));

/** `[number]` of the context, around values. */
export const explicit = (number: number, ...values: readonly Buffer[]) => value(0xa0 | number, Buffer.concat(values));
/** `[number]` of the context, in place of the value's own tag. */
export const implicit = (number: number, content: Buffer) => value(0x80 | number, content);

/** A number that is not negative, from its bytes, most significant first. */
export function integer(bytes: Buffer): Buffer {
  const from = bytes.findIndex((byte) => byte !== 0);
  const shortest = from === -1 ? Buffer.of(0) : bytes.subarray(from);
  // The first bit is the sign.
  const positive = (shortest[0] ?? 0) < 0x80 ? shortest : Buffer.concat([Buffer.of(0), shortest]);
  return value(TAG.integer, positive);
}

/** `unusedBits` of the last byte do not count. */
export function bitString(content: Buffer, unusedBits = 0): Buffer {
  return value(TAG.bitString, Buffer.concat([Buffer.of(unusedBits), content]));
}

/** An object identifier from its dotted form. */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    // Seven bits a byte, most significant first; all but the last byte have the eighth.
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return value(TAG.objectIdentifier, Buffer.from(bytes));
}

/** A moment, in whole seconds: two digits for the year before 2050, as RFC 5280 demands, four from then on. */
export function time(atMs: number): Buffer {
  const digits = new Date(atMs).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  assert(/^\d{14}Z$/.test(digits), 'a certificate ends before the year 10000');
  const short = Number(digits.slice(0, 4)) < 2050;
  return value(short ? TAG.utcTime : TAG.generalizedTime, Buffer.from(short ? digits.slice(2) : digits));
}

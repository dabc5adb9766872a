// From one key value, in any form a client can write it, to its shard.
// The rule: a form that is not certainly read as PostgreSQL reads it is UNREADABLE, and the caller widens or refuses.
import { bucketOfBytes, bucketOfInteger } from './partition-hash.ts';
import type { KeyType, Topology } from './topology.ts';

/** SQL NULL: no row can equal it, and no sharded row may hold it. */
export const NULL_KEY = -1;
/** Not certainly understood. */
export const UNREADABLE = -2;
/** A well-formed value that PostgreSQL would store changed: a varchar with trailing blanks. Fine to look for, not to insert. */
export const UNSTABLE = -3;

/** A shard number ≥ 0, or one of the negative marks above. */
export type Placed = number;

const OID = { int8: 20, int2: 21, int4: 23, text: 25, unknown: 705, varchar: 1043, uuid: 2950 } as const;

const TWO_TO_32 = 4_294_967_296;
const SCRATCH = Buffer.alloc(16);
const UUID = /^\{?[0-9a-f]{4}(-?[0-9a-f]{4}){7}\}?$/i;
/** What int8in and its siblings accept since PostgreSQL 16; older servers refuse the new forms, none reads them otherwise. */
const INTEGER =
  /^[ \t\n\v\f\r]*([+-]?)(\d+(?:_\d+)*|0x(?:_?[0-9a-f]+)+|0o(?:_?[0-7]+)+|0b(?:_?[01]+)+)[ \t\n\v\f\r]*$/i;

/** Values v of the type: -RANGE ≤ v < RANGE. */
const RANGE: Readonly<Record<'bigint' | 'integer' | 'smallint', number>> = {
  bigint: 2 ** 63,
  integer: 2 ** 31,
  smallint: 2 ** 15,
};

export function isIntegerKey(type: KeyType): type is 'bigint' | 'integer' | 'smallint' {
  return type === 'bigint' || type === 'integer' || type === 'smallint';
}

/** Types of one family hash alike, so keys of them may be compared across tables. */
export function keyFamily(type: KeyType): 'integer' | 'text' | 'uuid' {
  if (isIntegerKey(type)) return 'integer';
  return type === 'uuid' ? 'uuid' : 'text';
}

/** How a parameter's bytes are to be read, once its type is known. */
export type WireType = 'int2' | 'int4' | 'int8' | 'text' | 'uuid';

/** The type PostgreSQL gives a parameter: the declared one, or when none is declared the one it infers. */
export function wireTypeOf(oid: number, inferred: WireType): WireType | undefined {
  switch (oid) {
    case 0:
    case OID.unknown:
      return inferred;
    case OID.int2:
      return 'int2';
    case OID.int4:
      return 'int4';
    case OID.int8:
      return 'int8';
    case OID.text:
    case OID.varchar:
      return 'text';
    case OID.uuid:
      return 'uuid';
    default:
      return undefined;
  }
}

export function wireTypeOfKey(type: KeyType): WireType {
  if (type === 'bigint') return 'int8';
  if (type === 'integer') return 'int4';
  if (type === 'smallint') return 'int2';
  return type === 'uuid' ? 'uuid' : 'text';
}

/** Places keys of one topology; holds no state of its own. */
export class Placement {
  readonly #buckets: number;
  readonly #owner: Uint16Array;

  constructor(topology: Pick<Topology, 'buckets' | 'bucketOwner'>) {
    this.#buckets = topology.buckets;
    this.#owner = topology.bucketOwner;
  }

  /** A number that is exact in a double. */
  ofSafeInteger(value: number): Placed {
    return this.#shard(bucketOfInteger(Math.floor(value / TWO_TO_32) | 0, lowHalf(value), this.#buckets));
  }

  /** A literal's or a text parameter's characters, read as the key's own type. */
  ofText(type: KeyType, text: string): Placed {
    switch (type) {
      case 'bigint':
      case 'integer':
      case 'smallint':
        return this.#ofIntegerText(text, RANGE[type]);
      case 'text':
        return this.#ofCharacters(text);
      case 'varchar':
        return text.endsWith(' ') ? UNSTABLE : this.#ofCharacters(text);
      case 'uuid':
        return this.#ofUuidText(text);
    }
  }

  /** Looking for a value, where a varchar's trailing blanks mean themselves. */
  ofSoughtText(type: KeyType, text: string): Placed {
    return this.ofText(type === 'varchar' ? 'text' : type, text);
  }

  /** A parameter as it came in Bind. `wire` is its type as PostgreSQL sees it; null bytes give NULL_KEY. */
  ofWire(type: KeyType, wire: WireType, format: 0 | 1, bytes: Buffer | null): Placed {
    if (bytes === null) return NULL_KEY;
    if (isIntegerKey(type)) return this.#ofIntegerWire(wire, format, bytes);
    if (type === 'uuid') {
      if (wire !== 'uuid') return UNREADABLE;
      if (format === 0) return this.#ofUuidText(bytes.toString('latin1'));
      return bytes.length === 16 ? this.#shard(bucketOfBytes(bytes, 16, this.#buckets)) : UNREADABLE;
    }
    if (wire !== 'text') return UNREADABLE;
    if (type === 'varchar' && bytes[bytes.length - 1] === 0x20) return UNSTABLE;
    return this.#shard(bucketOfBytes(bytes, bytes.length, this.#buckets));
  }

  #ofIntegerWire(wire: WireType, format: 0 | 1, bytes: Buffer): Placed {
    switch (wire) {
      case 'int8':
        if (format === 0) return this.#ofIntegerText(bytes.toString('latin1'), RANGE.bigint);
        if (bytes.length !== 8) return UNREADABLE;
        return this.#shard(bucketOfInteger(bytes.readInt32BE(0), bytes.readInt32BE(4), this.#buckets));
      case 'int4':
        if (format === 0) return this.#ofIntegerText(bytes.toString('latin1'), RANGE.integer);
        return bytes.length === 4 ? this.#ofSmall(bytes.readInt32BE(0)) : UNREADABLE;
      case 'int2':
        if (format === 0) return this.#ofIntegerText(bytes.toString('latin1'), RANGE.smallint);
        return bytes.length === 2 ? this.#ofSmall(bytes.readInt16BE(0)) : UNREADABLE;
      case 'text':
      case 'uuid':
        return UNREADABLE;
    }
  }

  #ofSmall(value: number): Placed {
    return this.#shard(bucketOfInteger(value < 0 ? -1 : 0, value, this.#buckets));
  }

  #ofIntegerText(text: string, range: number): Placed {
    const plain = plainInteger(text);
    if (plain !== undefined) {
      return plain < range && plain >= -range ? this.ofSafeInteger(plain) : UNREADABLE;
    }
    const match = INTEGER.exec(text);
    if (match === null) return UNREADABLE;
    const magnitude = BigInt((match[2] ?? '').replaceAll('_', ''));
    const value = match[1] === '-' ? -magnitude : magnitude;
    const limit = BigInt(range);
    if (value >= limit || value < -limit) return UNREADABLE;
    return this.#shard(
      bucketOfInteger(Number(BigInt.asIntN(32, value >> 32n)), Number(BigInt.asIntN(32, value)), this.#buckets),
    );
  }

  #ofCharacters(text: string): Placed {
    // A lone surrogate cannot be UTF-8, and NUL cannot be in a PostgreSQL text.
    if (!text.isWellFormed() || text.includes('\0')) return UNREADABLE;
    const bytes = Buffer.from(text, 'utf8');
    return this.#shard(bucketOfBytes(bytes, bytes.length, this.#buckets));
  }

  #ofUuidText(text: string): Placed {
    if (!UUID.test(text) || text.startsWith('{') !== text.endsWith('}')) return UNREADABLE;
    const digits = text.replaceAll(/[{}-]/g, '');
    if (SCRATCH.write(digits, 'hex') !== 16) return UNREADABLE;
    return this.#shard(bucketOfBytes(SCRATCH, 16, this.#buckets));
  }

  #shard(bucket: number): number {
    return this.#owner[bucket] ?? UNREADABLE;
  }
}

/** The low 32 bits of a safe integer, signed. */
function lowHalf(value: number): number {
  return (value - Math.floor(value / TWO_TO_32) * TWO_TO_32) | 0;
}

/** The common form, at most 15 digits with an optional minus: no regular expression, no BigInt. */
function plainInteger(text: string): number | undefined {
  const length = text.length;
  let at = text.charCodeAt(0) === 0x2d ? 1 : 0;
  if (length === at || length > 15) return undefined;
  let value = 0;
  const negative = at === 1;
  for (; at < length; at += 1) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return negative ? -value : value;
}

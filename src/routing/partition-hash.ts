// PostgreSQL's own hash-partition function in 32-bit arithmetic, so that `satisfies_hash_partition(parent, modulus,
// remainder, key)` agrees with every placement. The rule: bit for bit PostgreSQL's, proved by golden vectors.

// HASH_PARTITION_SEED = 0x7A5B22367996DCFD (partbounds / hashfn.h), as two halves.
const SEED_HIGH = 0x7a5b2236;
const SEED_LOW = 0x7996dcfd;

// hash_combine64(0, h) = h + 0x49a0f4dd15e5a8e3: a row's hash starts at 0 and there is one key column.
const COMBINE_HIGH = 0x49a0f4dd;
const COMBINE_LOW = 0x15e5a8e3;

const INITIAL = 0x9e3779b9 + 3923095;
const TWO_TO_32 = 4_294_967_296;

// Jenkins' state lives in module variables: three numbers returned without an object, on the hottest path.
let a = 0;
let b = 0;
let c = 0;

/** The row hash of a bigint, integer or smallint (which PostgreSQL makes agree) modulo `buckets`. Halves of the 64-bit value. */
export function bucketOfInteger(high: number, low: number, buckets: number): number {
  // hashint8extended folds the halves so that int2, int4 and int8 of one value hash alike.
  const folded = high < 0 ? low ^ ~high : low ^ high;
  start(4);
  a = (a + folded) | 0;
  final();
  return bucket(buckets);
}

/** The row hash of a text, varchar (deterministic collation) or the 16 bytes of a uuid, modulo `buckets`. */
export function bucketOfBytes(bytes: Uint8Array, length: number, buckets: number): number {
  start(length);
  let at = 0;
  for (; length - at >= 12; at += 12) {
    a = (a + word(bytes, at, 4)) | 0;
    b = (b + word(bytes, at + 4, 4)) | 0;
    c = (c + word(bytes, at + 8, 4)) | 0;
    mix();
  }
  const rest = length - at;
  // The lowest byte of c is kept for the length, hence the shift.
  if (rest > 8) c = (c + (word(bytes, at + 8, rest - 8) << 8)) | 0;
  if (rest > 4) b = (b + word(bytes, at + 4, rest > 8 ? 4 : rest - 4)) | 0;
  if (rest > 0) a = (a + word(bytes, at, Math.min(rest, 4))) | 0;
  final();
  return bucket(buckets);
}

/** Up to four bytes, little-endian. */
function word(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let index = 0; index < count; index += 1) value |= (bytes[at + index] ?? 0) << (8 * index);
  return value;
}

function start(length: number): void {
  a = (INITIAL + length) | 0;
  b = a;
  c = a;
  a = (a + SEED_HIGH) | 0;
  b = (b + SEED_LOW) | 0;
  mix();
}

/** The 64-bit hash is (b, c); adds hash_combine64's constant and takes the remainder, unsigned. */
function bucket(buckets: number): number {
  const low = (c >>> 0) + COMBINE_LOW;
  const carry = low >= TWO_TO_32 ? 1 : 0;
  const high = ((b >>> 0) + COMBINE_HIGH + carry) >>> 0;
  // (high · 2³² + low) mod buckets without leaving 2⁵³: buckets is at most 2¹⁶.
  return ((high % buckets) * (TWO_TO_32 % buckets) + ((low >>> 0) % buckets)) % buckets;
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function mix(): void {
  a = (a - c) | 0;
  a ^= rotate(c, 4);
  c = (c + b) | 0;
  b = (b - a) | 0;
  b ^= rotate(a, 6);
  a = (a + c) | 0;
  c = (c - b) | 0;
  c ^= rotate(b, 8);
  b = (b + a) | 0;
  a = (a - c) | 0;
  a ^= rotate(c, 16);
  c = (c + b) | 0;
  b = (b - a) | 0;
  b ^= rotate(a, 19);
  a = (a + c) | 0;
  c = (c - b) | 0;
  c ^= rotate(b, 4);
  b = (b + a) | 0;
}

function final(): void {
  c ^= b;
  c = (c - rotate(b, 14)) | 0;
  a ^= c;
  a = (a - rotate(c, 11)) | 0;
  b ^= a;
  b = (b - rotate(a, 25)) | 0;
  c ^= b;
  c = (c - rotate(b, 16)) | 0;
  a ^= c;
  a = (a - rotate(c, 4)) | 0;
  b ^= a;
  b = (b - rotate(a, 14)) | 0;
  c ^= b;
  c = (c - rotate(b, 24)) | 0;
}

// The bytes of one record: how they are written, stamped and recognised; the rule is that a record is believed only when
// its length, its checksum, its lsn and its place all agree.
//
//   0        4        8        12  13   16        24          32
//   ┌────────┬────────┬────────┬───┬────┬─────────┬───────────┬───────── ─ ─┬──────┬ ─ ─ ─ ┐
//   │ length │ ~length│ crc32c │tag│ 0  │ lsn u64 │ committed │ payload     │ 0xA5 │ zeros │
//   └────────┴────────┴────────┴───┴────┴─────────┴───────────┴───────── ─ ─┴──────┴ ─ ─ ─ ┘
//                              ╰──────────── checksummed ───────────────────╯      to 8 bytes
//
// All numbers are little-endian. `length` counts from the first byte to the end mark; 0 means "nothing was ever written
// here". Why a second copy of the length, an end mark and 8-byte alignment: a disk writes whole 512-byte sectors onto
// zeros, so a record cut short by a power failure shows zeros where a sector is missing, and a record that is complete
// but wrong was damaged later. Those two must never be confused (see tail.ts), and an aligned head is never split.
//
// Numbers are JavaScript numbers, not bigint: at a million records a second 2^53 lasts 285 years, and a bigint costs an
// allocation per record.

import { crc32c } from '@node-rs/crc32';

export const RECORD_HEADER_BYTES = 32;
export const RECORD_ALIGNMENT = 8;
/** Sector size that a disk is trusted to write whole. */
export const SECTOR_BYTES = 512;
/** Longest record the reader accepts (a checkpoint); checked before anything is allocated. */
export const RECORD_BYTES_MAX = 64 * 1024 * 1024;
/** Longest record `append` accepts, header included. */
export const APPEND_BYTES_MAX = 512 * 1024;

/** The log's own tag; its payload is a checkpoint.ts wrapper. */
export const TAG_CHECKPOINT = 1;
/** Tags from here to 255 belong to the owner; 2 … 15 are kept for this format and refused until they mean something. */
export const TAG_OWNER_MIN = 16;

const LENGTH_AT = 0;
const LENGTH_CHECK_AT = 4;
const CRC_AT = 8;
const TAG_AT = 12;
const LSN_AT = 16;
const COMMITTED_AT = 24;
const END_MARK = 0xa5;
const TWO_POW_32 = 0x1_0000_0000;

/** A record as a reader sees it. `payload` may share memory with its neighbours: copy it to keep it for long. */
export interface WalRecord {
  /** Position in the log: strictly one more than the record before, across segments and restarts. */
  readonly lsn: number;
  readonly tag: number;
  readonly payload: Uint8Array;
  /** Highest lsn that was committed when this record was handed to the disk. */
  readonly committedAtWrite: number;
}

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % TWO_POW_32, true);
  view.setUint32(at + 4, Math.floor(value / TWO_POW_32), true);
}

export const getU64 = (view: DataView, at: number): number =>
  view.getUint32(at, true) + view.getUint32(at + 4, true) * TWO_POW_32;

export const aligned = (bytes: number): number => Math.ceil(bytes / RECORD_ALIGNMENT) * RECORD_ALIGNMENT;

/** Bytes a record with this payload takes in the file, padding included. */
export const recordBytes = (payloadBytes: number): number => aligned(RECORD_HEADER_BYTES + payloadBytes + 1);

/**
 * Writes a record at the start of `into`, all but its stamp (checksum and committed position), and returns the bytes it
 * takes. The stamp is set by whoever writes the group to the file, because only there is it known what is durable.
 */
export function encodeRecord(into: Uint8Array, view: DataView, tag: number, lsn: number, payload: Uint8Array): number {
  const length = RECORD_HEADER_BYTES + payload.length + 1;
  view.setUint32(LENGTH_AT, length, true);
  view.setUint32(LENGTH_CHECK_AT, ~length >>> 0, true);
  view.setUint32(CRC_AT, 0, true);
  view.setUint32(TAG_AT, tag, true);
  setU64(view, LSN_AT, lsn);
  setU64(view, COMMITTED_AT, 0);
  into.set(payload, RECORD_HEADER_BYTES);
  into[length - 1] = END_MARK;
  const padded = aligned(length);
  into.fill(0, length, padded);
  return padded;
}

/** Gives an encoded record its lsn; done last, because records that wait have no certain place yet. */
export function numberRecord(record: Uint8Array, lsn: number): void {
  setU64(viewOf(record), LSN_AT, lsn);
}

/** The checksum is seeded with the segment's id and the length, so bytes of another segment or frame never pass. */
function checksum(bytes: Uint8Array, at: number, length: number, segmentId: number): number {
  return crc32c(bytes.subarray(at + TAG_AT, at + length), (segmentId ^ length) >>> 0);
}

export interface StampedGroup {
  readonly records: number;
  readonly lastLsn: number;
  readonly lastCrc: number;
}

/** Stamps every record in `bytes` with its committed position and checksum, just before they go to the file. */
export function stampGroup(bytes: Uint8Array, segmentId: number, committed: number): StampedGroup {
  const view = viewOf(bytes);
  return eachRecord(bytes, view, (at) => stampRecord(bytes, view, at, segmentId, committed));
}

/**
 * As {@link stampGroup}, for records that {@link stampRecord} may have stamped in this segment before: those whose committed
 * position is the right one are left as they are.
 */
export function completeGroup(bytes: Uint8Array, segmentId: number, committed: number): StampedGroup {
  const view = viewOf(bytes);
  return eachRecord(bytes, view, (at) => {
    const isStamped = crcAt(view, at) !== 0 && getU64(view, at + COMMITTED_AT) === committed;
    if (!isStamped) stampRecord(bytes, view, at, segmentId, committed);
  });
}

/** Stamps the record that begins at `at`. */
export function stampRecord(bytes: Uint8Array, view: DataView, at: number, segmentId: number, committed: number): void {
  setU64(view, at + COMMITTED_AT, committed);
  view.setUint32(at + CRC_AT, checksum(bytes, at, view.getUint32(at + LENGTH_AT, true), segmentId), true);
}

/** The lsn of the record that begins at `at`. */
export const lsnAt = (view: DataView, at: number): number => getU64(view, at + LSN_AT);

function eachRecord(bytes: Uint8Array, view: DataView, stamp: (at: number) => void): StampedGroup {
  let records = 0;
  let last = 0;
  for (let at = 0; at < bytes.length; ) {
    stamp(at);
    last = at;
    records += 1;
    at += aligned(view.getUint32(at + LENGTH_AT, true));
  }
  return { records, lastLsn: lsnAt(view, last), lastCrc: crcAt(view, last) };
}

/** What the eight bytes at the head of a record say. */
export type Head = { kind: 'empty' } | { kind: 'length'; length: number } | { kind: 'garbled' };

export function readHead(view: DataView, at: number): Head {
  const length = view.getUint32(at + LENGTH_AT, true);
  const check = view.getUint32(at + LENGTH_CHECK_AT, true);
  if (length === 0 && check === 0) return { kind: 'empty' };
  if (~length >>> 0 !== check || length <= RECORD_HEADER_BYTES || length > RECORD_BYTES_MAX) return { kind: 'garbled' };
  return { kind: 'length', length };
}

/** True when the `length` bytes at `at` are exactly what some writer of this segment meant to write. */
export function isIntact(bytes: Uint8Array, view: DataView, at: number, length: number, segmentId: number): boolean {
  return (
    bytes[at + length - 1] === END_MARK && view.getUint32(at + CRC_AT, true) === checksum(bytes, at, length, segmentId)
  );
}

export const crcAt = (view: DataView, at: number): number => view.getUint32(at + CRC_AT, true);

/** Reads the fields of a record whose checksum holds. The whole word of the tag counts, so stray bits show. */
export function decodeRecord(bytes: Uint8Array, view: DataView, at: number, length: number): WalRecord {
  return {
    lsn: getU64(view, at + LSN_AT),
    tag: view.getUint32(at + TAG_AT, true),
    payload: bytes.subarray(at + RECORD_HEADER_BYTES, at + length - 1),
    committedAtWrite: getU64(view, at + COMMITTED_AT),
  };
}

export const isKnownTag = (tag: number): boolean => tag === TAG_CHECKPOINT || (tag >= TAG_OWNER_MIN && tag <= 255);

// A record fails its checks: did a crash cut short what nobody was told of, or was something acknowledged damaged? Pure.
//
// What a crash can do to the last group, and nothing else: leave any 512-byte sector of it as it was, which is zeros
// (segments are zeroed before use), or end the file early. So a broken record is a torn write only when
//   1. it is in the last segment and its lsn is above every committed position found anywhere, also behind it
//      (each record carries what was durable before its own group, exactly), and
//   2. a piece of it is missing: a whole sector of zeros, or zeros (or nothing) from somewhere inside it to its end.
// Whole but wrong is damage, whoever did it; then the log refuses to start, and forgetting is left to a human.

import {
  aligned,
  decodeRecord,
  isIntact,
  RECORD_ALIGNMENT,
  readHead,
  SECTOR_BYTES,
  viewOf,
  type WalRecord,
} from './format.ts';

/** The bytes from the break to the last one that is not zero. */
export interface BrokenTail {
  readonly bytes: Uint8Array;
  /** Offset of `bytes` in the file. */
  readonly offset: number;
  readonly fileBytes: number;
  readonly segmentId: number;
  /** Lsn that the broken record should have. */
  readonly lsn: number;
  /** Highest committed position known before the break. */
  readonly committed: number;
  readonly isLastSegment: boolean;
}

export type TailVerdict =
  /** Nobody was told of anything from the break on: it may be cut. */
  | { readonly kind: 'torn'; readonly intactBehind: number }
  | { readonly kind: 'damaged'; readonly why: string; readonly intactBehind: number };

/** Decides what a break is; `reason` is the scan's, for the message. */
export function judgeTail(tail: BrokenTail, reason: string): TailVerdict {
  const behind = recordsBehind(tail);
  const intactBehind = behind.length;
  const damaged = (why: string): TailVerdict => ({ kind: 'damaged', why: `${reason}; ${why}`, intactBehind });
  if (!tail.isLastSegment) return damaged('a later segment follows, so it was complete once');
  const committed = behind.reduce((most, record) => Math.max(most, record.committedAtWrite), tail.committed);
  if (tail.lsn <= committed) return damaged(`record ${tail.lsn} was acknowledged (committed up to ${committed})`);
  if (!isPieceMissing(tail)) {
    return damaged(`no piece of record ${tail.lsn} is missing, so it was damaged after it had been written`);
  }
  return { kind: 'torn', intactBehind };
}

/** Whole records of this segment behind the break, found by their checksums at every place where one may begin. */
export function recordsBehind(tail: BrokenTail): WalRecord[] {
  const view = viewOf(tail.bytes);
  const found: WalRecord[] = [];
  for (let at = RECORD_ALIGNMENT; at + RECORD_ALIGNMENT <= tail.bytes.length; ) {
    const head = readHead(view, at);
    const fits = head.kind === 'length' && at + head.length <= tail.bytes.length;
    if (!fits || !isIntact(tail.bytes, view, at, head.length, tail.segmentId)) {
      at += RECORD_ALIGNMENT;
      continue;
    }
    found.push(decodeRecord(tail.bytes, view, at, head.length));
    at += aligned(head.length);
  }
  return found;
}

/** True when a sector, or the end, of the record at the break is not there. */
function isPieceMissing(tail: BrokenTail): boolean {
  const { bytes, offset } = tail;
  if (bytes.length < RECORD_ALIGNMENT) return true; // nothing but zeros, or nothing, after part of the head
  const head = readHead(viewOf(bytes), 0);
  switch (head.kind) {
    case 'empty':
      // Later bytes were written, so the sector that holds this head was not: all of it must be zeros.
      return isZero(bytes, 0, sectorEnd(offset) - offset);
    case 'garbled':
      // A head is inside one sector and never torn; its length is written with its complement.
      return false;
    case 'length':
      if (offset + head.length > tail.fileBytes || head.length > bytes.length) return true;
      return hasEmptySector(bytes, offset, head.length);
  }
}

/**
 * True when a sector, or the part of one that belongs to the record, holds only zeros. The first part has the length and
 * the last the end mark, so neither is ever zeros by itself; only a payload with 512 zeros in a row can pretend.
 */
function hasEmptySector(bytes: Uint8Array, offset: number, length: number): boolean {
  for (let from = 0; from < length; ) {
    const to = Math.min(sectorEnd(offset + from) - offset, length);
    if (isZero(bytes, from, to)) return true;
    from = to;
  }
  return false;
}

const sectorEnd = (offset: number): number => (Math.floor(offset / SECTOR_BYTES) + 1) * SECTOR_BYTES;

const isZero = (bytes: Uint8Array, from: number, to: number): boolean =>
  bytes.subarray(from, to).every((byte) => byte === 0);

// Reads one segment file piece by piece: memory is bounded by the piece (and the longest record), never by the file.

import { WalDamageError } from './errors.ts';
import type { WalRecord } from './format.ts';
import { PieceReader } from './piece-reader.ts';
import { type ScanState, type ScanStop, scanPiece } from './scan.ts';
import { decodeSegmentHeader, lsnOfSegmentName, SEGMENT_HEADER_BYTES, type SegmentHeader } from './segment-header.ts';
import type { ReadableStorage, StoredFile } from './storage.ts';
import { type BrokenTail, judgeTail } from './tail.ts';

const PIECE_BYTES = 1024 * 1024;
const ZEROS = new Uint8Array(PIECE_BYTES);

/** A segment may end with megabytes of zeros, so they are compared in one call. */
const isZeros = (piece: Uint8Array): boolean => Buffer.compare(piece, ZEROS.subarray(0, piece.length)) === 0;

/** How a segment ends. Bytes from `offset` on hold no record. */
export type SegmentEnd =
  | { readonly kind: 'clean'; readonly offset: number }
  /** A group that a crash cut short; `bytes` is everything from the cut to the last byte that is not zero. */
  | {
      readonly kind: 'torn';
      readonly offset: number;
      readonly bytes: Uint8Array;
      readonly intactBehind: number;
      readonly reason: string;
    }
  /** Read beside a writer: what is here may be half written. */
  | { readonly kind: 'moving'; readonly offset: number };

export interface SegmentReading {
  readonly header: SegmentHeader;
  readonly lastLsn: number;
  readonly lastCrc: number;
  readonly committed: number;
  readonly end: SegmentEnd;
}

export interface SegmentWish {
  readonly file: StoredFile;
  readonly isLast: boolean;
  /** True when a writer may be at work on the last segment. */
  readonly live: boolean;
  readonly upToLsn: number;
  /** Committed position known from the segments before. */
  readonly committed: number;
}

/** Reads and checks a header; throws WalDamageError. */
export async function readHeader(storage: ReadableStorage, name: string): Promise<SegmentHeader> {
  const reading = decodeSegmentHeader(await storage.read(name, 0, SEGMENT_HEADER_BYTES));
  if (reading.kind === 'refused') throw new WalDamageError(storage.directory, name, 0, reading.reason);
  const named = lsnOfSegmentName(name);
  if (named !== reading.header.firstLsn) {
    const reason = `its header says that it begins with record ${reading.header.firstLsn}; the file was renamed`;
    throw new WalDamageError(storage.directory, name, 0, reason);
  }
  return reading.header;
}

/** Streams the records of one segment in order. Throws WalDamageError when no crash explains what is there. */
export async function readSegment(
  storage: ReadableStorage,
  wish: SegmentWish,
  onRecord: (record: WalRecord) => void,
): Promise<SegmentReading> {
  const { file } = wish;
  const header = await readHeader(storage, file.name);
  const state: ScanState = {
    segmentId: header.segmentId,
    fileBytes: file.bytes,
    upToLsn: wish.upToLsn,
    nextLsn: header.firstLsn,
    committed: wish.committed,
    lastCrc: 0,
  };
  const stop = await scanFile(storage, file, state, onRecord);
  const end = await judgeStop(storage, wish, state, stop);
  return { header, lastLsn: state.nextLsn - 1, lastCrc: state.lastCrc, committed: state.committed, end };
}

async function scanFile(
  storage: ReadableStorage,
  file: StoredFile,
  state: ScanState,
  onRecord: (record: WalRecord) => void,
): Promise<Exclude<ScanStop, { kind: 'more' }>> {
  const pieces = new PieceReader(storage, file);
  let offset = SEGMENT_HEADER_BYTES;
  let needed = 0;
  for (;;) {
    const piece = await pieces.from(offset, needed);
    // The file became shorter since it was listed: a writer gave back the unused end of the segment.
    if (piece.length < needed) return { kind: 'end', offset };
    const stop = scanPiece(piece, offset, state, onRecord);
    if (stop.kind !== 'more') return stop;
    offset = stop.offset;
    needed = stop.bytes;
  }
}

async function judgeStop(
  storage: ReadableStorage,
  wish: SegmentWish,
  state: ScanState,
  stop: Exclude<ScanStop, { kind: 'more' }>,
): Promise<SegmentEnd> {
  const { file, isLast } = wish;
  const { offset } = stop;
  const damage = (reason: string) => new WalDamageError(storage.directory, file.name, offset, reason);
  if (stop.kind === 'foreign') throw damage(stop.reason);
  if (state.nextLsn > state.upToLsn) return { kind: 'clean', offset };
  if (isLast && wish.live) return { kind: 'moving', offset };
  const lastByte = await lastNonZero(storage, file, offset);
  // Zeros to the end are no damage; whether records are missing there, the next segment's first lsn tells.
  if (lastByte < offset && stop.kind === 'end') return { kind: 'clean', offset };
  const tail: BrokenTail = {
    bytes: await storage.read(file.name, offset, Math.max(0, lastByte + 1 - offset)),
    offset,
    fileBytes: file.bytes,
    segmentId: state.segmentId,
    lsn: state.nextLsn,
    committed: state.committed,
    isLastSegment: isLast,
  };
  const reason = stop.kind === 'broken' ? stop.reason : 'there is something behind the end';
  const verdict = judgeTail(tail, reason);
  if (verdict.kind === 'damaged') throw damage(verdict.why);
  return { kind: 'torn', offset, bytes: tail.bytes, intactBehind: verdict.intactBehind, reason };
}

/** Offset of the last byte that is not zero at or behind `from`, or −1. */
async function lastNonZero(storage: ReadableStorage, file: StoredFile, from: number): Promise<number> {
  let last = -1;
  for (let at = from; at < file.bytes; ) {
    const piece = await storage.read(file.name, at, Math.min(PIECE_BYTES, file.bytes - at));
    if (piece.length === 0) break;
    if (!isZeros(piece)) last = at + piece.findLastIndex((byte) => byte !== 0);
    at += piece.length;
  }
  return last;
}

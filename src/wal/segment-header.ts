// The first 64 bytes of a segment file: which log it belongs to, which run wrote it, and what came just before it.
//
//   0          8         12          16        32        40          48             52      60
//   ┌──────────┬─────────┬───────────┬─────────┬─────────┬───────────┬──────────────┬───────┬────────┐
//   │ magic    │ version │ segmentId │ wal id  │ epoch   │ first lsn │ previous crc │ zeros │ crc32c │
//   └──────────┴─────────┴───────────┴─────────┴─────────┴───────────┴──────────────┴───────┴────────┘
//
// `previous crc` is the checksum of the last record of the segment before (0 when there was none): with the lsn that
// continues by one it proves that no segment is missing, repeated or taken from elsewhere.

import { crc32c } from '@node-rs/crc32';
import { getU64, setU64, viewOf } from './format.ts';

export const SEGMENT_HEADER_BYTES = 64;
export const FORMAT_VERSION = 1;

const MAGIC = new TextEncoder().encode('ATOMWAL\n');
const SEGMENT_SUFFIX = '.wal';
const LSN_DIGITS = 20;

export interface SegmentHeader {
  /** Seed of the checksums of all records in this segment; random, never 0. */
  readonly segmentId: number;
  /** 32 hexadecimal digits, the same in every segment of one log. */
  readonly walId: string;
  readonly epoch: number;
  readonly firstLsn: number;
  readonly previousCrc: number;
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  const view = viewOf(bytes);
  bytes.set(MAGIC, 0);
  view.setUint32(8, FORMAT_VERSION, true);
  view.setUint32(12, header.segmentId, true);
  bytes.set(Buffer.from(header.walId, 'hex'), 16);
  setU64(view, 32, header.epoch);
  setU64(view, 40, header.firstLsn);
  view.setUint32(48, header.previousCrc, true);
  view.setUint32(60, crc32c(bytes.subarray(0, 60)), true);
  return bytes;
}

export type HeaderReading = { kind: 'header'; header: SegmentHeader } | { kind: 'refused'; reason: string };

/** Reads a header, or says in one sentence why these bytes are none. */
export function decodeSegmentHeader(bytes: Uint8Array): HeaderReading {
  if (bytes.length < SEGMENT_HEADER_BYTES) return refused(`the segment header is cut short (${bytes.length} bytes)`);
  const view = viewOf(bytes);
  if (MAGIC.some((byte, at) => bytes[at] !== byte)) return refused('this is not a segment of an AtomShard log');
  // The version comes before the checksum: another version may keep its checksum elsewhere.
  const version = view.getUint32(8, true);
  if (version !== FORMAT_VERSION) {
    return refused(`the segment has format version ${version}; this program reads version ${FORMAT_VERSION}`);
  }
  if (view.getUint32(60, true) !== crc32c(bytes.subarray(0, 60))) return refused('the segment header is damaged');
  const header = {
    segmentId: view.getUint32(12, true),
    walId: Buffer.from(bytes.subarray(16, 32)).toString('hex'),
    epoch: getU64(view, 32),
    firstLsn: getU64(view, 40),
    previousCrc: view.getUint32(48, true),
  };
  return { kind: 'header', header };
}

const refused = (reason: string): HeaderReading => ({ kind: 'refused', reason });

export const segmentName = (firstLsn: number): string =>
  `${String(firstLsn).padStart(LSN_DIGITS, '0')}${SEGMENT_SUFFIX}`;

/** First lsn of the segment a file name stands for, or null when it names no segment. */
export function lsnOfSegmentName(name: string): number | null {
  const match = /^(\d{20})\.wal$/.exec(name);
  return match === null ? null : Number(match[1]);
}

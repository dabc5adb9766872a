// Bytes of a segment to records, pure: reads until something is missing or wrong and says which, and guesses nothing.

import {
  aligned,
  crcAt,
  decodeRecord,
  isIntact,
  isKnownTag,
  RECORD_ALIGNMENT,
  readHead,
  viewOf,
  type WalRecord,
} from './format.ts';

/** What a scan of one segment knows so far; the scan advances it record by record. */
export interface ScanState {
  readonly segmentId: number;
  readonly fileBytes: number;
  /** The scan ends after this lsn, so that it can read beside a writer; Infinity reads all there is. */
  readonly upToLsn: number;
  /** Lsn that the next record must have. */
  nextLsn: number;
  /** Highest committed position seen in any record. */
  committed: number;
  /** Checksum of the last good record. */
  lastCrc: number;
}

export type ScanStop =
  /** The piece ended inside a record that begins at `offset`; at least `bytes` are needed from there. */
  | { readonly kind: 'more'; readonly offset: number; readonly bytes: number }
  /** Nothing was written at `offset`, or the file ends there. */
  | { readonly kind: 'end'; readonly offset: number }
  /** What is at `offset` fails its checks; tail.ts decides whether a crash explains it. */
  | { readonly kind: 'broken'; readonly offset: number; readonly reason: string }
  /** A whole and intact record that has no business here: no crash explains it. */
  | { readonly kind: 'foreign'; readonly offset: number; readonly reason: string };

/** Reads the records in `piece`, which begins at `base` in the file. */
export function scanPiece(
  piece: Uint8Array,
  base: number,
  state: ScanState,
  onRecord: (record: WalRecord) => void,
): ScanStop {
  const view = viewOf(piece);
  let at = 0;
  for (;;) {
    const offset = base + at;
    if (state.nextLsn > state.upToLsn) return { kind: 'end', offset };
    const left = state.fileBytes - offset;
    if (left < RECORD_ALIGNMENT) return endOfFile(piece, at, offset, left);
    if (at + RECORD_ALIGNMENT > piece.length) return { kind: 'more', offset, bytes: RECORD_ALIGNMENT };
    const head = readHead(view, at);
    if (head.kind === 'empty') return { kind: 'end', offset };
    if (head.kind === 'garbled') return { kind: 'broken', offset, reason: 'the length of the record is garbled' };
    const { length } = head;
    if (length > left) return { kind: 'broken', offset, reason: 'the record is longer than the rest of the file' };
    if (at + length > piece.length) return { kind: 'more', offset, bytes: length };
    if (!isIntact(piece, view, at, length, state.segmentId)) {
      return { kind: 'broken', offset, reason: 'the checksum of the record is wrong' };
    }
    const record = decodeRecord(piece, view, at, length);
    const wrong = misplaced(record, state);
    if (wrong !== null) return { kind: 'foreign', offset, reason: wrong };
    state.nextLsn += 1;
    state.lastCrc = crcAt(view, at);
    if (record.committedAtWrite > state.committed) state.committed = record.committedAtWrite;
    onRecord(record);
    at += aligned(length);
  }
}

/** Fewer bytes are left than a head needs: fine when the file ends, or nothing but zeros is left. */
function endOfFile(piece: Uint8Array, at: number, offset: number, left: number): ScanStop {
  if (left <= 0) return { kind: 'end', offset: Math.min(offset, offset + left) };
  if (at + left > piece.length) return { kind: 'more', offset, bytes: left };
  if (piece.subarray(at, at + left).every((byte) => byte === 0)) return { kind: 'end', offset };
  return { kind: 'broken', offset, reason: 'the file ends inside the head of a record' };
}

function misplaced(record: WalRecord, state: ScanState): string | null {
  if (record.lsn !== state.nextLsn) return `record ${record.lsn} stands where record ${state.nextLsn} belongs`;
  if (!isKnownTag(record.tag)) {
    return `record ${record.lsn} has the unknown tag ${record.tag}; a newer program wrote it, use that one`;
  }
  return null;
}

// What a segment begins with, ready to be written: its header and the checkpoint that makes older segments dispensable.

import { randomInt } from 'node:crypto';
import { encodeCheckpoint } from './checkpoint.ts';
import { WalError } from './errors.ts';
import { encodeRecord, RECORD_BYTES_MAX, recordBytes, stampGroup, TAG_CHECKPOINT, viewOf } from './format.ts';
import type { Positions, WalIdentity } from './log.ts';
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES, segmentName } from './segment-header.ts';

export interface SegmentWish {
  readonly identity: WalIdentity;
  /** Lsn of the checkpoint, which is the segment's first record. */
  readonly lsn: number;
  readonly previousCrc: number;
  readonly positions: Positions;
  readonly writtenAtMs: number;
  readonly owner: Uint8Array;
  /** Seed of the segment's checksums; random unless a test pins the bytes. */
  readonly segmentId?: number;
}

export interface SegmentContent {
  readonly name: string;
  readonly segmentId: number;
  readonly content: Uint8Array;
  readonly lastCrc: number;
}

/** Throws WalError when the checkpoint is longer than any record may be. */
export function composeSegment(wish: SegmentWish): SegmentContent {
  const { identity, lsn, previousCrc, positions, writtenAtMs, owner } = wish;
  const { oldest, applied, committed } = positions;
  const segmentId = wish.segmentId ?? randomInt(1, 2 ** 32);
  const { walId, epoch, firstEpoch } = identity;
  const payload = encodeCheckpoint({ oldest, applied, committed, firstEpoch, writtenAtMs, owner });
  const bytes = recordBytes(payload.length);
  if (bytes > RECORD_BYTES_MAX) {
    throw new WalError('wal_record_refused', `a checkpoint of ${bytes} bytes is more than ${RECORD_BYTES_MAX}`);
  }
  const content = new Uint8Array(SEGMENT_HEADER_BYTES + bytes);
  content.set(encodeSegmentHeader({ segmentId, walId, epoch, firstLsn: lsn, previousCrc }));
  const record = content.subarray(SEGMENT_HEADER_BYTES);
  encodeRecord(record, viewOf(record), TAG_CHECKPOINT, lsn, payload);
  const { lastCrc } = stampGroup(record, segmentId, committed);
  return { name: segmentName(lsn), segmentId, content, lastCrc };
}

// Reads a whole log in order and proves that it is whole: same log, no segment missing, no record skipped.

import { decodeCheckpoint } from './checkpoint.ts';
import { WalDamageError } from './errors.ts';
import { TAG_CHECKPOINT, type WalRecord } from './format.ts';
import { lsnOfSegmentName } from './segment-header.ts';
import { readSegment, type SegmentEnd, type SegmentReading } from './segment-reader.ts';
import type { ReadableStorage, StoredFile } from './storage.ts';

/** One segment as its owner sees it. */
export interface SegmentSummary {
  readonly name: string;
  readonly epoch: number;
  readonly firstLsn: number;
  /** For the segment in use: the last record handed to the disk so far. */
  readonly lastLsn: number;
  readonly bytes: number;
  /** When its checkpoint was written. */
  readonly startedAtMs: number;
}

export interface LogReading {
  readonly segments: readonly SegmentSummary[];
  /** Null when there is no segment at all. */
  readonly last: LastSegment | null;
}

export interface LastSegment {
  readonly name: string;
  readonly walId: string;
  readonly epoch: number;
  readonly firstEpoch: number;
  readonly lastLsn: number;
  readonly lastCrc: number;
  readonly committed: number;
  readonly applied: number;
  readonly end: SegmentEnd;
}

export interface ReadWish {
  readonly fromLsn?: number;
  readonly upToLsn?: number;
  /** True when another process may be writing. */
  readonly live?: boolean;
}

/** Segment files of a listing, in the order of their records. */
export const segmentFiles = (files: readonly StoredFile[]): StoredFile[] =>
  files.filter((file) => lsnOfSegmentName(file.name) !== null).toSorted((a, b) => (a.name < b.name ? -1 : 1));

interface Progress {
  segments: SegmentSummary[];
  previous: { readonly name: string; readonly reading: SegmentReading } | undefined;
  committed: number;
  applied: number;
  firstEpoch: number;
}

/**
 * Streams the records of all segments (from the segment that holds `fromLsn`) to `onRecord`. A checkpoint is delivered
 * with the owner's bytes as payload. Throws WalDamageError; what was delivered before it is true all the same.
 */
export async function readLog(
  storage: ReadableStorage,
  onRecord: (record: WalRecord) => void,
  wish: ReadWish = {},
): Promise<LogReading> {
  const files = segmentFiles(await storage.list());
  const { fromLsn = 0, upToLsn = Number.POSITIVE_INFINITY, live = false } = wish;
  const progress: Progress = { segments: [], previous: undefined, committed: 0, applied: 0, firstEpoch: 0 };
  for (const [index, file] of files.entries()) {
    const next = files[index + 1];
    const nextLsn = next === undefined ? Number.POSITIVE_INFINITY : (lsnOfSegmentName(next.name) ?? 0);
    if (nextLsn <= fromLsn) continue;
    if ((lsnOfSegmentName(file.name) ?? 0) > upToLsn) break;
    const opening = { file, isLast: next === undefined, live, upToLsn, committed: progress.committed };
    const accept = acceptRecords(storage, file, progress, (record) => record.lsn >= fromLsn && onRecord(record));
    const reading = await readSegment(storage, opening, accept.each);
    accept.done(reading);
    joinOn(storage, progress, file, reading);
  }
  return { segments: progress.segments, last: lastSegment(progress) };
}

/** Checks that each segment, and only its beginning, is a checkpoint, and unwraps it. */
function acceptRecords(
  storage: ReadableStorage,
  file: StoredFile,
  progress: Progress,
  onRecord: (record: WalRecord) => void,
): { each: (record: WalRecord) => void; done: (reading: SegmentReading) => void } {
  let startedAtMs: number | undefined;
  const firstLsn = lsnOfSegmentName(file.name);
  const damage = (reason: string) => new WalDamageError(storage.directory, file.name, 0, reason);
  const each = (record: WalRecord) => {
    if (record.tag !== TAG_CHECKPOINT && record.lsn !== firstLsn) return onRecord(record);
    if (record.tag !== TAG_CHECKPOINT) throw damage(`its first record (${record.lsn}) is not a checkpoint`);
    if (record.lsn !== firstLsn) throw damage(`record ${record.lsn} is a checkpoint in the middle of a segment`);
    const checkpoint = decodeCheckpoint(record.payload);
    if (checkpoint === null) throw damage('its checkpoint is of a version that this program does not know');
    startedAtMs = checkpoint.writtenAtMs;
    progress.applied = Math.max(progress.applied, checkpoint.applied);
    progress.firstEpoch = checkpoint.firstEpoch;
    onRecord({ ...record, payload: checkpoint.owner });
  };
  const done = ({ header, lastLsn }: SegmentReading) => {
    // The name of a segment is durable only after its checkpoint, so no crash explains a segment without one.
    if (startedAtMs === undefined) throw damage('its checkpoint is missing');
    const { epoch, firstLsn: first } = header;
    progress.segments.push({ name: file.name, epoch, firstLsn: first, lastLsn, bytes: file.bytes, startedAtMs });
  };
  return { each, done };
}

/** Proves that a segment continues the one before it. */
function joinOn(storage: ReadableStorage, progress: Progress, file: StoredFile, reading: SegmentReading): void {
  const { previous } = progress;
  progress.previous = { name: file.name, reading };
  // A segment is only started when everything before it is durable, hence committed.
  progress.committed = Math.max(progress.committed, reading.committed, reading.header.firstLsn);
  if (previous === undefined) return;
  const { header } = reading;
  const before = previous.reading;
  if (header.walId !== before.header.walId) {
    throw new WalDamageError(storage.directory, file.name, 16, `it belongs to another log (${header.walId})`);
  }
  if (header.epoch < before.header.epoch) {
    throw new WalDamageError(
      storage.directory,
      file.name,
      32,
      `its epoch ${header.epoch} is older than the one before`,
    );
  }
  if (header.firstLsn === before.lastLsn + 1 && header.previousCrc === before.lastCrc) return;
  const missing = `records ${before.lastLsn + 1} to ${header.firstLsn - 1} are missing before ${file.name}`;
  const changed = `its last record is not the one that ${file.name} continues`;
  const reason = header.firstLsn === before.lastLsn + 1 ? changed : missing;
  throw new WalDamageError(storage.directory, previous.name, before.end.offset, reason);
}

function lastSegment({ previous, committed, applied, firstEpoch }: Progress): LastSegment | null {
  if (previous === undefined) return null;
  const { reading, name } = previous;
  const { header, lastLsn, lastCrc, end } = reading;
  const { walId, epoch } = header;
  return { name, walId, epoch, firstEpoch, lastLsn, lastCrc, committed: Math.min(committed, lastLsn), applied, end };
}

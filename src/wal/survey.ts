// Looks at every segment by itself and goes on behind damage: what dump, verify and repair know about a log. Changes nothing.

import { type Checkpoint, decodeCheckpoint } from './checkpoint.ts';
import { WalDamageError } from './errors.ts';
import { TAG_CHECKPOINT, type WalRecord } from './format.ts';
import { segmentFiles } from './log-reader.ts';
import { lsnOfSegmentName, type SegmentHeader } from './segment-header.ts';
import { readHeader, readSegment, type SegmentEnd } from './segment-reader.ts';
import type { ReadableStorage, StoredFile } from './storage.ts';
import { recordsBehind } from './tail.ts';

/** Bytes behind a break that are searched for readable records. */
const BEHIND_BYTES_MAX = 256 * 1024 * 1024;

export type SurveyedEnd =
  | SegmentEnd
  | {
      readonly kind: 'damaged';
      readonly offset: number;
      readonly reason: string;
      /** Whole records found behind the damage. */
      readonly behind: readonly WalRecord[];
    };

export interface SurveyedSegment {
  readonly name: string;
  readonly bytes: number;
  /** Undefined when the header cannot be believed. */
  readonly header: SegmentHeader | undefined;
  /** Undefined when the segment's first record cannot be believed. */
  readonly checkpoint: Checkpoint | undefined;
  readonly firstLsn: number;
  /** Last record that reads in order; below `firstLsn` when none does. */
  readonly lastLsn: number;
  readonly end: SurveyedEnd;
  /** Why it does not continue the segment before it; undefined when it does, or is the first. */
  readonly gap: string | undefined;
}

export type SurveyVisitor = (segment: string, record: WalRecord, checkpoint: Checkpoint | undefined) => void;

/** Surveys a log; `live` when a writer may be at work. `onRecord` gets all records that read in order, as they stand. */
export async function surveyLog(
  storage: ReadableStorage,
  live: boolean,
  onRecord: SurveyVisitor = () => undefined,
): Promise<readonly SurveyedSegment[]> {
  const files = segmentFiles(await storage.list());
  const segments: SurveyedSegment[] = [];
  let before: Joint | undefined;
  let committed = 0;
  for (const [index, file] of files.entries()) {
    const wish = { file, isLast: index === files.length - 1, live, upToLsn: Number.POSITIVE_INFINITY, committed };
    const { segment, joint } = await surveySegment(storage, wish, before, onRecord);
    segments.push(segment);
    before = joint;
    committed = Math.max(committed, segment.lastLsn);
  }
  return segments;
}

/** What the next segment must continue. */
interface Joint {
  readonly name: string;
  readonly walId: string | undefined;
  readonly lastLsn: number;
  /** Undefined when the segment's end is not known. */
  readonly lastCrc: number | undefined;
}

async function surveySegment(
  storage: ReadableStorage,
  wish: Parameters<typeof readSegment>[1],
  before: Joint | undefined,
  onRecord: SurveyVisitor,
): Promise<{ segment: SurveyedSegment; joint: Joint }> {
  const { file } = wish;
  const firstLsn = lsnOfSegmentName(file.name) ?? 0;
  let checkpoint: Checkpoint | undefined;
  let lastLsn = firstLsn - 1;
  const visit = (record: WalRecord) => {
    const own = record.tag === TAG_CHECKPOINT ? (decodeCheckpoint(record.payload) ?? undefined) : undefined;
    if (record.lsn === firstLsn) checkpoint = own;
    lastLsn = record.lsn;
    onRecord(file.name, record, own);
  };
  let header: SegmentHeader | undefined;
  let end: SurveyedEnd;
  let lastCrc: number | undefined;
  try {
    header = await readHeader(storage, file.name);
    const reading = await readSegment(storage, wish, visit);
    end = reading.end;
    lastCrc = reading.lastCrc;
  } catch (error) {
    if (!(error instanceof WalDamageError)) throw error;
    const behind = await readBehind(storage, file, header, error.offset);
    end = { kind: 'damaged', offset: error.offset, reason: error.reason, behind };
  }
  const { name, bytes } = file;
  const gap = before === undefined ? undefined : gapBetween(before, firstLsn, header);
  const segment = { name, bytes, header, checkpoint, firstLsn, lastLsn, end, gap };
  return { segment, joint: { name, walId: header?.walId, lastLsn, lastCrc } };
}

function gapBetween(before: Joint, firstLsn: number, header: SegmentHeader | undefined): string | undefined {
  if (before.lastLsn + 1 < firstLsn) {
    return `records ${before.lastLsn + 1} to ${firstLsn - 1} are missing between ${before.name} and this segment`;
  }
  if (before.lastLsn + 1 > firstLsn) return `it repeats records of ${before.name}`;
  if (header === undefined) return undefined;
  if (before.walId !== undefined && before.walId !== header.walId) return `it belongs to another log (${header.walId})`;
  const changed = before.lastCrc !== undefined && before.lastCrc !== header.previousCrc;
  return changed ? `the last record of ${before.name} is not the one that this segment continues` : undefined;
}

async function readBehind(
  storage: ReadableStorage,
  file: StoredFile,
  header: SegmentHeader | undefined,
  offset: number,
): Promise<WalRecord[]> {
  if (header === undefined) return [];
  const bytes = await storage.read(file.name, offset, Math.min(BEHIND_BYTES_MAX, file.bytes - offset));
  const { segmentId } = header;
  const unknown = { lsn: 0, committed: 0, isLastSegment: false };
  return recordsBehind({ bytes, offset, fileBytes: file.bytes, segmentId, ...unknown });
}

// `atomshard wal verify`: reads a log from end to end and says whether it would open. Read-only, safe beside a live writer.

import { isLocked, readHolder } from './directory-lock.ts';
import { FileReader } from './file-storage.ts';
import { type SurveyedSegment, surveyLog } from './survey.ts';

/** whole: it opens. torn: it opens, after cutting a write that a crash left half done. damaged: it refuses. */
export type VerifyStatus = 'whole' | 'torn' | 'damaged' | 'empty';

/** What a shell sees. */
export const VERIFY_EXIT_CODES: Record<VerifyStatus, number> = { whole: 0, torn: 0, damaged: 1, empty: 2 };

export interface VerifyReport {
  readonly status: VerifyStatus;
  readonly exitCode: number;
  /** Who writes the log right now. */
  readonly holder: string | undefined;
  readonly walId: string | undefined;
  readonly segments: readonly SurveyedSegment[];
  readonly records: number;
  /** One sentence each: file, offset, what. */
  readonly problems: readonly string[];
  readonly notes: readonly string[];
}

/** Rejects with a system error when the directory cannot be read. */
export async function verifyWal(directory: string): Promise<VerifyReport> {
  const live = isLocked(directory);
  const segments = await surveyLog(new FileReader(directory), live);
  const problems = segments.flatMap(problemsOf);
  const notes = segments.flatMap(({ name, end }) => {
    if (end.kind === 'torn') return [`${name} at byte ${end.offset}: a write was cut short by a crash (${end.reason})`];
    return end.kind === 'moving' ? [`${name} is being written; what is behind byte ${end.offset} was not judged`] : [];
  });
  const status = statusOf(segments, problems);
  return {
    status,
    exitCode: VERIFY_EXIT_CODES[status],
    holder: live ? (readHolder(directory) ?? 'another process') : undefined,
    walId: segments.findLast((segment) => segment.header !== undefined)?.header?.walId,
    segments,
    records: segments.reduce((sum, { firstLsn, lastLsn }) => sum + lastLsn + 1 - firstLsn, 0),
    problems,
    notes,
  };
}

/** Everything about a segment that makes open refuse. */
export function problemsOf({ name, end, checkpoint, gap }: SurveyedSegment): string[] {
  const problems: string[] = [];
  if (gap !== undefined) problems.push(`${name} at byte 0: ${gap}`);
  if (end.kind === 'damaged') {
    const found = end.behind.length > 0 ? `; ${end.behind.length} whole records are behind it` : '';
    problems.push(`${name} at byte ${end.offset}: ${end.reason}${found}`);
  } else if (checkpoint === undefined) problems.push(`${name} at byte 64: it does not begin with a checkpoint`);
  return problems;
}

function statusOf(segments: readonly SurveyedSegment[], problems: readonly string[]): VerifyStatus {
  if (segments.length === 0) return 'empty';
  if (problems.length > 0) return 'damaged';
  return segments.some(({ end }) => end.kind === 'torn') ? 'torn' : 'whole';
}

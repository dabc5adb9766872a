// Which segments of the decision log may go, and the order that keeps the evidence honest: first the watermark that says
// "a missing record proves nothing here" is durable, only then a segment is deleted. Live decisions need no care: every
// later segment begins with a checkpoint that restates them.
import { DECISION_TAG, encodeId } from './decision-record.ts';
import type { DecisionReplay } from './decision-replay.ts';
import type { DecisionWal, LogSegment } from './decision-wal.ts';

export interface Retention {
  /** Age that the youngest record of a segment must have. */
  readonly ms: number;
  /** Above this the oldest segments go whatever their age. */
  readonly bytesMax: number;
}

/** Deletes what is too old or too much, oldest first, never the segment being written. Rejects when the log fails. */
export async function pruneLog(
  wal: DecisionWal,
  state: DecisionReplay,
  retention: Retention,
  nowMs: number,
): Promise<void> {
  const last = lastDoomed(wal.segments(), state, retention, nowMs);
  if (last === undefined) return;
  const watermark = state.boundaryBehind(last.lastLsn)?.highest ?? state.highest;
  // Raised in memory first: from now on nobody concludes anything from a missing record, although it may still be there.
  state.raiseWatermark(watermark);
  // A crash here leaves a watermark that is durable or not, and every segment in place: both are consistent.
  await wal.append(DECISION_TAG.watermark, encodeId(watermark));
  // A crash here leaves segments that are no longer needed; the next prune takes them.
  await wal.prune((segment) => segment.lastLsn > last.lastLsn);
  state.forgetBoundariesBefore(last.lastLsn);
}

function lastDoomed(
  segments: readonly LogSegment[],
  state: DecisionReplay,
  retention: Retention,
  nowMs: number,
): LogSegment | undefined {
  let bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  let last: LogSegment | undefined;
  for (const segment of segments.slice(0, -1)) {
    const writtenByMs = state.boundaryBehind(segment.lastLsn)?.atMs ?? nowMs;
    if (nowMs - writtenByMs < retention.ms && bytes <= retention.bytesMax) break;
    bytes -= segment.bytes;
    last = segment;
  }
  return last;
}

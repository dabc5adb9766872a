// Which segments of the decision log may go, and the order that keeps the evidence honest: live decisions are moved
// forward, the watermark is made durable, only then a segment is deleted.
import { DECISION_TAG, encodeCommit, encodeId, type IdPosition } from './decision-record.ts';
import type { DecisionReplay } from './decision-replay.ts';
import type { DecisionWal, LogSegment } from './decision-wal.ts';

/** Deletes what is older than `ms` or above `bytesMax`, oldest first, never the segment being written. */
export async function pruneLog(
  wal: DecisionWal,
  state: DecisionReplay,
  retention: { readonly ms: number; readonly bytesMax: number },
  nowMs: number,
): Promise<void> {
  const doomed = doomedSegments(wal.segments(), state, retention, nowMs);
  const last = doomed.at(-1);
  if (last === undefined) return;
  await moveForward(wal, state, last.lastLsn);
  const watermark = state.boundaryBehind(last.lastLsn)?.highest ?? state.highest;
  await raise(wal, state, watermark);
  // A crash here leaves segments that are no longer needed; the next prune takes them.
  await wal.prune((segment) => segment.lastLsn > last.lastLsn);
  state.forgetBoundariesBefore(last.lastLsn);
}

function doomedSegments(
  segments: readonly LogSegment[],
  state: DecisionReplay,
  retention: { readonly ms: number; readonly bytesMax: number },
  nowMs: number,
): readonly LogSegment[] {
  let bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  const doomed: LogSegment[] = [];
  for (const segment of segments.slice(0, -1)) {
    const writtenByMs = state.boundaryBehind(segment.lastLsn)?.atMs ?? nowMs;
    if (nowMs - writtenByMs < retention.ms && bytes <= retention.bytesMax) break;
    bytes -= segment.bytes;
    doomed.push(segment);
  }
  return doomed;
}

/**
 * Writes live decisions of doomed segments once more, at the end of the log, so that a participant that stays dead for
 * days neither pins the log nor makes it forget.
 */
async function moveForward(wal: DecisionWal, state: DecisionReplay, upTo: number): Promise<void> {
  for (const [key, entry] of [...state.live]) {
    if (entry.lsn > upTo || !entry.logged) continue;
    // A crash here leaves the same decision twice in the log; decisions never change, so one replays over the other.
    const lsn = await wal.append(DECISION_TAG.commit, encodeCommit(entry.decision));
    // It may have ended meanwhile; its END then precedes this copy, so END is written again behind it.
    if (state.live.get(key) === entry) state.add(key, entry.decision, lsn).logged = true;
    else wal.appendLazy(DECISION_TAG.end, encodeId(entry.decision.transaction));
  }
}

async function raise(wal: DecisionWal, state: DecisionReplay, watermark: IdPosition): Promise<void> {
  // Raised in memory first: from now on nobody concludes from a missing record, although it may still be there.
  state.raiseWatermark(watermark);
  // A crash here leaves a watermark that is durable or not, and every segment in place: both are consistent.
  await wal.append(DECISION_TAG.watermark, encodeId(watermark));
}

// From what a shard says about an xid to what became of the branch; an answer counts only from a server that can know.
//
// pg_xact_status answers about a number. The number is this branch's own only on the same server and timeline, and only
// if it was not issued again: an xid whose WAL never reached the disk is forgotten by a crash and given to a stranger.
//
//     xid 753 issued to us      crash        753 issued to a stranger, who commits
//   ──────┬──────────────────────╳──────────────┬───────────────────────────────►
//         └ nothing flushed      └ recoveredNextXid = 753: what is below it was never issued again
import type { BranchIdentity, ParticipantState } from './evidence.ts';
import type { ShardScan, XidStatus } from './shard-probe.ts';

export interface BranchState {
  readonly state: ParticipantState;
  readonly proven: boolean;
  readonly reason?: string;
}

/** How the observer knows when the xid existed, so that a crash since then can be noticed. */
export type XidExistence =
  /** The log or this process saw its PREPARE succeed: it is on disk and never issued again. */
  | { readonly kind: 'prepared' }
  /** Its backend, on the shard's own clock: no crash since, or a crash since, without a doubt. */
  | { readonly kind: 'backend'; readonly startedAtMs: number }
  /** A sibling was prepared then (clocks of other servers: margins apply). */
  | { readonly kind: 'sibling'; readonly preparedAtMs: number }
  | { readonly kind: 'unknown' };

/** A server that lived this long before a sibling was prepared did not crash within the transaction. */
export const LIVED_BEFORE_MARGIN_MS = 5 * 60_000;
/** Clocks of two servers are closer than this. */
export const CLOCK_SKEW_MARGIN_MS = 5_000;

/** Why an answer of this server says nothing about the branch; null when it does. `timelineEnd`: where the branch's own timeline was left. */
export function whyUntrusted(branch: BranchIdentity, scan: ShardScan, timelineEnd: string | null): string | null {
  if (branch.xid === undefined) return 'no xid is known';
  if (branch.timeline === undefined) return 'no timeline is known';
  if (branch.systemIdentifier !== undefined && branch.systemIdentifier !== scan.systemIdentifier) {
    return `another server answers (system identifier ${scan.systemIdentifier}, not ${branch.systemIdentifier})`;
  }
  if (branch.timeline === scan.timeline) return null;
  if (branch.lsn === undefined || timelineEnd === null) {
    return `the server is on timeline ${scan.timeline}, the branch was on ${branch.timeline}`;
  }
  return null;
}

/** The state of a branch that has no prepared row, from a trusted or untrusted status. */
export function branchState(
  branch: BranchIdentity,
  status: XidStatus,
  scan: ShardScan,
  existence: XidExistence,
  timelineEnd: string | null,
): BranchState {
  const untrusted = whyUntrusted(branch, scan, timelineEnd);
  if (untrusted !== null) return { state: 'N', proven: false, reason: untrusted };
  if (branch.timeline !== scan.timeline && compareLsn(branch.lsn ?? '', timelineEnd ?? '') > 0) {
    return {
      state: 'F',
      proven: false,
      reason: `timeline ${branch.timeline} was left at ${timelineEnd}, before the branch`,
    };
  }
  switch (status) {
    case null:
      return { state: 'N', proven: false, reason: 'the server no longer knows that xid' };
    case 'future':
      return { state: 'F', proven: false, reason: 'the server never issued that xid' };
    case 'aborted':
      return { state: 'A', proven: false };
    case 'in progress':
      return reissued(branch, scan, existence) === 'yes'
        ? { state: 'F', proven: false, reason: 'the xid was issued again after a crash' }
        : { state: 'I', proven: false };
    case 'committed':
      return committedState(reissued(branch, scan, existence));
  }
}

function committedState(again: 'yes' | 'no' | 'unknown'): BranchState {
  if (again === 'yes') return { state: 'F', proven: false, reason: 'the xid was issued again after a crash' };
  if (again === 'no') return { state: 'C', proven: true };
  return { state: 'C', proven: false, reason: 'the server restarted; the xid may have been issued again' };
}

/** Whether the branch's xid was forgotten by a crash and issued again. */
export function reissued(
  branch: BranchIdentity,
  scan: Pick<ShardScan, 'livingSinceMs' | 'recoveredNextXid'>,
  existence: XidExistence,
): 'yes' | 'no' | 'unknown' {
  if (existence.kind === 'prepared') return 'no';
  if (
    branch.xid !== undefined &&
    scan.recoveredNextXid !== null &&
    BigInt(branch.xid) < BigInt(scan.recoveredNextXid)
  ) {
    return 'no';
  }
  const crashed = crashedSince(scan.livingSinceMs, existence);
  if (crashed === 'no') return 'no';
  // The xid was issued in this life of the server, and the branch had it in an earlier one.
  return crashed === 'yes' && scan.recoveredNextXid !== null ? 'yes' : 'unknown';
}

function crashedSince(livingSinceMs: number | null, existence: XidExistence): 'yes' | 'no' | 'unknown' {
  if (livingSinceMs === null) return 'unknown';
  switch (existence.kind) {
    case 'prepared':
      return 'no';
    case 'backend':
      if (Number.isNaN(existence.startedAtMs)) return 'unknown';
      return livingSinceMs > existence.startedAtMs ? 'yes' : 'no';
    case 'sibling':
      if (livingSinceMs + LIVED_BEFORE_MARGIN_MS < existence.preparedAtMs) return 'no';
      return livingSinceMs > existence.preparedAtMs + CLOCK_SKEW_MARGIN_MS ? 'yes' : 'unknown';
    case 'unknown':
      return 'unknown';
  }
}

/** Compares two WAL positions `X/X`; text that is none compares as greatest, so that it never proves anything. */
export function compareLsn(a: string, b: string): number {
  const left = lsnValue(a);
  const right = lsnValue(b);
  if (left === right) return 0;
  if (left === null) return 1;
  if (right === null) return -1;
  return left < right ? -1 : 1;
}

function lsnValue(lsn: string): bigint | null {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(lsn);
  return match === null ? null : (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

/** A 32-bit xid widened by the 64-bit one nearest to it (they are never 2^31 apart). */
export function widenXid(xid32: string, near: string): string {
  const distance = BigInt.asIntN(32, BigInt(xid32) - BigInt(near));
  return (BigInt(near) + distance).toString();
}

/** PostgreSQL's text of a timestamptz (ISO style) in milliseconds since the Unix epoch; NaN for anything else. */
export function instantMs(text: string): number {
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d)(?::?(\d\d))?$/.exec(text);
  if (match === null) return Number.NaN;
  const [, date, time, hours, minutes = '00'] = match;
  return Date.parse(`${date}T${time}${hours === 'Z' ? 'Z' : `${hours}:${minutes}`}`);
}

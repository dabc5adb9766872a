// An xid's status counts only from a server that can know it: same server, same timeline, and a number not issued again.
import { describe, expect, it } from 'vitest';
import {
  branchState,
  CLOCK_SKEW_MARGIN_MS,
  compareLsn,
  instantMs,
  LIVED_BEFORE_MARGIN_MS,
  widenXid,
  type XidExistence,
} from '../../../src/recovery/branch-state.ts';
import type { ShardScan, XidStatus } from '../../../src/recovery/shard-probe.ts';

const BRANCH = { shard: 'shard-0', xid: '753', timeline: 1 };
const LIVING_SINCE_MS = 10_000_000;
const SCAN: ShardScan = {
  systemIdentifier: '7001',
  timeline: 1,
  livingSinceMs: LIVING_SINCE_MS,
  recoveredNextXid: null,
  prepared: [],
  nowMs: 20_000_000,
};
const PREPARED: XidExistence = { kind: 'prepared' };
const UNKNOWN: XidExistence = { kind: 'unknown' };
const sibling = (preparedAtMs: number): XidExistence => ({ kind: 'sibling', preparedAtMs });
const backend = (startedAtMs: number): XidExistence => ({ kind: 'backend', startedAtMs });

function stateOf(status: XidStatus, scan: Partial<ShardScan>, existence: XidExistence): string {
  const { state, proven } = branchState(BRANCH, status, { ...SCAN, ...scan }, existence, null);
  return `${state}${proven ? '!' : ''}`;
}

describe('the state of a branch that is gone', () => {
  it.each([
    ['committed', 'C!'],
    ['aborted', 'A'],
    ['in progress', 'I'],
    ['future', 'F'],
    [null, 'N'],
  ] as const)('%s is %s for a branch that is known to have been prepared', (status, state) => {
    expect(stateOf(status, {}, PREPARED)).toBe(state);
  });

  it.each([
    ['another server', { systemIdentifier: '7002' }, { systemIdentifier: '7001' }],
    ['another timeline', { timeline: 2 }, {}],
    ['no xid', {}, { xid: undefined }],
    ['no timeline', {}, { timeline: undefined }],
  ])('%s cannot tell: even "committed" proves nothing', (_, scan, branch) => {
    const seen = branchState({ ...BRANCH, ...branch }, 'committed', { ...SCAN, ...scan }, PREPARED, null);
    expect(seen.state).toBe('N');
    expect(seen.reason).toBeTypeOf('string');
  });

  it('after a failover the status counts when the PREPARE lies before the switch', () => {
    const moved = { ...SCAN, timeline: 2 };
    const at = (lsn: string) => branchState({ ...BRANCH, lsn }, 'committed', moved, PREPARED, '0/3000060');
    expect(at('0/3000060').state).toBe('C');
    expect(at('0/2FFFFFF').state).toBe('C');
    expect(at('0/3000061').state).toBe('F');
    expect(at('not a position').state).toBe('F');
  });
});

describe('an xid that was issued again', () => {
  it('below the number at which crash recovery ended an xid is its first owner’s for ever', () => {
    expect(stateOf('committed', { recoveredNextXid: '754' }, UNKNOWN)).toBe('C!');
  });

  it('from that number on it may be a stranger’s: unproven, when nobody knows what came first', () => {
    expect(stateOf('committed', { recoveredNextXid: '753' }, UNKNOWN)).toBe('C');
    expect(stateOf('committed', {}, UNKNOWN)).toBe('C');
  });

  it('it is a stranger’s for certain when a sibling was prepared before that life of the server began', () => {
    const before = sibling(LIVING_SINCE_MS - CLOCK_SKEW_MARGIN_MS - 1);
    expect(stateOf('committed', { recoveredNextXid: '753' }, before)).toBe('F');
    expect(stateOf('in progress', { recoveredNextXid: '753' }, before)).toBe('F');
    expect(stateOf('committed', {}, before)).toBe('C');
  });

  it('it is the branch’s own when the server had long been alive when the sibling was prepared', () => {
    expect(stateOf('committed', {}, sibling(LIVING_SINCE_MS + LIVED_BEFORE_MARGIN_MS + 1))).toBe('C!');
    expect(stateOf('committed', {}, sibling(LIVING_SINCE_MS + LIVED_BEFORE_MARGIN_MS - 1))).toBe('C');
  });

  it('a backend older than the server’s present life has seen a crash; a younger one has not', () => {
    expect(stateOf('committed', {}, backend(LIVING_SINCE_MS + 1))).toBe('C!');
    expect(stateOf('committed', {}, backend(LIVING_SINCE_MS - 1))).toBe('C');
    expect(stateOf('committed', { recoveredNextXid: '753' }, backend(LIVING_SINCE_MS - 1))).toBe('F');
    expect(stateOf('committed', { recoveredNextXid: '754' }, backend(LIVING_SINCE_MS - 1))).toBe('C!');
  });

  it('a time that could not be read proves nothing', () => {
    expect(stateOf('committed', {}, backend(Number.NaN))).toBe('C');
    expect(stateOf('committed', { livingSinceMs: null }, backend(LIVING_SINCE_MS + 1))).toBe('C');
  });
});

describe('small conversions', () => {
  it.each([
    ['753', '760', '753'],
    ['765', '760', '765'],
    ['4294967290', '4294967301', '4294967290'],
    ['3', '4294967290', '4294967299'],
    ['4294967290', '8589934597', '8589934586'],
  ])('widens the 32-bit xid %s near %s to %s', (xid, near, wide) => {
    expect(widenXid(xid, near)).toBe(wide);
  });

  it('compares WAL positions as numbers, not as text', () => {
    expect(compareLsn('0/9', '0/10')).toBe(-1);
    expect(compareLsn('A/0', '9/FFFFFFFF')).toBe(1);
    expect(compareLsn('0/00A', '0/a')).toBe(0);
  });

  it.each([
    ['2026-11-21 11:15:39.90727+00', Date.UTC(2026, 10, 21, 11, 15, 39, 907)],
    ['2026-11-21 12:15:39+01', Date.UTC(2026, 10, 21, 11, 15, 39)],
    ['2026-11-21 16:45:39.5+05:30', Date.UTC(2026, 10, 21, 11, 15, 39, 500)],
    ['21/11/2026 11:15:39 CET', Number.NaN],
  ])('reads the time %s', (text, ms) => {
    expect(instantMs(text)).toBe(ms);
  });
});

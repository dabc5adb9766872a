// Counts of a running proxy as plain numbers: adding one is all that a transaction pays; whoever asks reads them.
import type { Clock } from '../kernel/clock.ts';
import type { PassReport } from '../recovery/report.ts';
import type { SessionTraffic } from '../session/session-traffic.ts';
import type { CommitObserver } from '../transaction/coordinator.ts';

/** Upper bounds of the commit latency histogram, milliseconds. */
export const COMMIT_BUCKETS_MS = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000] as const;

type Way = 'single' | 'one-phase' | 'two-phase';
type Outcome = 'committed' | 'aborted' | 'unknown';

export interface CommitTimes {
  /** One per bound, and one for what took longer; not cumulated. */
  readonly counts: number[];
  sumMs: number;
}

export interface RecoveryDeed {
  readonly atMs: number;
  readonly committed: number;
  /** The first of them, {@link IDS_KEPT} at most. */
  readonly committedIds: readonly string[];
  readonly rolledBack: number;
  readonly rolledBackIds: readonly string[];
  readonly held: number;
}

/** Of thousands the log tells all, in its own lines. */
const IDS_KEPT = 8;

/** Passes that end something one soon after the other are one recovery to whoever looks every few seconds. */
const ONE_RECOVERY_MS = 60_000;

function deedWith(before: RecoveryDeed | undefined, report: PassReport, atMs: number): RecoveryDeed {
  const { committed, rolledBack } = report;
  const held = report.held.length;
  if (before !== undefined && committed + rolledBack === 0 && held === before.held) return before;
  const earlier = before !== undefined && atMs - before.atMs < ONE_RECOVERY_MS ? before : undefined;
  const first = (ids: readonly string[] = [], more: readonly string[] = []) => [...ids, ...more].slice(0, IDS_KEPT);
  return {
    atMs,
    committed: committed + (earlier?.committed ?? 0),
    committedIds: first(earlier?.committedIds, report.committedIds),
    rolledBack: rolledBack + (earlier?.rolledBack ?? 0),
    rolledBackIds: first(earlier?.rolledBackIds, report.rolledBackIds),
    held,
  };
}

const outcomes = (): Record<Outcome, number> => ({ committed: 0, aborted: 0, unknown: 0 });
const times = (): CommitTimes => ({ counts: COMMIT_BUCKETS_MS.map(() => 0).concat(0), sumMs: 0 });

export class ProxyCounters implements CommitObserver, SessionTraffic {
  readonly #clock: Clock;
  readonly startedAtMs: number;
  readonly commits: Record<Way, Record<Outcome, number>> = {
    single: outcomes(),
    'one-phase': outcomes(),
    'two-phase': outcomes(),
  };
  readonly commitTimes: Record<'one-phase' | 'two-phase', CommitTimes> = { 'one-phase': times(), 'two-phase': times() };
  /** By the first two characters of the SQLSTATE. */
  readonly errors = new Map<string, number>();
  unsafeCommits = 0;
  deadlocks = 0;
  queries = 0;
  logins = 0;
  refusedLogins = 0;
  reloads = 0;
  refusedReloads = 0;
  readonly passes = { count: 0, committed: 0, rolledBack: 0, confirmed: 0, fenced: 0, seconds: 0 };
  /** The last pass, and when it ended. */
  lastPass: { readonly report: PassReport; readonly atMs: number } | undefined;
  /** What the last passes that had something to do did; the first pass of a run counts anyway. */
  lastRecovery: RecoveryDeed | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.startedAtMs = clock.nowMs();
  }

  ended(way: 'one-phase' | 'two-phase', outcome: Outcome, elapsedMs: number): void {
    this.commits[way][outcome]++;
    const { counts } = this.commitTimes[way];
    let at = 0;
    while (at < COMMIT_BUCKETS_MS.length && elapsedMs > (COMMIT_BUCKETS_MS[at] ?? 0)) at++;
    counts[at] = (counts[at] ?? 0) + 1;
    this.commitTimes[way].sumMs += elapsedMs;
  }

  single(outcome: Outcome): void {
    this.commits.single[outcome]++;
  }

  unsafe(): void {
    this.unsafeCommits++;
  }

  passEnded(report: PassReport): void {
    const atMs = this.#clock.nowMs();
    this.lastPass = { report, atMs };
    this.lastRecovery = deedWith(this.lastRecovery, report, atMs);
    this.passes.count++;
    this.passes.committed += report.committed;
    this.passes.rolledBack += report.rolledBack;
    this.passes.confirmed += report.confirmed;
    this.passes.fenced += report.backendsFenced;
    this.passes.seconds += report.durationMs / 1_000;
  }

  /** `frame` is an ErrorResponse; its code is looked for only here, because errors are rare. */
  errorTold(sqlstate: string): void {
    const kind = sqlstate.slice(0, 2);
    this.errors.set(kind, (this.errors.get(kind) ?? 0) + 1);
  }
}

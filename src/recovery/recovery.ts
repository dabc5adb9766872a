// Recovery of one instance: a first pass before cross-shard writes are admitted, then passes for ever, and the resolver that
// finishes what commits leave behind. Gather, decide, act; whatever it did not finish, the next pass finds again.
import type { Clock } from '../kernel/clock.ts';
import { type ControlPoint, noControlPoint } from '../kernel/control-point.ts';
import type { ServerIdentity } from '../shard/branch-link.ts';
import type { DecisionLog } from '../transaction/decision-log.ts';
import type { LogEvidence } from '../transaction/log-evidence.ts';
import type { Resolver, Unfinished, UnfinishedParticipant } from '../transaction/resolver.ts';
import { act } from './act.ts';
import type { Alarm } from './alarm.ts';
import { gather } from './gather.ts';
import { HandOver } from './hand-over.ts';
import { type Outcome, outcomeOf } from './outcome.ts';
import { mergeReports, type PassReport, reportOf, withNewAlarms } from './report.ts';
import type { ShardProbe } from './shard-probe.ts';
import type { RecoverySubject } from './subject.ts';

export interface RecoveryDeps {
  readonly cluster: string;
  readonly instance: string;
  readonly log: Pick<DecisionLog, 'identity' | 'live' | 'lookup' | 'end'>;
  /** By logical shard name; read afresh by every pass, so a reload may replace its entries. The caller closes them. */
  readonly probes: ReadonlyMap<string, ShardProbe>;
  /** `<epoch>.<seq>` of what the coordinator drives now. */
  readonly driving: () => ReadonlySet<string>;
  readonly clock: Clock;
  readonly controlPoint?: ControlPoint;
  /** Between two passes, jittered by a quarter. */
  readonly intervalMs: number;
  /** How long outcomeOf may take; default 5 s. */
  readonly outcomeWaitMs?: number;
  /** After every pass, the first included. */
  readonly onReport?: (report: PassReport) => void;
  /** Alarms from outside the passes (participants that were handed over). */
  readonly onAlarm?: (alarm: Alarm) => void;
}

const OUTCOME_WAIT_MS = 5_000;
/** A pass that left something half way is repeated soon, a few times. */
const ROUNDS_MAX = 3;
const ROUND_PAUSE_MS = 50;

export class Recovery implements Resolver {
  readonly #deps: RecoveryDeps;
  readonly #handOver: HandOver;
  readonly #stopping = new AbortController();
  /** The log's word about transactions that stay in doubt; it can't change, and each look may read the whole log. */
  #words = new Map<string, LogEvidence>();
  #passing: Promise<PassReport> | null = null;
  #loop: Promise<void> | null = null;
  #lastReport: PassReport | null = null;
  #unreachable = new Set<string>();

  constructor(deps: RecoveryDeps) {
    this.#deps = deps;
    this.#handOver = new HandOver({
      log: deps.log,
      probes: deps.probes,
      clock: deps.clock,
      onAlarm: (alarm) => deps.onAlarm?.(alarm),
      retryMsMax: deps.intervalMs,
    });
  }

  /**
   * What a start must wait for before it admits cross-shard writes. A shard that cannot be reached does not block it: what
   * it holds is found by a later pass. Never rejects for a shard's sake.
   */
  firstPass(): Promise<PassReport> {
    return this.pass();
  }

  /** One pass (up to three rounds when something moved meanwhile); a second caller joins the one under way. */
  pass(): Promise<PassReport> {
    this.#passing ??= this.#rounds().finally(() => {
      this.#passing = null;
    });
    return this.#passing;
  }

  /** Passes from now on, until stop(). */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Ends after what is under way. Whatever is open stays prepared; the next start, or another process, finishes it. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.#loop, this.#passing, this.#handOver.stop()]);
  }

  handOver(unfinished: Unfinished, done: (participant: UnfinishedParticipant) => void): void {
    this.#handOver.take(unfinished, done);
  }

  /** What the last pass found; null before the first. */
  get lastReport(): PassReport | null {
    return this.#lastReport;
  }

  /** Participants handed over and not finished yet. */
  get handedOverCount(): number {
    return this.#handOver.openCount;
  }

  /** `<epoch>.<seq>` of transactions that were handed over and are not finished yet. */
  handedOver(): ReadonlySet<string> {
    return this.#handOver.driving();
  }

  /** Resolves when every participant that was handed over is finished; for a drain, beside a deadline. */
  idle(): Promise<void> {
    return this.#handOver.idle();
  }

  async outcomeOf(question: {
    readonly shard: string;
    readonly xid: string;
    readonly identity: ServerIdentity;
  }): Promise<Outcome> {
    const probe = this.#deps.probes.get(question.shard);
    if (probe === undefined) return 'unknown';
    return outcomeOf(probe, question, this.#deps.clock, this.#deps.outcomeWaitMs ?? OUTCOME_WAIT_MS);
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#stopping;
    for (;;) {
      await clock.sleep(this.#deps.intervalMs * (0.75 + Math.random() / 2), signal);
      if (signal.aborted) return;
      await this.pass();
    }
  }

  async #rounds(): Promise<PassReport> {
    let report = await this.#round();
    for (let round = 1; round < ROUNDS_MAX && mayMove(report) && !this.#stopping.signal.aborted; round += 1) {
      await this.#deps.clock.sleep(ROUND_PAUSE_MS, this.#stopping.signal);
      report = mergeReports(report, await this.#round());
    }
    report = withNewAlarms(report, this.#lastReport);
    this.#lastReport = report;
    this.#deps.onReport?.(report);
    return report;
  }

  async #round(): Promise<PassReport> {
    const { probes, log, clock, controlPoint = noControlPoint } = this.#deps;
    const startedMs = clock.monotonicMs();
    const gathered = await gather(this.#subject(), probes, controlPoint);
    this.#wakeFor(gathered.unreachable);
    // A crash here leaves everything as it was found.
    const settled = await Promise.all(
      gathered.evidence.map((evidence) => act(evidence, { probes, log, controlPoint })),
    );
    return reportOf(gathered, settled, clock.monotonicMs() - startedMs);
  }

  #subject(): RecoverySubject {
    const { cluster, instance, log, driving } = this.#deps;
    return {
      cluster,
      instance,
      epoch: log.identity.epoch,
      ownership: 'self',
      log: { live: () => log.live(), lookup: (keys) => this.#lookup(keys) },
      // Both: the coordinator may count a handed-over transaction as its own or not.
      driving: () => driving().union(this.#handOver.driving()),
    };
  }

  async #lookup(keys: ReadonlySet<string>): Promise<ReadonlyMap<string, LogEvidence>> {
    const live = new Set([...this.#deps.log.live()].map(({ transaction: { epoch, seq } }) => `${epoch}.${seq}`));
    const known = new Map([...this.#words].filter(([key]) => keys.has(key) && !live.has(key)));
    const unknown = keys.difference(new Set(known.keys()));
    const found = unknown.size === 0 ? new Map<string, LogEvidence>() : await this.#deps.log.lookup(unknown);
    this.#words = new Map([...known, ...found]);
    return this.#words;
  }

  /** Participants that wait for a shard which answers again need not sit out their backoff. */
  #wakeFor(unreachable: readonly { readonly shard: string }[]): void {
    const now = new Set(unreachable.map(({ shard }) => shard));
    if (this.#unreachable.difference(now).size > 0) this.#handOver.wake();
    this.#unreachable = now;
  }
}

/** Something is half way, and not because a shard is away. */
function mayMove(report: PassReport): boolean {
  return report.waiting > 0 && report.unreachableShards.length === 0;
}

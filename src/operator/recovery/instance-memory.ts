// What the operator remembers of one proxy instance between steps. All of it may be lost: it only saves repetition, and says
// things once.
import type { StatusProxy } from '../api/sharded-cluster.generated.ts';
import type { ProxyFacts } from '../sql/facts.ts';
import type { RunOutcome } from './instance-run.ts';
import { answerOf, type InstanceSight } from './instances.ts';
import type { InstanceHistory } from './judge.ts';
import type { ActingStep, HeldFinding, InstanceFinding, PassFinding, RecoveryOccurrence } from './types.ts';

export class InstanceMemory {
  awaySinceMs: number | undefined;
  running: ActingStep | undefined;
  /** Of the run that is under way or was the last: aborted when the proxy is back, which recovers itself. */
  reading = new AbortController();
  last: InstanceHistory['last'];
  /** The operator's newest pass that ended or held something; it outlives the absence that it was for. */
  pass: PassFinding | undefined;
  walLost: InstanceFinding['walLost'] = null;
  /** By the proxy's own word, while it is there. */
  ownHeld: readonly HeldFinding[] = [];
  /** Whether it was wanted when it was last looked for in vain. */
  #isMissed = true;
  #walId: string | undefined;
  #askedHeldAt = '';
  #ownPassAtMs: number | undefined;
  readonly #told = new Map<string, string>();

  /** Undefined while it answers. */
  get history(): InstanceHistory | undefined {
    const { awaySinceMs, running, last } = this;
    return awaySinceMs === undefined ? undefined : { awaySinceMs, running, last };
  }

  /** What the last run could not end, or the proxy itself. */
  get held(): readonly HeldFinding[] {
    if (this.awaySinceMs === undefined) return this.ownHeld;
    return this.last?.outcome.kind === 'passed' ? this.last.outcome.pass.held : [];
  }

  /** Nothing is waited for: it is back, or a run ended everything. */
  get isSettled(): boolean {
    if (this.awaySinceMs === undefined) return true;
    return this.last?.outcome.kind === 'passed' && this.held.length === 0;
  }

  /**
   * `sinceMs`: as far as objects tell; what was known earlier counts. `wanted`: one that went because nobody wanted it is away
   * only since it is wanted again, and has its grace period from then on.
   */
  isAway(sinceMs: number, wanted: boolean): void {
    if (wanted && !this.#isMissed) this.isBack();
    this.#isMissed = wanted;
    this.awaySinceMs = Math.min(this.awaySinceMs ?? sinceMs, sinceMs);
  }

  /**
   * A run that still reads the log gives up: its Job would wait for a lock that the owner keeps, and hold on to the volume. One
   * that resolves already goes on, and agrees with the owner.
   */
  isBack(): void {
    this.awaySinceMs = undefined;
    this.last = undefined;
    this.reading.abort();
  }

  /** True when what it holds should be asked: once for each recovery that it tells of. */
  mayHoldOther({ held, lastRecovery, epoch }: ProxyFacts): boolean {
    if (held === 0) this.ownHeld = [];
    const at = held === 0 ? '' : `${epoch} ${lastRecovery?.atMs} ${held}`;
    if (at === this.#askedHeldAt) return false;
    this.#askedHeldAt = at;
    return held > 0;
  }

  ended(instance: string, atMs: number, outcome: RunOutcome): void {
    this.running = undefined;
    if (outcome.kind === 'blocked') {
      // One that was given up because the proxy is back says nothing about an absence since.
      if (!this.reading.signal.aborted) this.last = { atMs, outcome };
      return;
    }
    this.last = { atMs, outcome };
    const { committed, committedIds, rolledBack, rolledBackIds, held } = outcome.pass;
    if (committed + rolledBack + held.length > 0) {
      const ended = { committed, committedIds, rolledBack, rolledBackIds };
      this.pass = { instance, by: 'operator', atMs, ...ended, held: held.length };
    }
    const isGone = outcome.log.status === 'lost' || outcome.log.status === 'empty';
    if (isGone && this.#walId !== undefined) this.walLost = { before: this.#walId, now: outcome.log.walId };
  }

  /** Holds the log that it has against the one that it had, by its own word and by the status. */
  compareLog(sight: InstanceSight): void {
    const before = this.#walId ?? sight.remembered?.walId;
    const now = answerOf(sight)?.walId ?? undefined;
    if (now !== undefined && before !== undefined && now !== before) this.walLost = { before, now };
    this.#walId = now ?? before;
  }

  /** True once for each pass of the proxy's own; those that the status knows were told by an operator before. */
  isNewPass({ atMs, committed, rolledBack }: PassFinding, remembered: StatusProxy | undefined): boolean {
    const told = this.#ownPassAtMs ?? toldUntilMs(remembered?.lastRecoveryTime);
    this.#ownPassAtMs = Math.max(atMs, told);
    const isNew = atMs > told;
    // What is held is held again with every pass; the condition says so all the time.
    return isNew && committed + rolledBack > 0;
  }

  /** The occurrence when it says something else than the last one about `topic`; null otherwise. */
  news(topic: string, occurrence: RecoveryOccurrence | null): RecoveryOccurrence | null {
    const said = occurrence === null ? '' : `${occurrence.reason} ${occurrence.note}`;
    const before = this.#told.get(topic) ?? '';
    this.#told.set(topic, said);
    return said === before ? null : occurrence;
  }
}

/** The status has times to the second: all of that second was told. */
function toldUntilMs(time: string | undefined): number {
  return time === undefined ? Number.NEGATIVE_INFINITY : Date.parse(time) + 999;
}

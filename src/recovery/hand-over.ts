// Finishes what commits had to leave behind: one loop per participant, for ever, none waiting for another.
import type { Clock } from '../kernel/clock.ts';
import type { DecisionLog } from '../transaction/decision-log.ts';
import { parseGid, renderOwnerName, renderTransactionId, transactionKey } from '../transaction/gid.ts';
import type { Unfinished, UnfinishedParticipant } from '../transaction/resolver.ts';
import type { Alarm } from './alarm.ts';
import { instantMs, type XidExistence } from './branch-state.ts';
import type { BranchIdentity } from './evidence.ts';
import { type BranchOutcome, type BranchWork, finishBranch } from './finish-branch.ts';
import type { ShardProbe } from './shard-probe.ts';

export interface HandOverDeps {
  readonly log: Pick<DecisionLog, 'live'>;
  readonly probes: ReadonlyMap<string, ShardProbe>;
  readonly clock: Clock;
  /** Each alarm once, until the participant's situation changes. */
  readonly onAlarm: (alarm: Alarm) => void;
  /** The longest wait between two attempts for one participant. */
  readonly retryMsMax: number;
}

const RETRY_MS_FIRST = 20;

export class HandOver {
  readonly #deps: HandOverDeps;
  readonly #stopping = new AbortController();
  readonly #open = new Map<UnfinishedParticipant, Promise<void>>();
  readonly #transactions = new Map<string, number>();
  #wake = new AbortController();

  constructor(deps: HandOverDeps) {
    this.#deps = deps;
  }

  /** Participants that are not finished yet. */
  get openCount(): number {
    return this.#open.size;
  }

  /** `<epoch>.<seq>` of transactions with open participants: the passes leave them alone. */
  driving(): ReadonlySet<string> {
    return new Set(this.#transactions.keys());
  }

  /** Starts at once; see Resolver.handOver. */
  take(unfinished: Unfinished, done: (participant: UnfinishedParticipant) => void): void {
    const key = transactionKey(unfinished.transaction);
    for (const participant of unfinished.participants) {
      this.#transactions.set(key, (this.#transactions.get(key) ?? 0) + 1);
      const work = this.#drive(unfinished, participant).then((finished) => {
        this.#open.delete(participant);
        const left = (this.#transactions.get(key) ?? 1) - 1;
        // `done` first: the coordinator still counts it as driven until it has heard.
        if (finished) done(participant);
        if (left === 0) this.#transactions.delete(key);
        else this.#transactions.set(key, left);
      });
      this.#open.set(participant, work);
    }
  }

  /** Everybody who waits tries again now, e.g. because a shard is back. */
  wake(): void {
    this.#wake.abort();
    this.#wake = new AbortController();
  }

  /** Resolves when nothing is open any more. */
  async idle(): Promise<void> {
    while (this.#open.size > 0) await Promise.all(this.#open.values());
  }

  /** Ends after the attempts that are under way. What is open stays prepared, for the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.wake();
    await this.idle();
  }

  /** True when finished; false when stopped before. */
  async #drive(unfinished: Unfinished, participant: UnfinishedParticipant): Promise<boolean> {
    const { probes, clock, onAlarm, retryMsMax } = this.#deps;
    const work = this.#workFor(unfinished, participant);
    let alarmed = '';
    for (let attempt = 0; !this.#stopping.signal.aborted; attempt += 1) {
      const probe = probes.get(participant.shard);
      // A crash here: the branch stays prepared, and the first pass of the next start finds it with its decision.
      const outcome = probe === undefined ? REMOVED : await finishBranch(probe, work);
      if (outcome.alarm !== undefined && outcome.alarm.kind !== alarmed) {
        const transaction = renderTransactionId(unfinished.transaction);
        onAlarm({ ...outcome.alarm, transaction, shard: participant.shard });
      }
      alarmed = outcome.alarm?.kind ?? '';
      if (outcome.kind === 'finished') return true;
      // An abort has no record to keep open, and nothing more can be done for it; the alarm is out.
      if (outcome.kind === 'kept' && unfinished.decision === 'abort') return true;
      const delayMs = outcome.kind === 'kept' ? retryMsMax : Math.min(RETRY_MS_FIRST * 2 ** attempt, retryMsMax);
      await clock.sleep(delayMs * (0.75 + Math.random() / 2), this.#wake.signal);
    }
    return false;
  }

  #workFor(unfinished: Unfinished, participant: UnfinishedParticipant): BranchWork {
    const { transaction, decision } = unfinished;
    const { cluster, instance, epoch } = transaction;
    const { identity } = participant;
    return {
      branch: this.#branchOf(unfinished, participant),
      verdict: decision,
      ownerName: renderOwnerName(cluster, instance, epoch),
      existence: existenceOf(decision, participant),
      ...(identity === undefined ? {} : { backend: identity }),
    };
  }

  /** The fullest identity at hand: the decision's record, else the backend's and the gid's own words. */
  #branchOf({ transaction }: Unfinished, participant: UnfinishedParticipant): BranchIdentity {
    const key = transactionKey(transaction);
    for (const decision of this.#deps.log.live()) {
      const listed = decision.participants.find(({ gid }) => gid === participant.gid);
      if (transactionKey(decision.transaction) === key && listed !== undefined) return listed;
    }
    const gid = parseGid(participant.gid);
    const named = gid?.participants[gid.index];
    return {
      shard: participant.shard,
      gid: participant.gid,
      xid: participant.xid ?? named?.xid,
      timeline: participant.identity?.timeline ?? named?.timeline,
      systemIdentifier: participant.identity?.systemIdentifier,
    };
  }
}

const REMOVED: BranchOutcome = {
  kind: 'pending',
  state: 'U',
  alarm: { kind: 'ShardRemoved', message: 'the shard is not in the topology' },
};

/** A commit was decided after every PREPARE was answered; for an abort only the backend's age is known. */
function existenceOf(decision: 'commit' | 'abort', { identity }: UnfinishedParticipant): XidExistence {
  if (decision === 'commit') return { kind: 'prepared' };
  return identity === undefined
    ? { kind: 'unknown' }
    : { kind: 'backend', startedAtMs: instantMs(identity.backendStart) };
}

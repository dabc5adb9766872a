// Performs the two-phase machine's effects for one transaction: over the branches' connections, the decision log and the
// resolver. It decides nothing; which command may leave when is the machine's business.
import { assert } from '../kernel/assert.ts';
import type { ControlPoint } from '../kernel/control-point.ts';
import type { SqlError } from '../protocol/sql-error.ts';
import { classifyCommit, classifyFinish, classifyPrepare, rolledBack, type Vote } from './classify-reply.ts';
import { type CommitOutcome, type Evidence, unconfirmedError, undecidedError } from './commit-outcome.ts';
import {
  type Answer,
  beginCommit,
  type CommitEffect,
  type CommitEvent,
  type CommitState,
  step,
} from './commit-protocol.ts';
import { DecisionRefusedError } from './decision-log.ts';
import type { CommitDecision, DecidedParticipant } from './decision-record.ts';
import { renderGid, type TransactionId } from './gid.ts';
import { type Branch, roleOf } from './plan-commit.ts';
import type { Resolver } from './resolver.ts';

export interface TwoPhaseDeps {
  readonly transaction: TransactionId;
  readonly log: { commit(decision: CommitDecision): Promise<void>; end(transaction: TransactionId): void };
  readonly resolver: Resolver;
  readonly controlPoint: ControlPoint;
  readonly nowMs: () => number;
  /** Called once, before the first PREPARE leaves. */
  readonly onStart: (run: TwoPhaseRun) => void;
  /** Called once, when nothing of the transaction is left to do: END is written or an abort is complete. */
  readonly onOver: () => void;
}

export class TwoPhaseRun {
  readonly outcome: Promise<CommitOutcome>;
  readonly #deps: TwoPhaseDeps;
  readonly #branches: readonly Branch[];
  /** By branch; null for readers. */
  readonly #participants: readonly (DecidedParticipant | null)[];
  readonly #notices: SqlError[] = [];
  readonly #events: CommitEvent[] = [];
  readonly #resolve: (outcome: CommitOutcome) => void;
  #state: CommitState;
  #stepping = false;

  /** Every writer's xid is known. Sends the first commands in this very tick. */
  constructor(branches: readonly Branch[], deps: TwoPhaseDeps) {
    this.#deps = deps;
    this.#branches = branches;
    this.#participants = nameParticipants(deps.transaction, branches);
    const { promise, resolve } = Promise.withResolvers<CommitOutcome>();
    this.outcome = promise;
    this.#resolve = resolve;
    const { state, effects } = beginCommit(branches.map(roleOf));
    this.#state = state;
    deps.onStart(this);
    for (const effect of effects) this.#perform(effect);
  }

  /** Each phase has its own wait; the coordinator measures it. */
  get phase(): CommitState['phase'] {
    return this.#state.phase;
  }

  get answered(): boolean {
    return this.#state.answered;
  }

  /** The wait of this phase is over: give up on connections that do not answer. */
  late(): void {
    const slow = this.#branches.filter((_, i) => this.#state.branches[i] === 'asked').map(({ link }) => link.shard);
    this.#on({ kind: 'late', error: rolledBack(`no answer to PREPARE in time from ${slow.join(', ')}`) });
  }

  /** Events are taken one after another, also those that an effect raises at once. */
  #on(event: CommitEvent): void {
    this.#events.push(event);
    if (this.#stepping) return;
    this.#stepping = true;
    for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
      const { state, effects } = step(this.#state, next);
      this.#state = state;
      for (const effect of effects) this.#perform(effect);
    }
    this.#stepping = false;
  }

  #perform(effect: CommitEffect): void {
    switch (effect.kind) {
      case 'prepare':
      case 'commit-reader':
        void this.#vote(effect.participant, effect.kind);
        return;
      case 'decide':
        this.#decide();
        return;
      case 'commit-prepared':
        void this.#finish(effect.participant, 'COMMIT PREPARED');
        return;
      case 'rollback-prepared':
        void this.#finish(effect.participant, 'ROLLBACK PREPARED');
        return;
      case 'abandon':
        this.#branch(effect.participant).link.destroy('no answer within the wait for a commit');
        return;
      case 'hand-over':
        this.#handOver(effect.participant, effect.decision);
        return;
      case 'answer':
        this.#resolve(this.#outcomeOf(effect.answer));
        return;
      case 'forget':
        void this.#forget(effect.decision);
        return;
    }
  }

  async #vote(participant: number, kind: 'prepare' | 'commit-reader'): Promise<void> {
    const { link } = this.#branch(participant);
    if (kind === 'commit-reader') {
      this.#count(participant, classifyCommit(link.shard, await link.command('COMMIT')));
      return;
    }
    const pause = this.#deps.controlPoint('prepare.before', participant);
    // Production's control point returns nothing, and then the command leaves in this very tick.
    if (pause !== undefined) await pause;
    const { gid } = this.#participant(participant);
    // A crash here leaves the branch open (its connection dies, it is gone) or prepared without a decision (presumed abort).
    const reply = await link.command(`PREPARE TRANSACTION '${gid}'`);
    // Refused while it prepared: no transaction is left, and ROLLBACK changes nothing. Refused before: the block is failed.
    if (reply.kind === 'error') await link.command('ROLLBACK');
    await this.#deps.controlPoint('prepare.after', participant);
    this.#count(participant, classifyPrepare(link.shard, reply));
  }

  #count(participant: number, vote: Vote): void {
    if (vote.kind === 'yes') this.#notices.push(...vote.notices);
    if (vote.kind === 'unknown') this.#branch(participant).link.destroy('its answer to a commit is not known');
    this.#on({ kind: 'voted', participant, vote });
  }

  #decide(): void {
    const { transaction, log, nowMs } = this.#deps;
    const participants = this.#participants.filter((one) => one !== null);
    // A crash before the record is durable leaves all branches prepared and no decision: presumed abort. After it: the
    // decision is found and carried out. The client was told nothing in either case.
    log.commit({ transaction, participants, atMs: nowMs() }).then(
      () => this.#on({ kind: 'decided' }),
      (error: unknown) => this.#on(refusalByLog(error)),
    );
  }

  async #finish(participant: number, command: 'COMMIT PREPARED' | 'ROLLBACK PREPARED'): Promise<void> {
    const { link } = this.#branch(participant);
    const committing = command === 'COMMIT PREPARED';
    const pause = committing ? this.#deps.controlPoint('commit.before', participant) : undefined;
    if (pause !== undefined) await pause;
    // A crash here: some branches are finished, others prepared. Recovery finishes them by the log: towards the
    // decision, or by its absence towards abort.
    const reply = await link.command(`${command} '${this.#participant(participant).gid}'`);
    if (committing) await this.#deps.controlPoint('commit.after', participant);
    const verdict = classifyFinish(reply, command);
    if (verdict === 'unknown') link.destroy(`its answer to ${command} is not known`);
    this.#on({ kind: 'finished', participant, done: verdict === 'done' });
  }

  #handOver(participant: number, decision: 'commit' | 'abort'): void {
    const { shard, gid, xid } = this.#participant(participant);
    const { identity } = this.#branch(participant).link;
    const unfinished = { transaction: this.#deps.transaction, decision, participants: [{ shard, gid, xid, identity }] };
    let resolved = false;
    this.#deps.resolver.handOver(unfinished, () => {
      if (resolved) return;
      resolved = true;
      this.#on({ kind: 'resolved', participant });
    });
  }

  async #forget(decision: 'commit' | 'abort'): Promise<void> {
    if (decision === 'commit') {
      // A crash here: every shard has committed and the log has no END; the next run verifies and writes it.
      await this.#deps.controlPoint('end.before');
      this.#deps.log.end(this.#deps.transaction);
      await this.#deps.controlPoint('end.after');
    }
    this.#deps.onOver();
  }

  #outcomeOf(answer: Answer): CommitOutcome {
    const { transaction } = this.#deps;
    switch (answer.kind) {
      case 'committed':
        return { kind: 'committed', transaction, unfinished: answer.unfinished, notices: this.#notices };
      case 'aborted':
        return { kind: 'aborted', error: answer.error };
      case 'unknown': {
        const error = this.phase === 'frozen' ? undecidedError : unconfirmedError;
        return { kind: 'unknown', error: error(transaction, this.#evidence()) };
      }
    }
  }

  #evidence(): Evidence {
    const [first] = this.#participants.filter((one) => one !== null);
    assert(first !== undefined, 'a two-phase commit has writers');
    return { shard: first.shard, xid: first.xid };
  }

  #branch(participant: number): Branch {
    const branch = this.#branches[participant];
    assert(branch !== undefined, `branch ${participant} exists`);
    return branch;
  }

  #participant(participant: number): DecidedParticipant {
    const named = this.#participants[participant];
    assert(named !== undefined && named !== null, `branch ${participant} is a writer`);
    return named;
  }
}

function refusalByLog(error: unknown): CommitEvent {
  if (!(error instanceof DecisionRefusedError)) return { kind: 'log-failed' };
  return { kind: 'log-refused', error: rolledBack('its decision could not be logged', error.message) };
}

/** Names every writer's branch once; what is sent, logged and handed over is this very text. */
function nameParticipants(transaction: TransactionId, branches: readonly Branch[]): (DecidedParticipant | null)[] {
  const listed = branches
    .filter((branch) => roleOf(branch) === 'writer')
    .map(({ link, xid }) => {
      assert(typeof xid === 'string', `the xid on ${link.shard} is known before it is prepared`);
      return { shard: link.shard, xid, timeline: link.identity.timeline };
    });
  let index = 0;
  return branches.map((branch) => {
    if (roleOf(branch) === 'reader') return null;
    const one = listed[index];
    assert(one !== undefined, 'every writer is listed');
    const gid = renderGid({ transaction, index: index++, count: listed.length, participants: listed });
    return { ...one, gid, systemIdentifier: branch.link.identity.systemIdentifier };
  });
}

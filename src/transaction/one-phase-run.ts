// Performs the one-phase machine's effects over the branches' connections; what it sends it sends in the machine's order.
import { classifyCommit, type Vote } from './classify-reply.ts';
import { COMMITTED, type CommitOutcome, lostReplyError, tornError } from './commit-outcome.ts';
import {
  beginOnePhase,
  type OnePhaseAnswer,
  type OnePhaseEffect,
  type OnePhaseEvent,
  type OnePhaseStep,
  settleOnlyBranch,
  stepOnePhase,
} from './one-phase-commit.ts';
import { type Branch, roleOf } from './plan-commit.ts';
import type { Resolver } from './resolver.ts';

type Told = 'committed' | 'aborted' | 'unknown';

/** Commits a transaction that has one branch: one command, no machine. Never rejects. */
export async function commitOnlyBranch(branch: Branch, resolver: Resolver): Promise<CommitOutcome> {
  const vote = classifyCommit(branch.link.shard, await branch.link.command('COMMIT'));
  const verdict = settleOnlyBranch(roleOf(branch), vote);
  if (vote.kind === 'yes') return vote.notices.length === 0 ? COMMITTED : committed(vote.notices.slice());
  const told = verdict === 'ask' ? await askOutcome(branch, resolver) : verdict;
  switch (told) {
    case 'committed':
      return COMMITTED;
    case 'aborted':
      return { kind: 'aborted', error: vote.error };
    case 'unknown':
      return { kind: 'unknown', error: lostReplyError(vote.error, { shard: branch.link.shard, xid: branch.xid }) };
  }
}

/** Commits read-only branches and then the writer (or, when two-phase commit is off, the writers in turn). Never rejects. */
export function commitOnePhase(branches: readonly Branch[], resolver: Resolver): Promise<CommitOutcome> {
  return new Promise((resolve) => {
    const run = new OnePhaseRun(branches, resolver, resolve);
    run.take(beginOnePhase(branches.map(roleOf)));
  });
}

/** What became of a writer whose reply to COMMIT was lost; `unknown` without its xid. */
async function askOutcome({ link, xid }: Branch, resolver: Resolver): Promise<Told> {
  if (typeof xid !== 'string') return 'unknown';
  try {
    // A crash here: the client loses its connection too, which says "unknown" as truly as we could.
    return await resolver.outcomeOf({ shard: link.shard, xid, identity: link.identity });
  } catch {
    return 'unknown';
  }
}

function committed(notices: Extract<CommitOutcome, { kind: 'committed' }>['notices']): CommitOutcome {
  return { kind: 'committed', unfinished: 0, notices };
}

class OnePhaseRun {
  readonly #branches: readonly Branch[];
  readonly #resolver: Resolver;
  readonly #resolve: (outcome: CommitOutcome) => void;
  readonly #notices: Extract<Vote, { kind: 'yes' }>['notices'][number][] = [];
  readonly #committedShards: string[] = [];
  #state: OnePhaseStep['state'] | undefined;

  constructor(branches: readonly Branch[], resolver: Resolver, resolve: (outcome: CommitOutcome) => void) {
    this.#branches = branches;
    this.#resolver = resolver;
    this.#resolve = resolve;
  }

  take({ state, effects }: OnePhaseStep): void {
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #on(event: OnePhaseEvent): void {
    if (this.#state !== undefined && this.#state.phase !== 'over') this.take(stepOnePhase(this.#state, event));
  }

  #perform(effect: OnePhaseEffect): void {
    if (effect.kind === 'answer') {
      this.#resolve(this.#outcomeOf(effect.answer));
      return;
    }
    const { participant } = effect;
    const branch = this.#branch(participant);
    switch (effect.kind) {
      case 'commit':
        void branch.link.command('COMMIT').then((reply) => {
          const vote = classifyCommit(branch.link.shard, reply);
          if (vote.kind === 'yes') this.#noteYes(branch, vote);
          this.#on({ kind: 'voted', participant, vote });
        });
        return;
      case 'rollback':
        // Whatever it answers: a COMMIT was never sent, so the branch is rolled back now or when the server notices.
        void branch.link.command('ROLLBACK').then(() => this.#on({ kind: 'rolled-back', participant }));
        return;
      case 'ask':
        void askOutcome(branch, this.#resolver).then((outcome) => this.#on({ kind: 'told', participant, outcome }));
        return;
    }
  }

  #noteYes(branch: Branch, vote: Extract<Vote, { kind: 'yes' }>): void {
    this.#notices.push(...vote.notices);
    if (roleOf(branch) === 'writer') this.#committedShards.push(branch.link.shard);
  }

  #outcomeOf(answer: OnePhaseAnswer): CommitOutcome {
    switch (answer.kind) {
      case 'committed':
        return committed(this.#notices);
      case 'aborted':
        return { kind: 'aborted', error: answer.error };
      case 'unknown': {
        const { link, xid } = this.#branch(answer.participant);
        return { kind: 'unknown', error: lostReplyError(answer.error, { shard: link.shard, xid }) };
      }
      case 'torn': {
        const failed = this.#branch(answer.participant).link.shard;
        return { kind: 'unknown', error: tornError(this.#committedShards, failed, answer.error) };
      }
    }
  }

  #branch(participant: number): Branch {
    const branch = this.#branches[participant];
    if (branch === undefined) throw new RangeError(`no branch ${participant}`);
    return branch;
  }
}

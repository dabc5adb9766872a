// The two-phase commit of one transaction as a pure machine: nothing durable before the votes, nothing to undo after the
// decision, and an answer only when every connection is quiet again.
//
//            all yes              record committed        every link quiet, and every participant done or time is up
//   voting ──────────► deciding ─────────────────► committing ─────────────────────────────► answered ──► (END)
//      │                  │ log failed                 a participant that does not answer goes to the resolver, which
//      │                  ▼                            finishes it for ever; from `deciding` on no abort is possible
//      │               frozen (process exits; the branches stay prepared, the next run asks the log)
//      │ a no, an unknown, or too late; or the log refused the record before it touched the disk
//      ▼                                            every link quiet
//   aborting (nothing is logged: presumed abort) ───────────────────► answered
//
// Where a branch stands:
//   asked ─► prepared ─► finishing ─► gone            asked: PREPARE (or a reader's COMMIT) is on its way
//     │ no ─► gone          └─► handed ─► gone        handed: the resolver has it
//     └ unknown ─► handed (a reader: gone)
import { assert } from '../kernel/assert.ts';
import type { SqlError } from '../protocol/sql-error.ts';
import type { Vote } from './classify-reply.ts';

export type Role = 'writer' | 'reader';
export type Phase = 'voting' | 'deciding' | 'frozen' | 'committing' | 'aborting';
export type BranchPhase = 'asked' | 'prepared' | 'finishing' | 'gone' | 'handed';

export interface CommitState {
  readonly phase: Phase;
  readonly roles: readonly Role[];
  readonly branches: readonly BranchPhase[];
  /** Why it aborts: the first definite error, else the first reason. */
  readonly reason: { readonly error: SqlError; readonly definite: boolean } | null;
  /** The wait of this phase is over. */
  readonly late: boolean;
  readonly answered: boolean;
  /** Everything is done; the transaction may be forgotten. */
  readonly over: boolean;
}

export type CommitEvent =
  | { readonly kind: 'voted'; readonly participant: number; readonly vote: Vote }
  | { readonly kind: 'decided' }
  /** Nobody knows whether the record will be found. */
  | { readonly kind: 'log-failed' }
  /** The record was refused before anything of it was written: there is certainly none. */
  | { readonly kind: 'log-refused'; readonly error: SqlError }
  /** The reply to COMMIT PREPARED or ROLLBACK PREPARED: done, or open for the resolver to find out. */
  | { readonly kind: 'finished'; readonly participant: number; readonly done: boolean }
  /** The resolver verified that a participant that was handed over is finished. */
  | { readonly kind: 'resolved'; readonly participant: number }
  | { readonly kind: 'late'; readonly error: SqlError };

export type Answer =
  | { readonly kind: 'committed'; readonly unfinished: number }
  | { readonly kind: 'aborted'; readonly error: SqlError }
  | { readonly kind: 'unknown' };

export type CommitEffect =
  /** PREPARE TRANSACTION, or a reader's plain COMMIT. */
  | { readonly kind: 'prepare' | 'commit-reader'; readonly participant: number }
  /** Append the COMMIT record and wait until it is committed. */
  | { readonly kind: 'decide' }
  | { readonly kind: 'commit-prepared' | 'rollback-prepared'; readonly participant: number }
  /** Close the connection: its answer, if one comes, comes too late. The outstanding command answers `lost`. */
  | { readonly kind: 'abandon'; readonly participant: number }
  | { readonly kind: 'hand-over'; readonly participant: number; readonly decision: 'commit' | 'abort' }
  | { readonly kind: 'answer'; readonly answer: Answer }
  /** Forget the transaction: append END for a commit, nothing for an abort. */
  | { readonly kind: 'forget'; readonly decision: 'commit' | 'abort' };

export interface Step {
  readonly state: CommitState;
  readonly effects: readonly CommitEffect[];
}

type EventOf<K extends CommitEvent['kind']> = Extract<CommitEvent, { readonly kind: K }>;
type Transitions = { readonly [K in CommitEvent['kind']]: (state: CommitState, event: EventOf<K>) => Step };

/** Asks every participant for its vote: writers prepare, readers commit (there is nothing of theirs to undo). */
export function beginCommit(roles: readonly Role[]): Step {
  assert(roles.filter((role) => role === 'writer').length >= 2, 'two-phase commit is for two writers or more');
  const branches = roles.map((): BranchPhase => 'asked');
  const state: CommitState = {
    phase: 'voting',
    roles,
    branches,
    reason: null,
    late: false,
    answered: false,
    over: false,
  };
  const effects = roles.map((role, participant): CommitEffect => {
    return { kind: role === 'writer' ? 'prepare' : 'commit-reader', participant };
  });
  return { state, effects };
}

/** The next state and what to do now. Asserts that the event is possible: anything else is a fault of the caller. */
export function step(state: CommitState, event: CommitEvent): Step {
  const transition = TRANSITIONS[state.phase][event.kind] as (state: CommitState, event: CommitEvent) => Step;
  return transition(state, event);
}

const impossible = (state: CommitState, event: CommitEvent): Step => {
  assert(false, `a commit that is ${state.phase} (${state.branches.join(', ')}) never sees "${event.kind}"`);
};
const stay = (state: CommitState): Step => ({ state, effects: [] });

const TRANSITIONS: Readonly<Record<Phase, Transitions>> = {
  voting: {
    voted: countVote,
    decided: impossible,
    'log-failed': impossible,
    'log-refused': impossible,
    finished: impossible,
    resolved: impossible,
    late: (state, event) => abort(state, { error: event.error, definite: false }, state.branches, 'abandon'),
  },
  deciding: {
    voted: impossible,
    decided: carryOut,
    'log-failed': freeze,
    'log-refused': (state, event) => abort(state, { error: event.error, definite: true }, state.branches, 'wait'),
    finished: impossible,
    resolved: impossible,
    // The decision can no longer be taken back, so a slow log is waited for.
    late: stay,
  },
  frozen: {
    voted: impossible,
    decided: impossible,
    'log-failed': impossible,
    'log-refused': impossible,
    finished: impossible,
    resolved: impossible,
    late: stay,
  },
  committing: {
    voted: impossible,
    decided: impossible,
    'log-failed': impossible,
    'log-refused': impossible,
    finished: (state, event) => finish(state, event, 'commit'),
    resolved: (state, event) => settle(state, 'commit', move(state, event.participant, 'handed', 'gone'), []),
    late: (state) => hurry(state, 'commit'),
  },
  aborting: {
    voted: countLateVote,
    decided: impossible,
    'log-failed': impossible,
    'log-refused': impossible,
    finished: (state, event) => finish(state, event, 'abort'),
    resolved: (state, event) => settle(state, 'abort', move(state, event.participant, 'handed', 'gone'), []),
    late: (state) => hurry(state, 'abort'),
  },
};

function countVote(state: CommitState, { participant, vote }: EventOf<'voted'>): Step {
  if (vote.kind !== 'yes') {
    const reason = { error: vote.error, definite: vote.kind === 'no' };
    return abort(state, reason, afterVote(state, participant, vote), 'wait');
  }
  const branches = move(state, participant, 'asked', state.roles[participant] === 'writer' ? 'prepared' : 'gone');
  if (branches.includes('asked')) return stay({ ...state, branches });
  return { state: { ...state, phase: 'deciding', branches }, effects: [{ kind: 'decide' }] };
}

/** A vote that comes when the abort is decided: what stands prepared is rolled back, what is unknown is handed over. */
function countLateVote(state: CommitState, { participant, vote }: EventOf<'voted'>): Step {
  const branches = afterVote(state, participant, vote);
  const effects: CommitEffect[] = [];
  if (branches[participant] === 'prepared') {
    branches[participant] = 'finishing';
    effects.push({ kind: 'rollback-prepared', participant });
  } else if (branches[participant] === 'handed') {
    effects.push({ kind: 'hand-over', participant, decision: 'abort' });
  }
  const better = vote.kind === 'no' && state.reason?.definite === false;
  const reason = better ? { error: vote.error, definite: true } : state.reason;
  return settle({ ...state, reason }, 'abort', branches, effects);
}

function afterVote(state: CommitState, participant: number, vote: Vote): BranchPhase[] {
  if (state.roles[participant] === 'reader') return move(state, participant, 'asked', 'gone');
  switch (vote.kind) {
    case 'yes':
      return move(state, participant, 'asked', 'prepared');
    case 'no':
      return move(state, participant, 'asked', vote.prepared ? 'prepared' : 'gone');
    case 'unknown':
      return move(state, participant, 'asked', 'handed');
  }
}

/** The decision to abort: nothing is written; whoever stands prepared is rolled back, the others when they answer. */
function abort(
  state: CommitState,
  reason: NonNullable<CommitState['reason']>,
  voted: readonly BranchPhase[],
  forVotes: 'wait' | 'abandon',
): Step {
  const branches = [...voted];
  const effects: CommitEffect[] = [];
  for (const [participant, phase] of branches.entries()) {
    if (phase === 'prepared') {
      branches[participant] = 'finishing';
      effects.push({ kind: 'rollback-prepared', participant });
    } else if (phase === 'handed') {
      effects.push({ kind: 'hand-over', participant, decision: 'abort' });
    } else if (phase === 'asked' && forVotes === 'abandon') {
      effects.push({ kind: 'abandon', participant });
    }
  }
  return settle({ ...state, phase: 'aborting', reason }, 'abort', branches, effects);
}

/** The record is committed: only now COMMIT PREPARED may be on the wire. */
function carryOut(state: CommitState): Step {
  const branches = state.branches.map((phase): BranchPhase => (phase === 'prepared' ? 'finishing' : phase));
  const effects = branches.flatMap((phase, participant): CommitEffect[] =>
    phase === 'finishing' ? [{ kind: 'commit-prepared', participant }] : [],
  );
  return { state: { ...state, phase: 'committing', branches }, effects };
}

/** Nobody knows whether the record is on the disk: no effect on any shard, whatever the wish to tidy up. */
function freeze(state: CommitState): Step {
  return {
    state: { ...state, phase: 'frozen', answered: true },
    effects: [{ kind: 'answer', answer: { kind: 'unknown' } }],
  };
}

function finish(state: CommitState, event: EventOf<'finished'>, decision: 'commit' | 'abort'): Step {
  const { participant, done } = event;
  const branches = move(state, participant, 'finishing', done ? 'gone' : 'handed');
  return settle(state, decision, branches, done ? [] : [{ kind: 'hand-over', participant, decision }]);
}

function hurry(state: CommitState, decision: 'commit' | 'abort'): Step {
  const effects = state.branches.flatMap((phase, participant): CommitEffect[] =>
    phase === 'asked' || phase === 'finishing' ? [{ kind: 'abandon', participant }] : [],
  );
  return settle({ ...state, late: true }, decision, state.branches, effects);
}

/** Answers and forgets when it is time; every transition of the second phase ends here. */
function settle(
  state: CommitState,
  decision: 'commit' | 'abort',
  branches: readonly BranchPhase[],
  effects: readonly CommitEffect[],
): Step {
  const unfinished = branches.filter((phase) => phase === 'handed').length;
  const quiet = !branches.includes('asked') && !branches.includes('finishing');
  const over = quiet && unfinished === 0;
  const all = [...effects];
  // An abort is certain at once; a commit is worth waiting for until the wait is over.
  const answer = !state.answered && quiet && (over || state.late || decision === 'abort');
  if (answer) all.push({ kind: 'answer', answer: answerOf(state, branches, decision, unfinished) });
  if (over && !state.over) all.push({ kind: 'forget', decision });
  return { state: { ...state, branches, answered: state.answered || answer, over }, effects: all };
}

function answerOf(
  state: CommitState,
  branches: readonly BranchPhase[],
  decision: 'commit' | 'abort',
  unfinished: number,
): Answer {
  if (decision === 'abort') {
    assert(state.reason !== null, 'an abort has a reason');
    return { kind: 'aborted', error: state.reason.error };
  }
  const committedSomewhere = branches.some((phase, i) => phase === 'gone' && state.roles[i] === 'writer');
  return committedSomewhere ? { kind: 'committed', unfinished } : { kind: 'unknown' };
}

function move(state: CommitState, participant: number, from: BranchPhase, to: BranchPhase): BranchPhase[] {
  assert(state.branches[participant] === from, `participant ${participant} is ${from}`);
  return state.branches.with(participant, to);
}

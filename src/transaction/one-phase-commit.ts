// Plain COMMITs as a pure machine: readers first, so that everything that can fail has failed when the one writer's
// COMMIT leaves; a lost reply is looked up, never guessed.
//
//   readers ──all yes──► writing ──yes──► (next writer) ──► committed
//      │ no, unknown        │  │ unknown
//      ▼                    │  └──► asking ──► committed · aborted · unknown
//   rolling-back ◄──────────┘ no
//      └──► aborted
//
// More than one writer comes here only when two-phase commit is switched off; then a writer that fails behind one that
// committed leaves a torn transaction, which is told as `torn`, never as an abort.
import { assert } from '../kernel/assert.ts';
import type { SqlError } from '../protocol/sql-error.ts';
import type { Vote } from './classify-reply.ts';
import type { Role } from './commit-protocol.ts';

export type OnePhaseState = {
  readonly roles: readonly Role[];
  /** Replies that are awaited now. */
  readonly awaited: ReadonlySet<number>;
  /** Writers whose COMMIT has not left, in order. */
  readonly waiting: readonly number[];
  readonly committed: number;
  readonly reason: SqlError | null;
  readonly phase: 'readers' | 'writing' | 'asking' | 'rolling-back' | 'over';
};

export type OnePhaseEvent =
  | { readonly kind: 'voted'; readonly participant: number; readonly vote: Vote }
  /** What pg_xact_status said about a writer whose reply was lost, after its backend was fenced. */
  | { readonly kind: 'told'; readonly participant: number; readonly outcome: 'committed' | 'aborted' | 'unknown' }
  | { readonly kind: 'rolled-back'; readonly participant: number };

export type OnePhaseAnswer =
  | { readonly kind: 'committed' }
  | { readonly kind: 'aborted'; readonly error: SqlError }
  /** Writer `participant` may or may not have committed. */
  | { readonly kind: 'unknown'; readonly participant: number; readonly error: SqlError }
  | { readonly kind: 'torn'; readonly participant: number; readonly error: SqlError };

export type OnePhaseEffect =
  | { readonly kind: 'commit' | 'rollback'; readonly participant: number }
  | { readonly kind: 'ask'; readonly participant: number }
  | { readonly kind: 'answer'; readonly answer: OnePhaseAnswer };

export interface OnePhaseStep {
  readonly state: OnePhaseState;
  readonly effects: readonly OnePhaseEffect[];
}

type EventOf<K extends OnePhaseEvent['kind']> = Extract<OnePhaseEvent, { readonly kind: K }>;
type Transitions = {
  readonly [K in OnePhaseEvent['kind']]: (state: OnePhaseState, event: EventOf<K>) => OnePhaseStep;
};

/** Sends the readers' COMMITs in parallel, or the first writer's when nobody only read. */
export function beginOnePhase(roles: readonly Role[]): OnePhaseStep {
  const readers = roles.flatMap((role, i) => (role === 'reader' ? [i] : []));
  const waiting = roles.flatMap((role, i) => (role === 'writer' ? [i] : []));
  const state: OnePhaseState = {
    roles,
    awaited: new Set(readers),
    waiting,
    committed: 0,
    reason: null,
    phase: 'readers',
  };
  if (readers.length === 0) return writeNext(state);
  return { state, effects: readers.map((participant) => ({ kind: 'commit', participant })) };
}

/** The next state and what to do now. Asserts that the event is possible. */
export function stepOnePhase(state: OnePhaseState, event: OnePhaseEvent): OnePhaseStep {
  assert(state.awaited.has(event.participant), `participant ${event.participant} is awaited`);
  const transition = TRANSITIONS[state.phase][event.kind] as (s: OnePhaseState, e: OnePhaseEvent) => OnePhaseStep;
  return transition({ ...state, awaited: new Set([...state.awaited].filter((p) => p !== event.participant)) }, event);
}

/**
 * What becomes of a transaction with one branch, without a machine: the common case. Equal to the machine's answer for
 * every vote (a test walks them all); `ask` stands for the machine's effect of that name.
 */
export function settleOnlyBranch(role: Role, vote: Vote): Exclude<OnePhaseAnswer['kind'], 'torn'> | 'ask' {
  if (vote.kind === 'yes') return 'committed';
  return vote.kind === 'no' || role === 'reader' ? 'aborted' : 'ask';
}

const impossible = (state: OnePhaseState, event: OnePhaseEvent): OnePhaseStep => {
  assert(false, `a one-phase commit that is ${state.phase} never sees "${event.kind}"`);
};

const TRANSITIONS: Readonly<Record<OnePhaseState['phase'], Transitions>> = {
  readers: { voted: countReader, told: impossible, 'rolled-back': impossible },
  writing: { voted: countWriter, told: impossible, 'rolled-back': impossible },
  asking: { voted: impossible, told: believe, 'rolled-back': impossible },
  'rolling-back': { voted: impossible, told: impossible, 'rolled-back': countRollback },
  over: { voted: impossible, told: impossible, 'rolled-back': impossible },
};

/** A reader that is lost has nothing to lose, but it may have failed a serializable check, so nobody is told success. */
function countReader(state: OnePhaseState, { vote }: EventOf<'voted'>): OnePhaseStep {
  const definite = vote.kind === 'no';
  const reason = vote.kind === 'yes' ? state.reason : definite ? vote.error : (state.reason ?? vote.error);
  const next = { ...state, reason };
  if (next.awaited.size > 0) return { state: next, effects: [] };
  return reason === null ? writeNext(next) : rollBack(next, reason);
}

function countWriter(state: OnePhaseState, { participant, vote }: EventOf<'voted'>): OnePhaseStep {
  switch (vote.kind) {
    case 'yes':
      return writeNext({ ...state, committed: state.committed + 1 });
    case 'no':
      return fail(state, participant, vote.error);
    case 'unknown': {
      const asking = { ...state, phase: 'asking', reason: vote.error, awaited: new Set([participant]) } as const;
      return { state: asking, effects: [{ kind: 'ask', participant }] };
    }
  }
}

function believe(state: OnePhaseState, { participant, outcome }: EventOf<'told'>): OnePhaseStep {
  assert(state.reason !== null, 'somebody asks only after a lost reply');
  switch (outcome) {
    case 'committed':
      return writeNext({ ...state, reason: null, committed: state.committed + 1 });
    case 'aborted':
      return fail(state, participant, state.reason);
    case 'unknown':
      return over(state, { kind: 'unknown', participant, error: state.reason });
  }
}

function writeNext(state: OnePhaseState): OnePhaseStep {
  const [participant, ...waiting] = state.waiting;
  if (participant === undefined) return over(state, { kind: 'committed' });
  const next = { ...state, phase: 'writing', waiting, awaited: new Set([participant]) } as const;
  return { state: next, effects: [{ kind: 'commit', participant }] };
}

function fail(state: OnePhaseState, participant: number, error: SqlError): OnePhaseStep {
  return state.committed > 0 ? over(state, { kind: 'torn', participant, error }) : rollBack(state, error);
}

/** Writers whose COMMIT never left are rolled back before the client hears of it. */
function rollBack(state: OnePhaseState, error: SqlError): OnePhaseStep {
  if (state.waiting.length === 0) return over(state, { kind: 'aborted', error });
  const next = {
    ...state,
    phase: 'rolling-back',
    reason: error,
    waiting: [],
    awaited: new Set(state.waiting),
  } as const;
  return { state: next, effects: state.waiting.map((participant) => ({ kind: 'rollback', participant })) };
}

function countRollback(state: OnePhaseState): OnePhaseStep {
  if (state.awaited.size > 0) return { state, effects: [] };
  assert(state.reason !== null, 'a rollback has a reason');
  return over(state, { kind: 'aborted', error: state.reason });
}

/** Writers whose COMMIT never left are rolled back in every case, also when the answer cannot wait for it. */
function over(state: OnePhaseState, answer: OnePhaseAnswer): OnePhaseStep {
  const effects = state.waiting.map((participant): OnePhaseEffect => ({ kind: 'rollback', participant }));
  const ended = { ...state, phase: 'over', waiting: [], awaited: new Set<number>() } as const;
  return { state: ended, effects: [...effects, { kind: 'answer', answer }] };
}

import { describe, expect, it } from 'vitest';
import type { Vote } from '../../../src/transaction/classify-reply.ts';
import {
  beginCommit,
  type CommitEvent,
  type CommitState,
  type Phase,
  type Step,
  step,
} from '../../../src/transaction/commit-protocol.ts';

const error = { severity: 'ERROR', code: '23505', message: 'duplicate key' };
const slow = { severity: 'ERROR', code: '40000', message: 'too late' };
const yes: Vote = { kind: 'yes', notices: [] };
const no: Vote = { kind: 'no', error, prepared: false };
const doubtful: Vote = { kind: 'no', error, prepared: true };
const unknown: Vote = { kind: 'unknown', error: slow };
const voted = (participant: number, vote: Vote): CommitEvent => ({ kind: 'voted', participant, vote });
const finished = (participant: number, done: boolean): CommitEvent => ({ kind: 'finished', participant, done });
const resolved = (participant: number): CommitEvent => ({ kind: 'resolved', participant });
const late: CommitEvent = { kind: 'late', error: slow };
const decided: CommitEvent = { kind: 'decided' };

function run(...events: readonly CommitEvent[]): Step {
  return events.reduce<Step>(({ state }, event) => step(state, event), beginCommit(['writer', 'writer']));
}
const effectsOf = (...events: readonly CommitEvent[]) => run(...events).effects;
const bothYes = [voted(0, yes), voted(1, yes)];

describe('a two-phase commit', () => {
  it('asks everybody at once', () => {
    expect(beginCommit(['writer', 'reader', 'writer']).effects).toEqual([
      { kind: 'prepare', participant: 0 },
      { kind: 'commit-reader', participant: 1 },
      { kind: 'prepare', participant: 2 },
    ]);
  });

  it('is not for one writer', () => {
    expect(() => beginCommit(['writer', 'reader'])).toThrow(/two writers/);
  });

  it('decides when the last vote is yes, and carries out only what is decided (I4)', () => {
    expect(effectsOf(voted(0, yes))).toEqual([]);
    expect(effectsOf(...bothYes)).toEqual([{ kind: 'decide' }]);
    expect(effectsOf(...bothYes, decided)).toEqual([
      { kind: 'commit-prepared', participant: 0 },
      { kind: 'commit-prepared', participant: 1 },
    ]);
  });

  it('answers and forgets when every participant committed', () => {
    expect(effectsOf(...bothYes, decided, finished(1, true))).toEqual([]);
    expect(effectsOf(...bothYes, decided, finished(1, true), finished(0, true))).toEqual([
      { kind: 'answer', answer: { kind: 'committed', unfinished: 0 } },
      { kind: 'forget', decision: 'commit' },
    ]);
  });

  it('a no rolls back what is prepared and waits for the others before it answers', () => {
    expect(effectsOf(voted(0, yes), voted(1, no))).toEqual([{ kind: 'rollback-prepared', participant: 0 }]);
    expect(effectsOf(voted(0, yes), voted(1, no), finished(0, true))).toEqual([
      { kind: 'answer', answer: { kind: 'aborted', error } },
      { kind: 'forget', decision: 'abort' },
    ]);
    expect(effectsOf(voted(1, no))).toEqual([]);
    expect(effectsOf(voted(1, no), voted(0, yes))).toEqual([{ kind: 'rollback-prepared', participant: 0 }]);
    expect(effectsOf(voted(1, no), voted(0, no))).toEqual([
      { kind: 'answer', answer: { kind: 'aborted', error } },
      { kind: 'forget', decision: 'abort' },
    ]);
  });

  it('a no that stands prepared is rolled back by its gid', () => {
    expect(effectsOf(voted(0, doubtful))).toEqual([{ kind: 'rollback-prepared', participant: 0 }]);
  });

  it('an unknown vote goes to the resolver; the answer does not wait for it, forgetting does', () => {
    expect(effectsOf(voted(0, unknown))).toEqual([{ kind: 'hand-over', participant: 0, decision: 'abort' }]);
    expect(effectsOf(voted(0, unknown), voted(1, no))).toEqual([
      { kind: 'answer', answer: { kind: 'aborted', error } },
    ]);
    expect(effectsOf(voted(0, unknown), voted(1, no), resolved(0))).toEqual([{ kind: 'forget', decision: 'abort' }]);
  });

  it('a lost reader has nothing to hand over, but it aborts', () => {
    const { state } = beginCommit(['writer', 'reader', 'writer']);
    expect(step(state, voted(1, unknown))).toMatchObject({ state: { phase: 'aborting' }, effects: [] });
  });

  it('votes that come too late are given up on, and rolled back by the resolver', () => {
    expect(effectsOf(voted(0, yes), late)).toEqual([
      { kind: 'rollback-prepared', participant: 0 },
      { kind: 'abandon', participant: 1 },
    ]);
    expect(effectsOf(voted(0, yes), late, finished(0, true), voted(1, unknown))).toEqual([
      { kind: 'hand-over', participant: 1, decision: 'abort' },
      { kind: 'answer', answer: { kind: 'aborted', error: slow } },
    ]);
  });

  it('a slow log is waited for: the decision cannot be taken back', () => {
    expect(run(...bothYes, late)).toMatchObject({ state: { phase: 'deciding', answered: false }, effects: [] });
  });

  it('a failed log freezes: no effect on any shard, and the answer is unknown', () => {
    expect(run(...bothYes, { kind: 'log-failed' })).toMatchObject({
      state: { phase: 'frozen', over: false },
      effects: [{ kind: 'answer', answer: { kind: 'unknown' } }],
    });
  });

  it('a record that the log refused unwritten is an abort', () => {
    expect(effectsOf(...bothYes, { kind: 'log-refused', error })).toEqual([
      { kind: 'rollback-prepared', participant: 0 },
      { kind: 'rollback-prepared', participant: 1 },
    ]);
  });

  it('after the decision a silent shard is handed over to be committed, and success waits for it only so long', () => {
    const silent = [...bothYes, decided, finished(0, true), finished(1, false)];
    expect(effectsOf(...silent)).toEqual([{ kind: 'hand-over', participant: 1, decision: 'commit' }]);
    expect(effectsOf(...silent, late)).toEqual([{ kind: 'answer', answer: { kind: 'committed', unfinished: 1 } }]);
    expect(effectsOf(...silent, late, resolved(1))).toEqual([{ kind: 'forget', decision: 'commit' }]);
    expect(effectsOf(...silent, resolved(1))).toEqual([
      { kind: 'answer', answer: { kind: 'committed', unfinished: 0 } },
      { kind: 'forget', decision: 'commit' },
    ]);
  });

  it('with no shard confirmed the answer is unknown, never an error (PgDog 16)', () => {
    expect(effectsOf(...bothYes, decided, late)).toEqual([
      { kind: 'abandon', participant: 0 },
      { kind: 'abandon', participant: 1 },
    ]);
    expect(effectsOf(...bothYes, decided, late, finished(0, false), finished(1, false)).at(-1)).toEqual({
      kind: 'answer',
      answer: { kind: 'unknown' },
    });
  });
});

describe('what cannot happen', () => {
  const states: Record<Phase, CommitState> = {
    voting: beginCommit(['writer', 'writer']).state,
    deciding: run(...bothYes).state,
    frozen: run(...bothYes, { kind: 'log-failed' }).state,
    committing: run(...bothYes, decided).state,
    aborting: run(voted(0, yes), voted(1, no)).state,
  };
  const events: Record<CommitEvent['kind'], CommitEvent> = {
    voted: voted(0, yes),
    decided,
    'log-failed': { kind: 'log-failed' },
    'log-refused': { kind: 'log-refused', error },
    finished: finished(0, true),
    resolved: resolved(0),
    late,
  };
  const possible = new Set([
    'voting voted',
    'voting late',
    'deciding decided',
    'deciding log-failed',
    'deciding log-refused',
    'deciding late',
    'frozen late',
    'committing finished',
    'committing late',
    'aborting finished',
    'aborting late',
  ]);
  const all = Object.keys(states).flatMap((phase) => Object.keys(events).map((event) => `${phase} ${event}`));

  it.each(all)('%s: is either a transition or a fault of the caller, nothing between', (pair) => {
    const [phase, event] = pair.split(' ') as [Phase, CommitEvent['kind']];
    const take = () => step(states[phase], events[event]);
    if (possible.has(pair)) expect(take).not.toThrow();
    else expect(take).toThrow(/never sees|participant 0 is/);
  });

  it('a participant that votes, finishes or is resolved twice', () => {
    expect(() => run(voted(0, yes), voted(0, yes))).toThrow(/participant 0 is asked/);
    expect(() => run(...bothYes, decided, finished(0, true), finished(0, true))).toThrow(/participant 0 is finishing/);
    expect(() => run(voted(0, unknown), resolved(0), resolved(0))).toThrow(/participant 0 is handed/);
  });
});

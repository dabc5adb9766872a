import { describe, expect, it } from 'vitest';
import type { Vote } from '../../../src/transaction/classify-reply.ts';
import type { Role } from '../../../src/transaction/commit-protocol.ts';
import {
  beginOnePhase,
  type OnePhaseEvent,
  type OnePhaseStep,
  settleOnlyBranch,
  stepOnePhase,
} from '../../../src/transaction/one-phase-commit.ts';

const error = { severity: 'ERROR', code: '23505', message: 'duplicate key' };
const yes: Vote = { kind: 'yes', notices: [] };
const no: Vote = { kind: 'no', error, prepared: false };
const unknown: Vote = { kind: 'unknown', error };

/** Feeds events and gives the last effects. */
function run(roles: readonly Role[], ...events: readonly OnePhaseEvent[]): OnePhaseStep {
  return events.reduce(({ state }, event) => stepOnePhase(state, event), beginOnePhase(roles));
}
const voted = (participant: number, vote: Vote): OnePhaseEvent => ({ kind: 'voted', participant, vote });
const told = (participant: number, outcome: 'committed' | 'aborted' | 'unknown'): OnePhaseEvent => {
  return { kind: 'told', participant, outcome };
};

describe('a one-phase commit', () => {
  it('of nothing is committed at once', () => {
    expect(beginOnePhase([]).effects).toEqual([{ kind: 'answer', answer: { kind: 'committed' } }]);
  });

  it('sends the writer only when every reader said yes', () => {
    expect(beginOnePhase(['reader', 'writer', 'reader']).effects).toEqual([
      { kind: 'commit', participant: 0 },
      { kind: 'commit', participant: 2 },
    ]);
    expect(run(['reader', 'writer', 'reader'], voted(2, yes)).effects).toEqual([]);
    const last = run(['reader', 'writer', 'reader'], voted(2, yes), voted(0, yes));
    expect(last.effects).toEqual([{ kind: 'commit', participant: 1 }]);
    expect(stepOnePhase(last.state, voted(1, yes)).effects).toEqual([
      { kind: 'answer', answer: { kind: 'committed' } },
    ]);
  });

  it('waits for all readers and for the rollback before it answers with the definite error', () => {
    const reader = { severity: 'ERROR', code: '40001', message: 'serialize' };
    const failed = run(
      ['reader', 'writer', 'reader'],
      voted(0, unknown),
      voted(2, { kind: 'no', error: reader, prepared: false }),
    );
    expect(failed.effects).toEqual([{ kind: 'rollback', participant: 1 }]);
    expect(stepOnePhase(failed.state, { kind: 'rolled-back', participant: 1 }).effects).toEqual([
      { kind: 'answer', answer: { kind: 'aborted', error: reader } },
    ]);
  });

  it.each([
    ['committed', { kind: 'committed' }],
    ['aborted', { kind: 'aborted', error }],
    ['unknown', { kind: 'unknown', participant: 0, error }],
  ] as const)('asks for the writer whose reply was lost and believes the answer: %s', (outcome, answer) => {
    const asking = run(['writer'], voted(0, unknown));
    expect(asking.effects).toEqual([{ kind: 'ask', participant: 0 }]);
    expect(stepOnePhase(asking.state, told(0, outcome)).effects).toEqual([{ kind: 'answer', answer }]);
  });

  it('with two-phase commit off: the first failure rolls back the rest, a later one is torn', () => {
    expect(run(['writer', 'writer'], voted(0, no)).effects).toEqual([{ kind: 'rollback', participant: 1 }]);
    expect(run(['writer', 'writer', 'writer'], voted(0, yes), voted(1, no)).effects).toEqual([
      { kind: 'rollback', participant: 2 },
      { kind: 'answer', answer: { kind: 'torn', participant: 1, error } },
    ]);
    expect(run(['writer', 'writer'], voted(0, unknown), told(0, 'committed'), voted(1, yes)).effects).toEqual([
      { kind: 'answer', answer: { kind: 'committed' } },
    ]);
  });

  it.each([
    ['a second vote', ['reader', 'reader'], [voted(0, yes), voted(0, yes)]],
    ['a vote of a writer that was not asked', ['reader', 'writer'], [voted(1, yes)]],
    ['an answer that nobody asked for', ['writer'], [told(0, 'committed')]],
    ['a rollback that was not ordered', ['writer'], [{ kind: 'rolled-back', participant: 0 }]],
    ['anything behind the end', ['writer'], [voted(0, yes), voted(0, yes)]],
  ] as const)('takes %s for a fault of its caller', (_name, roles, events) => {
    expect(() => run(roles, ...events)).toThrow(/is awaited|never sees/);
  });

  it.each(['writer', 'reader'] as const)(
    'the shortcut for one %s says what the machine says, for every vote',
    (role) => {
      for (const vote of [yes, no, unknown]) {
        const [effect] = run([role], voted(0, vote)).effects;
        const machine = effect?.kind === 'answer' ? effect.answer.kind : effect?.kind;
        expect(settleOnlyBranch(role, vote)).toBe(machine);
      }
    },
  );
});

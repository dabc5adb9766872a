// The decision table is total and agrees with a second telling of the same rules, written as a judge would say them.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DECISION_ROWS, decide, PARTICIPANT_CONDITIONS, type VerdictKind } from '../../../src/recovery/decide.ts';
import {
  LOG_EVIDENCE,
  OWNERS,
  PARTICIPANT_STATES,
  type ParticipantEvidence,
  type TransactionEvidence,
} from '../../../src/recovery/evidence.ts';

const transaction = { cluster: 'k3x9q', instance: 'proxy-0', epoch: 1, seq: 1 };

const participants: fc.Arbitrary<ParticipantEvidence> = fc.record({
  shard: fc.constantFrom('shard-0', 'shard-1'),
  state: fc.constantFrom(...PARTICIPANT_STATES),
  proven: fc.boolean(),
  acknowledged: fc.boolean(),
});

const evidences: fc.Arbitrary<TransactionEvidence> = fc.record({
  transaction: fc.constant(transaction),
  log: fc.constantFrom(...LOG_EVIDENCE),
  owner: fc.constantFrom(...OWNERS),
  participants: fc.array(participants, { minLength: 1, maxLength: 5 }),
  complete: fc.boolean(),
  earlyAcknowledged: fc.boolean(),
});

/** The rules again, from commit.md's sentences instead of rows. */
function judge({ log, owner, participants: all, complete, earlyAcknowledged }: TransactionEvidence): VerdictKind {
  const has = (state: string) => all.some((one) => one.state === state);
  if (log === 'commit') return 'commit';
  if (log === 'abort') return 'abort';
  if (owner === 'alive' || owner === 'self-driving') return 'wait';
  if (log === 'uncertain-commit') return 'commit';
  if (log === 'uncertain-abort') return 'abort';
  if (log === 'uncertain-down') return 'hold-retry';
  if (has('C')) return all.some((one) => one.state === 'C' && one.proven) ? 'commit' : 'hold-ask';
  if (log === 'none' || has('A')) return 'abort';
  if (has('I')) return 'terminate';
  if (has('U')) return 'hold-retry';
  if (log === 'damaged') return 'hold-ask';
  return all.every((one) => one.state === 'P') && complete && !earlyAcknowledged ? 'abort' : 'hold-ask';
}

describe('decide', () => {
  it('gives every evidence exactly one verdict, the one that the rules give', () => {
    fc.assert(
      fc.property(evidences, (evidence) => {
        expect(decide(evidence).kind).toBe(judge(evidence));
      }),
      { numRuns: 20_000 },
    );
  });

  it('walks every combination of up to three participants, and reaches every row', () => {
    const states = [
      ...PARTICIPANT_STATES.map((state) => ({ state, proven: false })),
      { state: 'C' as const, proven: true },
    ];
    const reached = new Map<string, number>();
    const lists = [1, 2, 3].flatMap((length) => combinations(states, length));
    for (const log of LOG_EVIDENCE) {
      for (const owner of OWNERS) {
        for (const list of lists) {
          for (const [complete, earlyAcknowledged] of [
            [true, false],
            [false, false],
            [true, true],
          ] as const) {
            const all = list.map((one, index) => ({ ...one, shard: `shard-${index}`, acknowledged: false }));
            const evidence = { transaction, log, owner, participants: all, complete, earlyAcknowledged };
            const verdict = decide(evidence);
            if (verdict.kind !== judge(evidence)) expect(evidence).toBe(verdict);
            reached.set(verdict.row, (reached.get(verdict.row) ?? 0) + 1);
          }
        }
      }
    }
    expect([...reached.keys()].toSorted()).toEqual(DECISION_ROWS.map(({ name }) => name).toSorted());
  });

  it('never aborts what a participant is proven to have committed, unless a tombstone or the engine says so', () => {
    fc.assert(
      fc.property(evidences, (evidence) => {
        const decided = evidence.log === 'abort' || evidence.log === 'uncertain-abort';
        if (PARTICIPANT_CONDITIONS['some C'](evidence) && !decided) expect(decide(evidence).kind).not.toBe('abort');
      }),
    );
  });

  it('never commits without a COMMIT record, the engine, or a proven commit', () => {
    fc.assert(
      fc.property(evidences, (evidence) => {
        const may = evidence.log === 'commit' || evidence.log === 'uncertain-commit';
        if (!may && !PARTICIPANT_CONDITIONS['some C, proven'](evidence))
          expect(decide(evidence).kind).not.toBe('commit');
      }),
    );
  });

  it('does not depend on the order of the participants', () => {
    fc.assert(
      fc.property(evidences, (evidence) => {
        const turned = { ...evidence, participants: evidence.participants.toReversed() };
        expect(decide(turned)).toEqual(decide(evidence));
      }),
    );
  });
});

function combinations<T>(from: readonly T[], length: number): T[][] {
  if (length === 0) return [[]];
  return combinations(from, length - 1).flatMap((rest) => from.map((one) => [...rest, one]));
}

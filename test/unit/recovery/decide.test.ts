// The decision table, row by row; the alarms beside it; and each cell of what a verdict means for one participant.
import { describe, expect, it } from 'vitest';
import { ALARM_MEANING } from '../../../src/recovery/alarm.ts';
import { APPLY_TABLE, actionFor } from '../../../src/recovery/apply-table.ts';
import { DECISION_ROWS, decide } from '../../../src/recovery/decide.ts';
import type { TransactionEvidence } from '../../../src/recovery/evidence.ts';
import { evidence } from './evidence-builder.ts';

/** One evidence at least per row: log, participants (C! is a proven commit), owner, and what must come out. */
const CASES: readonly [row: string, TransactionEvidence, verdict: string, alarms: string[]][] = [
  ['decided-commit', evidence('commit', 'P P'), 'commit', []],
  ['decided-commit', evidence('commit', 'P U', { owner: 'alive' }), 'commit', []],
  ['decided-commit', evidence('commit', 'P A N'), 'commit', []],
  ['decided-commit', evidence('commit', 'C! A'), 'commit', ['HeuristicMixed']],
  ['decided-abort', evidence('abort', 'P P', { owner: 'self-driving' }), 'abort', []],
  ['decided-abort', evidence('abort', 'C! A'), 'abort', ['HeuristicMixed']],
  ['driven', evidence('none', 'P P', { owner: 'self-driving' }), 'wait', []],
  ['driven', evidence('none', 'P C!', { owner: 'alive' }), 'wait', []],
  ['driven', evidence('lost', 'P P', { owner: 'alive' }), 'wait', ['WalLost']],
  ['driven', evidence('uncertain-commit', 'P', { owner: 'self-driving' }), 'wait', []],
  ['engine-says-commit', evidence('uncertain-commit', 'P P'), 'commit', []],
  ['engine-says-abort', evidence('uncertain-abort', 'P P', { owner: 'fenced' }), 'abort', []],
  ['engine-down', evidence('uncertain-down', 'P P'), 'hold-retry', []],
  ['engine-down', evidence('uncertain-down', 'P C!'), 'hold-retry', []],
  ['decision-lost', evidence('none', 'P C!'), 'commit', ['DecisionLost']],
  ['decision-lost', evidence('none', 'C! A P', { owner: 'fenced' }), 'commit', ['DecisionLost', 'HeuristicMixed']],
  ['committed-unproven', evidence('none', 'P C'), 'hold-ask', ['DecisionLost']],
  ['presumed-abort', evidence('none', 'P P P'), 'abort', []],
  ['presumed-abort', evidence('none', 'P U'), 'abort', []],
  ['presumed-abort', evidence('none', 'P I F N A B', { owner: 'fenced', complete: false }), 'abort', []],
  ['lost-committed', evidence('lost', 'P C! U', { owner: 'fenced' }), 'commit', ['WalLost']],
  ['lost-committed', evidence('pruned', 'P C!'), 'commit', ['DecisionPruned']],
  ['lost-committed', evidence('lost', 'C! A', { owner: 'fenced' }), 'commit', ['HeuristicMixed', 'WalLost']],
  ['lost-committed-unproven', evidence('lost', 'P C', { owner: 'fenced' }), 'hold-ask', ['WalLost']],
  ['lost-aborted', evidence('lost', 'P A U I', { owner: 'fenced' }), 'abort', ['WalLost']],
  ['lost-in-progress', evidence('lost', 'P I U', { owner: 'fenced' }), 'terminate', ['WalLost']],
  ['lost-unreachable', evidence('lost', 'P U N', { owner: 'fenced' }), 'hold-retry', ['WalLost']],
  ['lost-all-prepared', evidence('lost', 'P P', { owner: 'fenced' }), 'abort', ['WalLost']],
  ['lost-all-prepared', evidence('pruned', 'P P'), 'abort', ['DecisionPruned']],
  ['lost-the-rest', evidence('lost', 'P P', { owner: 'fenced', earlyAcknowledged: true }), 'hold-ask', ['WalLost']],
  ['lost-the-rest', evidence('lost', 'P P', { owner: 'fenced', complete: false }), 'hold-ask', ['WalLost']],
  ['lost-the-rest', evidence('lost', 'P N', { owner: 'fenced' }), 'hold-ask', ['WalLost']],
  ['lost-the-rest', evidence('lost', 'P F', { owner: 'fenced' }), 'hold-ask', ['WalLost']],
  ['lost-the-rest', evidence('lost', 'P B', { owner: 'fenced' }), 'hold-ask', ['WalLost']],
  // What cannot be read of a damaged log may be the decision: that all are prepared proves nothing.
  ['lost-the-rest', evidence('damaged', 'P P', { owner: 'fenced' }), 'hold-ask', ['WalDamaged']],
  ['lost-committed', evidence('damaged', 'P C!', { owner: 'fenced' }), 'commit', ['WalDamaged']],
  ['lost-committed-unproven', evidence('damaged', 'P C', { owner: 'fenced' }), 'hold-ask', ['WalDamaged']],
  ['lost-aborted', evidence('damaged', 'P A', { owner: 'fenced' }), 'abort', ['WalDamaged']],
  ['lost-in-progress', evidence('damaged', 'P I', { owner: 'fenced' }), 'terminate', ['WalDamaged']],
  ['lost-unreachable', evidence('damaged', 'P U', { owner: 'fenced' }), 'hold-retry', ['WalDamaged']],
];

describe('decide', () => {
  it.each(CASES)('row %s', (row, given, kind, alarms) => {
    const verdict = decide(given);
    expect({ ...verdict, alarms: verdict.alarms.toSorted() }).toEqual({ row, kind, alarms: alarms.toSorted() });
  });

  it('has a case here for every row, and no row twice', () => {
    const names = DECISION_ROWS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect([...new Set(CASES.map(([row]) => row))].toSorted()).toEqual(names.toSorted());
  });

  it('refuses evidence without a participant: there would be nothing to decide about', () => {
    expect(() => decide(evidence('none', ''))).toThrow('has a participant');
  });
});

describe('what a verdict means for one participant', () => {
  it.each([
    ['commit', 'P', 'resolve', undefined],
    ['commit', 'B', 'retry', undefined],
    ['commit', 'C', 'done', undefined],
    ['commit', 'A', 'keep', 'HeuristicRollback'],
    ['commit', 'I', 'retry', 'StillInProgress'],
    ['commit', 'F', 'keep', 'ParticipantLost'],
    ['commit', 'N', 'keep', 'Unverified'],
    ['commit', 'U', 'retry', undefined],
    ['abort', 'P', 'resolve', undefined],
    ['abort', 'B', 'retry', undefined],
    ['abort', 'C', 'keep', 'HeuristicCommit'],
    ['abort', 'A', 'done', undefined],
    ['abort', 'I', 'terminate', undefined],
    ['abort', 'F', 'done', undefined],
    ['abort', 'N', 'done', undefined],
    ['abort', 'U', 'retry', undefined],
  ] as const)('%s × %s is %s', (verdict, state, kind, alarm) => {
    const action = actionFor(verdict, { state, acknowledged: false });
    expect([action.kind, action.alarm]).toEqual([kind, alarm]);
  });

  it('a participant of unknown status is done when this process itself read the tag', () => {
    expect(actionFor('commit', { state: 'N', acknowledged: true })).toEqual({ kind: 'done' });
  });

  it('every alarm of the tables has a meaning', () => {
    const used = Object.values(APPLY_TABLE).flatMap((cells) =>
      Object.values(cells).flatMap(({ alarm }) => alarm ?? []),
    );
    expect(used.filter((alarm) => !(alarm in ALARM_MEANING))).toEqual([]);
  });
});

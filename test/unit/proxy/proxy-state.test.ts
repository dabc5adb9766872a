// The state that SHOW STATUS says, and what counts as in doubt.
import { describe, expect, it } from 'vitest';
import type { Gate } from '../../../src/proxy/listener.ts';
import { countInDoubt, notReadyReasons, stateOf } from '../../../src/proxy/proxy-state.ts';

const facts = (gate: Gate, inDoubt = 0, clean = false, logFailed = false) => ({ gate, inDoubt, clean, logFailed });

describe('stateOf', () => {
  it.each<[Parameters<typeof stateOf>[0], string]>([
    [facts('recovering', 3), 'Recovering'],
    [facts('open'), 'Active'],
    [facts('open', 1), 'InDoubt'],
    // Clean is only said behind a drain: while clients are let in it would not last.
    [facts('open', 0, true), 'Active'],
    [facts('draining', 1), 'Draining'],
    [facts('draining', 0, true), 'Clean'],
    [facts('stopping'), 'Draining'],
  ])('%j is %s', (given, state) => {
    expect(stateOf(given)).toBe(state);
  });
});

describe('notReadyReasons', () => {
  it('is empty only while clients are let in and the log lives', () => {
    expect(notReadyReasons(facts('open', 5))).toEqual([]);
    expect(notReadyReasons({ ...facts('open'), placementFault: 'shards: …' })).toEqual(['shards: …']);
    expect(notReadyReasons(facts('draining', 0, false, true))).toEqual(['the write-ahead log has failed', 'draining']);
  });
});

describe('countInDoubt', () => {
  const count = (leftByPass: number, live: string[], handedOver: string[], driven: string[]) =>
    countInDoubt({ leftByPass, live: new Set(live), handedOver: new Set(handedOver), driven: new Set(driven) });

  it('does not count what a client waits for', () => {
    expect(count(0, ['1.1', '1.2'], [], ['1.1', '1.2', '1.3'])).toBe(0);
  });

  it('counts what was handed over although the coordinator still counts it as driven', () => {
    expect(count(0, ['1.1'], ['1.1', '1.2'], ['1.1', '1.2'])).toBe(2);
  });

  it('counts decisions of earlier runs that nobody drives, also while no shard shows them', () => {
    expect(count(0, ['1.1'], [], ['2.1'])).toBe(1);
  });

  it('counts what the last pass left prepared without any decision', () => {
    expect(count(2, [], [], [])).toBe(2);
  });
});

// How long clients had no answer around a fault, from the times in the outbox; pure.
import type { Answer } from '../../support/outbox.ts';

export interface Pauses {
  /** The longest that one client waited from its last answer before the fault to its first acknowledgement after it. */
  readonly worstMs: number;
  readonly medianMs: number;
  /** The longest time after the fault in which no client at all was acknowledged. */
  readonly allMs: number;
}

/** Answers in order of time; `undefined` when nobody was acknowledged after the fault. */
export function pausesAround(answers: readonly Answer[], faultAtMs: number, untilMs: number): Pauses | undefined {
  const byClient = Map.groupBy(answers, ({ client }) => client);
  const waits = [...byClient.values()].flatMap((own) => {
    const before = own.findLast(({ atMs }) => atMs <= faultAtMs);
    const after = own.find(({ atMs, told }) => atMs > faultAtMs && told === 'acknowledged');
    return before === undefined || after === undefined ? [] : [after.atMs - before.atMs];
  });
  const acknowledged = answers.filter(({ told, atMs }) => told === 'acknowledged' && atMs <= untilMs);
  const times = [faultAtMs, ...acknowledged.map(({ atMs }) => atMs).filter((atMs) => atMs > faultAtMs)];
  const gaps = times.slice(1).map((atMs, index) => atMs - (times[index] ?? atMs));
  if (waits.length === 0 || gaps.length === 0) return undefined;
  const sorted = waits.toSorted((a, b) => a - b);
  return {
    worstMs: sorted.at(-1) ?? 0,
    medianMs: sorted[Math.floor((sorted.length - 1) / 2)] ?? 0,
    allMs: Math.max(...gaps),
  };
}

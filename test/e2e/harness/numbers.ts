// The numbers that issue 6 asks for, over all rounds of a run; pure.
import type { Measure } from '../scenarios/scenario.ts';
import type { RoundResult } from './round.ts';
import { spread } from './table.ts';

interface Measured {
  readonly resolvedMs: number[];
  readonly worstPauseMs: number[];
  readonly medianPauseMs: number[];
}

function measured(rounds: readonly RoundResult[], measure: Measure): Measured {
  const out: Measured = { resolvedMs: [], worstPauseMs: [], medianPauseMs: [] };
  for (const { faults, reckoning } of rounds)
    faults.forEach((fault, index) => {
      const found = reckoning?.faults[index];
      if (fault.measures !== measure || found === undefined) return;
      for (const { resolvedAfterMs } of found.runs)
        if (resolvedAfterMs !== undefined) out.resolvedMs.push(resolvedAfterMs);
      if (found.pauses === undefined) return;
      out.worstPauseMs.push(found.pauses.worstMs);
      out.medianPauseMs.push(found.pauses.medianMs);
    });
  return out;
}

/** Lines for people; median and largest of each, in milliseconds. */
export function renderNumbers(rounds: readonly RoundResult[]): string {
  const death = measured(rounds, 'proxy-death');
  const lost = measured(rounds, 'volume-lost');
  const line = (what: string, values: readonly number[]) =>
    `  ${what.padEnd(86)} ${values.length === 0 ? 'not measured' : `${spread(values)} (${values.length})`}`;
  return [
    'Median / max in milliseconds (how many were measured):',
    line("from a proxy's death to its last in-doubt transaction resolved", death.resolvedMs),
    line('from a lost log volume to its last in-doubt transaction resolved', lost.resolvedMs),
    line('pause of the unluckiest client when one of two proxies dies', death.worstPauseMs),
    line('pause of the median client when one of two proxies dies', death.medianPauseMs),
  ].join('\n');
}

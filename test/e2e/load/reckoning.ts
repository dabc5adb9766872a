// The order for a reckoning and its result: what crosses between the harness and the load's pod.
import type { End } from '../../support/in-doubt.ts';
import type { Verdict } from '../../support/judge.ts';
import type { ToldCounts } from '../../support/transfer-ledger.ts';
import type { Pauses } from './pauses.ts';

export interface ReckonOrder {
  readonly folder: string;
  /** How long the load may take to be told the end of its last transfers. */
  readonly pauseTimeoutMs: number;
  /** How long something of ours may stay prepared once the load has stopped. */
  readonly drainTimeoutMs: number;
  /** Whether the load goes on afterwards. */
  readonly resume: boolean;
  readonly faults: readonly { readonly atMs: number; readonly instances: readonly string[] }[];
}

/** What a killed run of a proxy left in doubt. */
export interface RunFindings {
  readonly instance: string;
  /** Its epoch when it was killed; transactions of older ones count with it. */
  readonly epoch: number;
  /** Transactions, not branches. */
  readonly counts: Readonly<Record<End, number>>;
  readonly halfCommitted: number;
  readonly ends: Readonly<Record<string, End>>;
  /** From the fault to the last moment at which one of them was seen prepared; absent when there were none. */
  readonly resolvedAfterMs: number | undefined;
}

export interface FaultFindings {
  readonly runs: readonly RunFindings[];
  readonly pauses: Pauses | undefined;
}

export interface Reckoning {
  /** False when clients were still waiting for an answer after the time-out. */
  readonly paused: boolean;
  /** False when something of ours was still prepared after the time-out. */
  readonly drained: boolean;
  readonly verdict: Verdict;
  readonly told: ToldCounts;
  readonly summary: string;
  readonly loadStarts: number;
  readonly hangs: number;
  readonly faults: readonly FaultFindings[];
  readonly tookMs: number;
}

// Whether a failed call is sent again. A budget shared by all calls keeps a broken API server from being asked ever more.
import { type BackoffBounds, backoffMs } from './backoff.ts';
import type { KubeError, KubeErrorKind } from './kube-error.ts';

/** Calls earn a tenth of a retry each; a full budget allows a burst of ten. */
const BUDGET_MAX = 10;
const BUDGET_PER_CALL = 0.1;

export const ATTEMPTS_MAX = 4;
const BACKOFF: BackoffBounds = { minMs: 100, maxMs: 2_000 };

export class RetryBudget {
  #tokens = BUDGET_MAX;

  /** A first attempt succeeded or failed: it earns its share. */
  earn(): void {
    this.#tokens = Math.min(BUDGET_MAX, this.#tokens + BUDGET_PER_CALL);
  }

  /** Takes one retry; false when none is left. */
  spend(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/**
 * `refused`: the server says that it did nothing, so that every call may be repeated. `repeatable`: nobody knows, so that only
 * calls with the same effect twice are repeated.
 */
type RetryRule = 'never' | 'refused' | 'repeatable' | 'once';

const RULES: Readonly<Record<KubeErrorKind, RetryRule>> = {
  notFound: 'never',
  alreadyExists: 'never',
  conflict: 'never',
  invalid: 'never',
  forbidden: 'never',
  // The token on disk may be newer than ours.
  unauthorized: 'once',
  gone: 'never',
  tooManyRequests: 'refused',
  unavailable: 'repeatable',
  timeout: 'repeatable',
  aborted: 'never',
  notLeader: 'never',
  malformed: 'never',
};

export interface FailedAttempt {
  /** 1 for the first. */
  readonly attempt: number;
  /** True when the call has the same effect twice (read, apply, delete). */
  readonly repeatable: boolean;
  /** What is left of the call's time. */
  readonly leftMs: number;
}

/** Milliseconds until the next attempt, or `undefined`: the call failed. Does not look at the budget. */
export function retryDelayMs(error: KubeError, failed: FailedAttempt, random: () => number): number | undefined {
  const rule = RULES[error.kind];
  if (rule === 'never' || failed.attempt >= ATTEMPTS_MAX) return undefined;
  if (rule === 'once' && failed.attempt > 1) return undefined;
  if (rule === 'repeatable' && !failed.repeatable && error.mayHaveHappened) return undefined;
  const delayMs = Math.max(error.retryAfterMs ?? 0, backoffMs(failed.attempt, BACKOFF, random));
  return delayMs < failed.leftMs ? delayMs : undefined;
}

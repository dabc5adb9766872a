// When a shard may be tried again after a failed connect: later each time, and never at the same moment as everybody else.
import type { PoolOptions } from './pool-options.ts';
import type { ConnectFailure } from './target.ts';

export class ConnectBackoff {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #failures = 0;
  #retryAtMs = 0;
  #last: ConnectFailure | undefined;

  /** `random` gives numbers in [0, 1). */
  constructor(
    { backoffMinMs = 100, backoffMaxMs = 3_000 }: Pick<PoolOptions, 'backoffMinMs' | 'backoffMaxMs'>,
    random: () => number,
  ) {
    this.#minMs = backoffMinMs;
    this.#maxMs = backoffMaxMs;
    this.#random = random;
  }

  /** The failure that nothing has disproved yet. */
  get last(): ConnectFailure | undefined {
    return this.#last;
  }

  /** Monotonic time of the next try; in the past when there is nothing to wait for. */
  get retryAtMs(): number {
    return this.#retryAtMs;
  }

  failed(failure: ConnectFailure, nowMs: number): void {
    const fullMs = Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    this.#last = failure;
    this.#retryAtMs = nowMs + fullMs * (0.5 + this.#random() / 2);
  }

  succeeded(): void {
    this.#failures = 0;
    this.#last = undefined;
    this.#retryAtMs = 0;
  }
}

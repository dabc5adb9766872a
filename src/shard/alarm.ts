// One sleeper that can be set to an earlier time: a pool has one timer, however many wait.
import type { Clock } from '../kernel/clock.ts';

export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #sleeping: AbortController | undefined;
  #atMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings at `atMs` (monotonic), unless it is set to ring earlier already. */
  set(atMs: number): void {
    if (atMs >= this.#atMs) return;
    this.stop();
    const sleeping = new AbortController();
    this.#sleeping = sleeping;
    this.#atMs = atMs;
    void this.#clock.sleep(Math.max(0, atMs - this.#clock.monotonicMs()), sleeping.signal).then(() => {
      if (this.#sleeping !== sleeping) return;
      this.stop();
      this.#ring();
    });
  }

  stop(): void {
    this.#sleeping?.abort();
    this.#sleeping = undefined;
    this.#atMs = Number.POSITIVE_INFINITY;
  }
}

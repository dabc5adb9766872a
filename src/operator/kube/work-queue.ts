// Keys of objects that need work: each key waits at most once and is worked on by one worker at a time.
import type { Clock } from '../../kernel/clock.ts';
import { type BackoffBounds, backoffMs } from './backoff.ts';

export interface WorkQueueOptions {
  readonly clock: Clock;
  /** Numbers in [0, 1), for jitter. */
  readonly random: () => number;
  /** Keys that may wait at once, ready and delayed together; default 10,000. */
  readonly keysMax?: number;
  /** Between tries of a key that fails; default 0.2 s to 5 min. */
  readonly backoff?: BackoffBounds;
}

/** What a worker makes of a key; a throw counts as `failed`. */
export type WorkOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'again'; readonly afterMs: number }
  | { readonly kind: 'failed'; readonly error: unknown };

export type Work = (key: string, signal: AbortSignal) => Promise<WorkOutcome>;

export interface WorkFailure {
  readonly key: string;
  readonly error: unknown;
  /** In a row. */
  readonly failures: number;
  readonly againMs: number;
}

const KEYS_MAX = 10_000;
const BACKOFF: BackoffBounds = { minMs: 200, maxMs: 300_000 };
const TOUCHED_AGAIN_MS = 1_000;

/**
 *   add ──▶ ready ──take──▶ active ──done──▶ (gone)
 *    │                        │ ▲ added meanwhile: ready again when done
 *    └─ after ms ─▶ delayed ──┘ again, failed: delayed
 */
export class WorkQueue {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #keysMax: number;
  readonly #backoff: BackoffBounds;
  /** In the order of arrival. */
  readonly #ready = new Set<string>();
  readonly #active = new Set<string>();
  /** Active keys that were added meanwhile. */
  readonly #dirty = new Set<string>();
  /** Key → monotonic time; the earlier of two wins. */
  readonly #delayed = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  #takers: (() => void)[] = [];
  #timer: { readonly dueMs: number; readonly stop: AbortController } | undefined;
  #refused = 0;

  constructor({ clock, random, keysMax = KEYS_MAX, backoff = BACKOFF }: WorkQueueOptions) {
    this.#clock = clock;
    this.#random = random;
    this.#keysMax = keysMax;
    this.#backoff = backoff;
  }

  /** Keys that wait, ready and delayed. */
  get depth(): number {
    return this.#ready.size + this.#delayed.size;
  }

  get active(): number {
    return this.#active.size;
  }

  /** Keys turned away because the queue was full; a resync of the reflector brings them again. */
  get refused(): number {
    return this.#refused;
  }

  /** Wants work on `key`, now or after `afterMs`. False when the queue is full. */
  add(key: string, afterMs = 0): boolean {
    if (!this.#knows(key) && this.depth >= this.#keysMax) {
      this.#refused += 1;
      return false;
    }
    if (afterMs > 0) this.#delay(key, this.#clock.monotonicMs() + afterMs);
    else this.#makeReady(key);
    return true;
  }

  /** Works on keys with `workers` at a time until `signal` aborts and the running ones are through; never rejects. */
  async run(
    workers: number,
    work: Work,
    signal: AbortSignal,
    onFailure: (failure: WorkFailure) => void = () => undefined,
  ): Promise<void> {
    const wake = () => this.#wakeAll();
    signal.addEventListener('abort', wake);
    const loops = Array.from({ length: workers }, async () => {
      for (let key = await this.#take(signal); key !== undefined; key = await this.#take(signal)) {
        const outcome = await attempt(work, key, signal);
        this.#finish(key, outcome, onFailure);
      }
    });
    await Promise.all(loops);
    signal.removeEventListener('abort', wake);
    this.#timer?.stop.abort();
    this.#timer = undefined;
  }

  async #take(signal: AbortSignal): Promise<string | undefined> {
    for (;;) {
      if (signal.aborted) return undefined;
      const [key] = this.#ready;
      if (key !== undefined) {
        this.#ready.delete(key);
        this.#active.add(key);
        return key;
      }
      await new Promise<void>((resolve) => this.#takers.push(resolve));
    }
  }

  #finish(key: string, outcome: WorkOutcome, onFailure: (failure: WorkFailure) => void): void {
    this.#active.delete(key);
    const touched = this.#dirty.delete(key);
    if (outcome.kind === 'failed') {
      const failures = (this.#failures.get(key) ?? 0) + 1;
      this.#failures.set(key, failures);
      const fullMs = backoffMs(failures, this.#backoff, this.#random);
      // What changed meanwhile may be the cure, so it is tried soon; not at once, as it may be an echo of the failed try.
      const againMs = touched ? Math.min(fullMs, TOUCHED_AGAIN_MS) : fullMs;
      this.#delay(key, this.#clock.monotonicMs() + againMs);
      onFailure({ key, error: outcome.error, failures, againMs });
      return;
    }
    this.#failures.delete(key);
    if (touched) this.#makeReady(key);
    else if (outcome.kind === 'again') this.#delay(key, this.#clock.monotonicMs() + outcome.afterMs);
  }

  #knows(key: string): boolean {
    return this.#ready.has(key) || this.#active.has(key) || this.#delayed.has(key);
  }

  #makeReady(key: string): void {
    // Work now does what work later was wanted for.
    this.#delayed.delete(key);
    if (this.#active.has(key)) {
      this.#dirty.add(key);
      return;
    }
    this.#ready.add(key);
    this.#takers.shift()?.();
  }

  #delay(key: string, dueMs: number): void {
    if (this.#ready.has(key)) return;
    this.#delayed.set(key, Math.min(dueMs, this.#delayed.get(key) ?? dueMs));
    this.#wakeAt(dueMs);
  }

  /** One sleeper, for the earliest key. */
  #wakeAt(dueMs: number): void {
    if (this.#timer !== undefined && this.#timer.dueMs <= dueMs) return;
    this.#timer?.stop.abort();
    const timer = { dueMs, stop: new AbortController() };
    this.#timer = timer;
    void this.#clock.sleep(Math.max(0, dueMs - this.#clock.monotonicMs()), timer.stop.signal).then(() => {
      if (this.#timer === timer) this.#due();
    });
  }

  #due(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [key, atMs] of this.#delayed) {
      if (atMs <= nowMs) this.#makeReady(key);
      else nextMs = Math.min(nextMs, atMs);
    }
    if (nextMs !== Number.POSITIVE_INFINITY) this.#wakeAt(nextMs);
  }

  #wakeAll(): void {
    const takers = this.#takers;
    this.#takers = [];
    for (const wake of takers) wake();
  }
}

async function attempt(work: Work, key: string, signal: AbortSignal): Promise<WorkOutcome> {
  try {
    return await work(key, signal);
  } catch (error) {
    return { kind: 'failed', error };
  }
}

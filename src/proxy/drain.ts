// DRAIN and RESUME: clients go as their transactions end, then passes look until nothing of ours is left anywhere. The rule:
// Clean is said only after a pass that began when no client was left, reached every shard and found nothing.
import type { Clock } from '../kernel/clock.ts';
import type { PassReport } from '../recovery/report.ts';

export interface DrainDeps {
  readonly clock: Clock;
  readonly listener: { readonly clients: number; drain(): void; resume(): void };
  /** Transactions that hold connections, and commits that are still being driven. */
  readonly busy: () => boolean;
  /** Decisions without their end, and what recovery was handed. */
  readonly unfinished: () => number;
  readonly pass: () => Promise<PassReport>;
  /** Between two passes that found something, milliseconds. */
  readonly passIntervalMs: () => number;
}

const LOOK_MS = 20;

export class Drain {
  readonly #deps: DrainDeps;
  #stopping: AbortController | undefined;
  #clean = false;

  constructor(deps: DrainDeps) {
    this.#deps = deps;
  }

  /** Nothing of ours is left: the log may be closed for good, and its volume is not needed by anybody. */
  get clean(): boolean {
    return this.#clean;
  }

  begin(): void {
    this.#deps.listener.drain();
    if (this.#stopping !== undefined) return;
    this.#stopping = new AbortController();
    void this.#run(this.#stopping.signal);
  }

  resume(): void {
    this.cancel();
    this.#deps.listener.resume();
  }

  /** Stops looking; the clients stay sent away. */
  cancel(): void {
    this.#stopping?.abort();
    this.#stopping = undefined;
    this.#clean = false;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, listener, busy, unfinished, pass, passIntervalMs } = this.#deps;
    while (!signal.aborted) {
      if (listener.clients > 0 || busy()) {
        await clock.sleep(LOOK_MS, signal);
        continue;
      }
      const report = await pass();
      if (signal.aborted) return;
      // The pass that was joined may have begun while somebody was still there; the next one has not.
      if (unfinished() === 0 && isEmpty(report) && isEmpty(await pass())) {
        this.#clean = !signal.aborted;
        return;
      }
      await clock.sleep(passIntervalMs(), signal);
    }
  }
}

function isEmpty({ foundInDoubt, committed, rolledBack, held, waiting, unreachableShards }: PassReport): boolean {
  const left = foundInDoubt - committed - rolledBack;
  return left <= 0 && held.length === 0 && waiting === 0 && unreachableShards.length === 0;
}

// The segments a log retains, and the one way they may go: from the oldest on, never the one in use, never under a reader.

import type { SegmentSummary } from './log-reader.ts';
import type { Storage } from './storage.ts';

export class SegmentList {
  readonly #storage: Storage;
  #segments: SegmentSummary[];
  readonly #readers = new Set<Promise<void>>();
  #removing: Promise<void> | undefined;
  /** Prunes follow each other. */
  #pruning: Promise<unknown> = Promise.resolve();

  constructor(storage: Storage, segments: readonly SegmentSummary[]) {
    this.#storage = storage;
    this.#segments = [...segments];
  }

  /** First lsn retained; 1 for a log that never had a segment. */
  get oldest(): number {
    return this.#segments[0]?.firstLsn ?? 1;
  }

  /** All segments; `lastLsn` and `bytes` are those of the one in use. */
  all(lastLsn: number, bytes: number): readonly SegmentSummary[] {
    const current = this.#segments.at(-1);
    return current === undefined ? [] : [...this.#segments.slice(0, -1), { ...current, lastLsn, bytes }];
  }

  /** The segment in use is complete and a new one takes its place. */
  begin(next: SegmentSummary, finished: { readonly lastLsn: number; readonly bytes: number } | undefined): void {
    const previous = this.#segments.pop();
    if (previous !== undefined) this.#segments.push(finished === undefined ? previous : { ...previous, ...finished });
    this.#segments.push(next);
  }

  /** Runs a read during which no segment is deleted. */
  async reading(read: () => Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#readers.add(promise);
    try {
      await this.#removing?.catch(() => undefined); // the pruner hears of a failure
      await read();
    } finally {
      this.#readers.delete(promise);
      resolve();
    }
  }

  /** Deletes from the oldest on while `keep` says false. Rejects with a system error; what is gone by then is gone. */
  prune(keep: (segment: SegmentSummary) => boolean): Promise<readonly SegmentSummary[]> {
    const pruned = this.#pruning.then(() => this.#prune(keep));
    this.#pruning = pruned.catch(() => undefined);
    return pruned;
  }

  async #prune(keep: (segment: SegmentSummary) => boolean): Promise<readonly SegmentSummary[]> {
    const gone: SegmentSummary[] = [];
    for (;;) {
      const [oldest, next] = this.#segments;
      if (oldest === undefined || next === undefined || keep(oldest)) return gone;
      while (this.#readers.size > 0) await Promise.all(this.#readers);
      this.#removing = this.#storage.remove(oldest.name);
      // Oldest first, each durable before the next: a crash here leaves a log that begins later, never a hole.
      await this.#removing;
      this.#segments.shift();
      gone.push(oldest);
    }
  }
}

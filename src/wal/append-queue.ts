// Who waits for what: records without a place in the log yet, and callers whose record is on its way to the disk.

/** One caller of `append`. */
export interface Waiter {
  /** 0 until the record was handed to the storage: only then its place is certain. */
  lsn: number;
  readonly resolve: (lsn: number) => void;
  readonly reject: (error: Error) => void;
}

/** Lazy records wait for a group to go with, but not more of them than this. */
const LAZY_BYTES_MAX = 256 * 1024;

interface Queued {
  readonly bytes: Uint8Array;
  /** Nobody waits for a lazy record. */
  readonly waiter: Waiter | undefined;
}

export class AppendQueue {
  #queued: Queued[] = [];
  #queuedBytes = 0;
  #queuedWaiters = 0;
  /** In the order of their lsn. */
  #waiting: Waiter[] = [];

  get isEmpty(): boolean {
    return this.#queued.length === 0;
  }

  /** True when the queue must move by itself: somebody waits for a record in it, or it holds too much. */
  get isPressing(): boolean {
    return this.#queuedWaiters > 0 || this.#queuedBytes > LAZY_BYTES_MAX;
  }

  push(bytes: Uint8Array, waiter: Waiter | undefined): void {
    this.#queued.push({ bytes, waiter });
    this.#queuedBytes += bytes.length;
    if (waiter !== undefined) this.#queuedWaiters += 1;
  }

  /** Hands over the records in order until one is not taken. */
  move(take: (bytes: Uint8Array, waiter: Waiter | undefined) => boolean): void {
    let moved = 0;
    for (const { bytes, waiter } of this.#queued) {
      if (!take(bytes, waiter)) break;
      this.#queuedBytes -= bytes.length;
      if (waiter !== undefined) this.#queuedWaiters -= 1;
      moved += 1;
    }
    this.#queued.splice(0, moved);
  }

  /** The waiter's record has its lsn and is on its way. */
  await(waiter: Waiter): void {
    this.#waiting.push(waiter);
  }

  /** Tells everybody whose record is at or below `lsn`. */
  committed(lsn: number): void {
    const next = this.#waiting.findIndex((waiter) => waiter.lsn > lsn);
    const met = this.#waiting.splice(0, next < 0 ? this.#waiting.length : next);
    for (const waiter of met) waiter.resolve(waiter.lsn);
  }

  failed(failure: Error): void {
    for (const waiter of this.#waiting.splice(0)) waiter.reject(failure);
    for (const { waiter } of this.#queued.splice(0)) waiter?.reject(failure);
    this.#queuedBytes = 0;
    this.#queuedWaiters = 0;
  }
}

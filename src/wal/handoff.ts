// Two slots of shared memory through which records reach the writing thread without a message: the log's thread takes
// everything that waits in one exchange, while the main thread already fills the other slot.
//
// One 32-bit word is the whole protocol:   ┌ bytes waiting ┬ command? ┬ slot being filled ┐
//                                          │ 30 bits       │ 1        │ 1                 │
// Only the main thread adds bytes or the command bit, only the writing thread flips the slot (and clears the rest). It
// flips only when something waits, and it is done with the other slot then, so a filled slot is never written again
// before it is on disk.

import { APPEND_BYTES_MAX, lsnAt, stampRecord, viewOf } from './format.ts';

export const SLOT_BYTES = 2 * APPEND_BYTES_MAX;

const WORD_BYTES = 64; // a cache line of its own
const SLOT_BIT = 1;
const COMMAND_BIT = 2;
const BYTES_SHIFT = 2;

export const newHandoffMemory = (): SharedArrayBuffer => new SharedArrayBuffer(WORD_BYTES + 2 * SLOT_BYTES);

const slotsOf = (memory: SharedArrayBuffer): readonly [Uint8Array, Uint8Array] => [
  new Uint8Array(memory, WORD_BYTES, SLOT_BYTES),
  new Uint8Array(memory, WORD_BYTES + SLOT_BYTES, SLOT_BYTES),
];

/** The main thread's end. */
export class HandoffSender {
  readonly #word: Int32Array;
  readonly #slots: readonly [Uint8Array, Uint8Array];
  readonly #views: readonly [DataView, DataView];
  /** Durable when the group that is being gathered is written: it is taken when the one before it is on disk. */
  #before = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#word = new Int32Array(memory, 0, 1);
    const slots = slotsOf(memory);
    this.#slots = slots;
    this.#views = [viewOf(slots[0]), viewOf(slots[1])];
  }

  /**
   * Copies a record in and stamps it for the segment, which is time that the writing thread would take between two syncs:
   * 'first' when the slot was empty, so that the writing thread may sleep (see wake).
   */
  offer(record: Uint8Array, segmentId: number): 'first' | 'further' | 'full' {
    for (;;) {
      const seen = Atomics.load(this.#word, 0);
      const used = seen >>> BYTES_SHIFT;
      if (used + record.length > SLOT_BYTES) return 'full';
      const slot = (seen & SLOT_BIT) as 0 | 1;
      const bytes = this.#slots[slot];
      const view = this.#views[slot];
      bytes.set(record, used);
      if (used === 0) this.#before = lsnAt(view, 0) - 1;
      stampRecord(bytes, view, used, segmentId, this.#before);
      // When the slot was flipped meanwhile, the copy lies unread behind what was taken: do it again in the other.
      const added = seen + (record.length << BYTES_SHIFT);
      if (Atomics.compareExchange(this.#word, 0, seen, added) !== seen) continue;
      return used === 0 ? 'first' : 'further';
    }
  }

  /** Wakes the writing thread if it sleeps. */
  wake(): void {
    Atomics.notify(this.#word, 0);
  }

  /** Tells the writing thread that a command waits in its message port. */
  signalCommand(): void {
    Atomics.or(this.#word, 0, COMMAND_BIT);
    Atomics.notify(this.#word, 0);
  }
}

export interface Taken {
  /** Records to write; valid until the next `take`. */
  readonly group: Uint8Array;
  readonly command: boolean;
}

/** The writing thread's end. */
export class HandoffReceiver {
  readonly #word: Int32Array;
  readonly #slots: readonly [Uint8Array, Uint8Array];

  constructor(memory: SharedArrayBuffer) {
    this.#word = new Int32Array(memory, 0, 1);
    this.#slots = slotsOf(memory);
  }

  /** Blocks this thread until something waits, then takes all of it. */
  take(): Taken {
    for (;;) {
      const seen = Atomics.load(this.#word, 0);
      if ((seen & ~SLOT_BIT) === 0) {
        Atomics.wait(this.#word, 0, seen);
        continue;
      }
      const slot = (seen & SLOT_BIT) as 0 | 1;
      const taken = Atomics.exchange(this.#word, 0, slot ^ SLOT_BIT);
      return {
        group: this.#slots[slot].subarray(0, taken >>> BYTES_SHIFT),
        command: (taken & COMMAND_BIT) !== 0,
      };
    }
  }
}

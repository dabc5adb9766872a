// The units of one connection that wait for their replies, oldest first; a queue that costs nothing while it holds one.
import type { ReplySink } from './reply-sink.ts';

/** Answered units are cut off in blocks, so that a long pipeline costs linear time. */
const CUT_AT = 1024;

export class UnitQueue {
  #sinks: ReplySink[] = [];
  #head = 0;

  get length(): number {
    return this.#sinks.length - this.#head;
  }

  /** The unit being answered. */
  get first(): ReplySink | undefined {
    return this.#sinks[this.#head];
  }

  push(sink: ReplySink): void {
    this.#sinks.push(sink);
  }

  /** Forgets the unit that was answered. */
  shift(): void {
    this.#head += 1;
    if (this.#head === this.#sinks.length) {
      this.#sinks.length = 0;
      this.#head = 0;
    } else if (this.#head >= CUT_AT) {
      this.#sinks = this.#sinks.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Empties the queue and returns what was in it, oldest first. */
  takeAll(): ReplySink[] {
    const all = this.#sinks.slice(this.#head);
    this.#sinks = [];
    this.#head = 0;
    return all;
  }
}

// The transactions of all clients that have something open on a shard, for those who must look at them together.
import type { Deadlock } from './deadlock-error.ts';

/** One server process that takes part in a transaction. */
export interface TransactionBackend {
  /** Logical shard name. */
  readonly shard: string;
  readonly pid: number;
  /** A reply is still to come. */
  readonly busy: boolean;
}

/** What can be seen of a transaction from outside its session. */
export interface RunningTransaction {
  /** Of two transactions the one with the higher number began later. */
  readonly order: number;
  /** Another number whenever one of its statements begins or ends. */
  readonly step: number;
  /** From the first commit phase on nothing of it may be cancelled. */
  readonly committing: boolean;
  backends(): TransactionBackend[];
  /** Cancels what it runs now; the client is told of the deadlock. */
  cancelFor(deadlock: Deadlock): void;
}

export class RunningTransactions {
  readonly #running = new Set<RunningTransaction>();
  #begun = 0;

  /** The order of the next transaction. */
  nextOrder(): number {
    this.#begun++;
    return this.#begun;
  }

  /** Called when its first shard joins. */
  add(transaction: RunningTransaction): void {
    this.#running.add(transaction);
  }

  /** Called when its connections have gone back. */
  remove(transaction: RunningTransaction): void {
    this.#running.delete(transaction);
  }

  has(transaction: RunningTransaction): boolean {
    return this.#running.has(transaction);
  }

  [Symbol.iterator](): IterableIterator<RunningTransaction> {
    return this.#running.values();
  }
}

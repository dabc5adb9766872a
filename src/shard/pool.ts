// The server connections of one shard × database × user: borrowed for a transaction, given back, never in two hands.
//
//   waiters (FIFO, deadline) ◀─take─┐
//        │ handed over              │              ┌─▶ idle (last in, first out) ─tryTake─▶ leased
//        ▼                          │   connect ───┤                                         │
//      leased ───────give──────────▶ reusable? ────┴──▶ no: closed ◀───────────────────────give
//
// The rules: while somebody waits nothing is idle; what is not provably clean is closed; one timer for all waiters.
import { assert } from '../kernel/assert.ts';
import { ScramKeyCache } from '../protocol/scram.ts';
import type { SqlError } from '../protocol/sql-error.ts';
import { Alarm } from './alarm.ts';
import { ConnectBackoff } from './connect-backoff.ts';
import { ServerConnection } from './connection.ts';
import { queueFullError, shutDownError, waitedTooLongError } from './pool-errors.ts';
import type { PoolOptions, PoolStats, Taken } from './pool-options.ts';
import { nextLookAtMs, refused, type Slot, type Waiter } from './pool-slots.ts';
import { PrimaryWatch } from './primary-watch.ts';
import { ConnectFailure, type ShardTarget, sameTarget } from './target.ts';

export type { PoolOptions, PoolStats, Taken };

export class Pool {
  #target: ShardTarget;
  #options: PoolOptions;
  readonly #backoff: ConnectBackoff;
  #primary: PrimaryWatch;
  #scramKeys = new ScramKeyCache();
  /** Another number when the target is another: what was made for an earlier one is not used again. */
  #generation = 0;
  readonly #random: () => number;
  /** Every connection that is open and ours. */
  readonly #slots = new Map<ServerConnection, Slot>();
  #idle: Slot[] = [];
  readonly #waiters: Waiter[] = [];
  readonly #closing = new Set<Promise<void>>();
  #opening = 0;
  #state: 'open' | 'draining' | 'closed' = 'open';
  #drained: (() => void)[] = [];
  readonly #alarm: Alarm;
  readonly #counts = { opened: 0, connectFailures: 0, waitTimeouts: 0 };

  constructor(target: ShardTarget, options: PoolOptions) {
    this.#target = target;
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#backoff = new ConnectBackoff(options, this.#random);
    this.#primary = new PrimaryWatch(target);
    this.#alarm = new Alarm(options.clock, () => this.#sweep());
  }

  get target(): ShardTarget {
    return this.#target;
  }

  /**
   * Other limits from now on, and perhaps another address or login. Connections to the former one are closed as they come
   * back; who waits goes on waiting, for a connection to the new one.
   */
  reconfigure(target: ShardTarget, options: PoolOptions): void {
    if (this.#state !== 'open') return;
    this.#options = options;
    if (!sameTarget(target, this.#target)) {
      this.#target = target;
      this.#generation += 1;
      this.#primary = new PrimaryWatch(target);
      this.#scramKeys = new ScramKeyCache();
      this.#backoff.succeeded();
      for (const slot of this.#idle.splice(0)) this.#discard(slot);
    }
    for (const slot of this.#idle.splice(0, this.#slots.size - options.sizeMax)) this.#discard(slot);
    this.#openForWaiters();
    this.#setAlarm();
  }

  /** An idle connection at once, or undefined: then take() has to be asked. */
  tryTake(): ServerConnection | undefined {
    if (this.#state !== 'open') return undefined;
    for (let slot = this.#idle.pop(); slot !== undefined; slot = this.#idle.pop()) {
      if (this.#fresh(slot, this.#nowMs())) {
        slot.leased = true;
        return slot.connection;
      }
      this.#discard(slot);
    }
    return undefined;
  }

  /**
   * A connection, in the order of asking. Refused (with what to tell the client) when the shard cannot be reached, the
   * queue is full, the wait is over, or the pool is closing.
   */
  take(): Promise<Taken> {
    if (this.#state !== 'open') return Promise.resolve(refused(shutDownError(this.#target)));
    const connection = this.tryTake();
    if (connection !== undefined) return Promise.resolve({ kind: 'leased', connection });
    const nowMs = this.#nowMs();
    const down = this.#backoff.last;
    // A shard that is known to be down is not asked again by every client, and no client waits for it.
    if (down !== undefined && nowMs < this.#backoff.retryAtMs && this.#slots.size + this.#opening === 0) {
      return Promise.resolve(refused(down.sqlError));
    }
    if (this.#waiters.length >= this.#options.queueMax) {
      return Promise.resolve(refused(queueFullError(this.#target, this.stats())));
    }
    return new Promise((resolve) => {
      this.#waiters.push({ since: nowMs, deadlineMs: nowMs + this.#options.queueWaitMs, resolve });
      this.#openForWaiters();
      this.#setAlarm();
    });
  }

  /** Takes a connection back; only a clean one is kept. Must be called once for every lease. */
  give(connection: ServerConnection): void {
    const slot = this.#slots.get(connection);
    if (slot === undefined) {
      assert(connection.closed, 'a connection is given back to its own pool, once');
      return;
    }
    assert(slot.leased, 'a connection is given back once');
    const { cancelling } = connection;
    if (cancelling !== undefined) {
      // A cancel request under way must not hit the next client; until it has ended the connection counts as leased.
      void cancelling.then(() => this.give(connection));
      return;
    }
    const nowMs = this.#nowMs();
    const keep = this.#state === 'open' && this.#slots.size <= this.#options.sizeMax;
    if (keep && connection.reusable && this.#fresh(slot, nowMs)) this.#offer(slot, nowMs);
    else this.#discard(slot);
  }

  /** False from a failed connect until one succeeds: whoever is free to choose takes another shard. */
  get reachable(): boolean {
    return this.#backoff.last === undefined;
  }

  stats(): PoolStats {
    const [first] = this.#waiters;
    return {
      sizeMax: this.#options.sizeMax,
      idle: this.#idle.length,
      leased: this.#slots.size - this.#idle.length,
      opening: this.#opening,
      waiting: this.#waiters.length,
      oldestWaitMs: first === undefined ? 0 : this.#nowMs() - first.since,
      ...this.#counts,
      lastFailure: this.#backoff.last?.message,
    };
  }

  /**
   * Leases nothing more and resolves once every lease was given back. Call it when the sessions have ended: a running
   * transaction may still need its next shard.
   */
  async drain(): Promise<void> {
    if (this.#state === 'open') this.#state = 'draining';
    this.#refuseWaiters(shutDownError(this.#target));
    for (const slot of this.#idle.splice(0)) this.#discard(slot);
    if (this.#slots.size + this.#opening > 0) await new Promise<void>((resolve) => this.#drained.push(resolve));
    // A crash here leaves connections that the servers close by themselves.
    await Promise.all(this.#closing);
    this.#alarm.stop();
  }

  /** Closes everything now; what is leased is lost for whoever holds it. */
  async close(): Promise<void> {
    this.#state = 'closed';
    for (const slot of [...this.#slots.values()]) {
      if (slot.leased) slot.connection.destroy('the pool is closing');
    }
    await this.drain();
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }

  #fresh(slot: Slot, nowMs: number): boolean {
    if (slot.generation !== this.#generation) return false;
    return nowMs < slot.expiresAtMs && !slot.connection.closed && this.#primary.isCurrent(slot.connection.identity);
  }

  /** Hands a clean connection to who waits longest, or keeps it. */
  #offer(slot: Slot, nowMs: number): void {
    slot.connection.forgetListeners();
    const waiter = this.#waiters.shift();
    slot.leased = waiter !== undefined;
    slot.idleSinceMs = nowMs;
    if (waiter === undefined) this.#idle.push(slot);
    else waiter.resolve({ kind: 'leased', connection: slot.connection });
  }

  #discard(slot: Slot): void {
    const { connection } = slot;
    connection.onClosed = undefined;
    this.#slots.delete(connection);
    // A reply that nobody waits for any more must not hold the server up.
    if (connection.pendingUnits > 0) connection.destroy('given back with work under way');
    const closing = connection.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    this.#roomWasMade();
  }

  /** The server or the network ended a connection of ours. */
  #wasClosed(connection: ServerConnection): void {
    this.#slots.delete(connection);
    this.#idle = this.#idle.filter((slot) => slot.connection !== connection);
    this.#roomWasMade();
  }

  #roomWasMade(): void {
    this.#openForWaiters();
    if (this.#slots.size + this.#opening > 0) return;
    for (const resolve of this.#drained.splice(0)) resolve();
  }

  #openForWaiters(): void {
    const { sizeMax } = this.#options;
    while (this.#waiters.length > this.#opening && this.#slots.size + this.#opening < sizeMax) {
      const troubled = this.#backoff.last !== undefined;
      // A shard in trouble is asked by one connection at a time.
      if (troubled && (this.#opening > 0 || this.#nowMs() < this.#backoff.retryAtMs)) return;
      this.#opening += 1;
      void this.#open();
    }
  }

  async #open(): Promise<void> {
    const { clock, connectTimeoutMs, connect = ServerConnection.connect } = this.#options;
    const generation = this.#generation;
    let connection: ServerConnection;
    try {
      // A crash here leaves a login without work; the server ends it.
      connection = await connect(this.#target, { clock, connectTimeoutMs, scramKeys: this.#scramKeys });
      if (generation === this.#generation) this.#primary.admit(connection);
    } catch (error) {
      this.#opening -= 1;
      if (!(error instanceof ConnectFailure)) throw error;
      // A failure to reach the former target says nothing about the new one.
      if (generation === this.#generation) this.#connectFailed(error);
      else this.#roomWasMade();
      return;
    }
    this.#opening -= 1;
    this.#counts.opened += 1;
    if (generation === this.#generation) this.#backoff.succeeded();
    const nowMs = this.#nowMs();
    const expiresAtMs = nowMs + this.#options.lifetimeMs * (0.8 + this.#random() / 5);
    const slot: Slot = { connection, generation, expiresAtMs, leased: true, idleSinceMs: nowMs };
    this.#slots.set(connection, slot);
    connection.onClosed = () => this.#wasClosed(connection);
    if (connection.closed) this.#wasClosed(connection);
    else if (this.#state === 'open' && generation === this.#generation) this.#offer(slot, nowMs);
    else this.#discard(slot);
    this.#openForWaiters();
    this.#setAlarm();
  }

  #connectFailed(failure: ConnectFailure): void {
    this.#counts.connectFailures += 1;
    this.#backoff.failed(failure, this.#nowMs());
    // With other connections alive, or about to be, the waiters still have something to wait for.
    if (this.#slots.size + this.#opening === 0) this.#refuseWaiters(failure.sqlError);
    this.#roomWasMade();
    this.#setAlarm();
  }

  #refuseWaiters(error: SqlError): void {
    for (const waiter of this.#waiters.splice(0)) waiter.resolve(refused(error));
  }

  /** One sleeper for the whole pool: the first waiter's deadline, the next connect, or a look at what is idle. */
  #setAlarm(): void {
    const [first] = this.#waiters;
    this.#alarm.set(nextLookAtMs(this.#nowMs(), this.#slots.size, first, this.#backoff.retryAtMs, this.#options));
  }

  #sweep(): void {
    const nowMs = this.#nowMs();
    const inTime = this.#waiters.findIndex((waiter) => waiter.deadlineMs > nowMs);
    for (const late of this.#waiters.splice(0, inTime < 0 ? this.#waiters.length : inTime)) {
      this.#counts.waitTimeouts += 1;
      late.resolve(refused(waitedTooLongError(this.#target, this.stats(), this.#options.queueWaitMs)));
    }
    const stale = (slot: Slot) => nowMs - slot.idleSinceMs >= this.#options.idleMs || !this.#fresh(slot, nowMs);
    const closing = this.#idle.filter(stale);
    this.#idle = this.#idle.filter((slot) => !stale(slot));
    for (const slot of closing) this.#discard(slot);
    this.#openForWaiters();
    this.#setAlarm();
  }
}

// One client transaction over several shards: which shards joined, what late joiners are told, who wrote. A shard joins
// when a statement is routed to it; BEGIN leaves in the same packet as that statement.
import type { SqlError } from '../protocol/sql-error.ts';
import type { ServerConnection } from '../shard/connection.ts';
import { type Deadlock, errorOfVictim } from './deadlock-error.ts';
import type { Riders } from './dispatch.ts';
import { TransactionJournal } from './journal.ts';
import { leaseConnection, returnConnection } from './lease.ts';
import type { RunningTransaction, TransactionBackend } from './running-transactions.ts';
import type { SessionState } from './session-state.ts';

export interface SessionBranch {
  readonly shard: number;
  readonly connection: ServerConnection;
  /** How many statements that may have written were sent here. */
  writes: number;
  /** pg_current_xact_id_if_assigned(): text, null for none, undefined when not known since the last write. */
  xid: string | null | undefined;
  /** The question for the xid that is on its way, and how many writes it stands behind. */
  asking: Promise<void> | undefined;
  askedAtWrites: number;
  /** The BEGIN that the unit which is sent next carries; undefined once it was sent. */
  begin: string | undefined;
}

/**
 * open → failed (an error; ROLLBACK TO reopens) → broken (a branch is gone; only ROLLBACK is left)
 */
export type TransactionState = 'open' | 'failed' | 'broken';

export class ClientTransaction implements RunningTransaction {
  /** A block that the client did not open itself: it ends with the statement, the Query or the Sync. */
  hidden: boolean;
  readonly journal: TransactionJournal;
  readonly branches = new Map<number, SessionBranch>();
  /** Cursors by name → the shard that holds them. */
  readonly cursors = new Map<string, number>();
  readonly order: number;
  #state: TransactionState = 'open';
  #step = 0;
  #deadlock: Deadlock | undefined;
  readonly #session: SessionState;

  constructor(session: SessionState, options: { hidden: boolean; modes: string }) {
    this.#session = session;
    this.order = session.services.running.nextOrder();
    this.hidden = options.hidden;
    this.journal = new TransactionJournal(options.modes);
  }

  get state(): TransactionState {
    return this.#state;
  }

  get step(): number {
    return this.#step;
  }

  get committing(): boolean {
    return this.#session.committing;
  }

  /** On how many shards something may have been written. */
  get writers(): number {
    let writers = 0;
    for (const { writes } of this.branches.values()) if (writes > 0) writers++;
    return writers;
  }

  backends(): TransactionBackend[] {
    return [...this.branches.values()].map(({ connection }) => ({
      shard: connection.shard,
      pid: connection.identity.backendPid,
      busy: connection.pendingUnits > 0,
    }));
  }

  /** Cancels what it runs now: it closes a circle of waits over several shards, and was chosen to break it. */
  cancelFor(deadlock: Deadlock): void {
    this.#deadlock = deadlock;
    for (const { connection } of this.branches.values()) if (connection.pendingUnits > 0) void connection.cancel();
  }

  /** What the client is told of an error of its statement. */
  told(error: SqlError): SqlError {
    return errorOfVictim(error, this.#deadlock);
  }

  /** Whether an error that arrives now may have to be told otherwise. */
  get isVictim(): boolean {
    return this.#deadlock !== undefined;
  }

  /**
   * Every statement ends with this, before anything else is sent. Of a victim it waits until each cancel request has been
   * delivered: a late one could hit the client's ROLLBACK TO, or a COMMIT of which it would make an unknown outcome.
   */
  async statementEnded(failed: boolean): Promise<void> {
    this.#step++;
    if (this.#deadlock === undefined) return;
    for (const { connection } of this.branches.values()) {
      if (connection.cancelling !== undefined) await connection.cancelling;
    }
    this.#deadlock = undefined;
    // As in PostgreSQL a victim's locks go with the error, not with a ROLLBACK that may be long in coming. With savepoints
    // it may still go on from one of them, so there the client decides.
    if (!failed || this.journal.hasSavepoints) return;
    this.fail();
    await this.rollBack();
  }

  /** Rolls back on every shard and gives the connections back. The client's block lasts until it is told to end. */
  async rollBack(): Promise<void> {
    const branches = [...this.branches.values()];
    await this.#session.services.coordinator.rollback(
      branches.map(({ connection, writes, xid }) => ({ link: connection, written: writes > 0, xid })),
    );
    this.release();
  }

  fail(): void {
    if (this.#state === 'open') this.#state = 'failed';
  }

  /** A branch is lost: its changes are gone, so the whole transaction is. */
  breakOff(): void {
    this.#state = 'broken';
  }

  /** ROLLBACK TO worked on every participant. */
  reopen(): void {
    if (this.#state === 'failed') this.#state = 'open';
  }

  /**
   * The branch on `shard`; a new one has BEGIN and the journal queued in front of whatever is sent next. With `carried`
   * the caller sends a unit at once, with what `riders` gives, and BEGIN is in that where it is all there is to say.
   */
  async join(shard: number, carried = false): Promise<SessionBranch | SqlError> {
    this.#step++;
    const present = this.branches.get(shard);
    if (present !== undefined) return present;
    const lease = await leaseConnection(this.#session, shard, this.branches.size > 0);
    if (lease.kind === 'refused') return lease.error;
    const { connection } = lease;
    const branch: SessionBranch = {
      shard,
      connection,
      writes: 0,
      xid: undefined,
      asking: undefined,
      askedAtWrites: 0,
      begin: undefined,
    };
    this.branches.set(shard, branch);
    this.#session.services.running.add(this);
    const [begin = 'BEGIN', ...rest] = this.journal.replay();
    if (carried && rest.length === 0) {
      branch.begin = begin;
      return branch;
    }
    void connection.command(begin).then((reply) => {
      // Without its block a statement behind it would commit alone; nothing may go on there.
      if (reply.kind === 'error') connection.destroy(`BEGIN failed: ${reply.error.message}`);
    });
    // A failing replay leaves the block failed, so the statement behind it fails too: nothing to await.
    for (const sql of rest) void connection.command(sql);
    return branch;
  }

  /** What the unit that is sent to this branch now carries for us; `writes`: wrote() is called after it was sent. */
  riders(branch: SessionBranch, writes: boolean): Riders {
    const { begin } = branch;
    branch.begin = undefined;
    if (!writes || !this.#needsXids || typeof branch.xid === 'string') return { begin, onXid: undefined };
    const writesThen = branch.writes + 1;
    branch.askedAtWrites = writesThen;
    return { begin, onXid: (xid) => this.#learnXid(branch, xid, writesThen) };
  }

  /**
   * A statement that may write was sent on this branch: remember, and ask for the xid where it is needed and no question
   * rides with the statement.
   */
  wrote(branch: SessionBranch): void {
    branch.writes++;
    // "None assigned" was true before this write; believing it now would commit a writer without preparing it.
    if (branch.xid === null) branch.xid = undefined;
    if (!this.#needsXids) return;
    for (const each of this.branches.values()) if (each.writes > 0 && each.xid === undefined) this.#ask(each);
  }

  /** Waits for the xids that were asked for; the coordinator asks for those that could not be. */
  async settleXids(): Promise<void> {
    for (const branch of this.branches.values()) if (branch.asking !== undefined) await branch.asking;
  }

  /** Returns every connection; those that are not idle and clean are closed by their pool. */
  release(): void {
    for (const { connection } of this.branches.values()) returnConnection(this.#session, connection);
    this.branches.clear();
    this.#session.services.running.remove(this);
  }

  /** Two or more take part, or the session's last transaction had it so: then the first write asks already. */
  get #needsXids(): boolean {
    return this.branches.size >= 2 || this.#session.expectsSeveralWriters;
  }

  #ask(branch: SessionBranch): void {
    if (branch.askedAtWrites === branch.writes) return;
    const writesThen = branch.writes;
    branch.askedAtWrites = writesThen;
    const asking = branch.connection.xidQuestion.ask().then((reply) => {
      this.#learnXid(branch, reply.kind === 'complete' ? reply.rows[0]?.[0] : undefined, writesThen);
      if (branch.asking === asking) branch.asking = undefined;
    });
    branch.asking = asking;
  }

  /** An xid stays for the whole transaction; that there is none was only true of the writes that had been sent. */
  #learnXid(branch: SessionBranch, xid: string | null | undefined, writesThen: number): void {
    if (typeof xid === 'string' || branch.writes === writesThen) branch.xid = xid;
  }
}

/** Tells an error from a branch in what `join` gave. */
export function isBranch(joined: SessionBranch | SqlError): joined is SessionBranch {
  return 'connection' in joined;
}

// The decisions of this instance on top of the write-ahead log: a decision is registered before its record leaves, counts
// only once the record is committed, and is forgotten only when every participant ended or a durable watermark says so.
//
//   commit() ─► live ─────────► COMMIT durable ──end()──► (END, lazily) ──retention──► WATERMARK durable ─► segment deleted
//               in memory and in every checkpoint          on disk only: found by a scan
//
// Memory is bounded by the decisions that have not ended, whatever the size of the log.
import { assert } from '../kernel/assert.ts';
import type { Clock } from '../kernel/clock.ts';
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import type { WalErrorCode } from '../wal/errors.ts';
import { type Positions, type Statistics, WalError, type WalIdentity } from '../wal/wal.ts';
import { type CommitDecision, DECISION_TAG, encodeCheckpoint, encodeCommit, encodeId } from './decision-record.ts';
import { DecisionReplay } from './decision-replay.ts';
import type { DecisionWal, LoggedRecord, LogSegment, OpenedDecisionWal } from './decision-wal.ts';
import { type TransactionId, transactionKey } from './gid.ts';
import { type LogEvidence, searchLog } from './log-evidence.ts';
import { pruneLog, type Retention } from './log-retention.ts';

export interface DecisionLogOptions {
  /** Opens the write-ahead log, e.g. `(onRecord) => openWal(options, onRecord)`. */
  readonly openWal: (onRecord: (record: LoggedRecord) => void) => Promise<OpenedDecisionWal>;
  readonly clock: Clock;
  /** How long a decision that ended can still be found; default 24 h. */
  readonly retentionMs?: number;
  /** Above this the oldest segments go earlier; default 1 GiB. */
  readonly retentionBytesMax?: number;
}

export type Admission = { readonly ok: true } | { readonly ok: false; readonly error: SqlError };

/** Retention of decisions that ended: after a failover a standby may still stand prepared and must find its decision. */
const RETENTION_MS = 24 * 3600 * 1000;
const RETENTION_BYTES_MAX = 2 ** 30;
const PAST_EVIDENCE_MAX = 10_000;

/** The log is closed or the record too large: there is certainly no record, so abort is right. */
export class DecisionRefusedError extends Error {
  override readonly name = 'DecisionRefusedError';
}

const NOTHING_WRITTEN: ReadonlySet<string> = new Set<WalErrorCode>(['wal_closed', 'wal_record_refused']);

export class DecisionLog {
  readonly identity: WalIdentity;
  readonly #wal: DecisionWal;
  readonly #state: DecisionReplay;
  readonly #clock: Clock;
  readonly #retention: Retention;
  readonly #tombstones = new Set<string>();
  /** Evidence about earlier epochs, so that a transaction that is held for days does not cost a scan every pass. */
  readonly #past = new Map<string, LogEvidence>();
  #pruning: Promise<void> | undefined;
  #dead = false;

  private constructor(identity: WalIdentity, wal: DecisionWal, state: DecisionReplay, options: DecisionLogOptions) {
    this.identity = identity;
    this.#wal = wal;
    this.#state = state;
    this.#clock = options.clock;
    this.#retention = {
      ms: options.retentionMs ?? RETENTION_MS,
      bytesMax: options.retentionBytesMax ?? RETENTION_BYTES_MAX,
    };
    wal.onCheckpointDue = () => this.#checkpoint();
    void wal.failed.then(() => {
      this.#dead = true;
    });
    this.#advance();
  }

  /**
   * Opens the log, replays it and starts a fresh segment with a checkpoint of every live decision.
   * Rejects with the wal's own errors (damaged, locked, I/O) and with DecisionRecordError for records of another version.
   */
  static async open(options: DecisionLogOptions): Promise<DecisionLog> {
    const state = new DecisionReplay();
    // A crash while reading leaves nothing behind.
    const opened = await options.openWal((record) => state.replay(record));
    // A crash here leaves either the old last segment or a fresh one with the checkpoint; both replay to the same state.
    const wal = await opened.start(encodeCheckpoint(state.checkpoint(options.clock.nowMs())));
    state.noteBoundary(wal.positions.appended, options.clock.nowMs());
    const log = new DecisionLog(opened.identity, wal, state, options);
    log.#schedulePrune();
    return log;
  }

  get positions(): Positions {
    return this.#wal.positions;
  }

  /** Resolves, once, when the log failed. Nothing is acknowledged after that; the process is expected to exit. */
  get failed(): Promise<unknown> {
    return this.#wal.failed;
  }

  /** True once the log has failed; see `failed`. */
  get hasFailed(): boolean {
    return this.#dead;
  }

  /** Groups, records and bytes written by this run. */
  get statistics(): Statistics {
    return this.#wal.statistics ?? { groups: 0, records: 0, bytes: 0 };
  }

  /** Segments that are kept, oldest first; the last one is being written. */
  segments(): readonly LogSegment[] {
    return this.#wal.segments();
  }

  /** Decisions without END, oldest first. */
  live(): Iterable<CommitDecision> {
    return [...this.#state.live.values()].map((entry) => entry.decision);
  }

  get liveCount(): number {
    return this.#state.live.size;
  }

  /** Whether a new cross-shard commit may begin. Asked before any PREPARE; what is running may always end. */
  admission(): Admission {
    if (this.#dead) {
      const message = 'the decision log has failed; this proxy commits nothing across shards any more';
      return { ok: false, error: sqlError(SQLSTATE.ioError, message) };
    }
    const admission = this.#wal.admission();
    if (admission.ok) return admission;
    const message = `cross-shard commit refused: the disk of the decision log is nearly full (${admission.reason})`;
    const hint =
      'Transactions that write to one shard still commit. Free space in the log directory or enlarge the volume.';
    return { ok: false, error: sqlError(SQLSTATE.diskFull, message, { hint }) };
  }

  /**
   * Decides to commit. Resolves at the commit point: the record is committed. Rejects with DecisionRefusedError when
   * nothing was written, else because the log failed; then nobody knows whether the record is on the disk, so nothing
   * may be rolled back either.
   */
  async commit(decision: CommitDecision): Promise<void> {
    const key = transactionKey(decision.transaction);
    assert(decision.transaction.epoch === this.identity.epoch, `${key} is decided in its own epoch`);
    assert(!this.#state.live.has(key) && !this.#tombstones.has(key), `${key} is decided once`);
    // Registered first: a checkpoint that is taken from now on must not miss it.
    const entry = this.#state.add(key, decision, this.#wal.positions.appended + 1);
    // A crash here: the record is durable and recovery commits, or it is not and recovery presumes abort; either way
    // the client was told nothing and no COMMIT PREPARED has left.
    try {
      entry.lsn = await this.#wal.append(DECISION_TAG.commit, encodeCommit(decision));
      entry.logged = true;
    } catch (cause) {
      if (!(cause instanceof WalError) || !NOTHING_WRITTEN.has(cause.code)) throw cause;
      this.#state.live.delete(key);
      throw new DecisionRefusedError(`${key} was not decided: ${cause.message}`, { cause });
    }
  }

  /** Marks that every participant is verified committed. Not forced: after a crash recovery only verifies once more. */
  end(transaction: TransactionId): void {
    const key = transactionKey(transaction);
    if (!this.#state.live.delete(key) || this.#dead) return;
    this.#wal.appendLazy(DECISION_TAG.end, encodeId(transaction));
    this.#advance();
  }

  /** Decides to abort, durably, so that no later look at the evidence can decide otherwise. Rejects like commit(). */
  async abortTombstone(transaction: TransactionId): Promise<void> {
    const key = transactionKey(transaction);
    assert(!this.#state.live.has(key), `${key} is decided once`);
    this.#tombstones.add(key);
    this.#past.delete(key);
    this.#state.note(transaction);
    // A crash here: with or without the tombstone the evidence still says abort.
    await this.#wal.append(DECISION_TAG.abort, encodeId(transaction));
  }

  /** What the log knows about transactions of this instance, by `<epoch>.<seq>`. Reads the retained log when it must. */
  async lookup(ids: ReadonlySet<string>): Promise<ReadonlyMap<string, LogEvidence>> {
    const found = new Map<string, LogEvidence>();
    for (const key of ids) {
      const known = this.#past.get(key);
      if (known !== undefined) found.set(key, known);
    }
    const sought = new Set([...ids].filter((key) => !found.has(key)));
    for (const [key, evidence] of await searchLog(sought, this.#state, this.identity, this.#wal)) {
      found.set(key, evidence);
      if (this.#isSettled(key, evidence)) this.#past.set(key, evidence);
    }
    return found;
  }

  /** Deletes segments that retention no longer needs; runs by itself at start and after each rotation. */
  prune(): Promise<void> {
    this.#pruning ??= pruneLog(this.#wal, this.#state, this.#retention, this.#clock.nowMs())
      .then(() => this.#advance())
      .finally(() => {
        this.#pruning = undefined;
      });
    return this.#pruning;
  }

  /** Waits for what was handed to the log and closes it; live decisions stay live for the next open. */
  async close(): Promise<void> {
    await this.#pruning?.catch(() => undefined);
    await this.#wal.close();
  }

  /** Nobody decides for an earlier epoch any more, so what the log says of it, and no longer drives, stays true. */
  #isSettled(key: string, evidence: LogEvidence): boolean {
    if (this.#past.size >= PAST_EVIDENCE_MAX) this.#past.clear();
    if (Number(key.split('.')[0]) >= this.identity.epoch) return false;
    // A tombstone written while the log was being read is not in what was read.
    if (this.#tombstones.has(key)) return evidence.kind === 'abort';
    return evidence.kind !== 'commit' || evidence.ended;
  }

  #checkpoint(): Uint8Array {
    this.#state.noteBoundary(this.#wal.positions.appended + 1, this.#clock.nowMs());
    this.#schedulePrune();
    return encodeCheckpoint(this.#state.checkpoint(this.#clock.nowMs()));
  }

  /** Never inside the writer's own turn. A failure to prune is the log's failure, which `failed` tells. */
  #schedulePrune(): void {
    setImmediate(() => void this.prune().catch(() => undefined));
  }

  /** applied = min(live) - 1: transactions end out of order, so a counter would lie. */
  #advance(): void {
    if (this.#dead) return;
    const [first] = this.#state.live.values();
    this.#wal.setApplied(first === undefined ? this.#wal.positions.committed : first.lsn - 1);
  }
}

// The writing half of a log: gives every record its lsn, hands it to the storage, and says so only when it is committed.
//
//   append ─► encode ─► offer ─────────► group: one write, one fdatasync ─► durable ─► commit rule ─► resolve
//                └─► queue, while there is no room, a segment begins, or nobody waits for it (lazy)

import type { Clock } from '../kernel/clock.ts';
import { type ControlPoint, noControlPoint } from '../kernel/control-point.ts';
import { AppendQueue, type Waiter } from './append-queue.ts';
import { WalDamageError, WalError, WalFailedError, walClosed } from './errors.ts';
import {
  APPEND_BYTES_MAX,
  encodeRecord,
  numberRecord,
  recordBytes,
  TAG_OWNER_MIN,
  viewOf,
  type WalRecord,
} from './format.ts';
import type { Admission, CommitRule, Positions, Statistics, Wal, WalIdentity } from './log.ts';
import { readLog, type SegmentSummary } from './log-reader.ts';
import type { Provision, Spare } from './provision.ts';
import { composeSegment } from './segment-content.ts';
import { SegmentList } from './segment-list.ts';
import type { DurableGroup, Storage } from './storage.ts';

export interface WriterSettings {
  readonly storage: Storage;
  readonly provision: Provision;
  readonly identity: WalIdentity;
  readonly positions: Positions;
  readonly previousCrc: number;
  readonly segments: readonly SegmentSummary[];
  readonly segmentBytes: number;
  readonly clock: Clock;
  readonly controlPoint: ControlPoint;
  readonly commitRule: CommitRule;
}

/** The segment in use, as far as it is spoken for. */
interface CurrentSegment {
  readonly contentBytes: number;
  readonly capacityBytes: number;
  usedBytes: number;
}

export class LogWriter implements Wal {
  readonly identity: WalIdentity;
  readonly failed: Promise<WalFailedError>;
  onCheckpointDue: () => Uint8Array = () => new Uint8Array(0);
  readonly #settings: WriterSettings;
  readonly #segments: SegmentList;
  readonly #scratch = new Uint8Array(APPEND_BYTES_MAX);
  readonly #scratchView = viewOf(this.#scratch);
  readonly #reportFailure: (failure: WalFailedError) => void;
  #segment: CurrentSegment | undefined;
  #appended: number;
  #durable: number;
  #committed: number;
  #applied: number;
  #lastCrc: number;
  readonly #queue = new AppendQueue();
  /** A rotation and a close may wait for the same thing, so there can be more than one. */
  #onDrained: (() => void)[] = [];
  #rotation: Promise<void> | undefined;
  #failure: WalFailedError | undefined;
  #closed: Promise<void> | undefined;
  #closing = false;
  #groups = 0;
  #records = 0;
  #bytes = 0;

  private constructor(settings: WriterSettings) {
    const { positions, identity } = settings;
    this.#settings = settings;
    this.identity = identity;
    this.#segments = new SegmentList(settings.storage, settings.segments);
    this.#appended = positions.appended;
    this.#durable = positions.appended;
    this.#committed = positions.committed;
    this.#applied = positions.applied;
    this.#lastCrc = settings.previousCrc;
    const { promise, resolve } = Promise.withResolvers<WalFailedError>();
    this.failed = promise;
    this.#reportFailure = resolve;
  }

  /** Begins the first segment of this run; what was read before is durable by now (see Opened.start). */
  static async start(settings: WriterSettings, checkpoint: Uint8Array): Promise<LogWriter> {
    const writer = new LogWriter(settings);
    writer.#commitUpTo(writer.#durable);
    await writer.#beginSegment(checkpoint, await settings.provision.take());
    settings.provision.refill();
    return writer;
  }

  get positions(): Positions {
    const { oldest } = this.#segments;
    // What was deleted had ended, or is restated by a checkpoint.
    const applied = Math.max(Math.min(this.#applied, this.#committed), oldest - 1);
    return { oldest, applied, committed: this.#committed, durable: this.#durable, appended: this.#appended };
  }

  get statistics(): Statistics {
    return { groups: this.#groups, records: this.#records, bytes: this.#bytes };
  }

  append(tag: number, payload: Uint8Array): Promise<number> {
    const { controlPoint } = this.#settings;
    if (controlPoint === noControlPoint) return this.#append(tag, payload);
    return this.#appendObserved(controlPoint, tag, payload);
  }

  appendLazy(tag: number, payload: Uint8Array): number {
    if (this.#failure === undefined && !this.#closing) this.#accept(tag, payload, undefined);
    return this.#appended + 1;
  }

  setApplied(lsn: number): void {
    if (lsn > this.#applied) this.#applied = lsn;
  }

  admission(): Admission {
    if (this.#failure !== undefined) return { ok: false, reason: this.#failure.message };
    const segment = this.#segment;
    return this.#settings.provision.admission(segment === undefined ? 0 : segment.capacityBytes - segment.usedBytes);
  }

  segments(): readonly SegmentSummary[] {
    return this.#segments.all(this.#appended, this.#segment?.usedBytes ?? 0);
  }

  async prune(keep: (segment: SegmentSummary) => boolean): Promise<readonly SegmentSummary[]> {
    // The list learns of a segment once its checkpoint is durable, so what stands before the last one is dispensable.
    const gone = await this.#segments.prune(keep);
    if (gone.length > 0 && !this.#closing) this.#settings.provision.refill();
    return gone;
  }

  async scan(onRecord: (record: WalRecord) => void, fromLsn = 0): Promise<void> {
    const { storage } = this.#settings;
    const upToLsn = this.#durable;
    await this.#segments.reading(async () => {
      const { last } = await readLog(storage, onRecord, { fromLsn, upToLsn, live: true });
      // Whoever searches must not take the end of what can be read for the end of the log.
      if (last === null || last.lastLsn >= upToLsn || fromLsn > upToLsn) return;
      throw new WalDamageError(storage.directory, last.name, last.end.offset, `record ${last.lastLsn + 1} is gone`);
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #appendObserved(controlPoint: ControlPoint, tag: number, payload: Uint8Array): Promise<number> {
    const before = controlPoint('append.before');
    if (before !== undefined) await before; // crash: nothing was written, the transaction is presumed aborted
    const lsn = await this.#append(tag, payload);
    const after = controlPoint('append.after');
    if (after !== undefined) await after; // crash: the record is committed
    return lsn;
  }

  #append(tag: number, payload: Uint8Array): Promise<number> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#closing) return Promise.reject(walClosed());
    return new Promise((resolve, reject) => this.#accept(tag, payload, { lsn: 0, resolve, reject }));
  }

  #accept(tag: number, payload: Uint8Array, waiter: Waiter | undefined): void {
    if (recordBytes(payload.length) > APPEND_BYTES_MAX || !(tag >= TAG_OWNER_MIN && tag <= 255)) {
      const limit = `at most ${APPEND_BYTES_MAX} bytes and a tag from ${TAG_OWNER_MIN} to 255`;
      throw new WalError('wal_record_refused', `a record has ${limit}; this has ${payload.length} and tag ${tag}`);
    }
    const size = encodeRecord(this.#scratch, this.#scratchView, tag, 0, payload);
    const bytes = this.#scratch.subarray(0, size);
    const offered = waiter !== undefined && this.#queue.isEmpty && this.#offer(bytes, waiter);
    if (!offered) this.#queue.push(bytes.slice(), waiter);
    this.#pump();
  }

  /** Gives a record its lsn and hands it to the storage; false when it must wait. */
  #offer(bytes: Uint8Array, waiter: Waiter | undefined): boolean {
    const segment = this.#segment;
    if (segment === undefined || this.#rotation !== undefined || this.#failure !== undefined) return false;
    const isFull = segment.usedBytes + bytes.length > segment.capacityBytes;
    // A fresh segment takes one record whatever its size, or a record longer than a segment would wait for ever.
    if (isFull && segment.usedBytes > segment.contentBytes) {
      this.#rotation = this.#rotate();
      return false;
    }
    const lsn = this.#appended + 1;
    numberRecord(bytes, lsn);
    if (!this.#settings.storage.offer(bytes)) return false;
    this.#appended = lsn;
    segment.usedBytes += bytes.length;
    this.#records += 1;
    this.#bytes += bytes.length;
    if (waiter === undefined) return true;
    waiter.lsn = lsn;
    this.#queue.await(waiter);
    return true;
  }

  /** Moves the queue on, if somebody waits for anything in it. */
  #pump(): void {
    if (this.#queue.isPressing || this.#closing) this.#queue.move((bytes, waiter) => this.#offer(bytes, waiter));
    this.#settings.storage.begin(); // behind the last: the ENDs that waited for a decision are in one group with it
  }

  #onDurable(group: DurableGroup): void {
    if (this.#failure !== undefined) return; // after a failure nothing is acknowledged
    this.#groups += 1;
    this.#durable = group.lastLsn;
    this.#lastCrc = group.lastCrc;
    this.#commitUpTo(group.lastLsn);
    if (this.#durable === this.#appended) for (const resolve of this.#onDrained.splice(0)) resolve();
    this.#pump();
  }

  #commitUpTo(durableLsn: number): void {
    this.#settings.commitRule(durableLsn, (lsn) => {
      this.#committed = Math.max(this.#committed, lsn);
      this.#queue.committed(lsn);
    });
  }

  #whenDrained(): Promise<void> {
    if (this.#durable === this.#appended || this.#failure !== undefined) return Promise.resolve();
    return new Promise((resolve) => this.#onDrained.push(resolve));
  }

  async #rotate(): Promise<void> {
    try {
      await this.#whenDrained(); // crash: the old segment is whole
      const spare = await this.#settings.provision.take(); // crash: the same; the next open finds the spare
      // Whoever was just told "committed" must have put it among what is live before the checkpoint is asked for.
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#failure === undefined) await this.#beginSegment(this.onCheckpointDue(), spare);
    } catch (error) {
      this.#fail('began a segment', error);
    } finally {
      this.#rotation = undefined;
    }
    this.#settings.provision.refill();
    this.#pump();
  }

  async #beginSegment(owner: Uint8Array, spare: Spare | undefined): Promise<void> {
    const { storage, identity, segmentBytes, clock } = this.#settings;
    const lsn = this.#appended + 1;
    const startedAtMs = clock.nowMs();
    const { positions } = this;
    const content = composeSegment({
      identity,
      lsn,
      previousCrc: this.#lastCrc,
      positions,
      writtenAtMs: startedAtMs,
      owner,
    });
    const events = {
      durable: (group: DurableGroup) => this.#onDurable(group),
      failed: (operation: string, cause: unknown) => this.#fail(operation, cause),
    };
    await storage.start({ ...content, spare: spare?.name, lsn }, events); // crash: the new segment is whole or absent
    const bytes = content.content.length;
    const finished = this.#segment && { lastLsn: this.#appended, bytes: this.#segment.usedBytes };
    const summary = { name: content.name, epoch: identity.epoch, firstLsn: lsn, lastLsn: lsn, bytes, startedAtMs };
    this.#segments.begin(summary, finished);
    const capacityBytes = Math.max(spare?.bytes ?? segmentBytes, bytes);
    this.#segment = { contentBytes: bytes, capacityBytes, usedBytes: bytes };
    this.#appended = lsn;
    this.#durable = lsn;
    this.#lastCrc = content.lastCrc;
    this.#commitUpTo(lsn);
  }

  #fail(operation: string, cause: unknown): void {
    if (this.#failure !== undefined) return;
    const failure = new WalFailedError(operation, cause);
    this.#failure = failure;
    this.#queue.failed(failure);
    for (const resolve of this.#onDrained.splice(0)) resolve();
    this.#reportFailure(failure);
  }

  async #close(): Promise<void> {
    const { provision, storage } = this.#settings;
    this.#closing = true; // now the queue moves although nobody waits for what is in it
    while (this.#failure === undefined && (!this.#queue.isEmpty || this.#durable < this.#appended)) {
      this.#pump();
      await this.#rotation;
      await this.#whenDrained(); // crash: lazy records may be missing, which is harmless
    }
    await this.#rotation;
    await provision.stop();
    await storage.close();
  }
}

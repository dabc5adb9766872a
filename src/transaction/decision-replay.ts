// The decision log's memory: the live decisions in log order, the prune watermark and where segments begin. Replaying the
// retained records gives exactly the state that wrote them.
import {
  type CommitDecision,
  type DecisionCheckpoint,
  decodeRecord,
  type IdPosition,
  orderOf,
} from './decision-record.ts';
import type { LoggedRecord } from './decision-wal.ts';
import { transactionKey } from './gid.ts';

export interface LiveDecision {
  readonly decision: CommitDecision;
  /** The record's lsn; a lower bound while it is on its way. */
  lsn: number;
  /** The record is committed. */
  logged: boolean;
}

/** Every record below `lsn` was written by `atMs` and carries an id of at most `highest`. */
interface Boundary {
  readonly lsn: number;
  readonly atMs: number;
  readonly highest: IdPosition;
}

const NOTHING: IdPosition = { epoch: 0, seq: 0 };

export class DecisionReplay {
  /** By `<epoch>.<seq>`, in the order of their records. */
  readonly live = new Map<string, LiveDecision>();
  #watermark = NOTHING;
  #highest = NOTHING;
  #boundaries: Boundary[] = [];

  /** At or below it a missing record proves nothing. */
  get watermark(): IdPosition {
    return this.#watermark;
  }

  /** Takes one record of the log, in order. Throws DecisionRecordError. */
  replay({ lsn, tag, payload }: LoggedRecord): void {
    const record = decodeRecord(tag, payload);
    switch (record.kind) {
      case 'checkpoint':
        this.#replayCheckpoint(lsn, record.checkpoint);
        return;
      case 'commit':
        this.add(transactionKey(record.decision.transaction), record.decision, lsn).logged = true;
        return;
      case 'end':
        this.live.delete(transactionKey(record.id));
        return;
      case 'abort':
        this.note(record.id);
        return;
      case 'watermark':
        this.raiseWatermark(record.id);
        return;
    }
  }

  /** Adds a decision behind all others; one that is there already, from a checkpoint, keeps one entry. */
  add(key: string, decision: CommitDecision, lsn: number): LiveDecision {
    const entry = { decision, lsn, logged: false };
    this.live.delete(key);
    this.live.set(key, entry);
    this.note(decision.transaction);
    return entry;
  }

  /** Remembers that a record with this id exists or is about to. */
  note(id: IdPosition): void {
    if (orderOf(id, this.#highest) > 0) this.#highest = { epoch: id.epoch, seq: id.seq };
  }

  raiseWatermark(to: IdPosition): void {
    if (orderOf(to, this.#watermark) > 0) this.#watermark = { epoch: to.epoch, seq: to.seq };
  }

  noteBoundary(lsn: number, atMs: number): void {
    this.#boundaries.push({ lsn, atMs, highest: this.#highest });
  }

  /** The first known boundary behind `lsn`; none when the newest records reach beyond every boundary. */
  boundaryBehind(lsn: number): Boundary | undefined {
    return this.#boundaries.find((boundary) => boundary.lsn > lsn);
  }

  /** The highest id of any record so far, which is always a safe watermark. */
  get highest(): IdPosition {
    return this.#highest;
  }

  forgetBoundariesBefore(lsn: number): void {
    this.#boundaries = this.#boundaries.filter((boundary) => boundary.lsn >= lsn);
  }

  checkpoint(atMs: number): DecisionCheckpoint {
    const live = [...this.live.values()].map(({ decision, lsn, logged }) => ({ decision, lsn: logged ? lsn : 0 }));
    return { atMs, watermark: this.#watermark, highest: this.#highest, live };
  }

  #replayCheckpoint(lsn: number, checkpoint: DecisionCheckpoint): void {
    this.live.clear();
    this.raiseWatermark(checkpoint.watermark);
    this.note(checkpoint.highest);
    this.#boundaries.push({ lsn, atMs: checkpoint.atMs, highest: this.#highest });
    for (const one of checkpoint.live) {
      // A decision whose own record was still on its way was made all the same: every vote was yes. The checkpoint
      // is its record then.
      this.add(transactionKey(one.decision.transaction), one.decision, one.lsn === 0 ? lsn : one.lsn).logged = true;
    }
  }
}

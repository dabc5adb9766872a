// What a log offers its owner; the promise is that after `append` resolves every later open returns the record.
//
//   ┌─ oldest                          ┌─ committed = durable in local mode
//   ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ □ □ □ □
//                 └─ applied                   └─ appended

import type { Clock } from '../kernel/clock.ts';
import type { ControlPoint } from '../kernel/control-point.ts';
import type { WalFailedError } from './errors.ts';
import type { WalRecord } from './format.ts';
import type { SegmentSummary } from './log-reader.ts';
import type { Storage } from './storage.ts';

/**
 * oldest ≤ applied + 1 ≤ committed + 1 ≤ durable + 1 ≤ appended + 1, and none goes back, restarts included; only `applied`
 * may fall back to the last checkpoint's, because the record that says that something ended is not forced.
 */
export interface Positions {
  /** First lsn still retained. */
  readonly oldest: number;
  /** At or below it everything has ended, or is restated by a later checkpoint. */
  readonly applied: number;
  /** At or below it records may be acted upon. */
  readonly committed: number;
  /** At or below it records survive a power cut. */
  readonly durable: number;
  /** Last lsn handed to the disk. */
  readonly appended: number;
}

export interface WalOptions {
  readonly directory: string;
  /** Size at which a segment is followed by the next, allocated in advance. Default 64 MiB. */
  readonly segmentBytes?: number;
  /** Space kept aside for decisions that are due when the disk is full. Default 16 MiB, at most `segmentBytes`. */
  readonly reserveBytes?: number;
  readonly clock?: Clock;
  readonly controlPoint?: ControlPoint;
  /** Where the bytes live; default: files in `directory`, written by a thread of their own. */
  readonly storage?: Storage;
  /** Who we are, for the one who finds the directory locked. */
  readonly holder?: string;
  /**
   * What stands between durable and committed. Default: nothing (local mode). An engine that replicates the log would
   * stand here and call `committed` once it has the records; the stamp in log-files.ts would then carry its position.
   */
  readonly commitRule?: CommitRule;
}

/** Told what became durable; says, now or later and in order, up to where that is committed. */
export type CommitRule = (durableLsn: number, committed: (lsn: number) => void) => void;

export interface WalIdentity {
  /** 32 hexadecimal digits, made with the log. */
  readonly walId: string;
  /** This run: the one before plus one; the first is the Unix time in seconds. Durable before `openWal` resolves. */
  readonly epoch: number;
  /** Transactions of earlier epochs were never in this log. */
  readonly firstEpoch: number;
  /** True when this open made the log: there was no segment. */
  readonly created: boolean;
}

/** A torn write that open cut off. Nobody had been told of what it held. */
export interface Repair {
  readonly file: string;
  readonly offset: number;
  /** File that keeps what was cut. */
  readonly copy: string;
  readonly bytesCut: number;
  readonly reason: string;
}

/** A log that was read and repaired, but is not written yet. Every path ends with `close` of this or of the Wal. */
export interface OpenedWal {
  readonly identity: WalIdentity;
  /** Records above `committed` are uncertain until `start` has made them durable again: do not act on them before. */
  readonly positions: Positions;
  readonly repaired: Repair | undefined;
  /** Begins a segment with this checkpoint; when it resolves all that was read is durable and may be acted upon. */
  start(checkpoint: Uint8Array): Promise<Wal>;
  close(): Promise<void>;
}

/** Whether a decision could be written now, with room for the ones already under way. */
export type Admission = { readonly ok: true } | { readonly ok: false; readonly reason: string };

export interface Statistics {
  /** Groups written, each with one sync. */
  readonly groups: number;
  readonly records: number;
  readonly bytes: number;
}

export interface Wal {
  readonly identity: WalIdentity;
  readonly positions: Positions;
  readonly statistics: Statistics;
  /** Resolves once, when a write or sync has failed; the process must end. Never rejects. */
  readonly failed: Promise<WalFailedError>;
  /**
   * Asked for when a segment begins: the owner's bytes go into its checkpoint. They must hold everything live that older
   * segments tell, so they may be deleted. Owners add to what is live before `append`, or at once when it resolves.
   */
  onCheckpointDue: () => Uint8Array;
  /**
   * Appends a record (tag 16 … 255) and resolves with its lsn when it is committed. Rejects with WalFailedError when
   * the log has failed, and then nobody knows whether the record will be found: never answer "no" for it.
   */
  append(tag: number, payload: Uint8Array): Promise<number>;
  /**
   * Appends a record that nobody waits for: it goes out with the next group, or at close. After a failure it is dropped
   * without a word, because losing it must be harmless anyway. Returns a lower bound of its lsn.
   */
  appendLazy(tag: number, payload: Uint8Array): number;
  /** Says that everything at or below `lsn` has ended. Never goes back. */
  setApplied(lsn: number): void;
  /** Not ok: refuse new two-phase commits before PREPARE (53100); what is under way still fits. */
  admission(): Admission;
  segments(): readonly SegmentSummary[];
  /** Deletes from the oldest segment on while `keep` says false; never the one in use. Resolves with what is gone. */
  prune(keep: (segment: SegmentSummary) => boolean): Promise<readonly SegmentSummary[]>;
  /** Reads what is durable and retained again, from `fromLsn` on; safe beside appends. */
  scan(onRecord: (record: WalRecord) => void, fromLsn?: number): Promise<void>;
  /** Writes what is waiting, waits for it, releases the lock. */
  close(): Promise<void>;
}

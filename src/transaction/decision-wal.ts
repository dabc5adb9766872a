// What the decision log needs from the write-ahead log, no more; src/wal provides it, and a fake in memory for tests.
import type { Admission, Positions, Statistics, WalIdentity } from '../wal/wal.ts';

export interface LoggedRecord {
  readonly lsn: number;
  readonly tag: number;
  readonly payload: Uint8Array;
}

export interface LogSegment {
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly bytes: number;
}

/** A log that was read but not yet written to. */
export interface OpenedDecisionWal {
  readonly identity: WalIdentity;
  start(checkpoint: Uint8Array): Promise<DecisionWal>;
}

export interface DecisionWal {
  readonly positions: Positions;
  readonly failed: Promise<unknown>;
  /** Absent in fakes. */
  readonly statistics?: Statistics;
  /** Called at every rotation; the bytes become the first record of the new segment. */
  onCheckpointDue: () => Uint8Array;
  append(tag: number, payload: Uint8Array): Promise<number>;
  appendLazy(tag: number, payload: Uint8Array): number;
  setApplied(lsn: number): void;
  admission(): Admission;
  segments(): readonly LogSegment[];
  prune(keep: (segment: LogSegment) => boolean): Promise<unknown>;
  scan(onRecord: (record: LoggedRecord) => void): Promise<void>;
  close(): Promise<void>;
}

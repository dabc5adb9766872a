// What the decision log needs from the write-ahead log, no more; src/wal provides it, and a fake in memory for tests.

export interface LoggedRecord {
  readonly lsn: number;
  readonly tag: number;
  readonly payload: Uint8Array;
}

export interface LogPositions {
  readonly oldest: number;
  readonly applied: number;
  readonly committed: number;
  readonly durable: number;
  readonly appended: number;
}

export interface LogIdentity {
  readonly walId: string;
  readonly epoch: number;
  /** The epoch in which this log was created; older ids cannot be in it. */
  readonly firstEpoch: number;
  /** True when this open made a brand-new log. */
  readonly created: boolean;
}

export interface LogSegment {
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly bytes: number;
}

/** A log that was read but not yet written to. */
export interface OpenedDecisionWal {
  readonly identity: LogIdentity;
  start(checkpoint: Uint8Array): Promise<DecisionWal>;
}

export interface DecisionWal {
  readonly positions: LogPositions;
  readonly failed: Promise<unknown>;
  /** Called at every rotation; the bytes become the first record of the new segment. */
  onCheckpointDue: () => Uint8Array;
  append(tag: number, payload: Uint8Array): Promise<number>;
  appendLazy(tag: number, payload: Uint8Array): number;
  setApplied(lsn: number): void;
  admission(): { readonly ok: true } | { readonly ok: false; readonly reason: string };
  segments(): readonly LogSegment[];
  prune(keep: (segment: LogSegment) => boolean): Promise<unknown>;
  scan(onRecord: (record: LoggedRecord) => void): Promise<void>;
  close(): Promise<void>;
}

// The port between the log and the place where its bytes live; real, simulated and faulty storages keep the same rules.

/** A file in the log's directory. */
export interface StoredFile {
  readonly name: string;
  readonly bytes: number;
}

/** A group of records that one write and one sync made durable. */
export interface DurableGroup {
  readonly lastLsn: number;
  readonly lastCrc: number;
}

export interface StorageEvents {
  /** Every record up to `lastLsn` survives a power cut from now on. */
  durable(group: DurableGroup): void;
  /** A write or sync failed; nothing offered since the last `durable` may be believed, and nothing will follow. */
  failed(operation: string, cause: unknown): void;
}

/** A new segment: its file becomes the one that `offer` writes to. */
export interface SegmentStart {
  readonly name: string;
  /** A prepared file to turn into the segment, or undefined to create one. */
  readonly spare: string | undefined;
  /** Header and checkpoint, complete and stamped. */
  readonly content: Uint8Array;
  readonly segmentId: number;
  /** Lsn of the checkpoint inside `content`. */
  readonly lsn: number;
}

/** What reading tools need; safe beside a writer. */
export interface ReadableStorage {
  /** Where this is, for messages. */
  readonly directory: string;
  list(): Promise<StoredFile[]>;
  /** Reads up to `length` bytes; fewer only at the end of the file. The result is never reused. */
  read(name: string, position: number, length: number): Promise<Uint8Array>;
}

export interface Storage extends ReadableStorage {
  /** Creates the directory if needed and locks it; rejects with WalLockedError. `holder` names us to others. */
  lock(holder: string): Promise<void>;
  /** Makes a small file durable under a name that must be free (rejects with EEXIST): all of it or nothing. */
  publish(name: string, bytes: Uint8Array): Promise<void>;
  /** Makes a file of `bytes` zeros, really allocated and durable. */
  prepare(name: string, bytes: number): Promise<void>;
  /** Shortens a file to `bytes` and makes that, and all that is left of it, durable. */
  cut(name: string, bytes: number): Promise<void>;
  /** Deletes a file, durably; a file that is gone already is fine. */
  remove(name: string): Promise<void>;
  /**
   * Starts a segment: content durable, then the name durable, then the segment before is cut to what it holds.
   * Only called while nothing offered is outstanding.
   */
  start(segment: SegmentStart, events: StorageEvents): Promise<void>;
  /**
   * Takes a copy of one encoded record for the end of the current segment; it is stamped, written and synced with
   * its group, after the next `begin` at the latest. False: no room now, ask again after the next `durable`.
   */
  offer(record: Uint8Array): boolean;
  /** What was offered becomes a group now, or the next one when a group is under way. */
  begin(): void;
  /** Ends writing and releases the lock. The caller has waited for what it offered. */
  close(): Promise<void>;
}

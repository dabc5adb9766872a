// Opens a log: lock, read everything, cut what a crash left half written, take an epoch, and only then let anyone write.

import { systemClock } from '../kernel/clock.ts';
import { noControlPoint } from '../kernel/control-point.ts';
import { describeHolder } from './directory-lock.ts';
import { FileStorage } from './file-storage.ts';
import type { WalRecord } from './format.ts';
import { claimEpoch } from './identity.ts';
import type { CommitRule, OpenedWal, Positions, Repair, Wal, WalIdentity, WalOptions } from './log.ts';
import { type LastSegment, type LogReading, readLog } from './log-reader.ts';
import { LogWriter, type WriterSettings } from './log-writer.ts';
import { Provision } from './provision.ts';
import { keepCopy } from './repair-copy.ts';
import type { Storage } from './storage.ts';

export { WalDamageError, WalError, WalFailedError, WalLockedError } from './errors.ts';
export { TAG_CHECKPOINT, TAG_OWNER_MIN, type WalRecord } from './format.ts';
export type * from './log.ts';
export type { SegmentSummary } from './log-reader.ts';

const MIB = 1024 * 1024;
const SEGMENT_BYTES = 64 * MIB;
const RESERVE_BYTES = 16 * MIB;

/** Local mode: what is durable is committed. */
const localCommit: CommitRule = (durableLsn, committed) => committed(durableLsn);

/**
 * Locks, reads and repairs a log and takes its next epoch; streams every retained record, in order, to `onRecord` (a
 * checkpoint, tag 1, comes with the owner's bytes). Rejects with WalLockedError, WalDamageError, a system error, or
 * whatever `onRecord` throws; the lock is released then.
 */
export async function openWal(options: WalOptions, onRecord: (record: WalRecord) => void): Promise<OpenedWal> {
  const storage = options.storage ?? new FileStorage(options.directory);
  const clock = options.clock ?? systemClock;
  try {
    await storage.lock(describeHolder(options.holder ?? 'atomshard', clock.nowMs()));
    const reading = await readLog(storage, onRecord);
    const repaired = await cutTornTail(storage, reading.last);
    const identity = await claimEpoch(storage, reading.last, clock.nowMs());
    return new Opened(storage, options, reading, identity, repaired);
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/** Cuts a torn write off, after a copy of it is durable. */
async function cutTornTail(storage: Storage, last: LastSegment | null): Promise<Repair | undefined> {
  if (last === null || last.end.kind !== 'torn') return undefined;
  const { offset, bytes, reason } = last.end;
  const copy = await keepCopy(storage, last.name, offset, bytes); // crash: the copy is there, the tail still is too
  await storage.cut(last.name, offset); // crash: cut or not, the next open comes to the same end
  return { file: last.name, offset, copy, bytesCut: bytes.length, reason };
}

class Opened implements OpenedWal {
  readonly identity: WalIdentity;
  readonly positions: Positions;
  readonly repaired: Repair | undefined;
  readonly #storage: Storage;
  readonly #options: WalOptions;
  readonly #reading: LogReading;

  constructor(
    storage: Storage,
    options: WalOptions,
    reading: LogReading,
    identity: WalIdentity,
    repaired: Repair | undefined,
  ) {
    this.#storage = storage;
    this.#options = options;
    this.#reading = reading;
    this.identity = identity;
    this.repaired = repaired;
    const { last, segments } = reading;
    const appended = last?.lastLsn ?? 0;
    const oldest = segments[0]?.firstLsn ?? 1;
    const applied = Math.max(last?.applied ?? 0, oldest - 1);
    this.positions = { oldest, applied, committed: last?.committed ?? 0, durable: last?.committed ?? 0, appended };
  }

  async start(checkpoint: Uint8Array): Promise<Wal> {
    const { last, segments } = this.#reading;
    const clock = this.#options.clock ?? systemClock;
    const segmentBytes = this.#options.segmentBytes ?? SEGMENT_BYTES;
    const reserveBytes = Math.min(this.#options.reserveBytes ?? RESERVE_BYTES, segmentBytes);
    const provision = new Provision(this.#storage, clock, { segmentBytes, reserveBytes });
    try {
      // The last group may be in the page cache only: make it durable, and give back the space behind it.
      if (last !== null) await this.#storage.cut(last.name, last.end.offset); // crash: read again, cut again
      await provision.adopt();
      await provision.ensureNext();
      const settings: WriterSettings = {
        storage: this.#storage,
        provision,
        identity: this.identity,
        positions: this.positions,
        previousCrc: last?.lastCrc ?? 0,
        segments: cutSummary(segments, last),
        segmentBytes,
        clock,
        controlPoint: this.#options.controlPoint ?? noControlPoint,
        commitRule: this.#options.commitRule ?? localCommit,
      };
      return await LogWriter.start(settings, checkpoint);
    } catch (error) {
      await provision.stop();
      await this.#storage.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#storage.close();
  }
}

/** The last segment of the run before was cut to what it holds; its summary says so. */
function cutSummary(segments: LogReading['segments'], last: LastSegment | null): LogReading['segments'] {
  return segments.map((segment) => (segment.name === last?.name ? { ...segment, bytes: last.end.offset } : segment));
}

// The order in which the log's files are written and synced; every line between two durable things says what a crash
// there leaves behind.

import type { Disk, DiskHandle } from './disk.ts';
import { completeGroup } from './format.ts';
import type { DurableGroup, SegmentStart } from './storage.ts';

/** Called around the sync of a group; production has none (see FileStorageOptions.syncHook). */
export type SyncHook = (place: 'fsync.before' | 'fsync.after') => void;

export const TEMPORARY_SUFFIX = '.tmp';

interface OpenSegment {
  readonly handle: DiskHandle;
  readonly segmentId: number;
  position: number;
}

export class LogFiles {
  readonly #disk: Disk;
  readonly #hook: SyncHook | undefined;
  #segment: OpenSegment | undefined;
  #durableLsn = 0;

  constructor(disk: Disk, hook?: SyncHook) {
    this.#disk = disk;
    this.#hook = hook;
  }

  /**
   * Stamps, writes and syncs one group at the end of the current segment. The stamp is exact: every record says up to
   * which lsn all was durable before its own group was written, so damage below that is never taken for a torn write.
   */
  append(group: Uint8Array): DurableGroup {
    const segment = this.#segment;
    if (segment === undefined) throw new Error('no segment was started');
    // The seam for replication: in local mode durable is committed, so the stamp is the durable position.
    const stamped = completeGroup(group, segment.segmentId, this.#durableLsn);
    this.#disk.write(segment.handle, segment.position, group);
    this.#hook?.('fsync.before'); // crash: any subset of the group's sectors is there; nobody was told of any
    this.#disk.sync(segment.handle);
    this.#hook?.('fsync.after'); // crash: the group is there; nobody was told yet
    segment.position += group.length;
    this.#durableLsn = stamped.lastLsn;
    return stamped;
  }

  start(start: SegmentStart): void {
    const previous = this.#segment;
    const temporary = start.spare ?? start.name + TEMPORARY_SUFFIX;
    const handle = this.#disk.open(temporary, start.spare === undefined ? 'new' : 'existing');
    this.#disk.write(handle, 0, start.content);
    this.#disk.sync(handle); // crash before or after: a spare that is not all zeros, thrown away at the next open
    this.#disk.rename(temporary, start.name); // crash: the segment may or may not have its name; nothing follows it yet
    this.#disk.syncDirectory();
    this.#segment = { handle, segmentId: start.segmentId, position: start.content.length };
    this.#durableLsn = start.lsn;
    if (previous === undefined) return;
    // Give back what was allocated and never used. Not synced: a crash leaves zeros there, which say the same.
    this.#disk.truncate(previous.handle, previous.position);
    this.#disk.close(previous.handle);
  }

  publish(name: string, bytes: Uint8Array): void {
    const temporary = name + TEMPORARY_SUFFIX;
    // A crash may have left it as a second name of a published file, which must not be emptied.
    this.#disk.remove(temporary);
    const handle = this.#disk.open(temporary, 'new');
    try {
      this.#disk.write(handle, 0, bytes);
      this.#disk.sync(handle); // crash: a temporary file, removed at the next open
    } finally {
      this.#disk.close(handle);
    }
    this.#disk.link(temporary, name); // crash: the name may be there, then it is whole
    this.#disk.syncDirectory();
    this.#disk.remove(temporary); // crash: the temporary name stays, removed at the next open
  }

  cut(name: string, bytes: number): void {
    const handle = this.#disk.open(name, 'existing');
    try {
      this.#disk.truncate(handle, bytes);
      this.#disk.sync(handle); // crash: cut or not; the next open finds the same end and cuts again
    } finally {
      this.#disk.close(handle);
    }
  }

  remove(name: string): void {
    this.#disk.remove(name);
    this.#disk.syncDirectory(); // crash: the file is there or not; it was not needed
  }

  /** Ends the current segment. */
  close(): void {
    const segment = this.#segment;
    this.#segment = undefined;
    if (segment === undefined) return;
    this.#disk.truncate(segment.handle, segment.position); // not synced, like the cut in start()
    this.#disk.close(segment.handle);
  }
}

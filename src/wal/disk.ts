// The few file operations that the log is made of, synchronous and one step each, so that a simulated disk can lose power
// between any two of them.

/** An open file. */
export type DiskHandle = number;

export interface Disk {
  /** Opens for writing. `new` empties what was there; `existing` fails with ENOENT when there is nothing. */
  open(name: string, mode: 'new' | 'existing'): DiskHandle;
  /** Writes all of `bytes` at `position`, or throws. */
  write(handle: DiskHandle, position: number, bytes: Uint8Array): void;
  /** fdatasync: contents, and the size when it grew. */
  sync(handle: DiskHandle): void;
  truncate(handle: DiskHandle, bytes: number): void;
  close(handle: DiskHandle): void;
  rename(from: string, to: string): void;
  /** A second name for a file; fails with EEXIST when the name is taken, which rename would not. */
  link(from: string, to: string): void;
  /** A file that is gone already is fine. */
  remove(name: string): void;
  /** Makes names durable: creations, renames, links, removals. */
  syncDirectory(): void;
}

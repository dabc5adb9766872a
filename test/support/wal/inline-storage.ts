// The log's storage on a simulated disk, in this thread: the same order of writes and syncs (src/wal/log-files.ts) as the
// real one, with time to offer more while a group is under way.

import type { Disk } from '../../../src/wal/disk.ts';
import { WalLockedError } from '../../../src/wal/errors.ts';
import { LogFiles } from '../../../src/wal/log-files.ts';
import type { SegmentStart, Storage, StorageEvents, StoredFile } from '../../../src/wal/storage.ts';
import type { SimulatedDisk } from './simulated-disk.ts';

const SLOT_BYTES = 64 * 1024;
const locked = new WeakSet<Disk>();

/** Thrown by a disk hook to stop the world: nothing after it happens, and nobody is told. */
export class PowerCut extends Error {
  override readonly name = 'PowerCut';
}

export class InlineStorage implements Storage {
  readonly directory = 'simulated';
  readonly #disk: SimulatedDisk;
  readonly #files: LogFiles;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #events: StorageEvents | undefined;
  #busy = false;
  #failed = false;
  /** True after a PowerCut: every call hangs for ever from then on. */
  isDark = false;

  constructor(disk: SimulatedDisk) {
    this.#disk = disk;
    this.#files = new LogFiles(disk);
  }

  lock(holder: string): Promise<void> {
    return this.#run(() => {
      if (locked.has(this.#disk)) throw new WalLockedError(this.directory, holder);
      locked.add(this.#disk);
    });
  }

  list(): Promise<StoredFile[]> {
    return this.#run(() => [...this.#disk.names].map(([name, file]) => ({ name, bytes: file.bytes.length })));
  }

  read(name: string, position: number, length: number): Promise<Uint8Array> {
    return this.#run(() => this.#disk.read(name, position, length));
  }

  publish(name: string, bytes: Uint8Array): Promise<void> {
    return this.#run(() => this.#files.publish(name, bytes));
  }

  prepare(name: string, bytes: number): Promise<void> {
    return this.#run(() => {
      const temporary = `${name}.tmp`;
      try {
        const handle = this.#disk.open(temporary, 'new');
        this.#disk.write(handle, 0, new Uint8Array(bytes));
        this.#disk.sync(handle);
        this.#disk.close(handle);
      } catch (error) {
        if (!(error instanceof PowerCut)) this.#disk.remove(temporary);
        throw error;
      }
      this.#disk.rename(temporary, name);
      this.#disk.syncDirectory();
    });
  }

  cut(name: string, bytes: number): Promise<void> {
    return this.#run(() => this.#files.cut(name, bytes));
  }

  remove(name: string): Promise<void> {
    return this.#run(() => this.#files.remove(name));
  }

  start(segment: SegmentStart, events: StorageEvents): Promise<void> {
    this.#events = events;
    return this.#run(() => this.#files.start(segment));
  }

  offer(record: Uint8Array): boolean {
    if (this.#waitingBytes + record.length > SLOT_BYTES) return false;
    this.#waiting.push(record.slice());
    this.#waitingBytes += record.length;
    return true;
  }

  begin(): void {
    if (this.#busy || this.#waiting.length === 0) return;
    this.#busy = true;
    setImmediate(() => this.#writeGroup());
  }

  close(): Promise<void> {
    return this.#run(() => {
      this.#files.close();
      locked.delete(this.#disk);
    });
  }

  #writeGroup(): void {
    this.#busy = false;
    if (this.isDark || this.#failed || this.#waiting.length === 0) return;
    const group = Buffer.concat(this.#waiting.splice(0));
    this.#waitingBytes = 0;
    try {
      const durable = this.#files.append(group);
      // A real thread reports through a message: the caller hears of it in a later turn.
      setImmediate(() => this.isDark || this.#events?.durable(durable));
    } catch (error) {
      if (error instanceof PowerCut) this.isDark = true;
      else {
        this.#failed = true;
        setImmediate(() => this.#events?.failed('wrote a group of records', error));
      }
    }
  }

  #run<T>(work: () => T): Promise<T> {
    if (this.isDark) return new Promise(() => undefined);
    try {
      return Promise.resolve(work());
    } catch (error) {
      if (!(error instanceof PowerCut)) return Promise.reject(error);
      this.isDark = true;
      return new Promise(() => undefined);
    }
  }
}

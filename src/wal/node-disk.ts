// The disk that is really there: node:fs, synchronous, relative to one directory.

import * as fs from 'node:fs';
import path from 'node:path';
import type { Disk, DiskHandle } from './disk.ts';
import { systemErrorCode } from './errors.ts';

export class NodeDisk implements Disk {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  open(name: string, mode: 'new' | 'existing'): DiskHandle {
    return fs.openSync(this.#path(name), mode === 'new' ? 'w' : 'r+');
  }

  write(handle: DiskHandle, position: number, bytes: Uint8Array): void {
    // A short write is legal (a disk that fills up); the next one then says why.
    for (let done = 0; done < bytes.length; ) {
      const written = fs.writeSync(handle, bytes, done, bytes.length - done, position + done);
      if (written === 0) throw new Error(`the file takes no more bytes at ${position + done}`);
      done += written;
    }
  }

  sync(handle: DiskHandle): void {
    fs.fdatasyncSync(handle);
  }

  truncate(handle: DiskHandle, bytes: number): void {
    fs.ftruncateSync(handle, bytes);
  }

  close(handle: DiskHandle): void {
    fs.closeSync(handle);
  }

  rename(from: string, to: string): void {
    fs.renameSync(this.#path(from), this.#path(to));
  }

  link(from: string, to: string): void {
    fs.linkSync(this.#path(from), this.#path(to));
  }

  remove(name: string): void {
    try {
      fs.unlinkSync(this.#path(name));
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
  }

  syncDirectory(): void {
    const handle = fs.openSync(this.#directory, 'r');
    try {
      fs.fsyncSync(handle);
    } finally {
      fs.closeSync(handle);
    }
  }

  #path(name: string): string {
    return path.join(this.#directory, name);
  }
}

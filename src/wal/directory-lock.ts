// One writer per log: an exclusive lock on a file in the directory, held until the process ends, with the holder's name in it.

import * as fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { tryLock } from 'fs-native-extensions';
import { WalLockedError } from './errors.ts';

export const LOCK_FILE = 'lock';
/** Always this long, so that a full disk cannot refuse to overwrite it. */
const HOLDER_BYTES = 512;

/** Who we are, for the one who finds the directory locked. */
export function describeHolder(holder: string, startedAtMs: number): string {
  return `${holder} (pid ${process.pid} on ${os.hostname()}, since ${new Date(startedAtMs).toISOString()})`;
}

/**
 * Takes the lock and returns the function that gives it back. The kernel drops it when the process ends, however that
 * happens. Throws WalLockedError naming the holder.
 */
export function lockDirectory(directory: string, holder: string): () => void {
  const fd = fs.openSync(path.join(directory, LOCK_FILE), fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644);
  try {
    if (!tryLock(fd)) throw new WalLockedError(directory, readHolder(directory) ?? 'another process');
    const text = Buffer.alloc(HOLDER_BYTES, ' ');
    text.write(`${holder.slice(0, HOLDER_BYTES - 1)}`);
    text[HOLDER_BYTES - 1] = 0x0a;
    fs.writeSync(fd, text, 0, text.length, 0);
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
  return () => fs.closeSync(fd);
}

/** The name in the lock file: of the one who holds the lock, or held it last. */
export function readHolder(directory: string): string | undefined {
  try {
    const text = fs.readFileSync(path.join(directory, LOCK_FILE), 'utf8').trim();
    return text === '' ? undefined : text;
  } catch {
    return undefined;
  }
}

/** True when some process holds the lock now. Read-only tools ask, to tell a moving tail from a torn one. */
export function isLocked(directory: string): boolean {
  let fd: number;
  try {
    fd = fs.openSync(path.join(directory, LOCK_FILE), fs.constants.O_RDWR);
  } catch {
    return false;
  }
  try {
    return !tryLock(fd);
  } finally {
    fs.closeSync(fd);
  }
}

// Holds a log still to be read by somebody who is not its owner: its lock taken, so no process of the owner lives, and all
// that will be read made durable, so that what is acted upon cannot be undone by a power cut. It changes no record.

import * as fs from 'node:fs';
import path from 'node:path';
import type { Clock } from '../kernel/clock.ts';
import { describeHolder, lockDirectory, readHolder } from './directory-lock.ts';
import { systemErrorCode, WalLockedError } from './errors.ts';
import { FileReader } from './file-storage.ts';
import { segmentFiles } from './log-reader.ts';

export interface LogAtRest {
  readonly reader: FileReader;
  /** Who held the log last, by its own words. */
  readonly lastHolder: string | undefined;
  /** Gives the lock back. */
  release(): void;
}

export interface HoldOptions {
  /** Who we are, for the one who finds the log locked. */
  readonly holder: string;
  readonly clock: Clock;
  /** An owner that crashes over and over holds the lock for moments only; default 0. */
  readonly waitMs?: number;
}

const RETRY_MS = 50;

/**
 * Takes the lock of the log in `directory`, within `waitMs`. Null when there is no such directory: then there is no log.
 * Rejects with WalLockedError naming the owner, who lives then, or with a system error.
 */
export async function holdAtRest(
  directory: string,
  { holder, clock, waitMs = 0 }: HoldOptions,
): Promise<LogAtRest | null> {
  if (!fs.existsSync(directory)) return null;
  const lastHolder = readHolder(directory);
  const release = await lockWithin(directory, describeHolder(holder, clock.nowMs()), clock, waitMs);
  const reader = new FileReader(directory);
  try {
    // A crash here leaves the log as it was, a little more durable.
    for (const { name } of segmentFiles(await reader.list())) syncFile(path.join(directory, name));
    syncFile(directory);
    return { reader, lastHolder, release };
  } catch (error) {
    release();
    throw error;
  }
}

async function lockWithin(directory: string, holder: string, clock: Clock, waitMs: number): Promise<() => void> {
  const deadlineMs = clock.monotonicMs() + waitMs;
  for (;;) {
    try {
      return lockDirectory(directory, holder);
    } catch (error) {
      if (!(error instanceof WalLockedError) || clock.monotonicMs() >= deadlineMs) throw error;
    }
    await clock.sleep(RETRY_MS);
  }
}

function syncFile(file: string): void {
  const handle = fs.openSync(file, 'r');
  try {
    fs.fsyncSync(handle);
  } catch (error) {
    // Some file systems cannot sync what was opened for reading only; then it is as durable as it was.
    if (systemErrorCode(error) !== 'EINVAL') throw error;
  } finally {
    fs.closeSync(handle);
  }
}

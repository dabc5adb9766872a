// A log that somebody else acts upon is made durable first: a record that is only in the page cache could be carried out and
// then be gone with the power.
import fs, { mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { holdAtRest } from '../../../src/wal/log-at-rest.ts';
import { openWal } from '../../../src/wal/wal.ts';
import { TAG, text } from '../../support/wal/log-kit.ts';

const { fsyncSync } = fs;
let directory = '';
let synced: string[] = [];

beforeEach(() => {
  directory = fs.realpathSync(mkdtempSync(path.join(os.tmpdir(), 'atomshard-at-rest-')));
  synced = [];
  fs.fsyncSync = (fd) => {
    synced.push(readlinkSync(`/proc/self/fd/${fd}`));
    fsyncSync(fd);
  };
  syncBuiltinESMExports();
});

afterEach(() => {
  fs.fsyncSync = fsyncSync;
  syncBuiltinESMExports();
  rmSync(directory, { recursive: true, force: true });
});

describe.skipIf(process.platform !== 'linux')('a log at rest', () => {
  it('is synced, every segment and then the directory, before anybody reads it', async () => {
    for (const run of [1, 2]) {
      const opened = await openWal({ directory, segmentBytes: 4096, reserveBytes: 4096 }, () => undefined);
      const wal = await opened.start(text('checkpoint'));
      await wal.append(TAG, text(`run ${run}`));
      await wal.close();
    }
    synced = [];
    const log = await holdAtRest(directory, { holder: 'a test', clock: systemClock });
    const segments = fs.readdirSync(directory).filter((name) => /^\d{20}\.wal$/.test(name));
    expect(segments.length).toBeGreaterThan(1);
    expect(synced.slice(0, -1).toSorted()).toEqual(segments.map((name) => path.join(directory, name)).toSorted());
    expect(synced.at(-1)).toBe(directory);
    log?.release();
  });
});

// Copied data directories get identities of their own, and files that are not understood stay as they are.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { crc32c } from '@node-rs/crc32';
import { describe, expect, it } from 'vitest';
import { checksumOffset, renewSystemIdentifier } from '../../../src/dev/system-identifier.ts';

const OLD = 7_000_000_000_000_000_001n;
const SEGMENT = '000000010000000000000001';

function control(checksumAt: number): Buffer {
  const bytes = Buffer.alloc(8_192);
  for (let i = 8; i < checksumAt; i++) bytes[i] = (i * 7) % 251;
  bytes.writeBigUInt64LE(OLD, 0);
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, checksumAt)), checksumAt);
  return bytes;
}

async function withDirectory(
  segmentIdentifier: bigint,
  controlBytes: Buffer,
  work: (directory: string) => Promise<void>,
) {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'atomshard-identity-'));
  try {
    await mkdir(path.join(directory, 'global'));
    await mkdir(path.join(directory, 'pg_wal', 'archive_status'), { recursive: true });
    await writeFile(path.join(directory, 'global', 'pg_control'), controlBytes);
    const segment = Buffer.alloc(64, 1);
    segment.writeBigUInt64LE(segmentIdentifier, 24);
    await writeFile(path.join(directory, 'pg_wal', SEGMENT), segment);
    await work(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

describe('the system identifier of a copied data directory', () => {
  it.each([284, 288, 296])('is renewed in pg_control and in the log, wherever the checksum stands (%s)', async (at) => {
    await withDirectory(OLD, control(at), async (directory) => {
      expect(await renewSystemIdentifier(directory)).toBe(true);
      const changed = await readFile(path.join(directory, 'global', 'pg_control'));
      const segment = await readFile(path.join(directory, 'pg_wal', SEGMENT));
      expect(checksumOffset(changed)).toBe(at);
      expect(changed.readBigUInt64LE(0)).not.toBe(OLD);
      expect(segment.readBigUInt64LE(24)).toBe(changed.readBigUInt64LE(0));
      expect(changed.subarray(8, at)).toEqual(control(at).subarray(8, at));
    });
  });

  it.each([
    ['the checksum is wrong', OLD, () => control(288).fill(9, 100, 101)],
    ['the log is of another server', 1n, () => control(288)],
  ])('is left alone when %s', async (_, segmentIdentifier, make) => {
    const before = make();
    await withDirectory(segmentIdentifier, before, async (directory) => {
      expect(await renewSystemIdentifier(directory)).toBe(false);
      expect(await readFile(path.join(directory, 'global', 'pg_control'))).toEqual(before);
    });
  });
});

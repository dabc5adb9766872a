// The bytes on disk are a promise to the next version: these files were written by the first one. When the format
// changes, its version changes, and these files stay readable; never regenerate them.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { encodeRecord, recordBytes, stampGroup, viewOf } from '../../../src/wal/format.ts';
import { readLog } from '../../../src/wal/log-reader.ts';
import { composeSegment } from '../../../src/wal/segment-content.ts';
import { asRead, type ReadRecord, text } from '../../support/wal/log-kit.ts';

const GOLDEN = path.resolve(import.meta.dirname, '../../golden/wal');

/** Hexadecimal, 32 bytes a line, `#` begins a remark. */
function golden(name: string): Uint8Array {
  const lines = readFileSync(path.join(GOLDEN, name), 'utf8').split('\n');
  return Buffer.from(lines.map((line) => line.replace(/#.*/, '').replaceAll(' ', '')).join(''), 'hex');
}

/** The log that the golden files hold. */
function goldenSegments(): { name: string; bytes: Uint8Array }[] {
  const identity = { walId: '000102030405060708090a0b0c0d0e0f', epoch: 1_789_000_001, firstEpoch: 1_789_000_000 };
  const segment = (lsn: number, previousCrc: number, committed: number, segmentId: number) =>
    composeSegment({
      identity: { ...identity, created: false },
      lsn,
      previousCrc,
      positions: { oldest: 1, applied: 0, committed, durable: committed, appended: committed },
      writtenAtMs: 1_789_000_123_456,
      owner: text('owner'),
      segmentId,
    });
  const first = segment(1, 0, 0, 0xdecaf001);
  const group = Buffer.concat(
    ['', 'decision', 'a longer decision, with padding'].map((payload, index) => {
      const bytes = new Uint8Array(recordBytes(payload.length));
      encodeRecord(bytes, viewOf(bytes), 16 + index, 2 + index, text(payload));
      return bytes;
    }),
  );
  const { lastCrc } = stampGroup(group, first.segmentId, 1);
  const second = segment(5, lastCrc, 4, 0xdecaf002);
  return [
    { name: first.name, bytes: Buffer.concat([first.content, group]) },
    { name: second.name, bytes: second.content },
  ];
}

describe('the format on disk', () => {
  for (const { name, bytes } of goldenSegments()) {
    it(`${name} is written byte for byte as it always was`, () => {
      expect(Buffer.from(bytes).toString('hex')).toBe(Buffer.from(golden(`${name}.hex`)).toString('hex'));
    });
  }

  it('the golden log is read as it was meant', async () => {
    const files = goldenSegments().map(({ name }) => ({ name, bytes: golden(`${name}.hex`) }));
    const storage = {
      directory: 'golden',
      list: () => Promise.resolve(files.map(({ name, bytes }) => ({ name, bytes: bytes.length }))),
      read: (name: string, position: number, length: number) =>
        Promise.resolve(
          files.find((file) => file.name === name)?.bytes.subarray(position, position + length) ?? new Uint8Array(0),
        ),
    };
    const records: ReadRecord[] = [];
    const { last } = await readLog(storage, (record) => records.push(asRead(record)));
    expect(records).toEqual([
      { lsn: 1, tag: 1, text: 'owner', committedAtWrite: 0 },
      { lsn: 2, tag: 16, text: '', committedAtWrite: 1 },
      { lsn: 3, tag: 17, text: 'decision', committedAtWrite: 1 },
      { lsn: 4, tag: 18, text: 'a longer decision, with padding', committedAtWrite: 1 },
      { lsn: 5, tag: 1, text: 'owner', committedAtWrite: 4 },
    ]);
    expect(last).toMatchObject({ walId: '000102030405060708090a0b0c0d0e0f', epoch: 1_789_000_001, committed: 5 });
  });
});

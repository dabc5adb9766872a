import { describe, expect, it } from 'vitest';
import { PieceReader } from '../../../src/wal/piece-reader.ts';

const FILE_BYTES = 9_000_001;

/** A file in which every byte tells its place, and a count of the bytes read from it. */
function patternedFile(actualBytes = FILE_BYTES) {
  const bytes = new Uint8Array(actualBytes);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (at * 31 + (at >> 8) * 7 + (at >> 16)) & 255;
  const reads: number[] = [];
  const storage = {
    directory: 'memory',
    list: () => Promise.resolve([]),
    read: (_name: string, position: number, length: number) => {
      reads.push(length);
      return Promise.resolve(bytes.slice(position, position + length));
    },
  };
  return { bytes, reads, reader: new PieceReader(storage, { name: 'file', bytes: FILE_BYTES }) };
}

describe('reading ahead', () => {
  for (const back of [0, 1, 100, 65_536, 65_537, 300_000]) {
    it(`gives the right bytes when a piece is left ${back} bytes before its end`, async () => {
      const { bytes, reader, reads } = patternedFile();
      let offset = 64;
      while (offset < FILE_BYTES) {
        const piece = await reader.from(offset, 8);
        expect(Buffer.compare(piece, bytes.subarray(offset, offset + piece.length))).toBe(0);
        const end = offset + piece.length;
        offset = end >= FILE_BYTES ? end : Math.max(offset + 1, end - back);
      }
      expect(offset).toBe(FILE_BYTES);
      expect(Math.max(...reads)).toBeLessThan(3_000_000);
    });
  }

  it('gives as many bytes as are needed, though they are more than a piece', async () => {
    const { bytes, reader } = patternedFile();
    await reader.from(64, 8);
    const piece = await reader.from(2_050_000, 5_000_000);
    expect(piece.length).toBeGreaterThanOrEqual(5_000_000);
    expect(Buffer.compare(piece, bytes.subarray(2_050_000, 2_050_000 + piece.length))).toBe(0);
  });

  it('gives less only at the end of the file, also when it became shorter meanwhile', async () => {
    const { reader } = patternedFile(3_000_000);
    await reader.from(64, 8);
    expect(await reader.from(2_999_990, 100)).toHaveLength(10);
    expect(await reader.from(3_000_000, 8)).toHaveLength(0);
  });
});

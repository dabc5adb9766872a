// Records are read the same however the bytes arrive.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeRecord, recordBytes, stampGroup, viewOf, type WalRecord } from '../../../src/wal/format.ts';
import { type ScanState, scanPiece } from '../../../src/wal/scan.ts';

const SEGMENT_ID = 7;

function encodeAll(payloads: readonly Uint8Array[]): Uint8Array {
  const parts = payloads.map((payload, index) => {
    const part = new Uint8Array(recordBytes(payload.length));
    encodeRecord(part, viewOf(part), 16 + (index % 200), index + 1, payload);
    return part;
  });
  const bytes = new Uint8Array(Buffer.concat(parts));
  stampGroup(bytes, SEGMENT_ID, 0);
  return bytes;
}

const newState = (fileBytes: number): ScanState => ({
  segmentId: SEGMENT_ID,
  fileBytes,
  upToLsn: Number.POSITIVE_INFINITY,
  nextLsn: 1,
  committed: 0,
  lastCrc: 0,
});

describe('scanning', () => {
  it('gives the same records under any chunking, with zeros or nothing behind them', () => {
    const payloads = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 30 });
    const pieces = fc.array(fc.integer({ min: 8, max: 700 }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(payloads, pieces, fc.nat(100), (wanted, sizes, zeros) => {
        const bytes = new Uint8Array(Buffer.concat([encodeAll(wanted), new Uint8Array(zeros)]));
        const state = newState(bytes.length);
        const records: WalRecord[] = [];
        let offset = 0;
        for (let turn = 0; ; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 8;
          // A piece is at least what the scan asked for last, as in segment-reader.ts.
          let piece = bytes.subarray(offset, offset + size);
          let stop = scanPiece(piece, offset, state, (record) => records.push(record));
          if (stop.kind === 'more' && stop.offset === offset) {
            piece = bytes.subarray(offset, offset + stop.bytes);
            stop = scanPiece(piece, offset, state, (record) => records.push(record));
          }
          if (stop.kind !== 'more') {
            expect(stop.kind).toBe('end');
            break;
          }
          expect(stop.offset).toBeGreaterThanOrEqual(offset);
          offset = stop.offset;
        }
        expect(records.map(({ lsn }) => lsn)).toEqual(wanted.map((_, index) => index + 1));
        expect(records.map(({ payload }) => Buffer.from(payload))).toEqual(wanted.map((one) => Buffer.from(one)));
      }),
    );
  });

  it('never crashes on arbitrary bytes, and never reads a record out of them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        const records: WalRecord[] = [];
        const stop = scanPiece(bytes, 0, newState(bytes.length), (record) => records.push(record));
        expect(records).toEqual([]);
        expect(['end', 'broken']).toContain(stop.kind);
      }),
    );
  });
});

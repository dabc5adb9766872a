// Frames come out whole, in order and unchanged, however the stream is cut and whenever the reader is paused.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameReader } from '../../../src/protocol/frame.ts';
import { MessageWriter } from '../../../src/protocol/message-writer.ts';

const bodies = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 60_000, max: 300_000 }).map((size) => new Uint8Array(size).fill(size & 255)),
  },
);
const frames = fc.array(
  fc
    .tuple(fc.integer({ min: 0, max: 255 }), bodies)
    .map(([type, body]) => new MessageWriter().begin(type).bytes(body).end().take()),
  { maxLength: 12 },
);

/** Cuts `stream` at the given places (any numbers), and now and then into single bytes. */
function cut(stream: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (stream.length + 1)))].sort((a, b) => a - b);
  const chunks: Buffer[] = [];
  let from = 0;
  for (const place of [...at, stream.length]) {
    chunks.push(Buffer.from(stream.subarray(from, place)));
    from = place;
  }
  return chunks;
}

describe('framing', () => {
  it('is the same under any chunking and any pausing', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat()), fc.array(fc.nat(20)), (wanted, places, pauses) => {
        const got: Buffer[] = [];
        let seen = 0;
        const reader: FrameReader = new FrameReader(
          {
            frame(type, chunk, start, end) {
              expect(chunk[start]).toBe(type);
              got.push(chunk.subarray(start, end));
              if (pauses.includes(seen++)) reader.pause();
            },
            chunkEnd() {},
          },
          1 << 20,
        );
        for (const [index, chunk] of cut(Buffer.concat(wanted), places).entries()) {
          expect(reader.push(chunk)).toBeUndefined();
          if (index % 2 === 0) reader.resume();
        }
        while (reader.paused) reader.resume();
        expect(got.length).toBe(wanted.length);
        expect(got.every((frame, i) => frame.equals(wanted[i] ?? Buffer.alloc(0)))).toBe(true);
        expect(reader.bufferedBytes).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it('is the same when every chunk is one byte', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 6 }), (wanted) => {
        const stream = Buffer.concat(wanted.map((body) => new MessageWriter().begin(0x44).bytes(body).end().take()));
        const got: Buffer[] = [];
        const reader = new FrameReader(
          { frame: (_, chunk, start, end) => got.push(chunk.subarray(start, end)), chunkEnd() {} },
          100,
        );
        for (const byte of stream) reader.push(Buffer.of(byte));
        expect(Buffer.concat(got)).toEqual(stream);
        expect(got.length).toBe(wanted.length);
      }),
    );
  });

  it('never buffers past its bound and never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 20 }), (chunks) => {
        const reader = new FrameReader({ frame() {}, chunkEnd() {} }, 64);
        for (const chunk of chunks) {
          reader.push(Buffer.from(chunk));
          expect(reader.bufferedBytes).toBeLessThanOrEqual(65);
        }
      }),
      { numRuns: 500 },
    );
  });
});

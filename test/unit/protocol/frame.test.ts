// FrameReader: what it delivers, what it refuses before buffering, and how it waits.
import { describe, expect, it } from 'vitest';
import { copyData, query, SYNC } from '../../../src/protocol/client-message-writer.ts';
import { type FrameFault, FrameReader, frameFaultError } from '../../../src/protocol/frame.ts';

class Collector {
  readonly frames: Buffer[] = [];
  chunkEnds = 0;
  onFrame: (() => void) | undefined;
  frame(type: number, chunk: Buffer, start: number, end: number): void {
    expect(chunk[start]).toBe(type);
    this.frames.push(chunk.subarray(start, end));
    this.onFrame?.();
  }
  chunkEnd(): void {
    this.chunkEnds += 1;
  }
}

function header(type: string, length: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.write(type, 0, 'latin1');
  bytes.writeInt32BE(length, 1);
  return bytes;
}

describe('FrameReader', () => {
  it('hands out frames of one chunk as offsets into that very chunk', () => {
    const seen: [Buffer, number, number][] = [];
    const reader = new FrameReader(
      { frame: (_, chunk, start, end) => seen.push([chunk, start, end]), chunkEnd() {} },
      100,
    );
    const chunk = Buffer.concat([query('a'), SYNC]);
    expect(reader.push(chunk)).toBeUndefined();
    expect(seen).toEqual([
      [chunk, 0, 7],
      [chunk, 7, 12],
    ]);
    expect(seen[0]?.[0]).toBe(chunk);
  });

  it('keeps frames it handed out unchanged when later chunks come', () => {
    const collector = new Collector();
    const reader = new FrameReader(collector, 1_000_000);
    const big = copyData(Buffer.alloc(200_000, 7));
    const stream = Buffer.concat([big, big]);
    for (let at = 0; at < stream.length; at += 999) reader.push(Buffer.from(stream.subarray(at, at + 999)));
    expect(collector.frames.map((frame) => frame.equals(big))).toEqual([true, true]);
  });

  it.each([
    ['too short', 3, 'MalformedLength'],
    ['negative', -1, 'MalformedLength'],
    ['too long', 101, 'FrameTooLarge'],
    ['the largest there is', 0x7fff_ffff, 'FrameTooLarge'],
  ] as const)('refuses a length that is %s from the header alone', (_, length, kind) => {
    const collector = new Collector();
    const reader = new FrameReader(collector, 100);
    const fault = reader.push(Buffer.concat([SYNC, header('Q', length)])) as FrameFault;
    expect(fault.kind).toBe(kind);
    expect(frameFaultError(fault)).toMatchObject({ severity: 'FATAL', code: '08P01' });
    expect(collector.frames).toHaveLength(1);
    expect(reader.bufferedBytes).toBe(0);
    // Final: nothing that follows is believed.
    expect(reader.push(SYNC)).toEqual(fault);
    expect(collector.frames).toHaveLength(1);
  });

  it('refuses a bad length whose header came in pieces', () => {
    const collector = new Collector();
    const reader = new FrameReader(collector, 100);
    const bytes = header('Q', 1_000);
    for (let i = 0; i < 4; i += 1) expect(reader.push(bytes.subarray(i, i + 1))).toBeUndefined();
    expect(reader.push(bytes.subarray(4))?.kind).toBe('FrameTooLarge');
  });

  it('does not set room aside that a header only promises', () => {
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 50 }, () => {
      const reader = new FrameReader(new Collector(), 1 << 30);
      reader.push(header('d', 1 << 29));
      return reader;
    });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * 1024 * 1024);
    expect(readers[0]?.bufferedBytes).toBe(5);
  });

  it('stops after the frame in hand when paused and goes on in order', () => {
    const collector = new Collector();
    const reader = new FrameReader(collector, 100);
    collector.onFrame = () => reader.pause();
    reader.push(Buffer.concat([query('1'), query('2'), query('3').subarray(0, 4)]));
    reader.push(query('3').subarray(4));
    expect(collector.frames).toHaveLength(1);
    reader.resume();
    expect(collector.frames).toHaveLength(2);
    collector.onFrame = undefined;
    reader.resume();
    expect(collector.frames.map((frame) => frame.toString('latin1', 5, 6))).toEqual(['1', '2', '3']);
    expect(reader.bufferedBytes).toBe(0);
  });

  it('is over when its handler throws: nothing more is delivered or kept', () => {
    let frames = 0;
    const reader = new FrameReader(
      {
        frame() {
          frames += 1;
          throw new Error('malformed');
        },
        chunkEnd() {},
      },
      100,
    );
    expect(() => reader.push(Buffer.concat([SYNC, SYNC]))).toThrow('malformed');
    reader.push(Buffer.concat([SYNC, SYNC.subarray(1)]));
    expect([frames, reader.bufferedBytes]).toEqual([1, 0]);
  });

  it('says the end of every chunk once', () => {
    const collector = new Collector();
    const reader = new FrameReader(collector, 100);
    reader.push(Buffer.concat([SYNC, SYNC]));
    reader.push(SYNC.subarray(0, 2));
    expect(collector.chunkEnds).toBe(2);
  });
});

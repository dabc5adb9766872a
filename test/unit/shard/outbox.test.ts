// Outbox: what one turn of the event loop sends leaves in one write.
import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Outbox } from '../../../src/shard/outbox.ts';
import { settle } from './manual-clock.ts';

/** Writes down what reaches the system, instead of sending it. */
class WritesOnly extends Socket {
  readonly calls: number[] = [];
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.calls.push(chunk.length);
    done();
  }
  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.calls.push(chunks.reduce((sum, { chunk }) => sum + chunk.length, 0));
    done();
  }
}

describe('Outbox', () => {
  it.each([
    ['one message', [10], [10]],
    ['small messages', [10, 20, 30], [60]],
    ['large messages', [50_000, 50_000, 7], [100_007]],
  ])('%s: one write', async (_, sizes, calls) => {
    const socket = new WritesOnly();
    const outbox = new Outbox(socket);
    for (const size of sizes) outbox.push(Buffer.alloc(size));
    expect(outbox.backlogBytes).toBe(sizes.reduce((sum, size) => sum + size, 0));
    expect(socket.calls).toEqual([]);
    await settle();
    expect(socket.calls).toEqual(calls);
    expect(outbox.backlogBytes).toBe(0);
  });

  it('the next turn writes again', async () => {
    const socket = new WritesOnly();
    const outbox = new Outbox(socket);
    outbox.push(Buffer.alloc(1));
    await settle();
    outbox.push(Buffer.alloc(2));
    await settle();
    expect(socket.calls).toEqual([1, 2]);
  });

  it('a destroyed socket is not written to', async () => {
    const socket = new WritesOnly();
    const outbox = new Outbox(socket);
    outbox.push(Buffer.alloc(1));
    socket.destroy();
    await settle();
    expect(socket.calls).toEqual([]);
  });
});

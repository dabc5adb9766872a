// What an administrator's connection costs the proxy when its other end does not behave.
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { query } from '../../../src/protocol/client-message-writer.ts';
import type { AdminDesk } from '../../../src/proxy/admin/admin-desk.ts';
import { AdminSession } from '../../../src/proxy/admin/admin-session.ts';

/** A connection whose other end reads nothing before `read()`. */
class StuckSocket extends Duplex {
  #go: (() => void) | undefined;
  #reading = false;

  constructor() {
    super({ highWaterMark: 16_384 });
  }

  override _read(): void {}

  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    if (this.#reading) done();
    else this.#go = done;
  }

  readAll(): void {
    this.#reading = true;
    this.#go?.();
  }
}

describe('an administrator who does not read', () => {
  it('is not answered further than its connection takes, and goes on where it stopped when it reads', async () => {
    const socket = new StuckSocket();
    let answered = 0;
    const desk: Pick<AdminDesk, 'columns' | 'answer'> = {
      columns: () => [],
      answer: async () => {
        answered++;
        return { kind: 'done', tag: 'x'.repeat(2_000) };
      },
    };
    const session = new AdminSession(socket as unknown as Socket, desk as AdminDesk);
    session.push(Buffer.concat(Array.from({ length: 500 }, () => query('SHOW VERSION'))));
    for (let i = 0; i < 2_000; i++) await turn();
    expect(answered).toBeGreaterThan(0);
    expect(answered).toBeLessThan(20);
    socket.readAll();
    await expect.poll(() => answered).toBe(500);
  });

  it('who leaves in the meantime frees what waited for it', async () => {
    const socket = new StuckSocket();
    let answered = 0;
    const desk: Pick<AdminDesk, 'columns' | 'answer'> = {
      columns: () => [],
      answer: async () => {
        answered++;
        return { kind: 'done', tag: 'x'.repeat(20_000) };
      },
    };
    const session = new AdminSession(socket as unknown as Socket, desk as AdminDesk);
    session.push(Buffer.concat([query('SHOW VERSION'), query('SHOW VERSION')]));
    await expect.poll(() => answered).toBe(1);
    socket.destroy();
    for (let i = 0; i < 100; i++) await turn();
    expect(answered).toBe(1);
  });
});

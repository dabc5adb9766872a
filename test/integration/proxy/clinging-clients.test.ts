// Clients that were told to go and stay: their connections are taken from them, because no limit counts those.
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startupMessage } from '../../../src/protocol/client-message-writer.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy } from '../../support/proxy-in-process.ts';

const PATIENCE = { timeout: 5_000 };

let shards: Shards;

beforeAll(async () => {
  shards = await startShards(2);
});

afterAll(() => shards[Symbol.asyncDispose]());

describe('a client that never hangs up', () => {
  /** Reads what comes, also the end, and keeps its own side open. */
  const clinging = (port: number, ...parts: Buffer[]) => {
    const seen = { told: false, closed: false };
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('end', () => {
      seen.told = true;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      seen.closed = true;
    });
    for (const part of parts) socket.write(part);
    socket.resume();
    return { seen, socket };
  };
  const hello = (database: string) =>
    startupMessage([
      ['user', 'postgres'],
      ['database', database],
    ]);

  it.each([
    ['that was refused', [hello('nowhere')]],
    ['that sent no startup packet', [Buffer.from('GET / HTTP/1.1\r\n\r\n')]],
    ['whose session was ended', [hello('app'), Buffer.from([0x51, 0, 0, 0, 8, 65, 66, 67, 68])]],
    ['that said goodbye', [hello('app'), Buffer.from([0x58, 0, 0, 0, 4])]],
    ['that said goodbye as an administrator', [hello('atomshard'), Buffer.from([0x58, 0, 0, 0, 4])]],
  ])('%s does not keep its connection', async (_name, parts) => {
    await using open = await startTestProxy(shards, { limits: { startupTimeoutMs: 300 } });
    const { seen, socket } = clinging(open.port, ...parts);
    await expect.poll(() => seen.told, PATIENCE).toBe(true);
    // A connection that is gone answers the next byte with a reset.
    await expect
      .poll(() => {
        if (!socket.destroyed) socket.write('x');
        return seen.closed;
      }, PATIENCE)
      .toBe(true);
  });
});

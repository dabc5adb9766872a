// The port for probes must answer probes, whoever else has connected to it.
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { startHttpStatus } from '../../../src/telemetry/http-status.ts';

const PATIENCE = { timeout: 8_000, interval: 50 };

describe('the status server', () => {
  it.each([
    ['that never finish their request', 'GET /livez HTTP/1.1\r\nX-Slow: '],
    ['that say nothing', ''],
  ])('answers a probe again although 64 clients hold it %s', { timeout: 15_000 }, async (_name, bytes) => {
    const server = await startHttpStatus({
      host: '127.0.0.1',
      port: 0,
      timeoutMs: 500,
      routes: { '/livez': () => ({ status: 200, body: 'ok\n' }) },
    });
    const held: Socket[] = [];
    for (let i = 0; i < 64; i++) {
      const socket = connect({ port: server.port, host: '127.0.0.1' });
      socket.on('error', () => undefined);
      await new Promise((resolve) => socket.once('connect', resolve));
      socket.pause();
      socket.write(bytes);
      held.push(socket);
    }
    const probe = () =>
      fetch(`http://127.0.0.1:${server.port}/livez`).then(
        (response) => response.status,
        () => 0,
      );
    expect(await probe()).toBe(0);
    await expect.poll(probe, PATIENCE).toBe(200);
    for (const socket of held) socket.destroy();
    await server.close();
  });

  it('hangs up on a client that does not read its reply', async () => {
    const replyBytes = 32 << 20;
    const body = 'x'.repeat(replyBytes);
    const routes = { '/big': () => ({ status: 200, body }) };
    const server = await startHttpStatus({ host: '127.0.0.1', port: 0, timeoutMs: 100, routes });
    const socket = connect({ port: server.port, host: '127.0.0.1' });
    socket.pause();
    let readBytes = 0;
    socket.on('data', (chunk) => {
      readBytes += chunk.length;
    });
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write('GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    socket.pause();
    await sleep(1_000);
    socket.resume();
    await closed;
    expect(readBytes).toBeLessThan(replyBytes);
    await server.close();
  });
});

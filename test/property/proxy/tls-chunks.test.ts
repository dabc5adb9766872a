// A client's TLS in pieces of any size: the request for it, the handshake and what follows may be cut anywhere.
import { connect, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as tlsConnect } from 'node:tls';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import * as message from '../../../src/protocol/client-message-writer.ts';
import { StartupReader } from '../../../src/protocol/startup.ts';
import { ClientEncryption, type EncryptedClient } from '../../../src/proxy/client-encryption.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { TestAuthority } from '../../support/certificates.ts';

let authority: TestAuthority;
let encryption: ClientEncryption;

beforeAll(() => {
  authority = new TestAuthority();
  const files = authority.files('proxy');
  const opened = ClientEncryption.open({ mode: 'allow', ...files }, { clock: systemClock, log: createLog('error') });
  if (opened === undefined) throw new Error('TLS is on');
  encryption = opened;
});
afterAll(() => authority[Symbol.dispose]());

/** Both ends of a connection over TCP: what the client writes arrives there in pieces of these sizes, over and over. */
async function pipeInPieces(sizes: readonly number[]): Promise<{ client: Duplex; server: Socket; end(): void }> {
  const { promise, resolve } = Promise.withResolvers<Socket>();
  const listener = createServer({ noDelay: true }, resolve);
  await new Promise<void>((listening) => listener.listen(0, '127.0.0.1', listening));
  const address = listener.address();
  const near = connect({
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    host: '127.0.0.1',
    noDelay: true,
  });
  const server = await promise;
  let piece = 0;
  const client = new Duplex({
    read: () => near.resume(),
    write: (chunk: Buffer, _encoding, done) => {
      void (async () => {
        for (let at = 0; at < chunk.length; ) {
          const size = sizes[piece++ % sizes.length] ?? 1;
          await new Promise<void>((written) => near.write(chunk.subarray(at, at + size), () => written()));
          // Lets the other end read, so that pieces stay pieces.
          await new Promise<void>((read) => setImmediate(read));
          at += size;
        }
        done();
      })();
    },
  });
  near.on('data', (chunk) => {
    if (!client.push(chunk)) near.pause();
  });
  near.on('error', () => undefined);
  server.on('error', () => undefined);
  return {
    client,
    server,
    end: () => {
      near.destroy();
      server.destroy();
      listener.close();
    },
  };
}

/** The front of a connection as a login does it: asks the reader, answers, and hands the socket to TLS. */
function front(server: Socket): Promise<EncryptedClient> {
  const reader = new StartupReader();
  return new Promise((resolve, reject) => {
    server.on('data', function first(chunk) {
      const step = reader.push(chunk);
      if (step.kind === 'more') return;
      server.off('data', first);
      if (step.kind === 'tls-hello') resolve(encryption.accept(server, step.bytes));
      else if (step.kind === 'packet' && step.packet.kind === 'ssl-request' && step.rest.length === 0) {
        server.write('S');
        resolve(encryption.accept(server));
      } else reject(new Error(`unexpected ${step.kind}`));
    });
  });
}

describe('TLS of a client', () => {
  it('is taken in pieces of any size, asked for or at once, and nothing of what follows is lost', async () => {
    const piece = fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 40 }) }, fc.integer({ min: 1, max: 600 }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { minLength: 1, maxLength: 8 }),
        fc.boolean(),
        fc.constantFrom('TLSv1.2', 'TLSv1.3'),
        fc.uint8Array({ minLength: 1, maxLength: 3_000 }),
        async (sizes, direct, version, text) => {
          const { client, server, end } = await pipeInPieces(sizes);
          try {
            const accepted = front(server);
            if (!direct) {
              client.write(message.SSL_REQUEST);
              await new Promise<void>((answered) => client.once('readable', () => answered()));
              expect((client.read() as Buffer).toString()).toBe('S');
            }
            const options = { ALPNProtocols: ['postgresql'], ca: authority.ca, host: '127.0.0.1' };
            const encrypted = tlsConnect({ ...options, socket: client, minVersion: version, maxVersion: version });
            const failed = new Promise<never>((_, reject) => encrypted.on('error', reject));
            encrypted.write(text);
            const { socket } = await accepted;
            const arrived = (async () => {
              let bytes = Buffer.alloc(0);
              for await (const chunk of socket as AsyncIterable<Buffer>) {
                bytes = Buffer.concat([bytes, chunk]);
                if (bytes.length >= text.length) break;
              }
              return bytes;
            })();
            const got = await Promise.race([arrived, failed]);
            expect(got.equals(Buffer.from(text))).toBe(true);
            expect(socket.alpnProtocol).toBe('postgresql');
          } finally {
            end();
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});

// Whatever the bytes, a decoder returns a message or throws MalformedMessage; it never reads outside its frame.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as client from '../../../src/protocol/client-message.ts';
import * as rewrite from '../../../src/protocol/client-message-rewriter.ts';
import * as clientWrite from '../../../src/protocol/client-message-writer.ts';
import { MalformedMessage } from '../../../src/protocol/malformed-message.ts';
import { MessageWriter } from '../../../src/protocol/message-writer.ts';
import { ScramClient, ScramKeyCache, ScramServer } from '../../../src/protocol/scram.ts';
import { mockVerifier } from '../../../src/protocol/scram-keys.ts';
import * as serverWrite from '../../../src/protocol/server-message.ts';
import * as server from '../../../src/protocol/server-message-reader.ts';
import { readStartupOptions, StartupReader } from '../../../src/protocol/startup.ts';

type Decoder = (chunk: Buffer, start: number, end: number) => unknown;

const DECODERS: Record<string, Decoder> = {
  query: client.readQuery,
  parse: client.readParse,
  bind: client.readBind,
  describe: client.readDescribe,
  close: client.readClose,
  execute: client.readExecute,
  password: client.readPassword,
  saslInitialResponse: client.readSaslInitialResponse,
  saslResponse: client.readSaslResponse,
  copyData: client.readCopyData,
  copyFail: client.readCopyFail,
  functionCall: client.readFunctionCall,
  empty: client.expectEmpty,
  renameBind: (chunk, start, end) => rewrite.renameBind(chunk, start, end, 'n'),
  renameTarget: (chunk, start, end) => rewrite.renameTarget(chunk, start, end, 'n'),
  sqlError: server.readSqlError,
  ready: server.readReadyForQuery,
  authentication: server.readAuthentication,
  parameterStatus: server.readParameterStatus,
  backendKey: server.readBackendKeyData,
  commandComplete: server.readCommandComplete,
  dataRow: server.readDataRow,
  rowDescription: server.readRowDescription,
  parameterDescription: server.readParameterDescription,
  copyResponse: server.readCopyResponse,
  notification: server.readNotification,
};

const SAMPLES: readonly Buffer[] = [
  clientWrite.query("select * from t where a = 'ä'"),
  clientWrite.parse('s', 'select $1', [20, 25]),
  clientWrite.bind({
    portal: 'p',
    statement: 's',
    parameterFormats: [0, 1],
    values: ['abc', null],
    resultFormats: [1],
  }),
  clientWrite.describe('statement', 's'),
  clientWrite.execute('p', 100),
  clientWrite.saslInitialResponse('SCRAM-SHA-256', 'n,,n=,r=abc'),
  serverWrite.errorResponse({ severity: 'ERROR', code: '42601', message: 'm', detail: 'd', other: { F: 'f' } }),
  serverWrite.rowDescription([serverWrite.textField('a'), serverWrite.textField('b')]),
  serverWrite.dataRow(['1', null, 'xyz']),
  serverWrite.authenticationSasl(['SCRAM-SHA-256', 'X']),
  serverWrite.backendKeyData(1, Buffer.alloc(32, 3)),
  serverWrite.copyResponse('in', 0, [0, 1]),
];

/** The result of decoding, or the message of its MalformedMessage; anything else thrown fails the test. */
function outcome(decode: Decoder, chunk: Buffer, start: number, end: number): string {
  try {
    // Views into the chunk become their bytes, so that two placements of one frame compare equal; offsets are relative.
    return JSON.stringify(decode(chunk, start, end), (key, value: unknown) =>
      key === 'ranges' ? (value as number[]).map((at) => (at < 0 ? at : at - start)) : value,
    );
  } catch (error) {
    if (error instanceof MalformedMessage) return `malformed: ${error.message}`;
    throw error;
  }
}

describe('decoders', () => {
  for (const [name, decode] of Object.entries(DECODERS)) {
    it(`${name}: only its typed error, and nothing but its own frame matters`, () => {
      const body = fc.oneof(
        fc.uint8Array({ maxLength: 60 }),
        fc.array(fc.constantFrom(0, 0, 0, 1, 4, 80, 83, 255), { maxLength: 40 }).map((bytes) => Uint8Array.from(bytes)),
      );
      fc.assert(
        fc.property(
          body,
          fc.uint8Array({ maxLength: 20 }),
          fc.uint8Array({ maxLength: 20 }),
          (bytes, before, after) => {
            const frame = new MessageWriter().begin(0x42).bytes(bytes).end().take();
            const placed = Buffer.concat([before, frame, after]);
            const there = outcome(decode, placed, before.length, before.length + frame.length);
            expect(there).toBe(outcome(decode, frame, 0, frame.length));
          },
        ),
        { numRuns: 300 },
      );
    });
  }

  it('every bit of every sample flipped: still only typed errors, from every decoder', () => {
    let malformed = 0;
    for (const sample of SAMPLES) {
      for (let bit = 40; bit < sample.length * 8; bit += 1) {
        const flipped = Buffer.from(sample);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        for (const decode of Object.values(DECODERS)) {
          if (outcome(decode, flipped, 0, flipped.length).startsWith('malformed')) malformed += 1;
        }
      }
    }
    expect(malformed).toBeGreaterThan(1000);
  });

  it('startup packets and options: a step for any bytes in any pieces', () => {
    const word = fc.constantFrom('user', '\0', 'a', '\0\0', '_pq_.x', 'options', '-c a=b');
    const packet = fc
      .tuple(
        fc.constantFrom(3 << 16, (3 << 16) | 2, (3 << 16) | 7, 80877102, 80877103, 2 << 16),
        fc.array(word),
        fc.integer({ min: -2, max: 2 }),
      )
      .map(([code, words, wrong]) => {
        const bytes = Buffer.concat([Buffer.alloc(8), Buffer.from(words.join(''))]);
        bytes.writeInt32BE(bytes.length + wrong, 0);
        bytes.writeInt32BE(code, 4);
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(packet, fc.uint8Array().map(Buffer.from)), fc.nat(), (bytes, at) => {
        const place = at % (bytes.length + 1);
        const whole = new StartupReader().push(Buffer.from(bytes));
        const pieces = new StartupReader();
        const first = pieces.push(Buffer.from(bytes.subarray(0, place)));
        const second = first.kind === 'more' ? pieces.push(Buffer.from(bytes.subarray(place))) : whole;
        expect(second.kind === 'packet' ? second.packet : second).toEqual(
          whole.kind === 'packet' ? whole.packet : whole,
        );
      }),
      { numRuns: 500 },
    );
    fc.assert(fc.property(fc.string(), (text) => ['settings', 'fault'].includes(readStartupOptions(text).kind)));
  });

  it('SCRAM: a step or a fault for any message, in both roles', async () => {
    const part = fc.constantFrom(
      'n',
      'y',
      'p=x',
      ',',
      ',,',
      'n=',
      'r=',
      'abc',
      's=QUJD',
      'i=1',
      'c=biws',
      'p=',
      'v=',
      'm=',
      'A'.repeat(43),
      '=',
    );
    const message = fc.oneof(
      fc.array(part).map((parts) => Buffer.from(parts.join(''))),
      fc.uint8Array().map(Buffer.from),
    );
    await fc.assert(
      fc.asyncProperty(message, message, async (one, two) => {
        const verifier = mockVerifier('u', Buffer.alloc(32));
        const exchange = new ScramServer(verifier, { serverNonce: 'N' });
        if (exchange.first(one).kind === 'send') expect(exchange.final(two).kind).not.toBe('send');
        const asClient = new ScramClient('p', new ScramKeyCache(), { clientNonce: 'abc' });
        await asClient.continue(one);
        expect(asClient.finish(two)).toBeDefined();
      }),
      { numRuns: 300 },
    );
  });
});

// The first packets: every form PostgreSQL's clients send, and every malformed one with its own fault.
import { describe, expect, it } from 'vitest';
import { cancelRequest, startupMessage } from '../../../src/protocol/client-message-writer.ts';
import { readStartupOptions, StartupReader, type StartupStep } from '../../../src/protocol/startup.ts';

const push = (bytes: Buffer): StartupStep => new StartupReader().push(bytes);

function packet(code: number, body: Buffer | string = '', length?: number): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(8), Buffer.from(body)]);
  bytes.writeInt32BE(length ?? bytes.length, 0);
  bytes.writeUInt32BE(code, 4);
  return bytes;
}

const V3 = 3 << 16;
const faultOf = (step: StartupStep) => (step.kind === 'fault' ? [step.fault.kind, step.fault.error.code] : step.kind);

describe('StartupReader', () => {
  it('reads a startup message byte by byte', () => {
    const bytes = startupMessage([
      ['user', 'ann'],
      ['database', 'shop'],
      ['database', 'shop2'],
    ]);
    const reader = new StartupReader();
    for (const byte of bytes.subarray(0, -1)) expect(reader.push(Buffer.of(byte)).kind).toBe('more');
    const step = reader.push(bytes.subarray(-1));
    if (step.kind !== 'packet' || step.packet.kind !== 'startup') throw new Error(step.kind);
    expect([...step.packet.parameters]).toEqual([
      ['user', 'ann'],
      ['database', 'shop2'],
    ]);
    expect(step.packet).toMatchObject({ minor: 0, negotiate: false });
  });

  it('gives back the bytes behind a packet', () => {
    const step = push(Buffer.concat([packet(80877103), Buffer.from('rest')]));
    expect(step).toMatchObject({ kind: 'packet', packet: { kind: 'ssl-request' } });
    expect(step.kind === 'packet' && step.rest.toString()).toBe('rest');
  });

  it('reads GSSENCRequest and cancel requests with keys of 4 to 256 bytes', () => {
    expect(push(packet(80877104))).toMatchObject({ packet: { kind: 'gss-request' } });
    for (const bytes of [4, 32, 256]) {
      const key = Buffer.alloc(bytes, 9);
      expect(push(cancelRequest(77, key))).toMatchObject({ packet: { kind: 'cancel', pid: 77, key } });
    }
    expect(faultOf(push(cancelRequest(1, Buffer.alloc(3))))).toEqual(['cancel-key', '08P01']);
    expect(faultOf(push(cancelRequest(1, Buffer.alloc(257))))).toEqual(['cancel-key', '08P01']);
  });

  it.each([
    [2, 2, false],
    [9999, 2, true],
  ])('speaks protocol 3.%i as 3.%i', (requested, minor, negotiate) => {
    expect(push(packet(V3 | requested, 'user\0a\0\0'))).toMatchObject({ packet: { minor, negotiate } });
  });

  it('hands out a TLS handshake at the first byte of a connection, and nowhere else', () => {
    const hello = Buffer.from([0x16, 3, 1, 2, 0]);
    expect(push(hello.subarray(0, 1))).toEqual({ kind: 'tls-hello', bytes: hello.subarray(0, 1) });
    const asked = new StartupReader();
    expect(asked.push(packet(80877103, '')).kind).toBe('packet');
    expect(faultOf(asked.push(hello))).toEqual(['length', '08P01']);
    expect(faultOf(new StartupReader(true).push(hello))).toEqual(['length', '08P01']);
  });

  it('names unknown protocol options instead of taking them as settings', () => {
    const step = push(packet(V3, 'user\0a\0_pq_.future\0on\0\0'));
    expect(step).toMatchObject({ packet: { negotiate: true, protocolOptions: ['_pq_.future'] } });
  });

  it.each([
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n'), 'length', '08P01'],
    ['a length of zero', Buffer.alloc(8), 'length', '08P01'],
    ['a negative length', packet(V3, '', -5), 'length', '08P01'],
    ['more than 10,000 bytes', packet(V3, '', 10_001), 'length', '08P01'],
    ['an SSLRequest with a body', packet(80877103, 'x'), 'length', '08P01'],
    ['protocol 2', packet(2 << 16, 'user\0a\0\0'), 'version', '0A000'],
    ['no terminator', packet(V3, 'user\0a\0'), 'layout', '08P01'],
    ['a name without a value', packet(V3, 'user\0a\0x\0'), 'layout', '08P01'],
    ['bytes behind the terminator', packet(V3, 'user\0a\0\0z'), 'layout', '08P01'],
    ['no user', packet(V3, 'database\0a\0\0'), 'no-user', '28000'],
    ['text that is not UTF-8', packet(V3, Buffer.from('user\0\xff\0\0', 'latin1')), 'encoding', '22021'],
  ] as const)('refuses %s', (_, bytes, kind, code) => {
    expect(faultOf(push(bytes))).toEqual([kind, code]);
  });
});

describe('readStartupOptions', () => {
  it('reads settings in every spelling', () => {
    expect(readStartupOptions('-c a=b  -cc=d --search-path=x\\ y -c e=f=g')).toEqual({
      kind: 'settings',
      settings: [
        ['a', 'b'],
        ['c', 'd'],
        ['search_path', 'x y'],
        ['e', 'f=g'],
      ],
    });
    expect(readStartupOptions('  ')).toEqual({ kind: 'settings', settings: [] });
  });

  it.each(['-c', '-c novalue', '-c =x', '-S 100', 'word'])('refuses %s', (options) => {
    expect(readStartupOptions(options)).toMatchObject({ kind: 'fault', error: { code: '42601' } });
  });
});

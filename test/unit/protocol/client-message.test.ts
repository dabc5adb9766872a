// Decoding, encoding and rewriting of client messages.
import { describe, expect, it } from 'vitest';
import * as read from '../../../src/protocol/client-message.ts';
import * as rewrite from '../../../src/protocol/client-message-rewriter.ts';
import * as write from '../../../src/protocol/client-message-writer.ts';
import { MalformedMessage } from '../../../src/protocol/malformed-message.ts';
import { MessageWriter } from '../../../src/protocol/message-writer.ts';

/** Decodes a frame that lies in the middle of a larger chunk, so that a wrong bound shows. */
function within<T>(frame: Buffer, decode: (chunk: Buffer, start: number, end: number) => T): T {
  const chunk = Buffer.concat([Buffer.alloc(3, 0x41), frame, Buffer.alloc(20, 0)]);
  return decode(chunk, 3, 3 + frame.length);
}

function raw(type: string, body: Buffer | string): Buffer {
  return new MessageWriter().begin(type.charCodeAt(0)).bytes(Buffer.from(body)).end().take();
}

function faultOf(action: () => unknown): [string, string] {
  try {
    action();
  } catch (error) {
    if (error instanceof MalformedMessage) return [error.code, error.message];
    throw error;
  }
  return ['', 'no error'];
}

describe('client messages', () => {
  it('reads a Query with any text', () => {
    for (const sql of ['', 'select 1', "select 'ä😀\uFFFD'"])
      expect(within(write.query(sql), read.readQuery)).toBe(sql);
  });

  it('reads a Parse with its types', () => {
    const frame = write.parse('s1', 'select $1', [20, 0, 4_294_967_295]);
    expect(within(frame, read.readParse)).toEqual({
      name: 's1',
      text: 'select $1',
      parameterTypes: [20, 0, 4_294_967_295],
    });
  });

  it('reads a Bind by offsets, without copying', () => {
    const frame = write.bind({
      portal: 'p',
      statement: 's',
      parameterFormats: [1],
      values: ['ab', null, ''],
      resultFormats: [0, 1],
    });
    const bind = read.readBind(frame, 0, frame.length);
    expect(bind).toMatchObject({
      portal: 'p',
      statement: 's',
      parameterCount: 3,
      parameterFormats: [1],
      resultFormats: [0, 1],
    });
    expect([0, 1, 2].map((i) => read.bindValue(bind, frame, i)?.toString())).toEqual(['ab', undefined, '']);
    expect(read.bindValue(bind, frame, 0)?.buffer).toBe(frame.buffer);
    expect(read.formatOf(bind.parameterFormats, 2)).toBe(1);
    expect(read.formatOf(bind.resultFormats, 1)).toBe(1);
    expect(read.formatOf([], 5)).toBe(0);
  });

  it('reads 65,535 parameters', () => {
    const frame = write.bind({ values: Array.from({ length: 65_535 }, (_, i) => (i % 2 ? String(i) : null)) });
    expect(read.readBind(frame, 0, frame.length).parameterCount).toBe(65_535);
  });

  it('reads Describe, Close and Execute', () => {
    expect(within(write.describe('statement', 'x'), read.readDescribe)).toEqual({ target: 'statement', name: 'x' });
    expect(within(write.close('portal', ''), read.readClose)).toEqual({ target: 'portal', name: '' });
    expect(within(write.execute('p', 7), read.readExecute)).toEqual({ portal: 'p', rowsMax: 7 });
    expect(within(write.execute('', -3), read.readExecute).rowsMax).toBe(0);
  });

  it('reads passwords, SASL and COPY messages', () => {
    expect(within(write.password('geheim'), read.readPassword)).toBe('geheim');
    const first = within(write.saslInitialResponse('SCRAM-SHA-256', 'n,,'), read.readSaslInitialResponse);
    expect([first.mechanism, first.response?.toString()]).toEqual(['SCRAM-SHA-256', 'n,,']);
    expect(
      within(raw('p', 'X\0\xff\xff\xff\xff'.slice(0, 2)), (c, s, e) =>
        faultOf(() => read.readSaslInitialResponse(c, s, e)),
      )[0],
    ).toBe('08P01');
    expect(within(write.saslResponse('c=biws'), read.readSaslResponse).toString()).toBe('c=biws');
    expect(within(write.copyData(Buffer.from('1\t2\n')), read.readCopyData).toString()).toBe('1\t2\n');
    expect(within(write.copyFail('enough'), read.readCopyFail)).toBe('enough');
    expect(within(raw('F', Buffer.from([0, 0, 0, 9, 0, 0, 0, 0, 0, 0])), read.readFunctionCall)).toBe(9);
  });

  it.each([
    ['a Query without an end', () => within(raw('Q', 'select 1'), read.readQuery), '08P01'],
    ['a Query with bytes behind its end', () => within(raw('Q', 'select 1\0x\0'), read.readQuery), '08P01'],
    ['a Query that is not UTF-8', () => within(raw('Q', Buffer.from([0x27, 0xff, 0])), read.readQuery), '22021'],
    ['an empty body', () => within(raw('P', ''), read.readParse), '08P01'],
    ['more types announced than sent', () => within(raw('P', 's\0q\0\0\x05'), read.readParse), '08P01'],
    [
      'a value longer than its message',
      () => within(raw('B', '\0\0\0\0\0\x01\0\0\0\x09ab\0\0'), read.readBind),
      '08P01',
    ],
    [
      'a value length of -2',
      () => within(raw('B', Buffer.from([0, 0, 0, 0, 0, 1, 255, 255, 255, 254, 0, 0])), read.readBind),
      '08P01',
    ],
    [
      'two formats for three values',
      () => within(write.bind({ parameterFormats: [0, 1], values: ['', '', ''] }), read.readBind),
      '08P01',
    ],
    ['format code 2', () => within(write.bind({ resultFormats: [2] }), read.readBind), '22023'],
    ['Describe of something else', () => within(raw('D', 'Xname\0'), read.readDescribe), '08P01'],
    ['a Sync with a body', () => within(raw('S', 'x'), read.expectEmpty), '08P01'],
  ] as const)('refuses %s', (_, action, code) => {
    expect(faultOf(action)[0]).toBe(code);
  });

  it('refuses to write text with a zero byte, and the writer stays good', () => {
    expect(faultOf(() => write.query('a\0b'))[0]).toBe('22021');
    expect(within(write.query('after'), read.readQuery)).toBe('after');
    const writer = new MessageWriter().begin(1).end();
    expect(faultOf(() => writer.begin(2).cstring('\0'))[0]).toBe('22021');
    expect(writer.take()).toEqual(Buffer.from([1, 0, 0, 0, 4]));
  });
});

describe('rewriters', () => {
  it.each(['', 'as_1', 'ä'])('rename to "%s" and leave the rest alone', (name) => {
    const fields = {
      portal: 'p',
      statement: 'old',
      parameterFormats: [1, 0],
      values: ['a\0b', null],
      resultFormats: [1],
    };
    expect(within(write.bind(fields), (c, s, e) => rewrite.renameBind(c, s, e, name))).toEqual(
      write.bind({ ...fields, statement: name }),
    );
    expect(within(write.bind(fields), (c, s, e) => rewrite.renameBindPortal(c, s, e, name))).toEqual(
      write.bind({ ...fields, portal: name }),
    );
    expect(within(write.parse('old', 'select', [23]), (c, s, e) => rewrite.renameParse(c, s, e, name))).toEqual(
      write.parse(name, 'select', [23]),
    );
    expect(within(write.describe('statement', 'old'), (c, s, e) => rewrite.renameTarget(c, s, e, name))).toEqual(
      write.describe('statement', name),
    );
    expect(within(write.close('portal', ''), (c, s, e) => rewrite.renameTarget(c, s, e, name))).toEqual(
      write.close('portal', name),
    );
  });
});

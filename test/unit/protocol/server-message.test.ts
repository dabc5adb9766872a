// Server messages written and read back; errors keep every field.
import { describe, expect, it } from 'vitest';
import { SERVER, STATUS } from '../../../src/protocol/message-type.ts';
import * as write from '../../../src/protocol/server-message.ts';
import * as read from '../../../src/protocol/server-message-reader.ts';
import type { SqlError } from '../../../src/protocol/sql-error.ts';

function within<T>(frame: Buffer, decode: (chunk: Buffer, start: number, end: number) => T): T {
  const chunk = Buffer.concat([Buffer.alloc(2, 0x5a), frame, Buffer.alloc(9, 0x41)]);
  return decode(chunk, 2, 2 + frame.length);
}

describe('server messages', () => {
  it('keeps every field of an error, also those of other languages and versions', () => {
    const error: SqlError = {
      severity: 'ERROR',
      code: '23505',
      message: 'doppelter Schlüsselwert',
      detail: 'd',
      hint: 'h',
      position: '7',
      other: { S: 'FEHLER', n: 'accounts_pkey', t: 'accounts', W: 'context' },
    };
    expect(within(write.errorResponse(error), read.readSqlError)).toEqual(error);
    expect(within(write.noticeResponse({ severity: 'NOTICE', code: '00000', message: '' }), read.readSqlError)).toEqual(
      {
        severity: 'NOTICE',
        code: '00000',
        message: '',
      },
    );
  });

  it('writes our own words even when a name in them holds a zero byte', () => {
    const error = within(
      write.errorResponse({ severity: 'ERROR', code: '42704', message: 'no "a\0b"' }),
      read.readSqlError,
    );
    expect(error.message).toBe('no "a\uFFFDb"');
  });

  it('writes and reads rows, descriptions, tags and keys', () => {
    const row = write.dataRow(['1', null, '', 'ä', Buffer.from('raw')]);
    expect(within(row, read.readDataRow)).toEqual(['1', null, '', 'ä', 'raw']);
    const fields = [
      write.textField('id', 20, 8),
      { ...write.textField('n'), tableOid: 4_000_000_000, column: 2, typeModifier: 44 },
    ];
    expect(within(write.rowDescription(fields), read.readRowDescription)).toEqual(fields);
    expect(within(write.parameterDescription([20, 25]), read.readParameterDescription)).toEqual([20, 25]);
    expect(within(write.commandComplete('INSERT 0 3'), read.readCommandComplete)).toBe('INSERT 0 3');
    expect(within(write.backendKeyData(9, Buffer.alloc(32, 1)), read.readBackendKeyData)).toEqual({
      pid: 9,
      key: Buffer.alloc(32, 1),
    });
    expect(within(write.parameterStatus('TimeZone', 'UTC'), read.readParameterStatus)).toEqual(['TimeZone', 'UTC']);
    expect(within(write.copyResponse('in', 0, [0, 0]), read.readCopyResponse)).toEqual({
      format: 0,
      columnFormats: [0, 0],
    });
  });

  it('knows the three states of ReadyForQuery and no other', () => {
    for (const status of Object.values(STATUS))
      expect(within(write.ready(status), read.readReadyForQuery)).toBe(status);
    const broken = Buffer.from(write.READY_IDLE);
    broken[5] = 0x58;
    expect(() => within(broken, read.readReadyForQuery)).toThrow('unknown transaction status');
  });

  it('reads every request for authentication', () => {
    const kinds = [
      write.AUTHENTICATION_OK,
      write.AUTHENTICATION_CLEARTEXT,
      write.authenticationMd5(Buffer.from('salt')),
      write.authenticationSasl(['SCRAM-SHA-256']),
      write.authenticationSaslContinue('r='),
      write.authenticationSaslFinal('v='),
    ].map((frame) => within(frame, read.readAuthentication).kind);
    expect(kinds).toEqual(['ok', 'cleartext', 'md5', 'sasl', 'sasl-continue', 'sasl-final']);
  });

  it('answers an unknown protocol version the way libpq reads it', () => {
    const frame = write.negotiateProtocolVersion(2, ['_pq_.x']);
    expect(frame[0]).toBe(SERVER.negotiateProtocolVersion);
    expect(frame.readInt32BE(5)).toBe((3 << 16) | 2);
    expect(frame.readInt32BE(9)).toBe(1);
    expect(frame.toString('latin1', 13)).toBe('_pq_.x\0');
  });
});

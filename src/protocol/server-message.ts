// Encodes what a server sends; messages that never vary are made once.

import { SERVER, STATUS } from './message-type.ts';
import { MessageWriter } from './message-writer.ts';
import { SQLSTATE, type SqlError } from './sql-error.ts';

const writer = new MessageWriter();

function fixed(type: number): Buffer {
  return writer.begin(type).end().take();
}

function readyForQuery(status: number): Buffer {
  return writer.begin(SERVER.readyForQuery).uint8(status).end().take();
}

export const PARSE_COMPLETE = fixed(SERVER.parseComplete);
export const BIND_COMPLETE = fixed(SERVER.bindComplete);
export const CLOSE_COMPLETE = fixed(SERVER.closeComplete);
export const NO_DATA = fixed(SERVER.noData);
export const PORTAL_SUSPENDED = fixed(SERVER.portalSuspended);
export const EMPTY_QUERY_RESPONSE = fixed(SERVER.emptyQuery);
export const COPY_DONE_RESPONSE = fixed(SERVER.copyDone);
export const AUTHENTICATION_OK = authentication(0);
export const AUTHENTICATION_CLEARTEXT = authentication(3);
export const READY_IDLE = readyForQuery(STATUS.idle);
export const READY_TRANSACTION = readyForQuery(STATUS.transaction);
export const READY_FAILED = readyForQuery(STATUS.failed);
/** The one-byte answer to SSLRequest and GSSENCRequest: no. */
export const REFUSE_ENCRYPTION = Buffer.from('N');
/** The one-byte answer to SSLRequest: yes, begin the handshake. */
export const ACCEPT_TLS = Buffer.from('S');

/** ReadyForQuery with the given status byte (STATUS). */
export function ready(status: number): Buffer {
  if (status === STATUS.idle) return READY_IDLE;
  return status === STATUS.transaction ? READY_TRANSACTION : READY_FAILED;
}

function authentication(kind: number, rest?: Uint8Array): Buffer {
  writer.begin(SERVER.authentication).int32(kind);
  if (rest !== undefined) writer.bytes(rest);
  return writer.end().take();
}

/** `salt`: four random bytes. */
export function authenticationMd5(salt: Buffer): Buffer {
  return authentication(5, salt);
}

export function authenticationSasl(mechanisms: readonly string[]): Buffer {
  writer.begin(SERVER.authentication).int32(10);
  for (const mechanism of mechanisms) writer.cstring(mechanism);
  return writer.uint8(0).end().take();
}

export function authenticationSaslContinue(message: string): Buffer {
  return authentication(11, Buffer.from(message));
}

export function authenticationSaslFinal(message: string): Buffer {
  return authentication(12, Buffer.from(message));
}

export function parameterStatus(name: string, value: string): Buffer {
  return writer.begin(SERVER.parameterStatus).cstring(name).cstring(value).end().take();
}

/** `key`: 4 bytes for protocol 3.0, up to 256 for 3.2. */
export function backendKeyData(pid: number, key: Uint8Array): Buffer {
  return writer.begin(SERVER.backendKeyData).int32(pid).bytes(key).end().take();
}

/** Says the newest minor version spoken here and which `_pq_.` options are not known. */
export function negotiateProtocolVersion(minor: number, unknownOptions: readonly string[]): Buffer {
  writer
    .begin(SERVER.negotiateProtocolVersion)
    .int32((3 << 16) | minor)
    .int32(unknownOptions.length);
  for (const option of unknownOptions) writer.cstring(option);
  return writer.end().take();
}

/** One column of a RowDescription. */
export interface RowField {
  readonly name: string;
  /** 0 when the column is not a table's. */
  readonly tableOid: number;
  readonly column: number;
  readonly typeOid: number;
  /** Bytes, negative when it varies. */
  readonly typeSize: number;
  readonly typeModifier: number;
  /** 0 text, 1 binary. */
  readonly format: number;
}

/** A column that no table owns, as text. 25 is text. */
export function textField(name: string, typeOid = 25, typeSize = -1): RowField {
  return { name, tableOid: 0, column: 0, typeOid, typeSize, typeModifier: -1, format: 0 };
}

export function rowDescription(fields: readonly RowField[]): Buffer {
  writer.begin(SERVER.rowDescription).uint16(fields.length);
  for (const field of fields) {
    writer.cstring(field.name).uint32(field.tableOid).int16(field.column).uint32(field.typeOid);
    writer.int16(field.typeSize).int32(field.typeModifier).int16(field.format);
  }
  return writer.end().take();
}

export function parameterDescription(typeOids: readonly number[]): Buffer {
  writer.begin(SERVER.parameterDescription).uint16(typeOids.length);
  for (const oid of typeOids) writer.uint32(oid);
  return writer.end().take();
}

export function dataRow(values: readonly (string | Uint8Array | null)[]): Buffer {
  writer.begin(SERVER.dataRow).uint16(values.length);
  for (const value of values) writer.value(value);
  return writer.end().take();
}

export function commandComplete(tag: string): Buffer {
  return writer.begin(SERVER.commandComplete).cstring(tag).end().take();
}

/** CopyInResponse or CopyOutResponse: overall format and one for each column. */
export function copyResponse(direction: 'in' | 'out', format: number, columnFormats: readonly number[]): Buffer {
  writer.begin(direction === 'in' ? SERVER.copyInResponse : SERVER.copyOutResponse);
  writer.uint8(format).uint16(columnFormats.length);
  for (const columnFormat of columnFormats) writer.int16(columnFormat);
  return writer.end().take();
}

/** Our own words must not break a frame, whatever name a client put into them. */
function plain(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '\uFFFD') : text;
}

function fields(type: number, error: SqlError): Buffer {
  writer.begin(type);
  const field = (letter: string, value: string | undefined) => {
    if (value !== undefined) writer.uint8(letter.charCodeAt(0)).cstring(plain(value));
  };
  field('S', error.other?.S ?? error.severity);
  field('V', error.severity);
  field('C', error.code);
  field('M', error.message);
  field('D', error.detail);
  field('H', error.hint);
  field('P', error.position);
  for (const [letter, value] of Object.entries(error.other ?? {})) {
    if (letter !== 'S') field(letter, value);
  }
  return writer.uint8(0).end().take();
}

export function errorResponse(error: SqlError): Buffer {
  return fields(SERVER.error, error);
}

export function noticeResponse(notice: SqlError): Buffer {
  return fields(SERVER.notice, notice);
}

/** A WARNING of our own, as a NoticeResponse. */
export function warning(message: string, code: string = SQLSTATE.warning, rest: Partial<SqlError> = {}): Buffer {
  return noticeResponse({ severity: 'WARNING', code, message, ...rest });
}

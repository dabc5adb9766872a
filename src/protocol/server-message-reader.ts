// Decodes what servers send; each function takes the whole frame (chunk, start, end) and throws MalformedMessage, nothing else.
import { readRanges } from './client-message.ts';
import { FieldReader } from './field-reader.ts';
import { HEADER_BYTES } from './frame.ts';
import { MalformedMessage } from './malformed-message.ts';
import { STATUS } from './message-type.ts';
import type { RowField } from './server-message.ts';
import type { SqlError } from './sql-error.ts';

const body = (chunk: Buffer, start: number, end: number) => new FieldReader(chunk, start + HEADER_BYTES, end);

/** An ErrorResponse or NoticeResponse with all of its fields. */
export function readSqlError(chunk: Buffer, start: number, end: number): SqlError {
  const reader = body(chunk, start, end);
  const found: Record<string, string> = {};
  for (let letter = reader.uint8(); letter !== 0; letter = reader.uint8()) {
    found[String.fromCharCode(letter)] = reader.looseCString();
  }
  reader.finish();
  const { S, V, C, M, D, H, P, ...rest } = found;
  const severity = V ?? S ?? 'ERROR';
  // A translated severity is kept, so that the error can be passed on as it came.
  const other = S !== undefined && S !== severity ? { ...rest, S } : rest;
  return {
    severity,
    code: C ?? 'XX000',
    message: M ?? '',
    ...(D === undefined ? {} : { detail: D }),
    ...(H === undefined ? {} : { hint: H }),
    ...(P === undefined ? {} : { position: P }),
    ...(Object.keys(other).length === 0 ? {} : { other }),
  };
}

/** True for severities after which the server ends the connection. */
export function isFatalSeverity(severity: string): boolean {
  return severity === 'FATAL' || severity === 'PANIC';
}

/** The error in this ErrorResponse if it is the backend's last word: what it was doing is lost then, not refused. */
export function readFatalError(chunk: Buffer, start: number, end: number): SqlError | undefined {
  const error = readSqlError(chunk, start, end);
  return isFatalSeverity(error.severity) ? error : undefined;
}

export function readReadyForQuery(chunk: Buffer, start: number, end: number): number {
  // Once a statement: read in place, without a cursor.
  const status = chunk[start + HEADER_BYTES];
  if (end - start !== HEADER_BYTES + 1) throw new MalformedMessage('invalid message format');
  if (status !== STATUS.idle && status !== STATUS.transaction && status !== STATUS.failed) {
    throw new MalformedMessage(`unknown transaction status ${status} in ReadyForQuery`);
  }
  return status;
}

export type AuthenticationRequest =
  | { readonly kind: 'ok' }
  | { readonly kind: 'cleartext' }
  | { readonly kind: 'md5'; readonly salt: Buffer }
  | { readonly kind: 'sasl'; readonly mechanisms: readonly string[] }
  | { readonly kind: 'sasl-continue'; readonly message: Buffer }
  | { readonly kind: 'sasl-final'; readonly message: Buffer }
  | { readonly kind: 'unsupported'; readonly code: number };

export function readAuthentication(chunk: Buffer, start: number, end: number): AuthenticationRequest {
  const reader = body(chunk, start, end);
  const code = reader.int32();
  switch (code) {
    case 0:
      reader.finish();
      return { kind: 'ok' };
    case 3:
      reader.finish();
      return { kind: 'cleartext' };
    case 5: {
      const salt = chunk.subarray(reader.skip(4), reader.at);
      reader.finish();
      return { kind: 'md5', salt };
    }
    case 10: {
      const mechanisms: string[] = [];
      for (let name = reader.cstring(); name !== ''; name = reader.cstring()) mechanisms.push(name);
      reader.finish();
      return { kind: 'sasl', mechanisms };
    }
    case 11:
      return { kind: 'sasl-continue', message: chunk.subarray(reader.at, end) };
    case 12:
      return { kind: 'sasl-final', message: chunk.subarray(reader.at, end) };
    default:
      return { kind: 'unsupported', code };
  }
}

export function readParameterStatus(chunk: Buffer, start: number, end: number): readonly [name: string, value: string] {
  const reader = body(chunk, start, end);
  const name = reader.looseCString();
  const value = reader.looseCString();
  reader.finish();
  return [name, value];
}

/** The key is a copy: it outlives its chunk. */
export function readBackendKeyData(chunk: Buffer, start: number, end: number): { pid: number; key: Buffer } {
  const reader = body(chunk, start, end);
  const pid = reader.int32();
  if (reader.left < 4 || reader.left > 256) throw new MalformedMessage('invalid length of cancel key');
  return { pid, key: Buffer.from(chunk.subarray(reader.at, end)) };
}

/** The command tag, e.g. `UPDATE 3` or `PREPARE TRANSACTION`. */
export function readCommandComplete(chunk: Buffer, start: number, end: number): string {
  // Once a statement: read in place, without a cursor. The tag ends where the frame ends.
  if (end - start <= HEADER_BYTES || chunk.indexOf(0, start + HEADER_BYTES) !== end - 1) {
    throw new MalformedMessage('invalid string in message');
  }
  return chunk.toString('latin1', start + HEADER_BYTES, end - 1);
}

/** Where the columns of a DataRow lie: two numbers each, chunk[from, to); -1, -1 for NULL. */
export function readDataRowRanges(chunk: Buffer, start: number, end: number): readonly number[] {
  const reader = body(chunk, start, end);
  const ranges = readRanges(reader, reader.uint16());
  reader.finish();
  return ranges;
}

/** A DataRow in text format. */
export function readDataRow(chunk: Buffer, start: number, end: number): (string | null)[] {
  const ranges = readDataRowRanges(chunk, start, end);
  const values: (string | null)[] = [];
  for (let i = 0; i < ranges.length; i += 2) {
    const from = ranges[i] ?? -1;
    values.push(from < 0 ? null : chunk.toString('utf8', from, ranges[i + 1]));
  }
  return values;
}

export function readRowDescription(chunk: Buffer, start: number, end: number): RowField[] {
  const reader = body(chunk, start, end);
  const fields: RowField[] = [];
  for (let count = reader.uint16(); count > 0; count -= 1) {
    fields.push({
      name: reader.looseCString(),
      tableOid: reader.uint32(),
      column: reader.int16(),
      typeOid: reader.uint32(),
      typeSize: reader.int16(),
      typeModifier: reader.int32(),
      format: reader.int16(),
    });
  }
  reader.finish();
  return fields;
}

/** Type OIDs of a prepared statement's parameters. */
export function readParameterDescription(chunk: Buffer, start: number, end: number): number[] {
  const reader = body(chunk, start, end);
  const types: number[] = [];
  for (let count = reader.uint16(); count > 0; count -= 1) types.push(reader.uint32());
  reader.finish();
  return types;
}

export interface CopyResponse {
  readonly format: number;
  readonly columnFormats: readonly number[];
}

/** CopyInResponse, CopyOutResponse or CopyBothResponse. */
export function readCopyResponse(chunk: Buffer, start: number, end: number): CopyResponse {
  const reader = body(chunk, start, end);
  const format = reader.uint8();
  const columnFormats: number[] = [];
  for (let count = reader.uint16(); count > 0; count -= 1) columnFormats.push(reader.int16());
  reader.finish();
  return { format, columnFormats };
}

export interface Notification {
  readonly pid: number;
  readonly channel: string;
  readonly payload: string;
}

export function readNotification(chunk: Buffer, start: number, end: number): Notification {
  const reader = body(chunk, start, end);
  const pid = reader.int32();
  const channel = reader.looseCString();
  const payload = reader.looseCString();
  reader.finish();
  return { pid, channel, payload };
}

// Decodes what clients send; each function takes the whole frame (chunk, start, end) and throws MalformedMessage, nothing else.
import { FieldReader, strictText } from './field-reader.ts';
import { HEADER_BYTES } from './frame.ts';
import { INVALID_PARAMETER_VALUE, MalformedMessage } from './malformed-message.ts';

/** The text of a Query. */
export function readQuery(chunk: Buffer, start: number, end: number): string {
  // The usual query has its only zero byte at the end of the frame: look there before searching.
  if (end - start > HEADER_BYTES && chunk[end - 1] === 0) {
    const text = strictText(chunk, start + HEADER_BYTES, end - 1);
    if (!text.includes('\0')) return text;
  }
  const reader = new FieldReader(chunk, start + HEADER_BYTES, end);
  const text = reader.cstring();
  reader.finish();
  return text;
}

export interface ParseMessage {
  readonly name: string;
  readonly text: string;
  /** Type OIDs the client declares; 0 is "you find out"; may be fewer than there are parameters. */
  readonly parameterTypes: readonly number[];
}

const NO_NUMBERS: readonly number[] = [];

export function readParse(chunk: Buffer, start: number, end: number): ParseMessage {
  const reader = new FieldReader(chunk, start + HEADER_BYTES, end);
  const name = reader.cstring();
  const text = reader.cstring();
  const count = reader.uint16();
  let parameterTypes = NO_NUMBERS;
  if (count > 0) {
    const types: number[] = [];
    for (let i = 0; i < count; i += 1) types.push(reader.uint32());
    parameterTypes = types;
  }
  reader.finish();
  return { name, text, parameterTypes };
}

/** A Bind, by offsets into its chunk: nothing of the parameters is copied. */
export interface BindMessage {
  readonly portal: string;
  readonly statement: string;
  readonly parameterCount: number;
  /** Format codes as sent: none (all text), one (for all) or one each. */
  readonly parameterFormats: readonly number[];
  /** Two numbers a parameter: chunk[from, to) is its value; both are -1 for NULL. */
  readonly ranges: readonly number[];
  readonly resultFormats: readonly number[];
}

function readFormats(reader: FieldReader): readonly number[] {
  const count = reader.uint16();
  if (count === 0) return NO_NUMBERS;
  const formats: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const format = reader.int16();
    if (format !== 0 && format !== 1) {
      throw new MalformedMessage(`unsupported format code: ${format}`, INVALID_PARAMETER_VALUE);
    }
    formats.push(format);
  }
  return formats;
}

export function readBind(chunk: Buffer, start: number, end: number): BindMessage {
  const reader = new FieldReader(chunk, start + HEADER_BYTES, end);
  const portal = reader.cstring();
  const statement = reader.cstring();
  const parameterFormats = readFormats(reader);
  const parameterCount = reader.uint16();
  if (parameterFormats.length > 1 && parameterFormats.length !== parameterCount) {
    throw new MalformedMessage(
      `bind message has ${parameterFormats.length} parameter formats but ${parameterCount} parameters`,
    );
  }
  const ranges = readRanges(reader, parameterCount);
  const resultFormats = readFormats(reader);
  reader.finish();
  return { portal, statement, parameterCount, parameterFormats, ranges, resultFormats };
}

/** Where `count` values lie (see BindMessage.ranges); DataRow has the same shape. */
export function readRanges(reader: FieldReader, count: number): readonly number[] {
  if (count === 0) return NO_NUMBERS;
  const ranges: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const length = reader.int32();
    if (length === -1) {
      ranges.push(-1, -1);
    } else {
      const from = reader.skip(length);
      ranges.push(from, from + length);
    }
  }
  return ranges;
}

/** Format (0 text, 1 binary) of parameter `index`, or of a result column when given the result formats. */
export function formatOf(formats: readonly number[], index: number): number {
  return formats.length === 1 ? (formats[0] ?? 0) : (formats[index] ?? 0);
}

/** Bytes of parameter `index` of a Bind, a view into its chunk; null is NULL. */
export function bindValue(bind: BindMessage, chunk: Buffer, index: number): Buffer | null {
  const from = bind.ranges[index * 2] ?? -1;
  return from < 0 ? null : chunk.subarray(from, bind.ranges[index * 2 + 1]);
}

/** What Describe and Close name. */
export interface TargetMessage {
  readonly target: 'statement' | 'portal';
  readonly name: string;
}

function readTarget(chunk: Buffer, start: number, end: number, verb: string): TargetMessage {
  const reader = new FieldReader(chunk, start + HEADER_BYTES, end);
  const kind = reader.uint8();
  if (kind !== 0x53 && kind !== 0x50) throw new MalformedMessage(`invalid ${verb} message subtype ${kind}`);
  const name = reader.cstring();
  reader.finish();
  return { target: kind === 0x53 ? 'statement' : 'portal', name };
}

export function readDescribe(chunk: Buffer, start: number, end: number): TargetMessage {
  return readTarget(chunk, start, end, 'DESCRIBE');
}

export function readClose(chunk: Buffer, start: number, end: number): TargetMessage {
  return readTarget(chunk, start, end, 'CLOSE');
}

export interface ExecuteMessage {
  readonly portal: string;
  /** At most so many rows; 0 (or less, as PostgreSQL reads it) is all. */
  readonly rowsMax: number;
}

export function readExecute(chunk: Buffer, start: number, end: number): ExecuteMessage {
  const reader = new FieldReader(chunk, start + HEADER_BYTES, end);
  const portal = reader.cstring();
  const rowsMax = Math.max(0, reader.int32());
  reader.finish();
  return { portal, rowsMax };
}

/** PasswordMessage, in answer to a cleartext or md5 request. */
export function readPassword(chunk: Buffer, start: number, end: number): string {
  const reader = new FieldReader(chunk, start + HEADER_BYTES, end);
  const password = reader.cstring();
  reader.finish();
  return password;
}

export interface SaslInitialResponse {
  readonly mechanism: string;
  /** null: the client sends its first message later. */
  readonly response: Buffer | null;
}

export function readSaslInitialResponse(chunk: Buffer, start: number, end: number): SaslInitialResponse {
  const reader = new FieldReader(chunk, start + HEADER_BYTES, end);
  const mechanism = reader.cstring();
  const length = reader.int32();
  const response = length === -1 ? null : chunk.subarray(reader.skip(length), reader.at);
  reader.finish();
  return { mechanism, response };
}

/** SASLResponse is all of its body. */
export function readSaslResponse(chunk: Buffer, start: number, end: number): Buffer {
  return chunk.subarray(start + HEADER_BYTES, end);
}

/** CopyData is all of its body. */
export function readCopyData(chunk: Buffer, start: number, end: number): Buffer {
  return chunk.subarray(start + HEADER_BYTES, end);
}

/** The reason a client gives for giving up its COPY. */
export function readCopyFail(chunk: Buffer, start: number, end: number): string {
  const reader = new FieldReader(chunk, start + HEADER_BYTES, end);
  const reason = reader.cstring();
  reader.finish();
  return reason;
}

/** Function OID of a FunctionCall; the rest is checked for its form, because the call itself is refused. */
export function readFunctionCall(chunk: Buffer, start: number, end: number): number {
  const reader = new FieldReader(chunk, start + HEADER_BYTES, end);
  const oid = reader.uint32();
  readFormats(reader);
  readRanges(reader, reader.uint16());
  reader.int16();
  reader.finish();
  return oid;
}

/** For Sync, Flush, Terminate and CopyDone: throws unless the body is empty. */
export function expectEmpty(_chunk: Buffer, start: number, end: number): void {
  if (end - start !== HEADER_BYTES) throw new MalformedMessage('invalid message format');
}

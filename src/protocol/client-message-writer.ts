// Encodes what a client sends: the proxy is one towards its shards. Text with a zero byte throws MalformedMessage (22021).
import { CLIENT } from './message-type.ts';
import { MessageWriter } from './message-writer.ts';

const writer = new MessageWriter();

function fixed(type: number): Buffer {
  return writer.begin(type).end().take();
}

export const SYNC = fixed(CLIENT.sync);
export const FLUSH = fixed(CLIENT.flush);
export const TERMINATE = fixed(CLIENT.terminate);
export const COPY_DONE = fixed(CLIENT.copyDone);

/** StartupMessage of protocol 3.0. */
export function startupMessage(parameters: Iterable<readonly [string, string]>): Buffer {
  writer.beginUntyped().int32(3 << 16);
  for (const [name, value] of parameters) writer.cstring(name).cstring(value);
  return writer.uint8(0).end().take();
}

/** CancelRequest for the backend whose BackendKeyData said `pid` and `key`. */
export function cancelRequest(pid: number, key: Buffer): Buffer {
  return writer.beginUntyped().int32(80_877_102).int32(pid).bytes(key).end().take();
}

/** Asks for TLS; the answer is one byte, S or N, and only then anything else may be sent. */
export const SSL_REQUEST = writer.beginUntyped().int32(80_877_103).end().take();

export function query(sql: string): Buffer {
  return writer.begin(CLIENT.query).cstring(sql).end().take();
}

export function parse(name: string, text: string, parameterTypes: readonly number[] = []): Buffer {
  writer.begin(CLIENT.parse).cstring(name).cstring(text).uint16(parameterTypes.length);
  for (const type of parameterTypes) writer.uint32(type);
  return writer.end().take();
}

export interface BindFields {
  readonly portal?: string;
  readonly statement?: string;
  readonly parameterFormats?: readonly number[];
  readonly values?: readonly (string | Uint8Array | null)[];
  readonly resultFormats?: readonly number[];
}

export function bind({
  portal = '',
  statement = '',
  parameterFormats = [],
  values = [],
  resultFormats = [],
}: BindFields): Buffer {
  writer.begin(CLIENT.bind).cstring(portal).cstring(statement).uint16(parameterFormats.length);
  for (const format of parameterFormats) writer.int16(format);
  writer.uint16(values.length);
  for (const value of values) writer.value(value);
  writer.uint16(resultFormats.length);
  for (const format of resultFormats) writer.int16(format);
  return writer.end().take();
}

function target(type: number, kind: 'statement' | 'portal', name: string): Buffer {
  return writer
    .begin(type)
    .uint8(kind === 'statement' ? 0x53 : 0x50)
    .cstring(name)
    .end()
    .take();
}

export function describe(kind: 'statement' | 'portal', name: string): Buffer {
  return target(CLIENT.describe, kind, name);
}

export function close(kind: 'statement' | 'portal', name: string): Buffer {
  return target(CLIENT.close, kind, name);
}

/** `rowsMax` 0 is all rows. */
export function execute(portal = '', rowsMax = 0): Buffer {
  return writer.begin(CLIENT.execute).cstring(portal).int32(rowsMax).end().take();
}

export function password(text: string): Buffer {
  return writer.begin(CLIENT.password).cstring(text).end().take();
}

export function saslInitialResponse(mechanism: string, response: string): Buffer {
  return writer.begin(CLIENT.password).cstring(mechanism).value(response).end().take();
}

export function saslResponse(response: string): Buffer {
  return writer.begin(CLIENT.password).text(response).end().take();
}

export function copyData(bytes: Uint8Array): Buffer {
  return writer.begin(CLIENT.copyData).bytes(bytes).end().take();
}

export function copyFail(reason: string): Buffer {
  return writer.begin(CLIENT.copyFail).cstring(reason).end().take();
}

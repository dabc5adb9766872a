// The first packets of a connection, which have no type byte: StartupMessage, SSLRequest, GSSENCRequest, CancelRequest.
//
//   [length incl. itself, 4 bytes][code or version, 4 bytes][rest]
//
// The rule: at most STARTUP_BYTES_MAX bytes are ever kept, and whatever is not exactly a packet is a named fault.
import { FieldReader } from './field-reader.ts';
import { MalformedMessage } from './malformed-message.ts';
import { SQLSTATE, type SqlError } from './sql-error.ts';

/** PostgreSQL's own bound (MAX_STARTUP_PACKET_LENGTH). */
export const STARTUP_BYTES_MAX = 10_000;
/** The newest minor version of protocol 3 spoken here; 3.1 was never used and is answered as 3.0. */
export const PROTOCOL_MINOR_MAX = 2;

const CANCEL_CODE = 80_877_102;
const SSL_CODE = 80_877_103;
const GSS_CODE = 80_877_104;
const CANCEL_KEY_BYTES = { min: 4, max: 256 } as const;
const TLS_HANDSHAKE_BYTE = 0x16;

export interface StartupMessage {
  readonly kind: 'startup';
  /** The minor version the client asked for, perhaps one of the future. */
  readonly requestedMinor: number;
  /** The minor version to speak: the smaller of the client's and ours. */
  readonly minor: number;
  /** All parameters but `_pq_.…`, last one wins, as in PostgreSQL. `user` is there and not empty. */
  readonly parameters: ReadonlyMap<string, string>;
  /** Names of `_pq_.…` options; none is known here, so all of them go into NegotiateProtocolVersion. */
  readonly protocolOptions: readonly string[];
  /** True when NegotiateProtocolVersion must be sent before the authentication request. */
  readonly negotiate: boolean;
}

export type StartupPacket =
  | { readonly kind: 'ssl-request' }
  | { readonly kind: 'gss-request' }
  | { readonly kind: 'cancel'; readonly pid: number; readonly key: Buffer }
  | StartupMessage;

/** A first packet that is refused; `kind` is closed, `error` is what to answer (FATAL) before closing. */
export interface StartupFault {
  readonly kind: 'length' | 'version' | 'layout' | 'cancel-key' | 'no-user' | 'encoding';
  readonly error: SqlError;
}

export type StartupStep =
  | { readonly kind: 'more' }
  /** The client begins with TLS at once, without asking; `bytes` are the beginning of its handshake. */
  | { readonly kind: 'tls-hello'; readonly bytes: Buffer }
  | { readonly kind: 'packet'; readonly packet: StartupPacket /** Bytes that came behind it. */; readonly rest: Buffer }
  | { readonly kind: 'fault'; readonly fault: StartupFault };

function fault(kind: StartupFault['kind'], message: string, code: string = SQLSTATE.protocolViolation): StartupStep {
  return { kind: 'fault', fault: { kind, error: { severity: 'FATAL', code, message } } };
}

/** Assembles one packet after another from chunks of any size; after `packet` it is ready for the next. */
export class StartupReader {
  /** The beginning of a packet; shorter than STARTUP_BYTES_MAX, because a length beyond that is refused at once. */
  #kept: Buffer | undefined;
  /** TLS begins a connection or follows its request; anywhere else the byte is the length of a packet. */
  #first: boolean;

  /** `encrypted`: the bytes come out of TLS already, in which there is no second one. */
  constructor(encrypted = false) {
    this.#first = !encrypted;
  }

  /** `more`: wait for the next chunk. */
  push(chunk: Buffer): StartupStep {
    const bytes = this.#kept === undefined ? chunk : Buffer.concat([this.#kept, chunk]);
    this.#kept = undefined;
    if (this.#first && bytes[0] === TLS_HANDSHAKE_BYTE) return { kind: 'tls-hello', bytes };
    if (bytes.length < 4) return this.#wait(bytes);
    const length = bytes.readInt32BE(0);
    if (length < 8 || length > STARTUP_BYTES_MAX) return fault('length', 'invalid length of startup packet');
    if (bytes.length < length) return this.#wait(bytes);
    this.#first = false;
    return readStartupPacket(bytes, length);
  }

  #wait(bytes: Buffer): StartupStep {
    this.#kept = bytes;
    return { kind: 'more' };
  }
}

function readStartupPacket(bytes: Buffer, length: number): StartupStep {
  const rest = bytes.subarray(length);
  const code = bytes.readInt32BE(4);
  const done = (packet: StartupPacket): StartupStep => ({ kind: 'packet', packet, rest });
  if (code === SSL_CODE || code === GSS_CODE) {
    if (length !== 8) return fault('length', 'invalid length of encryption request');
    return done({ kind: code === SSL_CODE ? 'ssl-request' : 'gss-request' });
  }
  if (code === CANCEL_CODE) {
    const keyBytes = length - 12;
    if (keyBytes < CANCEL_KEY_BYTES.min || keyBytes > CANCEL_KEY_BYTES.max) {
      return fault('cancel-key', 'invalid length of query cancel packet');
    }
    return done({ kind: 'cancel', pid: bytes.readInt32BE(8), key: Buffer.from(bytes.subarray(12, length)) });
  }
  const major = code >>> 16;
  const minor = code & 0xffff;
  if (major !== 3) {
    const message = `unsupported frontend protocol ${major}.${minor}: server supports 3.0 to 3.${PROTOCOL_MINOR_MAX}`;
    return fault('version', message, SQLSTATE.featureNotSupported);
  }
  return readStartupMessage(bytes, length, minor, rest);
}

function readStartupMessage(bytes: Buffer, length: number, requestedMinor: number, rest: Buffer): StartupStep {
  const reader = new FieldReader(bytes, 8, length);
  const parameters = new Map<string, string>();
  const protocolOptions: string[] = [];
  try {
    for (let name = reader.cstring(); name !== ''; name = reader.cstring()) {
      const value = reader.cstring();
      if (name.startsWith('_pq_.')) protocolOptions.push(name);
      else parameters.set(name, value);
    }
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
    if (error.code !== SQLSTATE.protocolViolation) return fault('encoding', error.message, error.code);
    return fault('layout', 'invalid startup packet layout: expected terminator as last byte');
  }
  if (reader.left !== 0) return fault('layout', 'invalid startup packet layout: expected terminator as last byte');
  if (!parameters.get('user')) {
    return fault('no-user', 'no PostgreSQL user name specified in startup packet', SQLSTATE.invalidAuthorization);
  }
  const negotiate = requestedMinor > PROTOCOL_MINOR_MAX || protocolOptions.length > 0;
  const minor = Math.min(requestedMinor, PROTOCOL_MINOR_MAX);
  return {
    kind: 'packet',
    packet: { kind: 'startup', requestedMinor, minor, parameters, protocolOptions, negotiate },
    rest,
  };
}

/** What `options=-c a=b --c-d=e` asks for, or why it cannot be done. */
export type StartupOptions =
  | { readonly kind: 'settings'; readonly settings: readonly (readonly [name: string, value: string])[] }
  | { readonly kind: 'fault'; readonly error: SqlError };

/**
 * Reads the startup parameter `options` as a command line of the server: words are cut at white space, a backslash
 * takes the next character as it is. Only settings (`-c name=value`, `--name=value`) are understood; other switches
 * would change a server process that clients here share, and are refused.
 */
export function readStartupOptions(options: string): StartupOptions {
  const settings: [string, string][] = [];
  const words = splitOptions(options);
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i] ?? '';
    let assignment: string | undefined;
    if (word === '-c') {
      i += 1;
      assignment = words[i];
    } else if (word.startsWith('-c') || word.startsWith('--')) {
      assignment = word.slice(2);
    }
    const equals = assignment?.indexOf('=') ?? -1;
    if (assignment === undefined || equals < 1) {
      const message = `invalid command-line argument for server process: ${word}`;
      return { kind: 'fault', error: { severity: 'FATAL', code: SQLSTATE.syntaxError, message } };
    }
    settings.push([assignment.slice(0, equals).replaceAll('-', '_'), assignment.slice(equals + 1)]);
  }
  return { kind: 'settings', settings };
}

function splitOptions(options: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let i = 0; i < options.length; i += 1) {
    const character = options.charAt(i);
    if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === '\\') {
      i += 1;
      word = (word ?? '') + options.charAt(i);
    } else {
      word = (word ?? '') + character;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

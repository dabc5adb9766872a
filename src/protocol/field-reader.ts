// A cursor over the body of one frame; every step is checked against the frame's end, never only the buffer's.
import { isUtf8 } from 'node:buffer';
import { CHARACTER_NOT_IN_REPERTOIRE, MalformedMessage } from './malformed-message.ts';

/**
 * Decodes UTF-8 and throws MalformedMessage (22021) where it is not: two names that differ only in broken bytes must
 * not become one. The test for U+FFFD costs nothing on ASCII text.
 */
export function strictText(chunk: Buffer, start: number, end: number): string {
  if (start === end) return '';
  const text = chunk.toString('utf8', start, end);
  if (text.includes('\uFFFD') && !isUtf8(chunk.subarray(start, end))) {
    throw new MalformedMessage('invalid byte sequence for encoding "UTF8"', CHARACTER_NOT_IN_REPERTOIRE);
  }
  return text;
}

export class FieldReader {
  readonly chunk: Buffer;
  readonly end: number;
  at: number;

  /** Reads chunk[start, end), the body of a frame without its header. */
  constructor(chunk: Buffer, start: number, end: number) {
    this.chunk = chunk;
    this.at = start;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  uint8(): number {
    return this.chunk.readUInt8(this.skip(1));
  }

  int16(): number {
    return this.chunk.readInt16BE(this.skip(2));
  }

  /** A count: PostgreSQL reads these as unsigned 16-bit. */
  uint16(): number {
    return this.chunk.readUInt16BE(this.skip(2));
  }

  int32(): number {
    return this.chunk.readInt32BE(this.skip(4));
  }

  uint32(): number {
    return this.chunk.readUInt32BE(this.skip(4));
  }

  /** Moves over `bytes` bytes and returns where they began. */
  skip(bytes: number): number {
    const at = this.at;
    if (bytes < 0 || bytes > this.end - at) throw new MalformedMessage('insufficient data left in message');
    this.at = at + bytes;
    return at;
  }

  /** Moves over a zero-terminated string and returns where its zero byte is. */
  skipCString(): number {
    const zero = this.chunk.indexOf(0, this.at);
    if (zero < 0 || zero >= this.end) throw new MalformedMessage('invalid string in message');
    this.at = zero + 1;
    return zero;
  }

  /** A zero-terminated string, strict UTF-8. */
  cstring(): string {
    const start = this.at;
    return strictText(this.chunk, start, this.skipCString());
  }

  /** A zero-terminated string from a server, in whatever encoding its log messages are: broken bytes become U+FFFD. */
  looseCString(): string {
    const start = this.at;
    return this.chunk.toString('utf8', start, this.skipCString());
  }

  /** Throws unless the frame ends here. */
  finish(): void {
    if (this.at !== this.end) throw new MalformedMessage('invalid message format');
  }
}

// Writes frames one after another into a growing buffer; what take() returns belongs to the caller and is never touched again.
import { assert } from '../kernel/assert.ts';
import { CHARACTER_NOT_IN_REPERTOIRE, MalformedMessage } from './malformed-message.ts';

const CAPACITY_BYTES_MIN = 512;

export class MessageWriter {
  #buffer: Buffer = Buffer.allocUnsafe(CAPACITY_BYTES_MIN);
  #at = 0;
  /** Where the length word of the open frame is; -1 when none is open. */
  #lengthAt = -1;
  /** Where the open frame began, to go back to when it cannot be finished. */
  #frameAt = 0;

  /** Bytes written since the last take(). */
  get length(): number {
    return this.#at;
  }

  /** Opens a frame with its type byte. */
  begin(type: number): this {
    const frameAt = this.#at;
    this.uint8(type).beginUntyped();
    this.#frameAt = frameAt;
    return this;
  }

  /** Opens a frame of the startup phase, which has no type byte. */
  beginUntyped(): this {
    assert(this.#lengthAt < 0, 'one frame is open at a time');
    this.#frameAt = this.#at;
    this.#lengthAt = this.#at;
    return this.int32(0);
  }

  /** Closes the open frame: fills its length in. */
  end(): this {
    assert(this.#lengthAt >= 0, 'a frame is open');
    this.#buffer.writeInt32BE(this.#at - this.#lengthAt, this.#lengthAt);
    this.#lengthAt = -1;
    return this;
  }

  uint8(value: number): this {
    this.#reserve(1);
    this.#at = this.#buffer.writeUInt8(value, this.#at);
    return this;
  }

  /** 16 bits, also for counts up to 65535. */
  uint16(value: number): this {
    this.#reserve(2);
    this.#at = this.#buffer.writeUInt16BE(value, this.#at);
    return this;
  }

  int16(value: number): this {
    this.#reserve(2);
    this.#at = this.#buffer.writeInt16BE(value, this.#at);
    return this;
  }

  int32(value: number): this {
    this.#reserve(4);
    this.#at = this.#buffer.writeInt32BE(value, this.#at);
    return this;
  }

  uint32(value: number): this {
    this.#reserve(4);
    this.#at = this.#buffer.writeUInt32BE(value, this.#at);
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#reserve(value.length);
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
    return this;
  }

  /** UTF-8 text without length or end. */
  text(value: string): this {
    // Three bytes a character is the most UTF-8 needs; for long text counting is cheaper than that much room.
    this.#reserve(value.length < 4096 ? value.length * 3 : Buffer.byteLength(value));
    this.#at += this.#buffer.write(value, this.#at, 'utf8');
    return this;
  }

  /** A zero-terminated string. Throws MalformedMessage (22021) if `value` holds a zero byte: cut text would be other text. */
  cstring(value: string): this {
    if (value.includes('\0')) {
      this.#abandon();
      throw new MalformedMessage('invalid byte sequence for encoding "UTF8": 0x00', CHARACTER_NOT_IN_REPERTOIRE);
    }
    return this.text(value).uint8(0);
  }

  /** A value with its length before it, as in DataRow and Bind; null has the length -1. */
  value(value: string | Uint8Array | null): this {
    if (value === null) return this.int32(-1);
    if (typeof value !== 'string') return this.int32(value.length).bytes(value);
    const lengthAt = this.#at;
    this.int32(0).text(value);
    this.#buffer.writeInt32BE(this.#at - lengthAt - 4, lengthAt);
    return this;
  }

  /** Everything written so far, as a buffer of its own; the writer starts afresh. */
  take(): Buffer {
    assert(this.#lengthAt < 0, 'the last frame was closed');
    const taken = Buffer.allocUnsafe(this.#at);
    this.#buffer.copy(taken, 0, 0, this.#at);
    this.#at = 0;
    // A single huge message must not keep its room for ever.
    if (this.#buffer.length > 1 << 20) this.#buffer = Buffer.allocUnsafe(CAPACITY_BYTES_MIN);
    return taken;
  }

  /** Takes the unfinished frame back, so that the frames before it and the writer stay good. */
  #abandon(): void {
    if (this.#lengthAt >= 0) this.#at = this.#frameAt;
    this.#lengthAt = -1;
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#at);
    this.#buffer = grown;
  }
}

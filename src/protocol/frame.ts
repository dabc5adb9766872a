// Finds whole frames in the chunks a socket delivers, by header arithmetic in the very buffer that was read.
//
//   chunk n                          chunk n+1
//   ┌─────────────┬────────┬──────┐  ┌────────────────┬─────────┐
//   │ T len body… │ D len… │ D le │  │ n body…        │ C len … │
//   └─────────────┴────────┴──────┘  └────────────────┴─────────┘
//    handed out as (chunk, start, end) └ the split frame alone is copied, once, into a buffer of its own
//
// The rule: a length is judged before a byte is buffered for it, and a buffer that was handed out is never written again.
import { assert } from '../kernel/assert.ts';
import { typeName } from './message-type.ts';
import { SQLSTATE, type SqlError } from './sql-error.ts';

/** Type byte and length word. */
export const HEADER_BYTES = 5;

/** PostgreSQL's own bound for one message of a server (1 GiB). */
export const SERVER_FRAME_BYTES_MAX = 0x3fff_ffff;

/** The least room for a split frame; larger ones grow by doubling, so that memory follows what really arrived. */
const ASSEMBLY_BYTES_MIN = 65_536;

/** A header that ends the connection; after it the reader delivers nothing more. */
export type FrameFault =
  | { readonly kind: 'MalformedLength'; readonly type: number; readonly length: number }
  | { readonly kind: 'FrameTooLarge'; readonly type: number; readonly length: number; readonly frameBytesMax: number };

/** The error to answer a client with before its connection is closed. */
export function frameFaultError(fault: FrameFault): SqlError {
  const message =
    fault.kind === 'MalformedLength'
      ? `invalid message length ${fault.length} in a message of type "${typeName(fault.type)}"`
      : `message of type "${typeName(fault.type)}" is ${fault.length} bytes long, more than the ${fault.frameBytesMax} allowed`;
  return { severity: 'FATAL', code: SQLSTATE.protocolViolation, message };
}

/** Who gets the frames. An error thrown by frame() comes out of push() or resume() and ends the reader. */
export interface FrameHandler {
  /** One whole frame: chunk[start] is the type byte, `end` is exclusive. The bytes stay valid and unchanged for ever. */
  frame(type: number, chunk: Buffer, start: number, end: number): void;
  /** No more frames come before the event loop turns: flush what was gathered. */
  chunkEnd(): void;
}

export class FrameReader {
  readonly #handler: FrameHandler;
  #frameBytesMax: number;
  /** Bytes of a frame that began in an earlier chunk; `#filled` of them are there, `#needed` (0: not yet known) in all. */
  #partial: Buffer | undefined;
  #filled = 0;
  #needed = 0;
  #fault: FrameFault | undefined;
  #paused = false;
  #running = false;
  /** Chunks that arrived or were left over while paused; `#heldStart` is where the first of them continues. */
  #held: Buffer[] = [];
  #heldStart = 0;

  /** `frameBytesMax` bounds the length word of one frame (bytes, without the type byte). */
  constructor(handler: FrameHandler, frameBytesMax: number) {
    this.#handler = handler;
    this.#frameBytesMax = frameBytesMax;
  }

  /** Another bound for the frames to come, e.g. small before authentication and larger after it. */
  setFrameBytesMax(frameBytesMax: number): void {
    this.#frameBytesMax = frameBytesMax;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Bytes kept for later: a split frame or what waits behind pause(). */
  get bufferedBytes(): number {
    let bytes = this.#filled - this.#heldStart;
    for (const chunk of this.#held) bytes += chunk.length;
    return bytes;
  }

  /**
   * Delivers every frame that is whole now. A fault is final: each later push returns it again. So is an error that the
   * handler throws: it comes out here, and chunks that still arrive while the connection is being closed are dropped.
   */
  push(chunk: Buffer): FrameFault | undefined {
    // Still running: the handler threw, for no socket delivers a chunk inside the delivery of another.
    if (this.#fault !== undefined || this.#running) return this.#fault;
    if (this.#paused) {
      this.#held.push(chunk);
      return undefined;
    }
    this.#running = true;
    this.#deliver(chunk, 0);
    this.#running = false;
    this.#handler.chunkEnd();
    return this.#fault;
  }

  /** Stops delivery after the frame in hand; the rest is kept. The owner pauses its socket too, or this grows. */
  pause(): void {
    this.#paused = true;
  }

  /** Delivers what was kept and goes on. Inside frame() it only takes the pause back. */
  resume(): FrameFault | undefined {
    if (!this.#paused) return this.#fault;
    this.#paused = false;
    if (this.#running || this.#held.length === 0) return this.#fault;
    this.#running = true;
    this.#deliverHeld();
    this.#running = false;
    this.#handler.chunkEnd();
    return this.#fault;
  }

  #deliverHeld(): void {
    while (!this.#paused && this.#fault === undefined) {
      const chunk = this.#held.shift();
      if (chunk === undefined) return;
      const from = this.#heldStart;
      this.#heldStart = 0;
      this.#deliver(chunk, from);
    }
    if (this.#fault !== undefined) this.#held = [];
  }

  #deliver(chunk: Buffer, from: number): void {
    let at = from;
    if (this.#partial !== undefined) at = this.#continuePartial(chunk, at);
    const length = chunk.length;
    while (length - at >= HEADER_BYTES && !this.#paused && this.#fault === undefined) {
      const type = chunk[at] as number;
      const size = chunk.readInt32BE(at + 1);
      if (size < 4 || size > this.#frameBytesMax) {
        this.#fault = this.#judge(type, size);
        break;
      }
      const end = at + 1 + size;
      if (end > length) break;
      const start = at;
      at = end;
      this.#handler.frame(type, chunk, start, end);
    }
    if (at === length || this.#fault !== undefined) return;
    if (this.#paused) {
      this.#held.unshift(chunk);
      this.#heldStart = at;
    } else {
      this.#beginPartial(chunk, at);
    }
  }

  #judge(type: number, length: number): FrameFault | undefined {
    if (length < 4) return { kind: 'MalformedLength', type, length };
    const frameBytesMax = this.#frameBytesMax;
    return length > frameBytesMax ? { kind: 'FrameTooLarge', type, length, frameBytesMax } : undefined;
  }

  /** Keeps the beginning of a frame; its length is known, and was judged, if five bytes of it are here. */
  #beginPartial(chunk: Buffer, at: number): void {
    const have = chunk.length - at;
    this.#needed = have >= HEADER_BYTES ? 1 + chunk.readInt32BE(at + 1) : 0;
    const room = this.#needed === 0 ? HEADER_BYTES : Math.min(this.#needed, Math.max(ASSEMBLY_BYTES_MIN, have * 2));
    this.#partial = Buffer.allocUnsafe(room);
    chunk.copy(this.#partial, 0, at);
    this.#filled = have;
  }

  /** Adds to the split frame, delivers it when whole, and returns where the next frame begins. */
  #continuePartial(chunk: Buffer, from: number): number {
    let at = from;
    if (this.#needed === 0) {
      at += this.#append(chunk, at, HEADER_BYTES);
      if (this.#filled < HEADER_BYTES) return at;
      const header = this.#partial;
      assert(header !== undefined, 'a partial frame has a buffer');
      const length = header.readInt32BE(1);
      this.#fault = this.#judge(header.readUInt8(0), length);
      if (this.#fault !== undefined) {
        this.#dropPartial();
        return at;
      }
      this.#needed = 1 + length;
    }
    at += this.#append(chunk, at, this.#needed);
    if (this.#filled < this.#needed) return at;
    const whole = this.#partial;
    assert(whole !== undefined, 'a partial frame has a buffer');
    const end = this.#needed;
    this.#dropPartial();
    this.#handler.frame(whole.readUInt8(0), whole, 0, end);
    return at;
  }

  /** Copies what is there of the missing bytes; returns how many. */
  #append(chunk: Buffer, at: number, target: number): number {
    const take = Math.min(target - this.#filled, chunk.length - at);
    let partial = this.#partial;
    assert(partial !== undefined, 'a partial frame has a buffer');
    const filled = this.#filled + take;
    if (filled > partial.length) {
      const grown = Buffer.allocUnsafe(Math.min(target, Math.max(ASSEMBLY_BYTES_MIN, filled * 2)));
      partial.copy(grown, 0, 0, this.#filled);
      partial = grown;
      this.#partial = grown;
    }
    chunk.copy(partial, this.#filled, at, at + take);
    this.#filled = filled;
    return take;
  }

  #dropPartial(): void {
    this.#partial = undefined;
    this.#filled = 0;
    this.#needed = 0;
  }
}

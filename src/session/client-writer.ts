// What leaves for one client: gathers the buffers of one flush and hands them to the socket in one write.
import type { Socket } from 'node:net';
import { SERVER } from '../protocol/message-type.ts';
import { readSqlError } from '../protocol/server-message-reader.ts';
import type { SessionTraffic } from './session-traffic.ts';

/** Below this total, copying into one buffer is cheaper than a gathered write. */
const COPY_BELOW_BYTES = 16 * 1024;

export class ClientWriter {
  readonly #socket: Socket;
  readonly #traffic: SessionTraffic | undefined;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(socket: Socket, traffic?: SessionTraffic) {
    this.#socket = socket;
    this.#traffic = traffic;
  }

  /**
   * Queues whole messages for the next flush. The buffer must not be changed afterwards. An ErrorResponse comes first in
   * its buffer (RelaySink sees to that), so that errors are counted without looking at what is not one.
   */
  write(part: Buffer): void {
    if (part[0] === SERVER.error) this.#countError(part);
    this.#parts.push(part);
    this.#bytes += part.length;
  }

  #countError(part: Buffer): void {
    this.#traffic?.errorTold(readSqlError(part, 0, part.readUInt32BE(1) + 1).code);
  }

  /** Bytes accepted by `write` that the kernel has not taken yet. */
  get backlogBytes(): number {
    return this.#bytes + this.#socket.writableLength;
  }

  /** Hands everything queued to the socket, in one write. False when the client reads slower than we write. */
  flush(): boolean {
    const parts = this.#parts;
    const first = parts[0];
    if (first === undefined) return !this.#socket.writableNeedDrain;
    const bytes = this.#bytes;
    this.#parts = [];
    this.#bytes = 0;
    if (this.#socket.destroyed) return true;
    if (parts.length === 1) return this.#socket.write(first);
    if (bytes <= COPY_BELOW_BYTES) return this.#socket.write(Buffer.concat(parts, bytes));
    this.#socket.cork();
    for (const part of parts) this.#socket.write(part);
    this.#socket.uncork();
    return !this.#socket.writableNeedDrain;
  }

  /** Calls back once, when the client has taken what was written or is gone (whoever waits must not wait for ever). */
  onceDrained(callback: () => void): void {
    const socket = this.#socket;
    const done = () => {
      socket.off('drain', done);
      socket.off('close', done);
      callback();
    };
    if (socket.destroyed) {
      callback();
      return;
    }
    socket.on('drain', done);
    socket.on('close', done);
  }
}

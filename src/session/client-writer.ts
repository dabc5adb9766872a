// What leaves for one client: gathers the buffers of one flush and hands them to the socket in one write.
import type { Socket } from 'node:net';

/** Below this total, copying into one buffer is cheaper than a gathered write. */
const COPY_BELOW_BYTES = 16 * 1024;

export class ClientWriter {
  readonly #socket: Socket;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Queues bytes for the next flush. The buffer must not be changed afterwards. */
  write(part: Buffer): void {
    this.#parts.push(part);
    this.#bytes += part.length;
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

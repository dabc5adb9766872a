// Gathers the bytes that one turn of the event loop wants to send and writes them at once.
import type { Socket } from 'node:net';

/** Below this, copying small messages into one buffer is cheaper than handing each to the stream. */
const COPY_BYTES_MAX = 65_536;

export class Outbox {
  readonly #socket: Socket;
  #messages: Buffer[] = [];
  #bytes = 0;
  readonly #flushLater = () => this.flush();

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Bytes not yet taken by the kernel. */
  get backlogBytes(): number {
    return this.#bytes + this.#socket.writableLength;
  }

  push(message: Buffer): void {
    // nextTick comes after the handler that runs now and before the next read: all that it sends leaves together.
    if (this.#messages.length === 0) process.nextTick(this.#flushLater);
    this.#messages.push(message);
    this.#bytes += message.length;
  }

  flush(): void {
    const messages = this.#messages;
    const [only] = messages;
    if (only === undefined) return;
    const bytes = this.#bytes;
    this.#messages = [];
    this.#bytes = 0;
    if (this.#socket.destroyed) return;
    if (messages.length === 1) {
      this.#socket.write(only);
    } else if (bytes <= COPY_BYTES_MAX) {
      this.#socket.write(Buffer.concat(messages, bytes));
    } else {
      this.#socket.cork();
      for (const message of messages) this.#socket.write(message);
      this.#socket.uncork();
    }
  }
}

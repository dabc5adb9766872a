// A client that says exactly the bytes it is given and shows the replies as letters: for orders of messages that no driver
// sends, and for malformed ones.
import { connect, type Socket } from 'node:net';
import * as message from '../../src/protocol/client-message-writer.ts';
import { FrameReader } from '../../src/protocol/frame.ts';
import { SERVER } from '../../src/protocol/message-type.ts';
import {
  readBackendKeyData,
  readDataRow,
  readReadyForQuery,
  readSqlError,
} from '../../src/protocol/server-message-reader.ts';
import type { SqlError } from '../../src/protocol/sql-error.ts';

export class WireClient {
  readonly socket: Socket;
  /** One letter per frame since the last `take`; Z carries its status: `Z(I)`. */
  replies: string[] = [];
  rows: (string | null)[][] = [];
  errors: SqlError[] = [];
  key: { pid: number; key: Buffer } | undefined;
  closed = false;
  #wake: (() => void)[] = [];

  private constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    const reader = new FrameReader(
      {
        frame: (type, chunk, start, end) => this.#frame(type, chunk, start, end),
        chunkEnd: () => this.#notify(),
      },
      1 << 30,
    );
    this.socket.on('data', (chunk) => reader.push(chunk));
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.closed = true;
      this.#notify();
    });
  }

  /** Connected, nothing sent. */
  static bare(port: number): WireClient {
    return new WireClient(port);
  }

  /** Logged in with trust, ready for queries; what came so far is forgotten. */
  static async login(port: number, parameters: Record<string, string> = {}): Promise<WireClient> {
    const client = new WireClient(port);
    client.send(message.startupMessage(Object.entries({ user: 'postgres', database: 'app', ...parameters })));
    await client.until((replies) => replies.some((reply) => reply.startsWith('Z')));
    client.take();
    return client;
  }

  send(...parts: Buffer[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  /** What came since the last take, in order. */
  take(): { replies: string; rows: (string | null)[][]; errors: SqlError[] } {
    const taken = { replies: this.replies.join(' '), rows: this.rows, errors: this.errors };
    this.replies = [];
    this.rows = [];
    this.errors = [];
    return taken;
  }

  /** Waits until `condition` holds, or the server hangs up. */
  async until(condition: (replies: readonly string[]) => boolean): Promise<void> {
    while (!condition(this.replies) && !this.closed) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  /** Waits for `count` ReadyForQuery, then takes. */
  async ready(count = 1): Promise<ReturnType<WireClient['take']>> {
    await this.until((replies) => replies.filter((reply) => reply.startsWith('Z')).length >= count);
    return this.take();
  }

  end(): void {
    this.socket.destroy();
  }

  #frame(type: number, chunk: Buffer, start: number, end: number): void {
    if (type === SERVER.error) this.errors.push(readSqlError(chunk, start, end));
    if (type === SERVER.dataRow) this.rows.push(readDataRow(chunk, start, end));
    if (type === SERVER.backendKeyData) this.key = readBackendKeyData(chunk, start, end);
    const letter = String.fromCharCode(type);
    if (type === SERVER.readyForQuery) {
      this.replies.push(`Z(${String.fromCharCode(readReadyForQuery(chunk, start, end))})`);
    } else if (type !== SERVER.parameterStatus) {
      this.replies.push(letter);
    }
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

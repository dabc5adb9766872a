// One administrator's connection: simple and extended protocol in front of an AdminDesk. It takes one message at a time and,
// as PostgreSQL does, answers each Query and Sync with one ReadyForQuery and skips to Sync behind an error.
import type { Socket } from 'node:net';
import { readQuery } from '../../protocol/client-message.ts';
import { FrameReader, frameFaultError } from '../../protocol/frame.ts';
import { MalformedMessage } from '../../protocol/malformed-message.ts';
import { CLIENT, STATUS, typeName } from '../../protocol/message-type.ts';
import {
  backendKeyData,
  EMPTY_QUERY_RESPONSE,
  errorResponse,
  noticeResponse,
  parameterStatus,
  ready,
} from '../../protocol/server-message.ts';
import { type SqlError, sqlError } from '../../protocol/sql-error.ts';
import type { ClientKey } from '../client-keys.ts';
import type { AdminDesk } from './admin-desk.ts';
import { describeColumns, encodeRow, tagOf } from './answer.ts';
import { type AdminCommand, readCommands } from './command.ts';
import { AdminStatements } from './extended.ts';

/** An administrator's messages are commands, not rows. */
const FRAME_BYTES_MAX = 1 << 20;
/** Bytes of commands that wait; more than that is no conversation. */
const INBOX_BYTES_MAX = 4 << 20;

interface Frame {
  readonly type: number;
  readonly bytes: Buffer;
}

export class AdminSession {
  readonly #socket: Socket;
  readonly #desk: AdminDesk;
  readonly #statements: AdminStatements;
  readonly #reader: FrameReader;
  #inbox: Frame[] = [];
  #inboxBytes = 0;
  #running = false;
  #skipping = false;
  #closed = false;
  #inBlock = false;
  #goOn: () => void = () => undefined;

  constructor(socket: Socket, desk: AdminDesk) {
    this.#socket = socket;
    this.#desk = desk;
    this.#statements = new AdminStatements(desk, (bytes) => socket.write(bytes));
    this.#reader = new FrameReader(
      {
        frame: (type, chunk, start, end) => this.#take(type, chunk.subarray(start, end)),
        chunkEnd: () => this.#pump(),
      },
      FRAME_BYTES_MAX,
    );
    socket.on('data', (chunk) => this.push(chunk));
    socket.on('drain', () => this.#goOn());
    socket.on('close', () => {
      this.#closed = true;
      this.#goOn();
    });
  }

  /** What a server says before its first ReadyForQuery. */
  greet(applicationName: string, { pid, key }: ClientKey): void {
    const parameters = this.#desk.parameters(applicationName);
    const told = [...parameters].map(([name, value]) => parameterStatus(name, value));
    this.#socket.write(Buffer.concat([...told, backendKeyData(pid, key), ready(STATUS.idle)]));
  }

  push(chunk: Buffer): void {
    const fault = this.#reader.push(chunk);
    if (fault !== undefined) this.end(frameFaultError(fault));
  }

  /** Ends the connection with `error`. */
  end(error: SqlError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.end(errorResponse({ ...error, severity: 'FATAL' }));
  }

  #take(type: number, bytes: Buffer): void {
    this.#inbox.push({ type, bytes });
    this.#inboxBytes += bytes.length;
    if (this.#inboxBytes > INBOX_BYTES_MAX) this.#socket.pause();
  }

  #pump(): void {
    if (this.#running) return;
    this.#running = true;
    void this.#run().finally(() => {
      this.#running = false;
    });
  }

  async #run(): Promise<void> {
    for (let next = this.#inbox.shift(); next !== undefined && !this.#closed; next = this.#inbox.shift()) {
      this.#inboxBytes -= next.bytes.length;
      if (this.#socket.isPaused() && this.#inboxBytes < INBOX_BYTES_MAX / 2) this.#socket.resume();
      try {
        await this.#message(next);
      } catch (error) {
        if (!(error instanceof MalformedMessage)) throw error;
        this.end(sqlError(error.code, error.message));
      }
      if (this.#socket.writableNeedDrain) await this.#drained();
    }
  }

  /** Who does not read is not answered either, or the answers would pile up here. */
  #drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#goOn = resolve;
    });
  }

  async #message({ type, bytes }: Frame): Promise<void> {
    switch (type) {
      case CLIENT.query:
        if (!this.#skipping) await this.#query(readQuery(bytes, 0, bytes.length));
        return;
      case CLIENT.parse:
      case CLIENT.bind:
      case CLIENT.describe:
      case CLIENT.execute:
      case CLIENT.close: {
        if (this.#skipping) return;
        const error = await this.#statements.message(type, bytes, (command) => this.#note(command));
        if (error !== undefined) {
          this.#skipping = true;
          this.#socket.write(errorResponse(error));
        }
        return;
      }
      case CLIENT.sync:
        this.#skipping = false;
        if (!this.#inBlock) this.#statements.closePortals();
        this.#ready();
        return;
      case CLIENT.flush:
        return;
      case CLIENT.terminate:
        this.#closed = true;
        this.#socket.end();
        return;
      default:
        throw new MalformedMessage(`unexpected message type "${typeName(type)}" in the admin database`);
    }
  }

  async #query(text: string): Promise<void> {
    const commands = readCommands(text);
    if (!Array.isArray(commands)) this.#socket.write(errorResponse(commands as SqlError));
    else if (commands.length === 0) this.#socket.write(EMPTY_QUERY_RESPONSE);
    else for (const command of commands as AdminCommand[]) if (!(await this.#answer(command))) break;
    this.#ready();
  }

  /** False after an error: the rest of the query is not run. */
  async #answer(command: AdminCommand): Promise<boolean> {
    const columns = this.#desk.columns(command);
    const answer = await this.#desk.answer(command);
    if (this.#closed) return false;
    if (answer.kind === 'error') {
      this.#socket.write(errorResponse(answer.error));
      return false;
    }
    this.#note(command);
    const parts: Buffer[] = [];
    if (answer.kind === 'done') parts.push(...(answer.notices ?? []).map(noticeResponse));
    else parts.push(describeColumns(columns, []), ...answer.rows.map((row) => encodeRow(columns, row, [])));
    this.#socket.write(Buffer.concat([...parts, tagOf(answer)]));
    return true;
  }

  #note(command: AdminCommand): void {
    if (command.kind === 'nothing' && command.block !== undefined) this.#inBlock = command.block === 'begin';
  }

  #ready(): void {
    this.#socket.write(ready(this.#inBlock ? STATUS.transaction : STATUS.idle));
  }
}

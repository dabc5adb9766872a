// One client from the first query to goodbye: takes its frames in order, runs one unit at a time (a Query, or a batch up
// to Sync or Flush) and answers each Sync and Query with exactly one ReadyForQuery.
import type { Socket } from 'node:net';
import { readQuery } from '../protocol/client-message.ts';
import { FrameReader, frameFaultError } from '../protocol/frame.ts';
import { MalformedMessage } from '../protocol/malformed-message.ts';
import { CLIENT, STATUS, typeName } from '../protocol/message-type.ts';
import { errorResponse, ready } from '../protocol/server-message.ts';
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import type { ServerConnection } from '../shard/connection.ts';
import { type ClientFrame, ExtendedBatch, endImplicitBlock } from './extended-query.ts';
import { settleSchema } from './schema-watch.ts';
import type { SessionState } from './session-state.ts';
import { runSimpleQuery } from './simple-query.ts';
import { rollbackTransaction } from './transaction-end.ts';

/** Bytes of waiting messages above which the client is not read any more. */
const INBOX_BYTES_MAX = 1 << 20;
/** Messages of a batch without Sync that are run before more are taken. */
const BATCH_MESSAGES_MAX = 1_000;
const BATCH_BYTES_MAX = 16 << 20;

export class ClientSession {
  readonly state: SessionState;
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #onClosed: () => void;
  #inbox: ClientFrame[] = [];
  #inboxBytes = 0;
  #batch: ClientFrame[] = [];
  #batchBytes = 0;
  #extended: ExtendedBatch | undefined;
  #skippingToSync = false;
  #running = false;
  #closed = false;
  #fatal: SqlError | undefined;
  #closeWhenIdle: SqlError | undefined;

  constructor(socket: Socket, state: SessionState, options: { frameBytesMax: number; onClosed: () => void }) {
    this.#socket = socket;
    this.state = state;
    this.#onClosed = options.onClosed;
    this.#reader = new FrameReader(
      {
        frame: (type, chunk, start, end) => this.#frame(type, chunk.subarray(start, end)),
        chunkEnd: () => this.#pump(),
      },
      options.frameBytesMax,
    );
    state.onCopyIn = (target) => this.#copyBegan(target);
    socket.on('data', (chunk) => this.push(chunk));
    socket.on('close', () => this.#gone());
  }

  /** Bytes from the client, also those that came behind its startup packet. */
  push(chunk: Buffer): void {
    const fault = this.#reader.push(chunk);
    if (fault !== undefined && this.#fatal === undefined) {
      this.#fatal = frameFaultError(fault);
      this.#pump();
    }
  }

  /** Neither running anything nor inside a transaction. */
  get idle(): boolean {
    return !this.#running && this.state.transaction === undefined;
  }

  /** Running something for the client now. */
  get active(): boolean {
    return this.#running;
  }

  /** A cancel request of this client: reaches the shards that work for it, except while it commits. */
  cancel(): void {
    if (this.state.committing) return;
    for (const connection of this.state.working) if (connection.pendingUnits > 0) void connection.cancel();
  }

  /** Ends the session with `error` as soon as it is idle (at once if it is). */
  closeWhenIdle(error: SqlError): void {
    this.#closeWhenIdle = error;
    if (this.idle) this.#end(error);
  }

  /** Takes closeWhenIdle back. */
  stay(): void {
    this.#closeWhenIdle = undefined;
  }

  /** Ends the session at once: its transaction is rolled back unless it is being committed. */
  terminate(error: SqlError): void {
    this.#end(error);
  }

  #frame(type: number, frame: Buffer): void {
    if (this.#closed || this.#fatal !== undefined) return;
    if (this.state.copyTarget !== undefined && this.#inbox.length === 0 && isCopyMessage(type)) {
      this.state.copyTarget.sendMore(frame);
      if (this.state.copyTarget.writeBacklogBytes > INBOX_BYTES_MAX) this.#holdForCopy();
      return;
    }
    this.#inbox.push({ type, frame });
    this.#inboxBytes += frame.length;
    if (this.#inboxBytes > INBOX_BYTES_MAX) this.#socket.pause();
  }

  /** A shard waits for rows of a COPY, which may be here already, or never come. */
  #copyBegan(target: ServerConnection): void {
    if (this.#closed) this.#abandonCopy();
    for (let next = this.#inbox[0]; next !== undefined && isCopyMessage(next.type); next = this.#inbox[0]) {
      this.#inbox.shift();
      this.#inboxBytes -= next.frame.length;
      target.sendMore(next.frame);
    }
    if (this.#socket.isPaused() && this.#inboxBytes < INBOX_BYTES_MAX / 2) this.#socket.resume();
    if (target.writeBacklogBytes > INBOX_BYTES_MAX) this.#holdForCopy();
  }

  /** A server that waits for rows does not hear a cancel request; it hears that its client is gone. */
  #abandonCopy(): void {
    this.state.copyTarget?.destroy('the client left in the middle of a COPY');
  }

  /** The shard takes COPY data more slowly than the client sends it. */
  #holdForCopy(): void {
    const target = this.state.copyTarget;
    if (target === undefined) return;
    this.#socket.pause();
    target.onDrain = () => {
      target.onDrain = undefined;
      this.#socket.resume();
    };
  }

  #pump(): void {
    if (this.#running || this.#closed) return;
    this.#running = true;
    void this.#run().finally(() => {
      this.#running = false;
      // A frame that cannot be, found in the chunk whose whole frames this run was about.
      if (this.#fatal !== undefined && !this.#closed) this.#end(this.#fatal);
      else if (this.#closed) void this.#abandon();
    });
  }

  async #run(): Promise<void> {
    for (;;) {
      if (this.#closed) return;
      const next = this.#inbox.shift();
      if (next === undefined) break;
      this.#inboxBytes -= next.frame.length;
      if (this.#socket.isPaused() && this.#inboxBytes < INBOX_BYTES_MAX / 2) this.#socket.resume();
      try {
        await this.#take(next);
      } catch (error) {
        if (!(error instanceof MalformedMessage)) throw error;
        // A frame that is not what it claims to be costs this connection, and only this one.
        this.#fatal = sqlError(error.code, error.message, { severity: 'FATAL' });
      }
      if (this.#fatal !== undefined) break;
    }
    if (this.#fatal !== undefined) this.#end(this.#fatal);
    else if (this.#closeWhenIdle !== undefined && this.state.transaction === undefined) this.#end(this.#closeWhenIdle);
  }

  async #take({ type, frame }: ClientFrame): Promise<void> {
    switch (type) {
      case CLIENT.query:
        await this.#query(frame);
        return;
      case CLIENT.parse:
      case CLIENT.bind:
      case CLIENT.describe:
      case CLIENT.execute:
      case CLIENT.close:
        if (this.#skippingToSync) return;
        this.#batch.push({ type, frame });
        this.#batchBytes += frame.length;
        if (this.#batch.length >= BATCH_MESSAGES_MAX || this.#batchBytes >= BATCH_BYTES_MAX)
          await this.#runBatch(false);
        return;
      case CLIENT.flush:
        await this.#runBatch(false);
        this.state.writer.flush();
        return;
      case CLIENT.sync:
        await this.#sync();
        return;
      case CLIENT.terminate:
        this.#closed = true;
        this.#socket.end();
        return;
      case CLIENT.copyData:
      case CLIENT.copyDone:
      case CLIENT.copyFail:
        // Left over from a COPY that has already failed; PostgreSQL ignores them too.
        return;
      case CLIENT.functionCall:
        this.state.writer.write(errorResponse(functionCallRefused));
        this.state.fail();
        this.#ready();
        return;
      default:
        throw new MalformedMessage(`invalid frontend message type "${typeName(type)}"`);
    }
  }

  async #query(frame: Buffer): Promise<void> {
    if (this.#batch.length > 0) await this.#runBatch(false);
    // As in PostgreSQL: after an error everything up to Sync is ignored, and a Query ends the implicit block before it.
    if (this.#skippingToSync) return;
    if (this.state.transaction === undefined) this.state.portals.clear();
    await runSimpleQuery(this.state, readQuery(frame, 0, frame.length), frame);
    await endImplicitBlock(this.state);
    await settleSchema(this.state);
    this.#ready();
  }

  async #runBatch(toSync: boolean): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    this.#batchBytes = 0;
    if (this.#skippingToSync || batch.length === 0) return;
    this.#extended ??= new ExtendedBatch(this.state);
    if (!(await this.#extended.run(batch, toSync))) this.#skippingToSync = true;
  }

  async #sync(): Promise<void> {
    await this.#runBatch(true);
    this.#skippingToSync = false;
    this.#extended = undefined;
    await endImplicitBlock(this.state);
    await settleSchema(this.state);
    if (this.state.transaction === undefined) this.state.portals.clear();
    this.#ready();
  }

  #ready(): void {
    const { traffic } = this.state.services;
    if (traffic !== undefined) traffic.queries++;
    this.state.writer.write(ready(this.#status()));
    this.state.writer.flush();
  }

  #status(): number {
    const { transaction } = this.state;
    if (transaction === undefined) return STATUS.idle;
    return transaction.state === 'open' ? STATUS.transaction : STATUS.failed;
  }

  #end(error: SqlError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.state.writer.write(errorResponse({ ...error, severity: 'FATAL' }));
    this.state.writer.flush();
    this.#socket.end();
    this.#abandonCopy();
    if (!this.#running) void this.#abandon();
  }

  /** The socket is gone; whatever still runs for it ends first, a commit in progress to its end. */
  #gone(): void {
    this.#closed = true;
    this.#abandonCopy();
    this.cancel();
    if (!this.#running) void this.#abandon();
  }

  /** Rolls back what is open and gives the connections back; runs once. */
  async #abandon(): Promise<void> {
    const tell = this.#told;
    if (tell) return;
    this.#told = true;
    this.#inbox = [];
    await rollbackTransaction(this.state);
    this.#onClosed();
  }

  #told = false;
}

function isCopyMessage(type: number): boolean {
  return type === CLIENT.copyData || type === CLIENT.copyDone || type === CLIENT.copyFail || type === CLIENT.sync;
}

const functionCallRefused = sqlError(SQLSTATE.featureNotSupported, 'the function call message is not supported', {
  hint: 'Call the function in a SELECT.',
});

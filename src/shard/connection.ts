// One connection to one shard's server: units of work go out in order, each reply goes to the sink that waits for it.
//
//   connecting ──startup, authentication, facts──▶ open ◀──send / ready──▶ busy ──socket, FATAL, destroy──▶ lost
//
// The rule: every unit ends exactly once, by ready() or by lost(), and after lost() nothing is delivered any more.
import type { Socket } from 'node:net';
import { assert } from '../kernel/assert.ts';
import type { Clock } from '../kernel/clock.ts';
import { query, TERMINATE } from '../protocol/client-message-writer.ts';
import { FrameReader, frameFaultError, SERVER_FRAME_BYTES_MAX } from '../protocol/frame.ts';
import { MalformedMessage } from '../protocol/malformed-message.ts';
import { SERVER, STATUS, typeName } from '../protocol/message-type.ts';
import { ScramKeyCache } from '../protocol/scram.ts';
import { readFatalError, readParameterStatus, readReadyForQuery } from '../protocol/server-message-reader.ts';
import type { BranchLink, CommandReply, ConnectionLost, ServerIdentity } from './branch-link.ts';
import { Canceller } from './cancel.ts';
import { CommandCollector } from './command-collector.ts';
import { withinConnectTimeout } from './connect-deadline.ts';
import { type BackendKey, Handshake, startupBytes } from './handshake.ts';
import { Outbox } from './outbox.ts';
import type { ReplySink } from './reply-sink.ts';
import { FACTS_QUERY, readServerFacts, type ServerFacts } from './server-facts.ts';
import { endPointOf, hangUp, openEncryptedSocket, openSocket } from './socket.ts';
import { ConnectFailure, type ConnectOptions, type ShardTarget } from './target.ts';
import { encryptedTls } from './tls.ts';
import { UnitQueue } from './unit-queue.ts';
import { XidQuestion } from './xid-question.ts';

export type { ReplySink };

export class ServerConnection implements BranchLink {
  readonly target: ShardTarget;
  /** Last values the server reported (server_version, TimeZone, …). */
  readonly parameters = new Map<string, string>();
  /** Called when what writeBacklogBytes counts was written, and when it never will be. */
  onDrain: (() => void) | undefined;
  /** Called once when the connection is lost or closed, after its units were told. */
  onClosed: ((lost: ConnectionLost) => void) | undefined;
  /** Told about what arrives while no unit runs, e.g. a notification for a pinned session. */
  onUnsolicited: ((type: number, chunk: Buffer, start: number, end: number) => void) | undefined;
  /** Notices that came between units and were dropped. */
  strayNotices = 0;

  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #canceller: Canceller;
  readonly #outbox: Outbox;
  readonly #reader: FrameReader;
  readonly #units = new UnitQueue();
  /** XID_QUESTION by a prepared statement, in a unit of its own or inside another. */
  readonly xidQuestion = new XidQuestion((bytes) => this.#collect(bytes));
  /** The sink that got something from the chunk in hand and has not heard chunkEnd() yet. */
  #touched: ReplySink | undefined;
  #status: number = STATUS.idle;
  #lost: ConnectionLost | undefined;
  #facts: ServerFacts | undefined;

  private constructor(target: ShardTarget, socket: Socket, options: ConnectOptions) {
    const { clock, frameBytesMax = SERVER_FRAME_BYTES_MAX } = options;
    this.target = target;
    this.#clock = clock;
    this.#canceller = new Canceller(target, clock);
    this.#reader = new FrameReader(
      {
        frame: (type, chunk, start, end) => this.#frame(type, chunk, start, end),
        chunkEnd: () => this.#chunkEnd(),
      },
      frameBytesMax,
    );
    this.#socket = socket;
    this.#outbox = new Outbox(socket);
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('drain', () => this.onDrain?.());
    socket.on('error', (error) => this.#lose({ reason: 'socket', message: error.message }));
    socket.on('close', () => this.#lose({ reason: 'socket', message: 'the server closed the connection' }));
  }

  /** Connects, logs in and learns which server this is. Throws ConnectFailure, nothing else. */
  static connect(target: ShardTarget, options: ConnectOptions): Promise<ServerConnection> {
    return withinConnectTimeout(options, async (tooLate) => {
      const tls = encryptedTls(target.tls);
      const socket = tls === undefined ? openSocket(target) : await openEncryptedSocket(target, tls, tooLate);
      const connection = new ServerConnection(target, socket, options);
      const message = `no connection within ${options.connectTimeoutMs} ms`;
      tooLate.addEventListener('abort', () => connection.#lose({ reason: 'timeout', message }), { once: true });
      try {
        await connection.#logIn(options.scramKeys ?? new ScramKeyCache(), endPointOf(socket));
        return connection;
      } catch (error) {
        connection.destroy('connecting failed');
        throw error instanceof MalformedMessage ? new ConnectFailure(target, 'protocol', error.message) : error;
      }
    });
  }

  async #logIn(scramKeys: ScramKeyCache, endPoint: Buffer | undefined): Promise<void> {
    this.#canceller.backend = await new Promise<BackendKey>((succeeded, failed) => {
      const reply = (bytes: Buffer) => this.sendMore(bytes);
      const handshake = new Handshake(this.target, { scramKeys, endPoint, reply, succeeded, failed });
      this.send(startupBytes(this.target), handshake);
    });
    this.#facts = readServerFacts(this.target, await this.command(FACTS_QUERY));
  }

  get shard(): string {
    return this.target.shard;
  }

  get identity(): ServerIdentity {
    return this.facts.identity;
  }

  get facts(): ServerFacts {
    assert(this.#facts !== undefined, 'a connection is handed out with its facts');
    return this.#facts;
  }

  /** Status byte of the last ReadyForQuery (STATUS); only as fresh as that while units are pending. */
  get transactionStatus(): number {
    return this.#status;
  }

  /** Units sent and not yet ended. */
  get pendingUnits(): number {
    return this.#units.length;
  }

  get closed(): boolean {
    return this.#lost !== undefined;
  }

  /** Outside a transaction, nothing under way, nothing that may still arrive: another client may have it. */
  get reusable(): boolean {
    return (
      this.#lost === undefined && this.#status === STATUS.idle && this.#units.length === 0 && this.#canceller.quiet
    );
  }

  /** Settles when the cancel request that is under way has reached its end; undefined when there is none. */
  get cancelling(): Promise<void> | undefined {
    return this.#canceller.underWay;
  }

  /** Bytes accepted by send() that the kernel has not taken yet. */
  get writeBacklogBytes(): number {
    return this.#outbox.backlogBytes;
  }

  /**
   * Sends one unit: bytes that the server answers with exactly one ReadyForQuery (a Query, or anything up to one Sync).
   * On a lost connection the sink hears lost() before this returns.
   */
  send(bytes: Buffer, sink: ReplySink): void {
    if (this.#lost !== undefined) {
      sink.lost(this.#lost);
      return;
    }
    this.#units.push(sink);
    this.#outbox.push(bytes);
  }

  /**
   * More bytes of the newest unit (CopyData, an answer to authentication). Ignored when no unit is pending: a client may
   * still be sending rows of a COPY that the server has already ended with an error.
   */
  sendMore(bytes: Buffer): void {
    if (this.#units.length > 0) this.#outbox.push(bytes);
  }

  command(sql: string): Promise<CommandReply> {
    return this.#collect(query(sql));
  }

  #collect(bytes: Buffer): Promise<CommandReply> {
    return new Promise((resolve) => {
      const abandon = (message: string) => this.#lose({ reason: 'protocol', message });
      this.send(bytes, new CommandCollector(resolve, abandon));
    });
  }

  /**
   * Stops reading while units are pending: a slow client must not fill our memory. Ends by resumeReading(), or with the
   * last unit, so that the next user of the connection starts fresh. A loss is noticed only after it.
   */
  pauseReading(): void {
    if (this.#units.length > 0) this.#socket.pause();
  }

  resumeReading(): void {
    this.#socket.resume();
  }

  /** Asks the server to cancel what this backend runs. Until it settles the connection is not reusable. */
  cancel(): Promise<void> {
    return this.#lost === undefined ? this.#canceller.cancel() : Promise.resolve();
  }

  /** Drops the listeners of the session that had it; the pool calls this between two leases. */
  forgetListeners(): void {
    this.onDrain = undefined;
    this.onUnsolicited = undefined;
  }

  destroy(reason: string): void {
    this.#lose({ reason: 'destroyed', message: reason });
  }

  /** Says Terminate and waits for the server to hang up, at most a second; pending units are lost. */
  async close(): Promise<void> {
    if (this.#lost !== undefined) return;
    this.#outbox.push(TERMINATE);
    this.#outbox.flush();
    const gone = hangUp(this.#socket, this.#clock);
    this.#tellLost({ reason: 'destroyed', message: 'closed' });
    // A crash here leaves a server that notices the closed socket by itself.
    await gone;
  }

  #read(chunk: Buffer): void {
    try {
      const fault = this.#reader.push(chunk);
      if (fault !== undefined) this.#lose({ reason: 'protocol', message: frameFaultError(fault).message });
    } catch (error) {
      // A sink or this class could not decode what the server sent; any other error is ours and ends the process.
      if (!(error instanceof MalformedMessage)) throw error;
      this.#lose({ reason: 'protocol', message: error.message });
    }
  }

  #frame(type: number, chunk: Buffer, start: number, end: number): void {
    if (this.#lost !== undefined) return;
    const sink = this.#units.first;
    if (type === SERVER.readyForQuery) {
      this.#ready(sink, readReadyForQuery(chunk, start, end));
      return;
    }
    const fatal = type === SERVER.error ? readFatalError(chunk, start, end) : undefined;
    if (fatal !== undefined) {
      this.#lose({ reason: 'fatal', message: fatal.message, fatal });
      return;
    }
    if (type === SERVER.parameterStatus) this.parameters.set(...readParameterStatus(chunk, start, end));
    if (sink === undefined) {
      this.#stray(type, chunk, start, end);
      return;
    }
    if (sink !== this.#touched) this.#touch(sink);
    sink.frame(type, chunk, start, end);
  }

  #touch(sink: ReplySink): void {
    this.#touched?.chunkEnd();
    this.#touched = sink;
  }

  #chunkEnd(): void {
    const touched = this.#touched;
    this.#touched = undefined;
    if (this.#lost === undefined) touched?.chunkEnd();
  }

  #ready(sink: ReplySink | undefined, status: number): void {
    if (sink === undefined) {
      this.#lose({ reason: 'protocol', message: 'ReadyForQuery without a request' });
      return;
    }
    this.#status = status;
    this.#units.shift();
    if (sink !== this.#touched) this.#touch(sink);
    sink.ready(status);
    if (this.#units.length === 0 && this.#socket.isPaused()) this.#socket.resume();
  }

  /** Between units a server may report parameters, notices and notifications; anything else means we are out of step. */
  #stray(type: number, chunk: Buffer, start: number, end: number): void {
    if (type === SERVER.notice) this.strayNotices += 1;
    else if (type !== SERVER.parameterStatus && type !== SERVER.notification) {
      this.#lose({ reason: 'protocol', message: `message of type "${typeName(type)}" without a request` });
      return;
    }
    this.onUnsolicited?.(type, chunk, start, end);
  }

  #lose(lost: ConnectionLost): void {
    if (this.#lost !== undefined) return;
    this.#socket.destroy();
    this.#tellLost(lost);
  }

  #tellLost(lost: ConnectionLost): void {
    this.#lost = lost;
    for (const sink of this.#units.takeAll()) sink.lost(lost);
    this.onDrain?.();
    this.onClosed?.(lost);
  }
}

// Accepts clients: startup packet, authentication, settings, then a session. Everything before the session is bounded in
// bytes and time, and a client that is refused is told why.
import { createServer, type Server, type Socket } from 'node:net';
import { FrameReader, frameFaultError } from '../protocol/frame.ts';
import { MalformedMessage } from '../protocol/malformed-message.ts';
import {
  backendKeyData,
  errorResponse,
  negotiateProtocolVersion,
  READY_IDLE,
  REFUSE_ENCRYPTION,
} from '../protocol/server-message.ts';
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import { PROTOCOL_MINOR_MAX, type StartupMessage, StartupReader } from '../protocol/startup.ts';
import { Authentication, type AuthenticationRules } from '../session/authentication.ts';
import { ClientSession } from '../session/client-session.ts';
import { ClientWriter } from '../session/client-writer.ts';
import { type SessionServices, SessionState } from '../session/session-state.ts';
import { readStartupWishes, welcome } from '../session/welcome.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Backends } from './backends.ts';
import { ClientKeys } from './client-keys.ts';

/** Bytes of one message before the client has proved who it is. */
const LOGIN_FRAME_BYTES_MAX = 65_536;

export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly clientsMax: number;
  readonly frameBytesMax: number;
  readonly startupTimeoutMs: number;
  readonly rules: AuthenticationRules;
  readonly services: SessionServices;
  readonly backends: Backends;
  readonly log: Logger;
}

export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #keys = new ClientKeys();
  readonly #sockets = new Set<Socket>();
  #stopping = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true, keepAlive: true }, (socket) => this.#accept(socket));
  }

  /** Resolves with the port, once clients can connect. Rejects when the address cannot be used. */
  listen(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  /** Clients that are logged in. */
  get clients(): number {
    return this.#keys.size;
  }

  /** No new clients; idle ones are sent away with 57P01, the others as soon as their transaction ends. */
  drain(): void {
    this.#stopping = true;
    this.#server.close();
    for (const session of this.#keys.sessions()) session.closeWhenIdle(shuttingDown);
  }

  /** Ends every session that is still there; commits in progress go on to their end. */
  terminate(): void {
    for (const session of this.#keys.sessions()) session.terminate(shuttingDown);
    for (const socket of this.#sockets) socket.destroySoon();
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
    new Login(socket, this.#options, this.#keys, () => this.#refusal()).begin();
  }

  #refusal(): SqlError | undefined {
    if (this.#stopping) return shuttingDown;
    if (this.#keys.size < this.#options.clientsMax) return undefined;
    return sqlError(
      SQLSTATE.tooManyConnections,
      `sorry, too many clients already (limits.clientsMax is ${this.#options.clientsMax})`,
    );
  }
}

/** One connection from its first byte to its session. */
class Login {
  readonly #socket: Socket;
  readonly #options: ListenerOptions;
  readonly #keys: ClientKeys;
  readonly #refusal: () => SqlError | undefined;
  readonly #startup = new StartupReader();
  readonly #timer: NodeJS.Timeout;
  #reader: FrameReader | undefined;
  #authentication: Authentication | undefined;
  #packet: StartupMessage | undefined;
  #over = false;
  readonly #early: Buffer[] = [];

  constructor(socket: Socket, options: ListenerOptions, keys: ClientKeys, refusal: () => SqlError | undefined) {
    this.#socket = socket;
    this.#options = options;
    this.#keys = keys;
    this.#refusal = refusal;
    this.#timer = setTimeout(() => socket.destroy(), options.startupTimeoutMs);
    socket.on('close', () => clearTimeout(this.#timer));
  }

  begin(): void {
    this.#socket.on('data', this.#onData);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#over) return;
    if (this.#reader !== undefined) {
      const fault = this.#reader.push(chunk);
      if (fault !== undefined) this.#refuse(frameFaultError(fault));
      return;
    }
    this.#startupBytes(chunk);
  };

  #startupBytes(chunk: Buffer): void {
    const step = this.#startup.push(chunk);
    if (step.kind === 'more') return;
    if (step.kind === 'fault') {
      this.#refuse(step.fault.error);
      return;
    }
    const { packet, rest } = step;
    switch (packet.kind) {
      case 'ssl-request':
      case 'gss-request':
        // Bytes sent before our answer would be taken for encrypted ones later: a stripped-TLS trick, so refuse them.
        if (rest.length > 0)
          this.#refuse(sqlError(SQLSTATE.protocolViolation, 'received unencrypted data after SSL request'));
        else this.#socket.write(REFUSE_ENCRYPTION);
        return;
      case 'cancel':
        this.#keys.cancel(packet);
        this.#over = true;
        this.#socket.end();
        return;
      case 'startup':
        this.#authenticate(packet, rest);
    }
  }

  #authenticate(packet: StartupMessage, rest: Buffer): void {
    const user = packet.parameters.get('user') ?? '';
    const refusal = this.#refusal();
    if (refusal !== undefined) {
      this.#refuse(refusal);
      return;
    }
    this.#packet = packet;
    if (packet.negotiate) this.#socket.write(negotiateProtocolVersion(PROTOCOL_MINOR_MAX, packet.protocolOptions));
    this.#authentication = new Authentication(user, this.#options.rules);
    this.#reader = new FrameReader(
      { frame: (type, chunk, start, end) => this.#loginFrame(type, chunk, start, end), chunkEnd: () => undefined },
      LOGIN_FRAME_BYTES_MAX,
    );
    this.#step(this.#authentication.start());
    if (rest.length === 0) return;
    if (this.#over) this.#early.push(rest);
    else this.#onData(rest);
  }

  #loginFrame(type: number, chunk: Buffer, start: number, end: number): void {
    if (this.#authentication === undefined) return;
    if (this.#over) {
      // A client that does not wait for ReadyForQuery: its session takes it up.
      this.#early.push(chunk.subarray(start, end));
      return;
    }
    try {
      this.#step(this.#authentication.frame(type, chunk, start, end));
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      this.#refuse(sqlError(error.code, error.message));
    }
  }

  #step(step: ReturnType<Authentication['start']>): void {
    if (step.kind === 'refused') {
      this.#refuse(step.error);
      return;
    }
    this.#socket.write(step.bytes);
    if (step.kind === 'admitted') {
      this.#over = true;
      this.#socket.off('data', this.#onData);
      this.#socket.pause();
      void this.#admit();
    }
  }

  async #admit(): Promise<void> {
    const packet = this.#packet;
    if (packet === undefined) return;
    const { services, backends, database } = this.#options;
    const user = packet.parameters.get('user') ?? '';
    const wanted = packet.parameters.get('database') ?? user;
    if (wanted !== database) {
      return this.#refuse(
        sqlError(SQLSTATE.invalidCatalogName, `database "${wanted}" does not exist`, {
          hint: `This proxy serves the database "${database}".`,
        }),
      );
    }
    const wishes = readStartupWishes(packet, services.searchPath);
    if ('code' in wishes) return this.#refuse(wishes);
    const state = new SessionState({
      services,
      writer: new ClientWriter(this.#socket),
      user,
      pools: backends.poolsFor(user),
      furtherPools: backends.furtherPoolsFor(user),
      ...wishes,
    });
    const error = await welcome(state);
    if (error !== undefined) return this.#refuse(error);
    this.#open(state, packet.minor);
  }

  #open(state: SessionState, minor: number): void {
    clearTimeout(this.#timer);
    if (this.#socket.destroyed) return;
    const key = this.#keys.issue(minor);
    const session = new ClientSession(this.#socket, state, {
      frameBytesMax: this.#options.frameBytesMax,
      onClosed: () => this.#keys.forget(key),
    });
    this.#keys.register(key, session);
    state.writer.write(backendKeyData(key.pid, key.key));
    state.writer.write(READY_IDLE);
    state.writer.flush();
    const refusal = this.#refusal();
    if (refusal?.code === SQLSTATE.adminShutdown) session.closeWhenIdle(refusal);
    for (const chunk of this.#early) session.push(chunk);
    this.#socket.resume();
  }

  #refuse(error: SqlError): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#options.log.info(
      { client: this.#socket.remoteAddress, sqlstate: error.code },
      `client refused: ${error.message}`,
    );
    this.#socket.end(errorResponse({ ...error, severity: 'FATAL' }));
  }
}

const shuttingDown = sqlError(SQLSTATE.adminShutdown, 'terminating connection: the proxy is shutting down', {
  severity: 'FATAL',
});

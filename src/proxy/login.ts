// One connection from its first byte to its session: startup packet, authentication, settings. Everything before the
// session is bounded in bytes and time, and a client that is refused is told why.
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { FrameReader, frameFaultError } from '../protocol/frame.ts';
import { MalformedMessage } from '../protocol/malformed-message.ts';
import {
  ACCEPT_TLS,
  backendKeyData,
  errorResponse,
  negotiateProtocolVersion,
  READY_IDLE,
  REFUSE_ENCRYPTION,
} from '../protocol/server-message.ts';
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import { PROTOCOL_MINOR_MAX, type StartupMessage, StartupReader } from '../protocol/startup.ts';
import { Authentication } from '../session/authentication.ts';
import { ClientSession } from '../session/client-session.ts';
import { ClientWriter } from '../session/client-writer.ts';
import { SessionState } from '../session/session-state.ts';
import { readStartupWishes, welcome } from '../session/welcome.ts';
import { ALPN_POSTGRESQL } from './client-encryption.ts';
import type { Listener, LoginSettings } from './listener.ts';

/** Bytes of one message before the client has proved who it is. */
const LOGIN_FRAME_BYTES_MAX = 65_536;

/** One connection from its first byte to its session. */
export class Login {
  #socket: Socket;
  readonly #listener: Listener;
  readonly #settings: LoginSettings;
  #startup = new StartupReader();
  #encrypted:
    | { readonly socket: TLSSocket; readonly endPoint: Buffer | undefined; readonly direct: boolean }
    | undefined;
  readonly #timer: NodeJS.Timeout;
  #reader: FrameReader | undefined;
  #authentication: Authentication | undefined;
  #packet: StartupMessage | undefined;
  #admin = false;
  #over = false;
  readonly #early: Buffer[] = [];

  constructor(socket: Socket, listener: Listener) {
    this.#socket = socket;
    this.#listener = listener;
    this.#settings = listener.settings;
    this.#timer = setTimeout(() => this.#socket.destroy(), this.#settings.startupTimeoutMs);
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
    if (step.kind === 'tls-hello') {
      this.#encrypt(step.bytes);
      return;
    }
    const { packet, rest } = step;
    switch (packet.kind) {
      case 'ssl-request':
      case 'gss-request':
        this.#answerEncryption(packet.kind, rest);
        return;
      case 'cancel':
        this.#listener.keys.cancel(packet);
        this.#over = true;
        this.#socket.end();
        return;
      case 'startup':
        this.#authenticate(packet, rest);
    }
  }

  #answerEncryption(asked: 'ssl-request' | 'gss-request', rest: Buffer): void {
    if (this.#encrypted !== undefined) {
      this.#refuse(sqlError(SQLSTATE.featureNotSupported, 'the connection is encrypted already'));
    } else if (rest.length > 0) {
      // What was sent before our answer must never be taken for encrypted (CVE-2021-23214).
      this.#refuse(sqlError(SQLSTATE.protocolViolation, 'received unencrypted data after SSL request'));
    } else if (asked === 'gss-request' || this.#settings.encryption === undefined) {
      this.#socket.write(REFUSE_ENCRYPTION);
    } else {
      this.#socket.write(ACCEPT_TLS);
      this.#encrypt();
    }
  }

  /** `hello`: the beginning of the handshake, of a client that did not ask first. */
  #encrypt(hello?: Buffer): void {
    const { encryption } = this.#settings;
    if (encryption === undefined) {
      this.#refuse(sqlError(SQLSTATE.featureNotSupported, 'this server does not accept TLS connections'));
      return;
    }
    const plain = this.#socket;
    plain.off('data', this.#onData);
    const { socket, endPoint } = encryption.accept(plain, hello);
    this.#encrypted = { socket, endPoint, direct: hello !== undefined };
    this.#socket = socket;
    this.#startup = new StartupReader(true);
    this.#listener.upgraded(plain, socket);
    socket.on('close', () => clearTimeout(this.#timer));
    socket.on('data', this.#onData);
  }

  /** Why this client may not go on with the encryption it has, or has not. */
  #encryptionFault(user: string): SqlError | undefined {
    const { encryption, database } = this.#settings;
    if (this.#encrypted?.direct === true && this.#encrypted.socket.alpnProtocol !== ALPN_POSTGRESQL) {
      const message = 'received direct SSL connection request without ALPN protocol negotiation extension';
      return sqlError(SQLSTATE.protocolViolation, message);
    }
    if (this.#encrypted !== undefined || encryption?.required !== true) return undefined;
    const who = `host "${this.#socket.remoteAddress ?? ''}", user "${user}", database "${database}"`;
    const message = `this proxy takes encrypted connections only (${who}, no encryption)`;
    return sqlError(SQLSTATE.invalidAuthorization, message, { hint: 'Connect with sslmode=require or stronger.' });
  }

  #authenticate(packet: StartupMessage, rest: Buffer): void {
    const { rules, admin } = this.#settings;
    const user = packet.parameters.get('user') ?? '';
    this.#admin = (packet.parameters.get('database') ?? user) === admin.database;
    const refusal = this.#encryptionFault(user) ?? this.#listener.refusal(this.#admin);
    if (refusal !== undefined) {
      this.#refuse(refusal);
      return;
    }
    this.#packet = packet;
    if (packet.negotiate) this.#socket.write(negotiateProtocolVersion(PROTOCOL_MINOR_MAX, packet.protocolOptions));
    this.#authentication = new Authentication(user, this.#admin ? admin.rules : rules, this.#encrypted?.endPoint);
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
    const { database } = this.#settings;
    const { services, backends } = this.#listener.options;
    const user = packet.parameters.get('user') ?? '';
    if (this.#admin) {
      // What came in the same packet is put aside first, see #early.
      await Promise.resolve();
      return this.#openAdmin(user, packet);
    }
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
      writer: new ClientWriter(this.#socket, services.traffic),
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
    const { keys } = this.#listener;
    clearTimeout(this.#timer);
    if (this.#socket.destroyed) return;
    const key = keys.issue(minor);
    const session = new ClientSession(this.#socket, state, {
      frameBytesMax: this.#settings.frameBytesMax,
      onClosed: () => keys.forget(key),
    });
    this.#listener.options.counts.logins++;
    keys.register(key, session, this.#socket.remoteAddress ?? '');
    state.writer.write(backendKeyData(key.pid, key.key));
    state.writer.write(READY_IDLE);
    state.writer.flush();
    // A drain may have begun while the settings were tried on a shard.
    const refusal = this.#listener.refusal(false);
    if (refusal?.code === SQLSTATE.adminShutdown) session.closeWhenIdle(refusal);
    for (const chunk of this.#early) session.push(chunk);
    this.#socket.resume();
  }

  #openAdmin(user: string, packet: StartupMessage): void {
    clearTimeout(this.#timer);
    if (this.#socket.destroyed) return;
    const session = this.#listener.openAdmin(this.#socket, user);
    session.greet(packet.parameters.get('application_name') ?? '', this.#listener.keys.issue(packet.minor));
    for (const chunk of this.#early) session.push(chunk);
    this.#socket.resume();
  }

  #refuse(error: SqlError): void {
    this.#over = true;
    this.#listener.options.counts.refusedLogins++;
    clearTimeout(this.#timer);
    this.#listener.options.log.info(
      { client: this.#socket.remoteAddress, sqlstate: error.code },
      `client refused: ${error.message}`,
    );
    this.#socket.end(errorResponse({ ...error, severity: 'FATAL' }));
  }
}

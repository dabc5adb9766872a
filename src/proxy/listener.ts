// Accepts clients and says who may come in: the database of the administrators always, the others once recovery is over
// and until a drain. Everybody who is refused is told why.
//
//   recovering ──admit()──▶ open ◀──drain() / resume()──▶ draining
//                             └────────── stop() ─────────────┴──▶ stopping
import { createServer, type Server, type Socket } from 'node:net';
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import type { AuthenticationRules } from '../session/authentication.ts';
import type { SessionServices } from '../session/session-state.ts';
import type { Logger } from '../telemetry/log.ts';
import type { AdminSession } from './admin/admin-session.ts';
import type { Backends } from './backends.ts';
import type { ClientEncryption } from './client-encryption.ts';
import { ClientKeys } from './client-keys.ts';
import { endSession } from './end-session.ts';
import { Login } from './login.ts';

/** What logins are judged by; a reload replaces it as a whole, and a login keeps what it began with. */
export interface LoginSettings {
  readonly database: string;
  readonly clientsMax: number;
  readonly frameBytesMax: number;
  readonly startupTimeoutMs: number;
  readonly rules: AuthenticationRules;
  /** undefined: TLS is not offered. */
  readonly encryption?: ClientEncryption | undefined;
  readonly admin: { readonly database: string; readonly rules: AuthenticationRules };
}

export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly settings: LoginSettings;
  readonly services: SessionServices;
  readonly backends: Backends;
  readonly counts: { logins: number; refusedLogins: number };
  /** Makes the session of an administrator who has logged in. */
  readonly openAdmin: (socket: Socket, user: string) => AdminSession;
  readonly log: Logger;
}

/** Administrators at most: they are let in where clients are not, so they are bounded by themselves. */
const ADMINS_MAX = 100;

export type Gate = 'recovering' | 'open' | 'draining' | 'stopping';

export class Listener {
  readonly keys = new ClientKeys();
  readonly options: Omit<ListenerOptions, 'settings'>;
  settings: LoginSettings;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #admins = new Set<AdminSession>();
  #gate: Gate = 'recovering';

  constructor({ settings, ...options }: ListenerOptions) {
    this.options = options;
    this.settings = settings;
    this.#server = createServer({ noDelay: true, keepAlive: true }, (socket) => this.#accept(socket));
  }

  /** Resolves with the port, once administrators can connect. Rejects when the address cannot be used. */
  listen(): Promise<number> {
    const { host, port } = this.options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  get gate(): Gate {
    return this.#gate;
  }

  /** Clients that are logged in, administrators not among them. */
  get clients(): number {
    return this.keys.size;
  }

  /** From now on clients are let in. */
  admit(): void {
    if (this.#gate === 'recovering') this.#gate = 'open';
  }

  /** No new clients; idle ones are sent away with 57P01, the others as soon as their transaction ends. */
  drain(): void {
    if (this.#gate === 'recovering' || this.#gate === 'open') this.#gate = 'draining';
    for (const session of this.keys.sessions()) session.closeWhenIdle(shuttingDown);
  }

  /** Takes a drain back; who has not been sent away yet stays. */
  resume(): void {
    if (this.#gate !== 'draining') return;
    this.#gate = 'open';
    for (const session of this.keys.sessions()) session.stay();
  }

  /** Drains and does not listen any more; for good. */
  stop(): void {
    this.drain();
    this.#gate = 'stopping';
    this.#server.close();
  }

  /** Ends everything at once, for a start that failed. */
  close(): void {
    this.#gate = 'stopping';
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Ends every session that is still there; commits in progress go on to their end. */
  terminate(): void {
    for (const session of this.keys.sessions()) endSession(session, shuttingDown);
    for (const admin of this.#admins) admin.end(shuttingDown);
    for (const socket of this.#sockets) socket.destroySoon();
  }

  /** Why somebody who asks for this database now is not let in. */
  refusal(admin: boolean): SqlError | undefined {
    if (admin) return this.#admins.size < ADMINS_MAX ? undefined : tooMany(`at most ${ADMINS_MAX} administrators`);
    if (this.#gate === 'recovering') return recovering;
    if (this.#gate !== 'open') return shuttingDown;
    const { clientsMax } = this.settings;
    return this.keys.size < clientsMax ? undefined : tooMany(`limits.clientsMax is ${clientsMax}`);
  }

  /** Makes an administrator's session, which ends with its socket. */
  openAdmin(socket: Socket, user: string): AdminSession {
    const session = this.options.openAdmin(socket, user);
    this.#admins.add(session);
    socket.once('close', () => this.#admins.delete(session));
    return session;
  }

  /** A connection goes on as the TLS over it, which alone may end it. */
  upgraded(plain: Socket, encrypted: Socket): void {
    this.#sockets.delete(plain);
    this.#keep(encrypted);
  }

  #accept(socket: Socket): void {
    this.#keep(socket);
    new Login(socket, this).begin();
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', (error) => {
      this.options.log.debug({ client: socket.remoteAddress, err: error }, 'a connection failed');
      socket.destroy();
    });
    socket.on('close', () => this.#sockets.delete(socket));
    socket.once('finish', () => this.#seeOff(socket));
  }

  /** Our last word is out. Who does not hang up then is hung up on, or sockets that no limit counts would pile up. */
  #seeOff(socket: Socket): void {
    if (socket.destroyed) return;
    const timer = setTimeout(() => socket.destroy(), this.settings.startupTimeoutMs);
    socket.once('close', () => clearTimeout(timer));
  }
}

const tooMany = (why: string) => sqlError(SQLSTATE.tooManyConnections, `sorry, too many clients already (${why})`);

const shuttingDown = sqlError(SQLSTATE.adminShutdown, 'terminating connection: the proxy is shutting down', {
  severity: 'FATAL',
});

const recovering = sqlError(SQLSTATE.cannotConnectNow, 'the proxy is finishing what an earlier run left in doubt', {
  severity: 'FATAL',
  hint: 'Try again in a moment.',
});

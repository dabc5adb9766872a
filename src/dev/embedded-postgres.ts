// A real PostgreSQL server as a child process, from npm packages, for `atomshard dev` and the tests; data stay between runs.
import { createServer } from 'node:net';
import path from 'node:path';
import { type Account, accountFor } from './account.ts';
import { ensureDataDirectory } from './data-directory.ts';
import { DevError } from './dev-error.ts';
import { findBinaries, type PostgresBinaries } from './postgres-package.ts';
import { Postmaster, type ServerExit, type StopMode, stopLeftover } from './postmaster.ts';

export interface EmbeddedPostgresOptions {
  /** Made when missing; refused when it holds something that is not ours or of another major. */
  readonly dataDirectory: string;
  /** For messages, e.g. `shard-0`. */
  readonly name: string;
  /** 0 (the default) takes a free one and keeps it over restarts. */
  readonly port?: number;
  /** PostgreSQL settings, over the defaults below. */
  readonly parameters?: Readonly<Record<string, string>>;
  readonly user?: string;
  /** With a password: SCRAM-SHA-256; without: trust on 127.0.0.1. Fixed when the directory is made. */
  readonly password?: string;
  /** The major, e.g. 18; the installed package's when left out. */
  readonly major?: number;
  /** Says what takes long. */
  readonly onLine?: (line: string) => void;
  /** Called when the server ends without having been asked to. */
  readonly onDeath?: (name: string, exit: ServerExit) => void;
}

/** Only over TCP on this machine; prepared transactions allowed, or there could be no commit across shards. */
const DEFAULT_PARAMETERS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_prepared_transactions: '256',
  max_connections: '128',
  timezone: 'UTC',
  log_timezone: 'UTC',
};

const PORT_ATTEMPTS = 20;
const PORT_FIRST = 17_000;
const PORT_COUNT = 15_000;

export class EmbeddedPostgres {
  readonly host = '127.0.0.1';
  readonly name: string;
  readonly user: string;
  readonly password: string | undefined;
  readonly dataDirectory: string;
  readonly major: number;
  #port: number;
  #parameters: Readonly<Record<string, string>>;
  #server: Postmaster | undefined;
  readonly #account: Account | undefined;
  readonly #binaries: PostgresBinaries;
  readonly #options: EmbeddedPostgresOptions;

  private constructor(options: EmbeddedPostgresOptions, binaries: PostgresBinaries, account: Account | undefined) {
    this.name = options.name;
    this.user = options.user ?? 'postgres';
    this.password = options.password;
    this.dataDirectory = path.resolve(options.dataDirectory);
    this.major = binaries.major;
    this.#port = options.port ?? 0;
    this.#parameters = { ...DEFAULT_PARAMETERS, ...options.parameters };
    this.#binaries = binaries;
    this.#account = account;
    this.#options = options;
  }

  /** Used by startEmbeddedPostgres, which is the door. */
  static async start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
    const say = options.onLine ?? (() => undefined);
    const account = await accountFor(options.dataDirectory);
    const binaries = await findBinaries(options.major, account, say);
    const server = new EmbeddedPostgres(options, binaries, account);
    const superuser = { name: server.user, password: server.password };
    const durable = server.#parameters.fsync !== 'off';
    await ensureDataDirectory(server.dataDirectory, binaries, account, { superuser, durable, say });
    await stopLeftover(server.dataDirectory, say);
    await server.start();
    return server;
  }

  get port(): number {
    return this.#port;
  }

  /** The postmaster's pid; undefined while stopped. */
  get pid(): number | undefined {
    return this.#server?.pid;
  }

  /** A connection string for `database`, by default the one named postgres. */
  url(database = 'postgres'): string {
    const login = this.password === undefined ? this.user : `${this.user}:${encodeURIComponent(this.password)}`;
    return `postgres://${login}@${this.host}:${this.#port}/${database}`;
  }

  /** Starts it (again), with changed settings if given. No effect while it runs. */
  async start(parameters: Readonly<Record<string, string>> = {}): Promise<void> {
    if (this.#server !== undefined) return;
    this.#parameters = { ...this.#parameters, ...parameters };
    const anyPort = this.#port === 0;
    for (let attempt = 1; ; attempt++) {
      const port = anyPort ? await freePort() : this.#port;
      try {
        this.#server = await this.#startOn(port);
        this.#port = port;
        return;
      } catch (error) {
        // Between our look and the server's bind another process may have taken the port: take another.
        const taken = error instanceof DevError && /Address already in use/.test(error.message);
        if (!taken || !anyPort || attempt === PORT_ATTEMPTS) throw error;
      }
    }
  }

  async #startOn(port: number): Promise<Postmaster> {
    const settings = { ...this.#parameters, port: String(port) };
    const server = await Postmaster.start(this.#binaries.binDirectory, this.dataDirectory, settings, this.#account);
    void server.exited.then((exit) => {
      if (this.#server === server) this.#server = undefined;
      if (server.unexpected) this.#options.onDeath?.(this.name, exit);
    });
    return server;
  }

  /** Stops it and waits for its end; no effect when it is stopped. */
  async stop(mode: StopMode = 'fast'): Promise<void> {
    const server = this.#server;
    await server?.stop(mode);
    this.#server = undefined;
  }

  /** SIGKILL to the postmaster and every backend; resolves when all are gone. */
  async kill9(): Promise<void> {
    const server = this.#server;
    await server?.kill9();
    this.#server = undefined;
  }

  /** SIGSTOP to the postmaster and every backend. */
  async pause(): Promise<void> {
    await this.#server?.pause();
  }

  /** SIGCONT after pause. */
  async resume(): Promise<void> {
    await this.#server?.resume();
  }

  /** Fast stop and start on the same port, with changed settings if given. */
  async restart(parameters: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.stop('fast');
    await this.start(parameters);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('fast');
  }
}

/** Starts a server; resolves when it accepts connections. Throws DevError with a sentence for the user. */
export function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  return EmbeddedPostgres.start(options);
}

/**
 * A port that is free now. Below the range from which the kernel takes ports for outgoing connections, so that a
 * restarted server finds its own port free again even on a machine with thousands of connections.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
    const port = PORT_FIRST + Math.floor(Math.random() * PORT_COUNT);
    if (await canListen(port)) return port;
  }
  throw new DevError('start-failed', `no free port on 127.0.0.1 from ${PORT_FIRST} to ${PORT_FIRST + PORT_COUNT - 1}.`);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

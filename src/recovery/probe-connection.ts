// One PostgreSQL connection for recovery: opened when needed, closed at the first doubt, never waited for past a deadline.
import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import pg from 'pg';
import type { Clock } from '../kernel/clock.ts';
import { DeadlineError, withinDeadline } from '../kernel/deadline.ts';
import type { SqlError } from '../protocol/sql-error.ts';
import type { CommandReply } from '../shard/branch-link.ts';
import { type EncryptedTls, encryptedTls, type ShardTls, tlsFailure, tlsOptionsOf } from '../shard/tls.ts';

export interface ProbeTarget {
  /** Logical shard name. */
  readonly shard: string;
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password?: string | undefined;
  /** undefined and `disable`: in clear. */
  readonly tls?: ShardTls | undefined;
  /** `as1:<cluster>:<instance>.<epoch>`: a later epoch ends this connection as well. */
  readonly ownerName: string;
}

export interface ProbeDeadlines {
  readonly connectTimeoutMs: number;
  /** From the moment the statement is sent to its whole reply. */
  readonly commandTimeoutMs: number;
  /** After a failed connect the next attempt waits this long, doubled each time up to the maximum. */
  readonly reconnectDelayMs: number;
  readonly reconnectDelayMsMax: number;
}

export const PROBE_DEADLINES: ProbeDeadlines = {
  connectTimeoutMs: 2_000,
  commandTimeoutMs: 2_000,
  reconnectDelayMs: 50,
  reconnectDelayMsMax: 2_000,
};

/** pg keeps these two to itself; the command tag and an immediate close are not to be had otherwise. */
interface Wire {
  readonly connection: EventEmitter & { readonly stream: Socket };
}

/** The fields of an ErrorResponse or NoticeResponse, as pg names them. */
type Message = Partial<Pick<pg.DatabaseError, 'severity' | 'code' | 'message' | 'detail' | 'hint' | 'routine'>>;

const wireOf = (client: pg.Client): Wire['connection'] => (client as unknown as Wire).connection;

/** The role's or database's own settings must not cut a resolve short, nor make it read-only. */
const SESSION_OPTIONS =
  '-c statement_timeout=0 -c lock_timeout=0 -c idle_session_timeout=0 -c default_transaction_read_only=off';

/** What server and driver say of a certificate that SCRAM cannot bind to (Ed25519); the next attempt goes without. */
const UNBINDABLE = /could not find digest for NID|SASL channel binding/;

export class ProbeConnection {
  readonly #target: ProbeTarget;
  readonly #deadlines: ProbeDeadlines;
  readonly #clock: Clock;
  #client: pg.Client | null = null;
  #queue: Promise<unknown> = Promise.resolve();
  #failures = 0;
  #retryAtMs = 0;
  #lastFailure = '';
  #bindable = true;
  #closed = false;

  constructor(target: ProbeTarget, deadlines: ProbeDeadlines, clock: Clock) {
    this.#target = target;
    this.#deadlines = deadlines;
    this.#clock = clock;
  }

  /**
   * Runs one statement, after those asked for before it. Never rejects: an ERROR is `error`, anything else that went
   * wrong is `lost`, also when the connection could not be opened (then `lost.reason` is `destroyed`: nothing was sent).
   */
  run(sql: string, values: readonly unknown[] = []): Promise<CommandReply> {
    const reply = this.#queue.then(() => this.#run(sql, values));
    this.#queue = reply;
    return reply;
  }

  /** Closes the connection; later statements are `lost`. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#drop();
    await this.#queue;
  }

  async #run(sql: string, values: readonly unknown[]): Promise<CommandReply> {
    const client = await this.#connected();
    if (client === null) {
      return { kind: 'lost', lost: { reason: 'destroyed', message: `${this.#target.shard}: ${this.#lastFailure}` } };
    }
    const notices: SqlError[] = [];
    let tag = '';
    const onNotice = (notice: object) => notices.push(sqlErrorOf(notice));
    const onTag = (message: { text: string }) => {
      tag = message.text;
    };
    client.on('notice', onNotice);
    wireOf(client).on('commandComplete', onTag);
    try {
      // Without values the simple protocol is used: COMMIT PREPARED takes no parameters.
      const query = client.query({
        text: sql,
        rowMode: 'array',
        ...(values.length > 0 ? { values: [...values] } : {}),
      });
      const result = await withinDeadline(this.#clock, this.#deadlines.commandTimeoutMs, query);
      return { kind: 'complete', tag, notices, rows: result.rows as (string | null)[][] };
    } catch (error) {
      return this.#failed(client, error);
    } finally {
      client.off('notice', onNotice);
      wireOf(client).off('commandComplete', onTag);
    }
  }

  #failed(client: pg.Client, error: unknown): CommandReply {
    if (error instanceof pg.DatabaseError && error.severity === 'ERROR') {
      return { kind: 'error', error: sqlErrorOf(error) };
    }
    // The statement may still be running over there; whoever asks next finds out.
    this.#drop(client);
    const fatal = error instanceof pg.DatabaseError ? sqlErrorOf(error) : undefined;
    const reason = fatal !== undefined ? 'fatal' : error instanceof DeadlineError ? 'timeout' : 'socket';
    return { kind: 'lost', lost: { reason, message: `${this.#target.shard}: ${messageOf(error)}`, fatal } };
  }

  async #connected(): Promise<pg.Client | null> {
    if (this.#client !== null) return this.#client;
    if (this.#closed) {
      this.#lastFailure = 'closed';
      return null;
    }
    // A shard that is down costs one deadline per backoff, not one per question.
    if (this.#clock.monotonicMs() < this.#retryAtMs) return null;
    let client: pg.Client | null = null;
    try {
      client = this.#newClient();
      await withinDeadline(this.#clock, this.#deadlines.connectTimeoutMs, client.connect());
    } catch (error) {
      if (client !== null) this.#drop(client);
      if (UNBINDABLE.test(messageOf(error))) this.#bindable = false;
      this.#lastFailure = connectFailure(error, encryptedTls(this.#target.tls));
      this.#backOff();
      return null;
    }
    this.#failures = 0;
    this.#retryAtMs = 0;
    if (this.#closed) {
      this.#drop(client);
      return null;
    }
    this.#client = client;
    return client;
  }

  /** Throws CaFileError. */
  #newClient(): pg.Client {
    const { host, port, database, user, password, ownerName } = this.#target;
    const tls = encryptedTls(this.#target.tls);
    const client = new pg.Client({
      host,
      port,
      database,
      user,
      ...(password === undefined ? {} : { password }),
      // Said also when it is false: left out, pg would look into the environment.
      ssl: tls === undefined ? false : tlsOptionsOf(host, tls),
      // Where the certificate proves nothing, the password proves that nobody in between passes it on.
      enableChannelBinding: tls?.mode === 'require' && this.#bindable,
      application_name: ownerName,
      options: SESSION_OPTIONS,
      keepAlive: true,
      // Everything as text: xids and positions do not fit numbers.
      types: { getTypeParser: () => (value: string) => value },
    });
    const gone = () => this.#drop(client);
    client.on('error', gone);
    client.on('end', gone);
    return client;
  }

  #backOff(): void {
    const { reconnectDelayMs, reconnectDelayMsMax } = this.#deadlines;
    const delayMs = Math.min(reconnectDelayMs * 2 ** this.#failures, reconnectDelayMsMax);
    this.#failures += 1;
    this.#retryAtMs = this.#clock.monotonicMs() + delayMs * (0.75 + Math.random() / 2);
  }

  /** Closes the socket at once: `end()` would wait for a server that may be stopped. */
  #drop(client: pg.Client | null = this.#client): void {
    if (client === null) return;
    if (this.#client === client) this.#client = null;
    wireOf(client).stream.destroy();
  }
}

function connectFailure(error: unknown, tls: EncryptedTls | undefined): string {
  // What the server itself said, and what the network did, is no matter of TLS.
  const { syscall } = error as NodeJS.ErrnoException;
  const plain = tls === undefined || !(error instanceof Error) || error instanceof pg.DatabaseError;
  return plain || syscall !== undefined || !('code' in error) ? messageOf(error) : tlsFailure(error, tls);
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}

function sqlErrorOf(notice: Message): SqlError {
  const { severity, code, message, detail, hint, routine } = notice;
  return {
    severity: severity ?? 'ERROR',
    code: code ?? 'XX000',
    message: message ?? '',
    detail,
    hint,
    ...(routine === undefined ? {} : { other: { R: routine } }),
  };
}

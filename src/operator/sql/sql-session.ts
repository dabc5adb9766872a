// One connection to one server, opened when it is needed and kept; whatever is asked is answered or has failed by its deadline.

import type { Socket } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import pg from 'pg';
import type { Clock } from '../../kernel/clock.ts';
import { withinDeadline } from '../../kernel/deadline.ts';
import type { Asked, SqlTarget, SqlTls } from './facts.ts';
import { failureOf } from './sql-failure.ts';

export interface SqlDeadlines {
  /** TCP, TLS and SCRAM together. */
  readonly connectTimeoutMs: number;
  /** From the moment a statement is sent to its whole reply. */
  readonly statementTimeoutMs: number;
}

export const SQL_DEADLINES: SqlDeadlines = { connectTimeoutMs: 2_000, statementTimeoutMs: 2_000 };

export interface SqlSessionOptions extends Partial<SqlDeadlines> {
  /** True where statements build on what earlier ones did to the session: a lost connection is then never replaced silently. */
  readonly stateful?: boolean;
}

/** What the operator is called in pg_stat_activity. */
export const APPLICATION_NAME = 'atomshard-operator';

/** Rows as text, in order; null is NULL. */
export type Rows = readonly (readonly (string | null)[])[];

/** One result: names of its columns, so that a row can be read by name. */
export interface SqlResult {
  readonly columns: readonly string[];
  readonly rows: Rows;
}

/** A row by the names of its columns. */
export function rowsByName(result: SqlResult): ReadonlyMap<string, string | null>[] {
  return result.rows.map((row) => new Map(result.columns.map((column, at) => [column, row[at] ?? null])));
}

export class SqlSession {
  readonly target: SqlTarget;
  readonly #deadlines: SqlDeadlines;
  readonly #clock: Clock;
  #client: pg.Client | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  readonly #stateful: boolean;
  #closed = false;

  /** Connects to nothing yet. */
  constructor(target: SqlTarget, clock: Clock, { stateful = false, ...deadlines }: SqlSessionOptions = {}) {
    this.target = target;
    this.#clock = clock;
    this.#stateful = stateful;
    this.#deadlines = { ...SQL_DEADLINES, ...deadlines };
  }

  /**
   * Runs one statement after those asked for before it. Never rejects. Without values the simple protocol is used, in
   * which several statements may stand in one text; the last one's rows are returned.
   */
  run(sql: string, values: readonly unknown[] = []): Promise<Asked<SqlResult>> {
    const answer = this.#queue.then(() => this.#run(sql, values));
    this.#queue = answer;
    return answer;
  }

  /** Closes the connection at once; later statements fail. */
  close(): void {
    this.#closed = true;
    this.#drop(this.#client);
  }

  async #run(sql: string, values: readonly unknown[]): Promise<Asked<SqlResult>> {
    const { name } = this.target;
    const kept = this.#client !== undefined;
    try {
      const client = await this.#connected();
      const query = client.query({
        text: sql,
        rowMode: 'array',
        ...(values.length > 0 ? { values: [...values] } : {}),
      });
      const result = await withinDeadline(this.#clock, this.#deadlines.statementTimeoutMs, query);
      const last = Array.isArray(result) ? result.at(-1) : result;
      const columns = ((last?.fields ?? []) as pg.FieldDef[]).map((field) => field.name);
      return { kind: 'answer', value: { columns, rows: (last?.rows ?? []) as Rows } };
    } catch (error) {
      // An ERROR leaves the connection in step; after anything else nobody knows what it would answer next.
      if (!(error instanceof pg.DatabaseError && error.severity === 'ERROR')) this.#drop(this.#client);
      const failure = failureOf(name, error);
      // A connection that was kept may have died long ago: that it did says nothing about the server now.
      if (kept && failure.kind === 'lost' && !this.#closed && !this.#stateful) return this.#run(sql, values);
      return { kind: 'failed', failure };
    }
  }

  async #connected(): Promise<pg.Client> {
    if (this.#closed) throw new Error('closed');
    if (this.#client !== undefined) return this.#client;
    const { host, port, database, user, password, tls } = this.target;
    const client = new pg.Client({
      host,
      port,
      database,
      user,
      password,
      ssl: sslOf(tls, host),
      application_name: APPLICATION_NAME,
      keepAlive: true,
      // As text: xids and positions do not fit numbers.
      types: { getTypeParser: () => (value: string) => value },
    });
    const gone = () => this.#drop(client);
    client.on('error', gone);
    client.on('end', gone);
    this.#client = client;
    await withinDeadline(this.#clock, this.#deadlines.connectTimeoutMs, client.connect());
    return client;
  }

  /** Closes the socket at once: `end()` would wait for a server that may be stopped. */
  #drop(client: pg.Client | undefined): void {
    if (client === undefined) return;
    if (this.#client === client) this.#client = undefined;
    socketOf(client).destroy();
  }
}

/** The driver keeps it to itself; an immediate close is not to be had otherwise. */
function socketOf(client: pg.Client): Socket {
  return (client as unknown as { connection: { stream: Socket } }).connection.stream;
}

function sslOf(tls: SqlTls, host: string): false | pg.ClientConfig['ssl'] {
  switch (tls.kind) {
    case 'disable':
      return false;
    case 'require':
      return { rejectUnauthorized: false };
    case 'verify-full': {
      const expected = tls.serverName ?? host;
      return { ca: tls.ca, checkServerIdentity: (_, certificate) => checkServerIdentity(expected, certificate) };
    }
  }
}

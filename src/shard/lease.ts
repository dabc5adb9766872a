// A borrowed connection that goes back by itself at the end of its block (`await using`); for rare paths, where a promise costs nothing.
import type { SqlError } from '../protocol/sql-error.ts';
import type { ServerConnection } from './connection.ts';
import type { Pool } from './pool.ts';

/** The pool could not give a connection; `sqlError` says why, for a client. */
export class LeaseRefused extends Error {
  override readonly name = 'LeaseRefused';
  readonly sqlError: SqlError;

  constructor(sqlError: SqlError) {
    super(sqlError.message);
    this.sqlError = sqlError;
  }
}

export class Lease implements AsyncDisposable {
  readonly connection: ServerConnection;
  readonly #pool: Pool;

  private constructor(pool: Pool, connection: ServerConnection) {
    this.#pool = pool;
    this.connection = connection;
  }

  /** Throws LeaseRefused. */
  static async take(pool: Pool): Promise<Lease> {
    const taken = await pool.take();
    if (taken.kind === 'refused') throw new LeaseRefused(taken.error);
    return new Lease(pool, taken.connection);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#pool.give(this.connection);
    return Promise.resolve();
  }
}

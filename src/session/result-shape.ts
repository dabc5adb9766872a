// What a driver was told the rows of a prepared statement look like. Drivers keep that and decode by it, so after DDL a
// statement whose rows look otherwise is refused, as PostgreSQL does, and never answered in another shape.
import { describe, parse, SYNC } from '../protocol/client-message-writer.ts';
import { SERVER } from '../protocol/message-type.ts';
import { readRowDescription, readSqlError } from '../protocol/server-message-reader.ts';
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import type { ConnectionLost } from '../shard/branch-link.ts';
import type { ReplySink, ServerConnection } from '../shard/connection.ts';
import { isBranch } from './client-transaction.ts';
import { connectionLostError, leaseConnection, returnConnection } from './lease.ts';
import type { ClientStatement, SessionState } from './session-state.ts';
import { sentText } from './statement-names.ts';

/** Types from here on are made by users: their oids differ from shard to shard. */
const FIRST_OWN_OID = 16_384;

/** The client was shown this RowDescription or NoData for a statement that is called `name` on the shards. */
export function rememberShape(
  statement: ClientStatement,
  name: string,
  chunk: Buffer,
  start: number,
  end: number,
): void {
  if (name !== '') Object.assign(statement.told, { shape: shapeOf(chunk, start, end), name });
}

function shapeOf(chunk: Buffer, start: number, end: number): string {
  if (chunk[start] !== SERVER.rowDescription) return '';
  return readRowDescription(chunk, start, end)
    .map(({ name, typeOid, typeModifier }) => `${name}:${typeOid < FIRST_OWN_OID ? typeOid : 'own'}:${typeModifier}`)
    .join('\0');
}

/** In PostgreSQL's own words: asyncpg and pgjdbc know it by the routine, and prepare the statement again. */
const shapeChanged = sqlError(SQLSTATE.featureNotSupported, 'cached plan must not change result type', {
  other: { R: 'RevalidateCachedQuery' },
});

/** Whether the rows of `statement` must be looked at again before it runs. */
export function shapeInDoubt(session: SessionState, statement: ClientStatement): boolean {
  const { told } = statement;
  return told.shape !== undefined && told.name !== session.services.statementNames.nameOf(statement);
}

/** Asks `shard` what the rows look like now: one round trip for each statement after DDL. Undefined: as they did. */
export async function checkShape(
  session: SessionState,
  statement: ClientStatement,
  shard: number,
): Promise<SqlError | undefined> {
  const { told } = statement;
  const name = session.services.statementNames.nameOf(statement);
  const { transaction } = session;
  // Inside a transaction its own DDL counts, which nobody else sees.
  let answer: string | SqlError;
  if (transaction === undefined) {
    const lease = await leaseConnection(session, shard);
    if (lease.kind === 'refused') return lease.error;
    answer = await describeOn(lease.connection, statement);
    returnConnection(session, lease.connection);
  } else {
    const branch = await transaction.join(shard);
    if (!isBranch(branch)) return branch;
    answer = await describeOn(branch.connection, statement);
  }
  if (typeof answer !== 'string') return answer;
  if (answer !== told.shape) return shapeChanged;
  told.name = name;
  return undefined;
}

function describeOn(connection: ServerConnection, statement: ClientStatement): Promise<string | SqlError> {
  return new Promise((resolve) => {
    const bytes = [parse('', sentText(statement), statement.parameterTypes), describe('statement', ''), SYNC];
    connection.send(Buffer.concat(bytes), new ShapeSink(connection.shard, resolve));
  });
}

class ShapeSink implements ReplySink {
  readonly #shard: string;
  readonly #resolve: (answer: string | SqlError) => void;
  #answer: string | SqlError = '';

  constructor(shard: string, resolve: (answer: string | SqlError) => void) {
    this.#shard = shard;
    this.#resolve = resolve;
  }

  frame(type: number, chunk: Buffer, start: number, end: number): void {
    if (type === SERVER.error) this.#answer = readSqlError(chunk, start, end);
    else if (type === SERVER.rowDescription) this.#answer = shapeOf(chunk, start, end);
  }

  chunkEnd(): void {
    // The answer is given whole, at ready().
  }

  ready(): void {
    this.#resolve(this.#answer);
  }

  lost(lost: ConnectionLost): void {
    this.#resolve(connectionLostError(this.#shard, lost, false));
  }
}

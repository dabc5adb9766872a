// Borrows server connections for a session and puts the session's settings on them before anything else runs there.
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import type { ConnectionLost } from '../shard/branch-link.ts';
import type { ServerConnection } from '../shard/connection.ts';
import { connectionMemory } from './connection-memory.ts';
import type { SessionState } from './session-state.ts';
import { settingsDifference } from './settings.ts';

export type Lease =
  | { readonly kind: 'leased'; readonly connection: ServerConnection }
  | { readonly kind: 'refused'; readonly error: SqlError };

/**
 * A connection to `shard` with the session's settings in force. The settings are awaited, not pipelined: if one of them
 * is refused (a role that was dropped), nothing of the client's may run under other settings.
 *
 * `further`: the session holds a connection to another shard, or is taking one. It does not queue behind those who hold
 * nothing, or two crowds could each fill one shard's pool and wait for the other's for ever: no server would see it.
 */
export async function leaseConnection(session: SessionState, shard: number, further = false): Promise<Lease> {
  const first = session.pools[shard];
  const pool = further ? session.furtherPools[shard] : first;
  if (first === undefined || pool === undefined) {
    return { kind: 'refused', error: noSuchShard(shard, session.pools.length) };
  }
  let home = first;
  let connection = first.tryTake();
  if (connection === undefined) {
    home = pool;
    const taken = await pool.take();
    if (taken.kind === 'refused') return taken;
    connection = taken.connection;
  }
  const memory = connectionMemory(connection);
  memory.home = home;
  if (memory.settings.key !== session.settings.key) {
    const error = await applySettings(connection, session);
    if (error !== undefined) return { kind: 'refused', error };
  }
  session.working.add(connection);
  return { kind: 'leased', connection };
}

/** The first shard alone: who holds a further connection must never wait among those who hold none. */
export async function firstThenOthers<Result>(
  shards: readonly number[],
  take: (shard: number, further: boolean) => Promise<Result>,
): Promise<Result[]> {
  const [first, ...others] = shards;
  if (first === undefined) return [];
  return [await take(first, false), ...(await Promise.all(others.map((shard) => take(shard, true))))];
}

/** Gives a connection back; the pool closes it unless it is idle and clean. */
export function returnConnection(session: SessionState, connection: ServerConnection): void {
  session.working.delete(connection);
  const { home } = connectionMemory(connection);
  const { cancelling } = connection;
  if (cancelling === undefined) {
    home?.give(connection);
    return;
  }
  // A cancel request on its way must not hit the next client of this connection.
  void cancelling.finally(() => home?.give(connection));
}

async function applySettings(connection: ServerConnection, session: SessionState): Promise<SqlError | undefined> {
  const memory = connectionMemory(connection);
  const wanted = session.settings;
  const replies = await Promise.all(settingsDifference(memory.settings, wanted).map((sql) => connection.command(sql)));
  for (const reply of replies) {
    if (reply.kind === 'complete') continue;
    connection.destroy('its session settings are not known');
    memory.home?.give(connection);
    if (reply.kind === 'error') return reply.error;
    return connectionLostError(connection.shard, reply.lost, false);
  }
  memory.settings = wanted;
  return undefined;
}

export function noSuchShard(shard: number, count: number): SqlError {
  return sqlError(SQLSTATE.undefinedObject, `there is no shard ${shard}`, { hint: `Shards are 0 to ${count - 1}.` });
}

/**
 * What the client is told when a shard's connection went away under its statement. `mayHaveCommitted`: the statement
 * could have taken effect, and nobody can say; 08007 is the code for that, never an error that means "not done".
 */
export function connectionLostError(shard: string, lost: ConnectionLost, mayHaveCommitted: boolean): SqlError {
  const because = lost.fatal === undefined ? lost.message : `${lost.fatal.code} ${lost.fatal.message}`;
  if (mayHaveCommitted) {
    return sqlError(
      SQLSTATE.transactionResolutionUnknown,
      `the connection to ${shard} was lost while the statement ran; whether it took effect is not known`,
      { detail: because, hint: 'Look whether the change is there before you send it again.' },
    );
  }
  return sqlError(SQLSTATE.connectionFailure, `the connection to ${shard} was lost`, {
    detail: because,
    hint: 'Nothing of this statement took effect; it may be sent again.',
  });
}

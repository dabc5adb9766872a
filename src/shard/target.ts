// Where a shard's primary is and as whom to log in: everything a new server connection needs to know.
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../kernel/clock.ts';
import type { ScramKeyCache } from '../protocol/scram.ts';
import type { SqlError } from '../protocol/sql-error.ts';
import { SQLSTATE } from '../protocol/sql-error.ts';
import type { ConnectionLost } from './branch-link.ts';
import type { ShardTls } from './tls.ts';

export interface ShardTarget {
  /** Logical shard name. */
  readonly shard: string;
  /** Host name or address, or a directory (beginning with `/`) that holds the server's Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** undefined: only trust works. */
  readonly password?: string | undefined;
  /** `as1:<cluster>:<instance>.<epoch>`: recovery fences older epochs by it, so clients never override it. */
  readonly applicationName: string;
  /** undefined and `disable`: in clear. */
  readonly tls?: ShardTls | undefined;
  /** The record that the server must carry (placement-mark.ts); undefined: any, for what is not about rows. */
  readonly placement?: string | undefined;
  /** More startup parameters, e.g. `options`. */
  readonly parameters?: Readonly<Record<string, string>> | undefined;
}

export interface ConnectOptions {
  readonly clock: Clock;
  /** For socket, login and facts together. */
  readonly connectTimeoutMs: number;
  /** Shared by the connections of a pool, so that only the first one derives keys. */
  readonly scramKeys?: ScramKeyCache | undefined;
  /** Bounds one message of the server, bytes. */
  readonly frameBytesMax?: number | undefined;
}

/** Whether connections to the one are as good as connections to the other. */
export function sameTarget(one: ShardTarget, other: ShardTarget): boolean {
  return isDeepStrictEqual(one, other);
}

/** For messages: `127.0.0.1:5432` or the socket's path. */
export function addressOf({ host, port }: Pick<ShardTarget, 'host' | 'port'>): string {
  if (host.startsWith('/')) return `${host}/.s.PGSQL.${port}`;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Why no connection came to be.
 * - unreachable, timeout: nothing or too late.
 * - tls: no encryption to be had, or a certificate that does not prove who the server is.
 * - refused: the server said why (`cause`), e.g. 57P03 while it starts; authentication: so did it, or we could not answer.
 * - standby, unfit: it let us in, but it is not a primary, or not one that commits can rely on.
 * - misplaced: its rows are spread over another list of shards, or it is another shard than we were told.
 */
export type ConnectFailureKind =
  | 'unreachable'
  | 'timeout'
  | 'tls'
  | 'refused'
  | 'authentication'
  | 'protocol'
  | 'standby'
  | 'unfit'
  | 'misplaced';

/** SQLSTATEs of a server that clients may act on; any other is told as 08001 with the original in the detail. */
const PASSED_ON: ReadonlySet<string> = new Set([
  SQLSTATE.cannotConnectNow,
  SQLSTATE.tooManyConnections,
  SQLSTATE.invalidCatalogName,
]);

export class ConnectFailure extends Error {
  override readonly name = 'ConnectFailure';
  readonly kind: ConnectFailureKind;
  /** What to tell a client that needed the connection: shard, address and cause. */
  readonly sqlError: SqlError;

  constructor(target: ShardTarget, kind: ConnectFailureKind, reason: string, said?: SqlError) {
    const message = `cannot connect to shard "${target.shard}" at ${addressOf(target)}: ${reason}`;
    super(message, said === undefined ? undefined : { cause: said });
    this.kind = kind;
    const standby = kind === 'standby' ? SQLSTATE.cannotConnectNow : SQLSTATE.cannotConnect;
    const code = said !== undefined && PASSED_ON.has(said.code) ? said.code : standby;
    const detail = said === undefined ? undefined : `The server said ${said.code}: ${said.message}`;
    this.sqlError = { severity: 'ERROR', code, message, ...(detail === undefined ? {} : { detail }) };
  }
}

/** The failure of a connection that was lost while it was being made. */
export function failureOfLoss(target: ShardTarget, { reason, message, fatal }: ConnectionLost): ConnectFailure {
  // Class 28 is about who we are; anything else the server refuses for its own reasons.
  if (fatal !== undefined) {
    return new ConnectFailure(target, fatal.code.startsWith('28') ? 'authentication' : 'refused', message, fatal);
  }
  const kind = reason === 'timeout' || reason === 'protocol' ? reason : 'unreachable';
  return new ConnectFailure(target, kind, message);
}

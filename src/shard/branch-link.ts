// The port through which commit and recovery talk to one branch on one shard; replies have three values, never two.

import type { SqlError } from '../protocol/sql-error.ts';

/** Why a connection is gone. `fatal` is the backend's last word (e.g. 57P01), if it said one. */
export interface ConnectionLost {
  readonly reason: 'socket' | 'timeout' | 'fatal' | 'protocol' | 'destroyed';
  readonly message: string;
  readonly fatal?: SqlError | undefined;
}

/**
 * What one SQL command answered.
 * - complete: the tag arrived (check it!), with the warnings and the rows (text format) that came before it.
 * - error: a definite answer, the connection lives.
 * - lost: nobody knows whether the command had its effect.
 */
export type CommandReply =
  | {
      readonly kind: 'complete';
      readonly tag: string;
      readonly notices: readonly SqlError[];
      readonly rows: readonly (readonly (string | null)[])[];
    }
  | { readonly kind: 'error'; readonly error: SqlError }
  | { readonly kind: 'lost'; readonly lost: ConnectionLost };

/** Which server this is, so that evidence from another one is never believed. */
export interface ServerIdentity {
  /** pg_control_system().system_identifier, decimal. */
  readonly systemIdentifier: string;
  readonly timeline: number;
  readonly backendPid: number;
  /** pg_stat_activity.backend_start as text, with the pid names one backend for ever. */
  readonly backendStart: string;
}

/** One borrowed server connection that carries (or carried) a branch. Commands of one tick leave in one write. */
export interface BranchLink {
  /** Logical shard name. */
  readonly shard: string;
  readonly identity: ServerIdentity;
  /** Sends one simple Query and resolves with its reply; never rejects. Commands are answered in order (pipelined). */
  command(sql: string): Promise<CommandReply>;
  /** Closes the socket at once; outstanding commands resolve as lost. */
  destroy(reason: string): void;
}

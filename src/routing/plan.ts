// What the router says about one query text: its statements, what each one is, and where it must run. The rule:
// a statement without a certain place is `refused`, never guessed.

import type { Merge, StatementAction } from '../sql/action.ts';

export type { Merge, StatementAction };

/** An error of ours before it becomes an ErrorResponse (a subset of protocol/SqlError, which routing may not import). */
export interface RoutingError {
  readonly code: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  /** Place in the client's text, characters from 1; only syntax errors have one. */
  readonly position?: string | undefined;
}

/** The values of one Bind, read in place; `index` counts from 0 (`$1` is 0). */
export interface BoundParameters {
  readonly count: number;
  /** 0 = text, 1 = binary. */
  format(index: number): 0 | 1;
  /** The raw value, or null for SQL NULL. */
  bytes(index: number): Buffer | null;
  /** The type the client declared in Parse, 0 = unspecified. */
  typeOid(index: number): number;
}

/** One shard's own text of a statement whose rows were divided between shards. */
export interface RoutePart {
  readonly shard: number;
  readonly text: string;
  /** Which of the client's parameters (from 0) are $1, $2, … of this text; absent where it has none. */
  readonly parameters?: readonly number[];
}

export type Route =
  | { readonly kind: 'one'; readonly shard: number }
  /** At least two shards, ascending. */
  | { readonly kind: 'some'; readonly shards: readonly number[] }
  | { readonly kind: 'all' }
  /** A multi-row INSERT cut by row: every shard (ascending) gets its own text. */
  | { readonly kind: 'split'; readonly parts: readonly RoutePart[] }
  /** Every shard would answer the same; `prefer` names the one to take when the session is free to choose. */
  | { readonly kind: 'any'; readonly prefer?: 0 | undefined }
  | { readonly kind: 'refused'; readonly error: RoutingError };

/** A statement's text with a piece put in by the proxy; `start` and `end` of the piece count as JavaScript does. */
export interface Rewritten {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** Actions that are the session's own affair: no shard is named by hand for them, and the proxy answers them itself. */
export const SESSION_ACTIONS: ReadonlySet<StatementAction['kind']> = new Set([
  'begin',
  'commit',
  'rollback',
  'savepoint',
  'release',
  'rollbackTo',
  'set',
  'resetAll',
  'setTransaction',
  'setSessionCharacteristics',
  'setConstraints',
  'discard',
  'deallocate',
]);

export interface PlannedStatement {
  /** This statement's own text, without its semicolon; used when several are in one Query. */
  readonly text: string;
  readonly action: StatementAction;
  /** Conservative: what is not provably read-only counts as a write (unknown functions too). */
  readonly writes: boolean;
  /** Takes row or table locks that must live until the end of the transaction (FOR UPDATE, LOCK). */
  readonly locks: boolean;
  /** Sets a session parameter inside a SELECT: `set_config(…)`; settings can no longer be told from the text alone. */
  readonly setConfig: boolean;
  /** Written tables and read tables that have a place, `schema.name`, for messages and EXPLAIN. */
  readonly tables: readonly string[];
  /**
   * A write to a reference table: this LOCK TABLE must run before it in the same transaction, on shard 0 first and then on
   * the others. Without it two writers could pass each other in different orders on different shards (a row inserted by one
   * is seen by the other's UPDATE on some shards only), and the copies would differ from then on.
   */
  readonly lockFirst: string | undefined;
  /**
   * What the shards must be sent instead of `text` (the parts of a split route are such texts already): an INSERT that
   * named no columns, with those that its route was computed for. Its meaning hangs on the catalog it was planned with.
   */
  readonly rewritten: Rewritten | undefined;
  /** The tables are known differently since this was planned: plan the text again before it is routed. */
  readonly outdated: boolean;
  /** The route came from a comment, so a route of the session (SET atomshard.shard) does not replace it. */
  readonly manual: boolean;
  /** Where it runs with these values; undefined = a simple query. Never throws on client input. */
  route(parameters: BoundParameters | undefined): Route;
  /**
   * The same with a shard named by hand (SET atomshard.shard, or a comment): that shard, unless the statement is refused
   * everywhere or would put a row where its key does not belong.
   */
  routeTo(shard: number, parameters: BoundParameters | undefined): Route;
}

export interface QueryPlan {
  /**
   * Empty = EmptyQuery.
   * A text that does not parse here is one statement refused with 42601: libpg-query refuses a few texts that PostgreSQL
   * runs (a string continued over a comment), so sending it to any shard unread could write on one shard only.
   */
  readonly statements: readonly PlannedStatement[];
}

// What the router says about one query text: its statements, what each one is, and where it must run. Types only; the
// rule they keep: a statement without a certain place is `refused`, never guessed.

/** An error of ours before it becomes an ErrorResponse (a subset of protocol/SqlError, which routing may not import). */
export interface RoutingError {
  readonly code: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
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
}

export type Route =
  | { readonly kind: 'one'; readonly shard: number }
  /** At least two shards, ascending. */
  | { readonly kind: 'some'; readonly shards: readonly number[] }
  | { readonly kind: 'all' }
  /** A multi-row INSERT cut by row: every shard (ascending) gets its own text. Never with parameters. */
  | { readonly kind: 'split'; readonly parts: readonly RoutePart[] }
  /** Every shard would answer the same; `prefer` names the one to take when the session is free to choose. */
  | { readonly kind: 'any'; readonly prefer?: 0 | undefined }
  | { readonly kind: 'refused'; readonly error: RoutingError };

/**
 * How replies of several shards become one.
 * - concat: rows are appended in any order, tags are summed (`SELECT n`, `UPDATE n`, `INSERT 0 n`).
 * - first: every shard does the same; one reply is shown, the tags must agree.
 */
export type Merge = 'concat' | 'first';

export type StatementAction =
  | { readonly kind: 'query'; readonly merge: Merge }
  /** Runs on all shards inside one two-phase commit; one reply is shown. */
  | { readonly kind: 'ddl' }
  /** Cannot run inside a transaction block (VACUUM, CREATE INDEX CONCURRENTLY, …): only by hand, on one shard. */
  | { readonly kind: 'ddlOutsideTransaction' }
  /** `modes` is the SQL to replay behind BEGIN, e.g. `ISOLATION LEVEL SERIALIZABLE READ ONLY`; empty when none. */
  | { readonly kind: 'begin'; readonly modes: string }
  | { readonly kind: 'commit'; readonly chain: boolean }
  | { readonly kind: 'rollback'; readonly chain: boolean }
  | { readonly kind: 'savepoint'; readonly name: string }
  | { readonly kind: 'release'; readonly name: string }
  | { readonly kind: 'rollbackTo'; readonly name: string }
  /** A client's own two-phase commit; always refused. */
  | { readonly kind: 'preparedTransaction'; readonly verb: 'prepare' | 'commit' | 'rollback'; readonly gid: string }
  /**
   * SET, SET LOCAL, RESET name, SET TIME ZONE, SET NAMES …; `name` is lower case as pg_settings spells it.
   * `value` is the value as current_setting() would show it, as far as the text tells, null = DEFAULT or RESET.
   * `sql` replays it (without LOCAL).
   */
  | {
      readonly kind: 'set';
      readonly name: string;
      readonly local: boolean;
      readonly value: string | null;
      readonly sql: string;
    }
  | { readonly kind: 'resetAll' }
  | { readonly kind: 'setTransaction'; readonly modes: string }
  | { readonly kind: 'setSessionCharacteristics'; readonly modes: string; readonly sql: string }
  /** SET CONSTRAINTS: must reach every participant, and those that join later. */
  | { readonly kind: 'setConstraints'; readonly sql: string }
  | { readonly kind: 'show'; readonly name: string }
  | { readonly kind: 'discard'; readonly what: 'all' | 'plans' | 'temp' | 'sequences' }
  /** `name` null = ALL. */
  | { readonly kind: 'deallocate'; readonly name: string | null }
  /** `name` null = CLOSE ALL. A fetch or close goes where the session knows the cursor to be. */
  | { readonly kind: 'cursor'; readonly verb: 'declare' | 'fetch' | 'close'; readonly name: string | null }
  | { readonly kind: 'copy'; readonly direction: 'in' | 'out'; readonly merge: Merge }
  | { readonly kind: 'explain'; readonly analyze: boolean }
  | { readonly kind: 'sqlPrepare'; readonly name: string }
  | { readonly kind: 'sqlExecute'; readonly name: string }
  /** LOCK TABLE. */
  | { readonly kind: 'lock' }
  /** LISTEN and NOTIFY (refused); UNLISTEN goes anywhere, because nothing can listen. */
  | { readonly kind: 'notification'; readonly verb: 'listen' | 'notify' | 'unlisten' }
  /** DO and CALL: code that nobody here has read; runs only by hand on one shard. */
  | { readonly kind: 'procedure' };

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
  /** The route came from a comment, so a route of the session (SET atomshard.shard) does not replace it. */
  readonly manual: boolean;
  /** Where it runs with these values; undefined = a simple query. Never throws on client input. */
  route(parameters: BoundParameters | undefined): Route;
}

export interface QueryPlan {
  /** Empty = EmptyQuery. */
  readonly statements: readonly PlannedStatement[];
  /** The text does not parse: it goes to any one shard, so that PostgreSQL writes the error with the exact position. */
  readonly unparsable: boolean;
}

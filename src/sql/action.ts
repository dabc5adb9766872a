// What kind of statement the session has before it: a closed union, so that every kind has an owner. Types only.

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

// What servers and proxies say about themselves in SQL, as values: gathered by the files beside this one, judged elsewhere.
// The rule: what could not be asked is a failure with its kind and is never taken for an answer.

export type SqlTls =
  | { readonly kind: 'disable' }
  /** Encrypted, the server is not verified. */
  | { readonly kind: 'require' }
  /** Verified with `ca` (PEM, one or more certificates) and `serverName`, by default the host. */
  | { readonly kind: 'verify-full'; readonly ca: string; readonly serverName?: string };

/** One server to log in to: a shard as superuser (or as an external shard's role), or a proxy's admin database. */
export interface SqlTarget {
  /** For messages: `shard-0`, `proxy-1`. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  readonly tls: SqlTls;
}

/**
 * unreachable: no connection · timeout: no answer in time · starting: 57P03, not yet or no longer taking clients ·
 * authentication: the password or pg_hba.conf refuses · missing-database: 3D000 · tls: no TLS there, or not to be trusted ·
 * full: 53300 · refused: an error for the statement itself · lost: the connection ended in the middle.
 */
export type SqlFailureKind =
  | 'unreachable'
  | 'timeout'
  | 'starting'
  | 'authentication'
  | 'missing-database'
  | 'tls'
  | 'full'
  | 'refused'
  | 'lost';

export interface SqlFailure {
  readonly kind: SqlFailureKind;
  /** SQLSTATE, where the server sent one. */
  readonly code?: string;
  /** A sentence for people; names the server, never a password. */
  readonly message: string;
}

export type Asked<T> =
  | { readonly kind: 'answer'; readonly value: T }
  | { readonly kind: 'failed'; readonly failure: SqlFailure };

/** Prepared transactions of ours on one shard, of one run of one proxy. */
export interface PreparedOfRun {
  readonly instance: string;
  readonly epoch: number;
  readonly count: number;
  /** When the oldest of them was prepared; server clock, milliseconds since the Unix epoch. */
  readonly oldestMs: number;
}

export interface PreparedFacts {
  /** All prepared transactions of the server, in all its databases: what counts against max_prepared_transactions. */
  readonly count: number;
  /** Those of this cluster in this database. */
  readonly ours: number;
  readonly runs: readonly PreparedOfRun[];
  /** Everybody else's: other programs, other clusters, other databases. Counted, never touched. */
  readonly foreign: number;
  /** Milliseconds since the Unix epoch; null without any. */
  readonly oldestMs: number | null;
  readonly oldestForeignMs: number | null;
}

/** A setting that the running server does not have as desired. */
export interface SettingDifference {
  readonly name: string;
  /** As the spec (or the owned settings) write it; null: no longer written, so the default. */
  readonly desired: string | null;
  /** As `SHOW` would say it; null where the server knows no such setting. */
  readonly actual: string | null;
  /** True where only a restart can change it (context postmaster). */
  readonly needsRestart: boolean;
  /** By what stands above the file: ALTER SYSTEM, the command line. Neither a reload nor a restart changes it. */
  readonly overriddenBy: string | null;
}

/** What is wrong in the configuration files: no reload takes it over, and the server would not start with it. */
export interface ConfigurationFault {
  /** Null for a line that is no setting at all. */
  readonly name: string | null;
  readonly message: string;
}

/** One look at one running server. */
export interface ShardFacts {
  /** server_version_num, e.g. 180004. */
  readonly version: number;
  /** False on a standby (pg_is_in_recovery): it cannot be a shard. */
  readonly primary: boolean;
  readonly systemIdentifier: string;
  readonly dataChecksums: boolean;
  readonly maxPreparedTransactions: number;
  readonly maxConnections: number;
  /** Client backends of all databases at this moment. */
  readonly connections: number;
  readonly prepared: PreparedFacts;
  /** Tables of users in the shard's database; while there are none, no row can be in the wrong place. */
  readonly tables: number;
  /** The certificate file is newer than what the server has read; PostgreSQL reads it at a reload. Made shards only. */
  readonly certificateBehind?: boolean;
  /** Names of settings that only a restart makes as desired, sorted. Useless while configurationFaults are there. */
  readonly pendingRestart: readonly string[];
  /** Empty: the running server has everything as desired; that is the proof of a reload. */
  readonly differences: readonly SettingDifference[];
  /** True while the file on the server's disk is not as desired (the kubelet is on its way); null where nobody may look. */
  readonly fileBehind: boolean | null;
  /** Null where the role may not see them (pg_file_settings needs a superuser). */
  readonly configurationFaults: readonly ConfigurationFault[] | null;
  /** When the server last read its configuration; milliseconds since the Unix epoch. */
  readonly configurationLoadedMs: number;
  readonly startedMs: number;
  readonly nowMs: number;
}

/** What a look is compared with. */
export interface ShardQuestion {
  readonly clusterId: string;
  /** All of postgresql.conf as desired, values without quotes; null for a server whose file is not ours. */
  readonly parameters: Readonly<Record<string, string>> | null;
}

export type ProxyState = 'Active' | 'Draining' | 'Recovering' | 'InDoubt' | 'Clean';

/** The one row of SHOW STATUS. */
export interface ProxyFacts {
  readonly instance: string;
  readonly state: ProxyState;
  readonly ready: boolean;
  readonly notReadyReason: string | null;
  readonly version: string;
  /** Hex SHA-256 of the bytes of the configuration in force. */
  readonly configSha256: string;
  /** Why the file on disk was refused; null when it was not. */
  readonly configError: string | null;
  /** Changed keys that wait for a restart. */
  readonly restartNeeded: readonly string[];
  /** Null while the log is not open yet, like the epoch and the positions. */
  readonly walId: string | null;
  readonly epoch: number | null;
  readonly positions: {
    readonly oldest: number;
    readonly applied: number;
    readonly committed: number;
    readonly durable: number;
    readonly appended: number;
  } | null;
  readonly walSegments: number;
  readonly walBytes: number;
  readonly walFreeBytes: number | null;
  readonly inDoubt: number;
  readonly held: number;
  readonly clients: number;
  readonly running: number;
  readonly lastRecovery: {
    readonly atMs: number;
    readonly committed: number;
    /** The first of them; a proxy older than the operator names none. */
    readonly committedIds: readonly string[];
    readonly rolledBack: number;
    readonly rolledBackIds: readonly string[];
    readonly held: number;
  } | null;
}

export interface RoleWithPassword {
  readonly name: string;
  readonly password: string;
}

/** What a shard shall have. Nothing that is not written here is ever dropped. */
export interface ShardSetup {
  readonly clusterId: string;
  readonly database: string;
  readonly extensions: readonly string[];
  /** The first owns the database; all may use and create in schema public. */
  readonly users: readonly RoleWithPassword[];
  /** Named by role-names.ts. */
  readonly resolver: RoleWithPassword;
  readonly metrics: RoleWithPassword;
  /**
   * True where the server was made by the operator: a role that exists already gets the password that is written here.
   * On a guest's server only roles that were made for this cluster do.
   */
  readonly serverIsOurs: boolean;
}

/** Something that could not be done, with what to do about it. */
export interface SetupProblem {
  readonly kind: 'not-allowed' | 'missing-extension' | 'missing-database' | 'foreign-role' | 'refused';
  /** Role, database or extension that it is about. */
  readonly subject: string;
  readonly message: string;
}

export interface SetupOutcome {
  /** What was changed, in words, for an event; empty when everything was there. */
  readonly changed: readonly string[];
  readonly problems: readonly SetupProblem[];
}

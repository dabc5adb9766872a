// Everything one client's session remembers between messages; who changes what is said at each field.
import type { SqlError } from '../protocol/sql-error.ts';
import type { PlannedStatement } from '../routing/plan.ts';
import type { Router } from '../routing/router.ts';
import type { ServerConnection } from '../shard/connection.ts';
import type { Pool } from '../shard/pool.ts';
import type { Coordinator } from '../transaction/coordinator.ts';
import type { ClientTransaction } from './client-transaction.ts';
import type { ClientWriter } from './client-writer.ts';
import type { RunningTransactions } from './running-transactions.ts';
import type { SchemaWatch } from './schema-watch.ts';
import type { SessionTraffic } from './session-traffic.ts';
import type { Settings } from './settings.ts';
import type { StatementNames } from './statement-names.ts';

/** What all sessions of a proxy share. */
export interface SessionServices {
  readonly router: Router;
  readonly shardNames: readonly string[];
  readonly coordinator: Coordinator;
  readonly running: RunningTransactions;
  readonly statementNames: StatementNames;
  readonly schema: SchemaWatch;
  /** twoPhaseCommit.auto: single statements that write to several shards are atomic by themselves. */
  readonly autoTwoPhaseCommit: boolean;
  readonly preparedStatementsMax: number;
  /** The only search path that routing understands, as configured. */
  readonly searchPath: readonly string[];
  /** Absent in most tests. */
  readonly traffic?: SessionTraffic | undefined;
}

/** A prepared statement of the client. Replaced by another object when it is planned anew: plan and text belong together. */
export interface ClientStatement {
  readonly name: string;
  readonly text: string;
  readonly parameterTypes: readonly number[];
  /** Undefined when the text does not parse or is empty: a shard says what is wrong with it. */
  readonly planned: PlannedStatement | undefined;
  /** What the client was told about its rows; the same object when the text is planned anew. */
  readonly told: ToldShape;
}

/** `shape` undefined: nothing yet. `name`: what the statement was called on the shards when it last had this shape. */
export interface ToldShape {
  shape: string | undefined;
  name: string;
}

/** A bound portal: it lives on its shards until the transaction ends. */
export interface ClientPortal {
  readonly statement: ClientStatement;
  /** Empty for the session's own commands. */
  readonly shards: readonly number[];
}

export class SessionState {
  readonly services: SessionServices;
  readonly writer: ClientWriter;
  readonly user: string;
  /** One pool per shard, for this session's user. */
  readonly pools: readonly Pool[];
  /** One more per shard, for those who hold a connection to another shard already: see leaseConnection. */
  readonly furtherPools: readonly Pool[];
  /** What the client asked for at startup; RESET goes back to it. */
  readonly startupSettings: Settings;
  settings: Settings;
  applicationName: string;
  /** ParameterStatus values the client has been told. */
  readonly reported: Map<string, string>;
  transaction: ClientTransaction | undefined;
  /** From SET atomshard.shard; the router's answer is not asked while it is set. */
  forcedShard: number | undefined;
  /** DDL of this session has run, or is about to, and the shards' tables have not been looked at since. */
  schemaChanged = false;
  readonly statements = new Map<string, ClientStatement>();
  readonly portals = new Map<string, ClientPortal>();
  /** Connections that work for this client now: what a cancel request may reach. */
  readonly working = new Set<ServerConnection>();
  /** True from the first commit phase on: cancel requests are ignored. */
  committing = false;
  /** The last transaction wrote on several shards; a guess about the next one, never more. */
  expectsSeveralWriters = false;
  /** The shard that asked for COPY data; the client's copy messages go there. */
  copyTarget: ServerConnection | undefined;
  /** Told when a shard asks for COPY data: what the client has sent ahead goes there now. */
  onCopyIn: (target: ServerConnection) => void = () => undefined;
  #rotation = 0;

  constructor(fields: {
    services: SessionServices;
    writer: ClientWriter;
    user: string;
    pools: readonly Pool[];
    furtherPools: readonly Pool[];
    settings: Settings;
    applicationName: string;
  }) {
    this.services = fields.services;
    this.writer = fields.writer;
    this.user = fields.user;
    this.pools = fields.pools;
    this.furtherPools = fields.furtherPools;
    this.startupSettings = fields.settings;
    this.settings = fields.settings;
    this.applicationName = fields.applicationName;
    this.reported = new Map();
  }

  /** A shard for what every shard answers alike: `prefer` if it can be reached, else the next in turn that can. */
  anyShard(prefer?: number): number {
    if (prefer !== undefined && this.pools[prefer]?.reachable === true) return prefer;
    for (let tried = 0; tried < this.pools.length; tried++) {
      this.#rotation = (this.#rotation + 1) % this.pools.length;
      if (this.pools[this.#rotation]?.reachable === true) break;
    }
    return this.#rotation;
  }

  shardName(shard: number): string {
    return this.services.shardNames[shard] ?? `#${shard}`;
  }

  /** An error ends what the transaction may do until it is rolled back. */
  fail(): void {
    this.transaction?.fail();
  }
}

/** What running one thing came to; `error` has not been written to the client, `failed` has. */
export type Ran =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed' }
  | { readonly kind: 'error'; readonly error: SqlError };

export const DONE: Ran = { kind: 'done' };
export const FAILED: Ran = { kind: 'failed' };
export const ranInto = (error: SqlError): Ran => ({ kind: 'error', error });

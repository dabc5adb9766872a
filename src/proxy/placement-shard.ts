// One shard asked and told about its placement record, with the recovery role over a connection of its own.
// The rule: a record is written only by the session that holds the lock, and only over the record that was seen.
import pg from 'pg';
import type { Clock } from '../kernel/clock.ts';
import { PROBE_DEADLINES, ProbeConnection, type ProbeTarget } from '../recovery/probe-connection.ts';
import type { CommandReply } from '../shard/branch-link.ts';
import { MARK_EXPRESSION, MARK_SCHEMA } from '../shard/placement-mark.ts';
import type { ShardSeen } from './placement-decision.ts';

/** `atomplac`; one per database. */
const LOCK_KEY = '0x61746f6d706c6163';
const LOCK_WAIT_MS = 10_000;
const LOCK_POLL_MS = 50;
const FENCE_WAIT_MS = 5_000;
const FENCE_POLL_MS = 20;

/** Not PostgreSQL's own, nor an extension's. By size, as the recovery role may not read; an emptied one counts until VACUUM. */
const USER_TABLES = `
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm', 'p', 'f') AND n.nspname <> 'information_schema' AND NOT starts_with(n.nspname, 'pg_')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`;
const NAME = `n.nspname || '.' || c.relname`;

const MARK = `SELECT ${MARK_EXPRESSION}, pg_catalog.pg_is_in_recovery()::text`;
const CONTENT = `${MARK},
  (SELECT ${NAME} ${USER_TABLES} AND c.relkind IN ('r', 'm') AND pg_catalog.pg_relation_size(c.oid) > 0 ORDER BY 1 LIMIT 1),
  (SELECT ${NAME} ${USER_TABLES} ORDER BY 1 LIMIT 1),
  (SELECT count(*) FROM pg_catalog.pg_prepared_xacts WHERE database = current_database())`;

/** Whatever a proxy has open here, of whatever cluster: what it does under the former record must be over. */
const PROXY_BACKENDS = `FROM pg_catalog.pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid() AND starts_with(application_name, 'as1:')`;

/** Why a step was not done. */
export class PlacementStopped extends Error {
  override readonly name = 'PlacementStopped';
}

export class PlacementShard {
  readonly name: string;
  readonly #connection: ProbeConnection;
  readonly #clock: Clock;
  #lockedBy: string | undefined;

  constructor(target: ProbeTarget, clock: Clock) {
    this.name = target.shard;
    this.#connection = new ProbeConnection(target, PROBE_DEADLINES, clock);
    this.#clock = clock;
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  /** The record only, which is cheap; null: none. Undefined: no answer, or a standby's. */
  async mark(): Promise<string | null | undefined> {
    const reply = await this.#connection.run(MARK);
    const row = reply.kind === 'complete' ? reply.rows[0] : undefined;
    return row === undefined || row[1] === 'true' ? undefined : (row[0] ?? null);
  }

  async look(): Promise<ShardSeen> {
    const { name: shard } = this;
    const reply = await this.#connection.run(CONTENT);
    if (reply.kind !== 'complete') return { shard, kind: 'silent', why: whyOf(reply) };
    const [mark = null, standby, filled = null, table = null, prepared] = reply.rows[0] ?? [];
    if (standby !== 'false') return { shard, kind: 'silent', why: 'it is a standby' };
    return { shard, kind: 'seen', mark, filled, table, prepared: Number(prepared) };
  }

  /** Keeps every other proxy from writing records here. Throws PlacementStopped. */
  async lock(): Promise<void> {
    const deadlineMs = this.#clock.monotonicMs() + LOCK_WAIT_MS;
    for (;;) {
      const [row] = await this.#ask(`SELECT pg_try_advisory_lock(${BigInt(LOCK_KEY)})::text, pg_backend_pid()::text`);
      if (row?.[0] === 'true') {
        this.#lockedBy = row[1] ?? undefined;
        return;
      }
      if (this.#clock.monotonicMs() >= deadlineMs) throw new PlacementStopped(`another proxy is at it on ${this.name}`);
      await this.#clock.sleep(LOCK_POLL_MS);
    }
  }

  /** A lost connection has no lock any more. */
  async unlock(): Promise<void> {
    if (this.#lockedBy === undefined) return;
    this.#lockedBy = undefined;
    await this.#connection.run('SELECT pg_catalog.pg_advisory_unlock_all()');
  }

  /** Replaces the record `before` by `after`, in one transaction. Throws PlacementStopped; then nothing was changed, or all. */
  async write(before: string | null, after: string): Promise<void> {
    const found = before === null ? 'NULL' : pg.escapeLiteral(before);
    // Before PostgreSQL 16 the role has become another one by its settings; the schema is its own.
    await this.#ask(`DO $as1$ BEGIN
      SET LOCAL ROLE NONE;
      IF pg_backend_pid() <> ${this.#lockedBy ?? 0} OR ${MARK_EXPRESSION} IS DISTINCT FROM ${found} THEN
        RAISE EXCEPTION 'the record changed meanwhile';
      END IF;
      IF pg_catalog.to_regnamespace('${MARK_SCHEMA}') IS NULL THEN CREATE SCHEMA ${MARK_SCHEMA}; END IF;
      COMMENT ON SCHEMA ${MARK_SCHEMA} IS ${pg.escapeLiteral(after)};
    END $as1$`);
  }

  /** Ends every connection of a proxy that was made before now, and waits until it is gone. Throws PlacementStopped. */
  async fence(): Promise<void> {
    // Without pg_read_all_stats the names of other users' connections are hidden, and nothing would be found.
    const [row] = await this.#ask(
      `SELECT pg_has_role('pg_read_all_stats', 'USAGE')::text, pg_catalog.clock_timestamp()::text`,
    );
    if (row?.[0] !== 'true') throw new PlacementStopped(`the recovery role lacks pg_monitor on ${this.name}`);
    const [, nowText] = row;
    const older = `${PROXY_BACKENDS} AND backend_start <= $1::timestamptz`;
    await this.#ask(`SELECT pg_terminate_backend(pid) ${older}`, [nowText]);
    const deadlineMs = this.#clock.monotonicMs() + FENCE_WAIT_MS;
    for (;;) {
      const [left] = await this.#ask(`SELECT count(*) ${older}`, [nowText]);
      if (Number(left?.[0]) === 0) return;
      if (this.#clock.monotonicMs() >= deadlineMs) throw new PlacementStopped(`connections do not end on ${this.name}`);
      await this.#clock.sleep(FENCE_POLL_MS);
    }
  }

  async #ask(sql: string, values: readonly unknown[] = []): Promise<readonly (readonly (string | null)[])[]> {
    const reply = await this.#connection.run(sql, values);
    if (reply.kind === 'complete') return reply.rows;
    throw new PlacementStopped(`${this.name}: ${whyOf(reply)}`);
  }
}

function whyOf(reply: Exclude<CommandReply, { kind: 'complete' }>): string {
  if (reply.kind === 'lost') return reply.lost.message;
  const { code, message } = reply.error;
  if (code !== '42501') return message;
  return `${message}; the recovery role needs pg_monitor and pg_signal_backend and must own that schema: CREATE SCHEMA IF NOT EXISTS ${MARK_SCHEMA}; ALTER SCHEMA ${MARK_SCHEMA} OWNER TO <role>`;
}

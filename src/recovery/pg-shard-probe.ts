// The real probe of one shard, over two connections: looking is never queued behind a COMMIT PREPARED that waits.
import pg from 'pg';
import type { Clock } from '../kernel/clock.ts';
import type { CommandReply } from '../shard/branch-link.ts';
import { gidPrefix, parseOwnerName } from '../transaction/gid.ts';
import { widenXid } from './branch-state.ts';
import { LOCK_WAITS, type LockWait, readLockWaits } from './lock-waits.ts';
import { PROBE_DEADLINES, ProbeConnection, type ProbeDeadlines, type ProbeTarget } from './probe-connection.ts';
import type { Answer, Fenced, ShardProbe, ShardScan, XidStatus } from './shard-probe.ts';

export interface PgShardProbeOptions extends ProbeTarget {
  readonly clock: Clock;
  readonly deadlines?: Partial<ProbeDeadlines>;
  /** COMMIT PREPARED may wait for a synchronous standby; what it became is asked again afterwards. Default 5 s. */
  readonly resolveTimeoutMs?: number;
  /** How long to wait for ended backends to be gone; default 2 s. */
  readonly fenceTimeoutMs?: number;
}

/** pg_xact_status could report a transaction that was still committing as finished before 14.5. */
const SERVER_VERSION_MIN = 140_005;
const RESOLVE_TIMEOUT_MS = 5_000;
const FENCE_TIMEOUT_MS = 2_000;
const FENCE_POLL_MS = 20;

/**
 * All that a pass needs to know, in one statement, so that it is one server's answer. The timeline comes from the WAL file
 * name: the control file's is stale between a promotion and the next checkpoint. A checkpoint whose redo position is its
 * own is the one that ended a shutdown or a crash recovery (with wal_level minimal an idle online one looks the same).
 */
const SCAN = `
  SELECT pg_is_in_recovery(), current_setting('server_version_num'), system_identifier::text,
         CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
         pg_snapshot_xmax(pg_current_snapshot())::text,
         (SELECT (extract(epoch FROM max(backend_start)) * 1000)::bigint::text FROM pg_stat_activity
           WHERE backend_type = 'checkpointer'),
         CASE WHEN c.redo_lsn = c.checkpoint_lsn AND current_setting('wal_level') <> 'minimal' THEN c.next_xid END,
         c.timeline_id::text,
         (extract(epoch FROM clock_timestamp()) * 1000)::bigint::text,
         (SELECT coalesce(json_agg(json_build_array(gid, transaction::text,
                                                    (extract(epoch FROM prepared) * 1000)::bigint) ORDER BY prepared), '[]')
            FROM pg_prepared_xacts WHERE database = current_database())::text
    FROM pg_control_system(), pg_control_checkpoint() AS c`;

export class PgShardProbe implements ShardProbe {
  readonly shard: string;
  readonly #looking: ProbeConnection;
  readonly #acting: ProbeConnection;
  readonly #clock: Clock;
  readonly #fenceTimeoutMs: number;
  #resolving: Promise<unknown> = Promise.resolve();

  /** Connects to nothing yet; each question does when it must. */
  constructor(options: PgShardProbeOptions) {
    const deadlines = { ...PROBE_DEADLINES, ...options.deadlines };
    this.shard = options.shard;
    this.#clock = options.clock;
    this.#fenceTimeoutMs = options.fenceTimeoutMs ?? FENCE_TIMEOUT_MS;
    this.#looking = new ProbeConnection(options, deadlines, options.clock);
    const acting = { ...deadlines, commandTimeoutMs: options.resolveTimeoutMs ?? RESOLVE_TIMEOUT_MS };
    this.#acting = new ProbeConnection(options, acting, options.clock);
  }

  async fence(cluster: string, instance: string, beforeEpoch: number): Promise<Answer<Fenced>> {
    // Without pg_read_all_stats the names of other users' connections are hidden, and nothing would be found.
    const seen = await this.#ask(
      `SELECT application_name, pg_has_role('pg_read_all_stats', 'USAGE')::text, pg_is_in_recovery()::text
         FROM (SELECT 1) AS one LEFT JOIN
              (SELECT DISTINCT application_name FROM pg_stat_activity WHERE starts_with(application_name, $1)) AS a ON true`,
      [gidPrefix(cluster, instance)],
    );
    if (seen.kind === 'absent') return seen;
    if (seen.value[0]?.[2] === 'true') return { kind: 'absent', cause: 'standby', why: `${this.shard} is a standby` };
    if (seen.value[0]?.[1] !== 'true') {
      return { kind: 'absent', cause: 'refused', why: 'the recovery role lacks pg_read_all_stats' };
    }
    const older = seen.value.map((row) => row[0] ?? '').filter((name) => isOlder(name, instance, beforeEpoch));
    if (older.length === 0) return { kind: 'answer', value: { terminated: 0, remaining: 0 } };
    return this.#terminate('application_name = ANY ($1)', [older]);
  }

  async scan(): Promise<Answer<ShardScan>> {
    const reply = await this.#ask(SCAN);
    if (reply.kind === 'absent') return reply;
    const row = reply.value[0] ?? [];
    const [standby, version, systemIdentifier, walTimeline, xmax, livingSince, nextXid, controlTimeline, now, list] =
      row;
    if (standby === 't') return { kind: 'absent', cause: 'standby', why: `${this.shard} is a standby` };
    if (Number(version) < SERVER_VERSION_MIN) {
      return {
        kind: 'absent',
        cause: 'too-old',
        why: `${this.shard} runs PostgreSQL ${version}, 14.5 or later is needed`,
      };
    }
    const timeline = Number.parseInt(walTimeline ?? '', 16);
    const prepared = JSON.parse(list ?? '[]') as [string, string, number][];
    const value: ShardScan = {
      systemIdentifier: systemIdentifier ?? '',
      timeline,
      livingSinceMs: livingSince == null ? null : Number(livingSince),
      recoveredNextXid: nextXid == null || Number(controlTimeline) !== timeline ? null : fullXid(nextXid),
      prepared: prepared.map(([gid, xid, preparedAtMs]) => ({ gid, xid: widenXid(xid, xmax ?? '0'), preparedAtMs })),
      nowMs: Number(now),
    };
    return { kind: 'answer', value };
  }

  async xidStatus(xid: string): Promise<Answer<XidStatus>> {
    const reply = await this.#looking.run('SELECT pg_xact_status($1::xid8)', [xid]);
    if (reply.kind === 'error' && reply.error.code === '22023') return { kind: 'answer', value: 'future' };
    const rows = answerOf(reply);
    return rows.kind === 'absent' ? rows : { kind: 'answer', value: xidStatusOf(rows.value[0]?.[0] ?? null) };
  }

  async timelineEnd(timeline: number): Promise<Answer<string | null>> {
    // Reading it needs pg_read_server_files or more; without, a branch of an earlier timeline stays unproven.
    const reply = await this.#looking.run(
      `SELECT pg_read_file('pg_wal/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '.history', true)`,
    );
    if (reply.kind === 'error') return { kind: 'answer', value: null };
    const rows = answerOf(reply);
    return rows.kind === 'absent' ? rows : { kind: 'answer', value: switchPoint(rows.value[0]?.[0] ?? '', timeline) };
  }

  terminateXid(xid: string, ownerName: string): Promise<Answer<Fenced>> {
    // backend_xid has 32 bits; the connection's name makes up for the rest.
    const xid32 = BigInt.asUintN(32, BigInt(xid)).toString();
    return this.#terminate('backend_xid = $1::xid AND application_name = $2', [xid32, ownerName]);
  }

  terminateBackend(pid: number, backendStart: string): Promise<Answer<Fenced>> {
    return this.#terminate('pid = $1::int AND backend_start = $2::timestamptz', [pid, backendStart]);
  }

  /** Who among `pids` and those they wait for, directly or not, waits for a lock now. */
  async lockWaits(pids: readonly number[]): Promise<Answer<readonly LockWait[]>> {
    const reply = await this.#ask(LOCK_WAITS, [pids]);
    return reply.kind === 'absent' ? reply : { kind: 'answer', value: readLockWaits(reply.value) };
  }

  resolve(gid: string, verdict: 'commit' | 'abort'): Promise<CommandReply> {
    const verb = verdict === 'commit' ? 'COMMIT PREPARED' : 'ROLLBACK PREPARED';
    // One after another, so that nobody changes the role between two statements of this one.
    const reply = this.#resolving.then(() => this.#resolveAsOwner(gid, `${verb} ${pg.escapeLiteral(gid)}`));
    this.#resolving = reply;
    return reply;
  }

  async close(): Promise<void> {
    await Promise.all([this.#looking.close(), this.#acting.close()]);
  }

  /**
   * Only a superuser or the owner may finish a prepared transaction. A role that is neither becomes the owner, and stays so
   * on this connection: the next one is most likely the same owner's.
   */
  async #resolveAsOwner(gid: string, command: string): Promise<CommandReply> {
    const reply = await this.#acting.run(command);
    if (reply.kind !== 'error' || reply.error.code !== '42501') return reply;
    const owners = await this.#ask('SELECT owner FROM pg_prepared_xacts WHERE gid = $1', [gid]);
    const owner = owners.kind === 'answer' ? owners.value[0]?.[0] : undefined;
    if (owner == null) return reply;
    // Whatever happens from here on, the branch is prepared or finished, and the next pass comes back to it.
    const became = await this.#acting.run(`SET ROLE ${pg.escapeIdentifier(owner)}`);
    return became.kind === 'complete' ? this.#acting.run(command) : became;
  }

  /** Ends the backends that match and waits: gone from pg_stat_activity means that their transactions are over. */
  async #terminate(condition: string, values: readonly unknown[]): Promise<Answer<Fenced>> {
    const matching = `FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND ${condition}`;
    const sent = await this.#ask(`SELECT pg_terminate_backend(pid)::text ${matching}`, values);
    if (sent.kind === 'absent') return sent;
    const deadlineMs = this.#clock.monotonicMs() + this.#fenceTimeoutMs;
    for (;;) {
      // A crash here leaves backends that are ending; the next pass fences again.
      const left = await this.#ask(`SELECT count(*) ${matching}`, values);
      if (left.kind === 'absent') return left;
      const remaining = Number(left.value[0]?.[0]);
      if (remaining === 0 || this.#clock.monotonicMs() >= deadlineMs) {
        return { kind: 'answer', value: { terminated: sent.value.length - remaining, remaining } };
      }
      await this.#clock.sleep(FENCE_POLL_MS);
    }
  }

  async #ask(sql: string, values: readonly unknown[] = []): Promise<Answer<Rows>> {
    return answerOf(await this.#looking.run(sql, values));
  }
}

type Rows = readonly (readonly (string | null)[])[];

function answerOf(reply: CommandReply): Answer<Rows> {
  switch (reply.kind) {
    case 'complete':
      return { kind: 'answer', value: reply.rows };
    case 'error':
      return { kind: 'absent', cause: 'refused', why: `${reply.error.code} ${reply.error.message}` };
    case 'lost':
      return { kind: 'absent', cause: 'unreachable', why: reply.lost.message };
  }
}

/** Only names that we would have rendered, of exactly that instance, of an epoch before ours. */
function isOlder(name: string, instance: string, beforeEpoch: number): boolean {
  const owner = parseOwnerName(name);
  return owner !== null && owner.instance === instance && owner.epoch < beforeEpoch;
}

/** `epoch:xid` of the control file as one decimal number. */
function fullXid(text: string): string {
  const [epoch, xid] = text.split(':');
  return ((BigInt(epoch ?? 0) << 32n) | BigInt(xid ?? 0)).toString();
}

function xidStatusOf(text: string | null): XidStatus {
  return text === 'committed' || text === 'aborted' || text === 'in progress' ? text : null;
}

/** The line `<timeline>\t<X/X>\t<reason>` of a history file. */
function switchPoint(history: string, timeline: number): string | null {
  for (const line of history.split('\n')) {
    const [id, lsn] = line.trim().split(/\s+/);
    if (Number(id) === timeline && lsn !== undefined) return lsn;
  }
  return null;
}

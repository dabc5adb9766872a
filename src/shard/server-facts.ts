// The one query that tells which server a new connection reached, and the check that commits can rely on it.
import type { CommandReply, ServerIdentity } from './branch-link.ts';
import { describeMismatch, MARK_EXPRESSION } from './placement-mark.ts';
import { ConnectFailure, failureOfLoss, type ShardTarget } from './target.ts';

/** 14.5: before it, a server could report a wrong status for a transaction that is committing. */
const VERSION_MIN = 140_005;

export interface ServerFacts {
  readonly identity: ServerIdentity;
  /** server_version_num, e.g. 180004. */
  readonly versionNum: number;
  /** 0: this server cannot take part in a two-phase commit. */
  readonly maxPreparedTransactions: number;
}

// The timeline comes from the write position, which is right at once after a promotion; the control file's lags.
// backend_start is written the same way whatever DateStyle and TimeZone are, and reads back as timestamptz.
export const FACTS_QUERY = `SELECT pg_catalog.pg_is_in_recovery(),
  pg_catalog.current_setting('server_version_num'),
  pg_catalog.current_setting('max_prepared_transactions'),
  (SELECT system_identifier FROM pg_catalog.pg_control_system()),
  CASE WHEN NOT pg_catalog.pg_is_in_recovery()
    THEN pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END,
  pg_catalog.pg_backend_pid(),
  (SELECT pg_catalog.to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00')
    FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())),
  ${MARK_EXPRESSION}`;

/** Reads the reply to FACTS_QUERY; throws ConnectFailure where the server is a standby, too old, misplaced or not understood. */
export function readServerFacts(target: ShardTarget, reply: CommandReply): ServerFacts {
  if (reply.kind === 'lost') throw failureOfLoss(target, reply.lost);
  if (reply.kind === 'error') throw new ConnectFailure(target, 'refused', reply.error.message, reply.error);
  const [standby, version, slots, systemIdentifier, timeline, pid, backendStart, mark = null] = reply.rows[0] ?? [];
  if (standby === 't') {
    throw new ConnectFailure(target, 'standby', 'the server is a standby (pg_is_in_recovery() is true), not a primary');
  }
  const versionNum = Number(version);
  if (!(versionNum >= VERSION_MIN)) {
    throw new ConnectFailure(target, 'unfit', `server version ${version} is older than 14.5`);
  }
  if (target.placement !== undefined && target.placement !== mark) {
    throw new ConnectFailure(target, 'misplaced', describeMismatch(target.placement, mark));
  }
  const timelineNumber = Number.parseInt(timeline ?? '', 16);
  if (!systemIdentifier || !backendStart || !(timelineNumber > 0)) {
    throw new ConnectFailure(target, 'protocol', 'the server did not tell its identity');
  }
  return {
    identity: { systemIdentifier, timeline: timelineNumber, backendPid: Number(pid), backendStart },
    versionNum,
    maxPreparedTransactions: Number(slots),
  };
}

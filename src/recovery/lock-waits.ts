// The question who waits for whose locks on one server, and its answer. Every role may ask it.

/** One backend that waits for a lock. */
export interface LockWait {
  readonly pid: number;
  /** When this wait began, server clock; with the pid it names the wait, and two looks can tell whether it is the same. */
  readonly since: string;
  /** The backends it waits for; a prepared transaction has none, so it is not among them. */
  readonly blockers: readonly number[];
}

/**
 * $1: pids to begin with. From them it follows the waits, so that a look costs by who is involved and not by how many
 * wait elsewhere: pg_blocking_pids holds up the server's lock manager for a moment. It stands behind the scan of pg_locks,
 * which is read whole before its first row; so between two looks that show one wait the blockers of the first are its own.
 */
export const LOCK_WAITS = `
  WITH RECURSIVE involved(pid) AS (
    SELECT pid FROM pg_catalog.unnest($1::integer[]) AS asked(pid)
    UNION
    SELECT blocker FROM involved, pg_catalog.unnest(pg_catalog.pg_blocking_pids(involved.pid)) AS blocking(blocker))
  SELECT waiting.pid::text, (extract(epoch FROM waiting.waitstart))::text,
         pg_catalog.array_to_json(pg_catalog.pg_blocking_pids(waiting.pid))::text
    FROM involved JOIN pg_catalog.pg_locks AS waiting USING (pid)
   WHERE NOT waiting.granted AND waiting.waitstart IS NOT NULL`;

export function readLockWaits(rows: readonly (readonly (string | null)[])[]): LockWait[] {
  return rows.map(([pid, since, blockers]) => ({
    pid: Number(pid),
    since: since ?? '',
    blockers: (JSON.parse(blockers ?? '[]') as number[]).filter((blocker) => blocker !== 0),
  }));
}

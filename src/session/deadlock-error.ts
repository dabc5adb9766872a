// What the client of a deadlock's victim is told: 40P01 as PostgreSQL says it, in place of the 57014 with which the shard
// answers our cancel request.
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';

/** One wait of a deadlock, as the shard's own process ids say it. */
export interface DeadlockWait {
  /** Logical shard name. */
  readonly shard: string;
  readonly waiterPid: number;
  readonly blockerPid: number;
}

/** The waits that closed a circle over several shards; the victim's first. */
export interface Deadlock {
  readonly waits: readonly DeadlockWait[];
}

/** The shards a deadlock lies on, each once. */
export function shardsOfDeadlock({ waits }: Deadlock): string[] {
  return [...new Set(waits.map(({ shard }) => shard))];
}

export function deadlockError(deadlock: Deadlock): SqlError {
  const waits = deadlock.waits.map(
    ({ shard, waiterPid, blockerPid }) => `on ${shard} process ${waiterPid} waits for process ${blockerPid}`,
  );
  return sqlError(SQLSTATE.deadlockDetected, 'deadlock detected', {
    detail: `The circle of waits goes over ${shardsOfDeadlock(deadlock).join(', ')}: ${waits.join('; ')}.`,
    hint: 'Run the transaction again. Transactions that change rows in one order do not wait for each other in a circle.',
  });
}

/** `error`, unless it is the shard's answer to the cancel request that `deadlock` was the reason for. */
export function errorOfVictim(error: SqlError, deadlock: Deadlock | undefined): SqlError {
  return deadlock !== undefined && error.code === SQLSTATE.queryCanceled ? deadlockError(deadlock) : error;
}

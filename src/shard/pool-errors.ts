// What clients are told when a pool cannot give them a connection: which shard, why, and what may be done.
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import type { PoolStats } from './pool-options.ts';
import { addressOf, type ShardTarget } from './target.ts';

const place = (target: ShardTarget) => `shard "${target.shard}" (${addressOf(target)})`;

function load({ leased, sizeMax, waiting, lastFailure }: PoolStats): string {
  const counts = `${leased} of ${sizeMax} connections are in use, ${waiting} requests are waiting.`;
  return lastFailure === undefined ? counts : `${counts} The last attempt to connect failed: ${lastFailure}`;
}

export function queueFullError(target: ShardTarget, stats: PoolStats): SqlError {
  return sqlError(SQLSTATE.tooManyConnections, `too many requests wait for a connection to ${place(target)}`, {
    detail: load(stats),
    hint: 'Make the pool of this shard larger, or send fewer transactions at once.',
  });
}

export function waitedTooLongError(target: ShardTarget, stats: PoolStats, queueWaitMs: number): SqlError {
  // Nobody holds a connection, so it is not the pool that is too small: the server has not answered.
  if (stats.leased + stats.idle === 0) {
    const message = `no connection to ${place(target)} could be made within ${queueWaitMs} ms`;
    return sqlError(SQLSTATE.cannotConnect, message, { detail: 'The server has not answered yet.' });
  }
  const message = `no connection to ${place(target)} became free within ${queueWaitMs} ms`;
  return sqlError(SQLSTATE.tooManyConnections, message, {
    detail: load(stats),
    hint: 'Make the pool of this shard larger, or look for transactions that stay open.',
  });
}

export function shutDownError(target: ShardTarget): SqlError {
  return sqlError(SQLSTATE.adminShutdown, `the connections to ${place(target)} are being closed`);
}

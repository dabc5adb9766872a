// `kubectl atomshard status`: one cluster on one screen, what is wrong at the end where the eye stops. Pure but for the reading.
import type { StatusCondition } from '../operator/api/sharded-cluster.generated.ts';
import type { ShardedCluster } from '../operator/api/sharded-cluster.ts';
import { EXIT } from './plugin-error.ts';
import { age, table } from './table.ts';

/** What a condition says when all is well. */
const WELL: Readonly<Record<string, StatusCondition['status']>> = {
  Ready: 'True',
  ShardsReady: 'True',
  ProxyReady: 'True',
  TwoPhaseHealthy: 'True',
  Progressing: 'False',
  Degraded: 'False',
  PendingRestart: 'False',
  InDoubtTransactions: 'False',
  WalLost: 'False',
  ReconciliationPaused: 'False',
  DeletionBlocked: 'False',
};

export function statusLines({ metadata, status }: ShardedCluster, nowMs: number): string[] {
  if (status === undefined) return [`${metadata.name}: the operator has not seen it yet`];
  const { phase, message, clusterId = '-', conditions = [] } = status;
  const bad = conditions.filter((condition) => !isWell(condition));
  return [
    `${metadata.name}: ${phase ?? 'Unknown'}${message === undefined ? '' : `, ${message}`}`,
    `transactions are called ${clusterId}:…, in doubt: ${status.inDoubtTransactions ?? 'unknown'}`,
    '',
    ...table([['SHARD', 'READY', 'PREPARED', 'FOREIGN', 'OLDEST', ''], ...shardRows(status.shards ?? [], nowMs)]),
    '',
    ...table([['PROXY', 'STATE', 'EPOCH', 'IN DOUBT', 'COMMITTED', 'LOG'], ...proxyRows(status.proxies ?? [])]),
    ...recoveryLines(status.lastRecovery, nowMs),
    ...heldLines(status.heldTransactions ?? []),
    '',
    ...(bad.length === 0 ? ['All conditions are well.'] : bad.map((condition) => conditionLine(condition, nowMs))),
  ];
}

/** For scripts: 0 while the cluster serves and every transaction has ended. */
export function statusExitCode({ status }: ShardedCluster): number {
  const said = (type: string) => status?.conditions?.find((condition) => condition.type === type)?.status;
  return said('Ready') === 'True' && said('TwoPhaseHealthy') === 'True' ? EXIT.ok : EXIT.failed;
}

/** A condition of a later version counts as well: nothing is known about it. */
function isWell({ type, status }: StatusCondition): boolean {
  return WELL[type] === undefined || WELL[type] === status;
}

type Status = NonNullable<ShardedCluster['status']>;

function shardRows(shards: NonNullable<Status['shards']>, nowMs: number): string[][] {
  return shards.map((shard) => [
    shard.name,
    shard.ready === true ? 'yes' : 'no',
    `${shard.preparedTransactions ?? '-'}/${shard.maxPreparedTransactions ?? '-'}`,
    String(shard.foreignPreparedTransactions ?? '-'),
    shard.oldestPreparedTime === undefined ? '-' : age(nowMs - Date.parse(shard.oldestPreparedTime)),
    shard.message ?? '',
  ]);
}

function proxyRows(proxies: NonNullable<Status['proxies']>): string[][] {
  return proxies.map(({ name, state, epoch, inDoubt, positions, walId }) => [
    name,
    state ?? 'away',
    String(epoch ?? '-'),
    String(inDoubt ?? '-'),
    String(positions?.committed ?? '-'),
    walId ?? '-',
  ]);
}

function recoveryLines(last: Status['lastRecovery'], nowMs: number): string[] {
  if (last?.time === undefined) return [];
  const { time, committed = 0, rolledBack = 0, held = 0 } = last;
  const ago = age(nowMs - Date.parse(time));
  return ['', `Last recovery ${ago} ago: committed ${committed}, rolled back ${rolledBack}, held ${held}.`];
}

function heldLines(held: NonNullable<Status['heldTransactions']>): string[] {
  if (held.length === 0) return [];
  const rows = held.map(({ transaction, reason = '', needsDecision, participants = '' }) => [
    transaction,
    needsDecision === true ? 'for you to decide' : 'tried again',
    reason,
    participants,
  ]);
  return ['', ...table([['HELD', '', 'ROW', 'PARTICIPANTS'], ...rows])];
}

function conditionLine({ type, status, reason, message, lastTransitionTime }: StatusCondition, nowMs: number): string {
  return `${type} is ${status} since ${age(nowMs - Date.parse(lastTransitionTime))} (${reason}): ${message}`;
}

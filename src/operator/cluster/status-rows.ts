// The rows of the status: each shard as SQL shows it, each proxy by its own word, and shards that left the spec. Pure.
import { timeText } from '../../kernel/quantity.ts';
import type {
  ShardedClusterStatus,
  StatusHeldTransaction,
  StatusProxy,
  StatusRetiredShard,
  StatusShard,
} from '../api/sharded-cluster.generated.ts';
import { shardNames } from '../desired/names.ts';
import type { ShardFacts } from '../sql/facts.ts';
import { shardFault } from './conditions.ts';
import type { Look, ProxyObservation, ShardObservation } from './observation.ts';
import type { StatusInput } from './status-input.ts';

/** Under load something is always prepared for a moment; older than this it is worth telling. */
const OLD_PREPARED_MS = 10_000;

export function shardRow(input: StatusInput, shard: ShardObservation): StatusShard {
  const fault = shardFault(input, shard.name);
  const facts = lastFacts(shard.look);
  return {
    name: shard.name,
    ready: fault === undefined,
    ...(fault === undefined ? {} : { message: fault.message }),
    ...(facts === undefined ? {} : shardNumbers(facts)),
  };
}

/** What was seen last; a shard that is silent keeps its numbers, and `ready` says that they are old. */
function lastFacts<T>(look: Look<T>): T | undefined {
  switch (look.kind) {
    case 'seen':
      return look.facts;
    case 'failed':
      return look.last?.facts;
    case 'never':
      return undefined;
  }
}

function shardNumbers({ maxPreparedTransactions, prepared, pendingRestart, nowMs }: ShardFacts): Partial<StatusShard> {
  const { count, foreign, oldestMs } = prepared;
  const old = oldestMs !== null && nowMs - oldestMs >= OLD_PREPARED_MS;
  return {
    maxPreparedTransactions,
    preparedTransactions: count,
    foreignPreparedTransactions: foreign,
    ...(old ? { oldestPreparedTime: timeText(oldestMs) } : {}),
    pendingRestart: pendingRestart.length > 0,
  };
}

/** Proxies that are wanted, run, or left a log that may still be needed. */
export function proxyRows(input: StatusInput): StatusProxy[] {
  const { observation } = input;
  const { replicas } = observation.cluster.spec.proxy;
  return observation.proxies
    .filter(({ ordinal, pod, claim }) => ordinal < replicas || pod !== undefined || claim !== undefined)
    .map((proxy) => proxyRow(input, proxy));
}

function proxyRow({ recovery, before }: StatusInput, { name, instance, look }: ProxyObservation): StatusProxy {
  const known = before?.proxies?.find((row) => row.name === name);
  const finding = recovery.instances.find((each) => each.instance === instance);
  const facts = lastFacts(look);
  const positions = facts?.positions ?? undefined;
  // The log's identity outlives the pod: by it a volume that was replaced is noticed.
  const walId = finding?.walId ?? facts?.walId ?? known?.walId;
  const epoch = finding?.epoch ?? facts?.epoch ?? known?.epoch;
  const recoveredAt = facts?.lastRecovery == null ? known?.lastRecoveryTime : timeText(facts.lastRecovery.atMs);
  const inDoubt = finding?.inDoubt ?? facts?.inDoubt;
  const kept = positions === undefined ? known?.positions : pick(positions);
  return {
    name,
    ...(look.kind === 'seen' ? { state: look.facts.state } : {}),
    ...(walId == null ? {} : { walId }),
    ...(epoch == null ? {} : { epoch }),
    ...(kept === undefined ? {} : { positions: kept }),
    ...(inDoubt === undefined ? {} : { inDoubt }),
    ...(recoveredAt === undefined ? {} : { lastRecoveryTime: recoveredAt }),
  };
}

function pick({ oldest, applied, committed, appended }: Required<NonNullable<StatusProxy['positions']>>) {
  return { oldest, applied, committed, appended };
}

export function retiredRows({ observation, before }: StatusInput): StatusRetiredShard[] {
  const { cluster, shards, nowMs } = observation;
  return shards
    .filter(({ kind }) => kind === 'retired')
    .map(({ name, index }) => {
      const known = before?.retiredShards?.find((row) => row.name === name);
      return {
        name,
        retiredTime: known?.retiredTime ?? timeText(nowMs),
        claimName: shardNames(cluster.metadata.name, index).claim,
      };
    });
}

/** What the schema takes; the condition tells that there are more. */
const HELD_ROWS_MAX = 100;
const PARTICIPANTS_MAX = 1_024;

/** Transactions that nobody could end, for people and `kubectl atomshard`. */
export function heldRows({ recovery }: StatusInput): StatusHeldTransaction[] {
  const inOrder = recovery.held.toSorted((one, other) => (one.transaction < other.transaction ? -1 : 1));
  return inOrder.slice(0, HELD_ROWS_MAX).map(({ transaction, reason, askHuman, participants }) => ({
    transaction,
    reason,
    needsDecision: askHuman,
    participants: participants
      .map(({ shard, state }) => `${shard} ${state}`)
      .join(', ')
      .slice(0, PARTICIPANTS_MAX),
  }));
}

/** The newest pass of anybody; it stays when nobody remembers it any more. */
export function lastRecoveryOf({ recovery, before }: StatusInput): ShardedClusterStatus['lastRecovery'] {
  const { lastRecovery } = recovery;
  if (lastRecovery === null) return before?.lastRecovery;
  const { atMs, committed, rolledBack, held } = lastRecovery;
  return { time: timeText(atMs), committed, rolledBack, held };
}

// A cluster called bank with two shards and two proxies that all serve, as one observation; tests change what they are about.
import type { ShardedClusterStatus } from '../../../../src/operator/api/sharded-cluster.generated.ts';
import type { Plan } from '../../../../src/operator/cluster/action.ts';
import { NO_FINDINGS } from '../../../../src/operator/cluster/no-recovery.ts';
import type {
  Look,
  Observation,
  ProxyObservation,
  ShardObservation,
} from '../../../../src/operator/cluster/observation.ts';
import { nothing } from '../../../../src/operator/cluster/plan-nothing.ts';
import type { StatusInput } from '../../../../src/operator/cluster/status-input.ts';
import type { ProxyFacts, ShardFacts, SqlFailure } from '../../../../src/operator/sql/facts.ts';
import { shardedCluster } from '../../../support/sharded-cluster.ts';

export const NOW_MS = Date.UTC(2026, 10, 21, 14, 0, 0);

export const SHARD_FACTS: ShardFacts = {
  version: 180_004,
  primary: true,
  systemIdentifier: '7400000000000000000',
  dataChecksums: true,
  maxPreparedTransactions: 200,
  maxConnections: 400,
  tables: 0,
  connections: 3,
  prepared: { count: 0, ours: 0, runs: [], foreign: 0, oldestMs: null, oldestForeignMs: null },
  pendingRestart: [],
  differences: [],
  fileBehind: false,
  configurationFaults: [],
  configurationLoadedMs: NOW_MS - 60_000,
  startedMs: NOW_MS - 60_000,
  nowMs: NOW_MS,
};

export const PROXY_FACTS: ProxyFacts = {
  instance: 'proxy-0',
  state: 'Active',
  ready: true,
  notReadyReason: null,
  version: '0.1.0',
  configSha256: 'ab',
  configError: null,
  restartNeeded: [],
  walId: 'wal-a',
  epoch: 1789,
  positions: { oldest: 1, applied: 40, committed: 42, durable: 42, appended: 42 },
  walSegments: 2,
  walBytes: 1,
  walFreeBytes: 1,
  inDoubt: 0,
  held: 0,
  clients: 1,
  running: 0,
  lastRecovery: { atMs: NOW_MS - 50_000, committed: 0, committedIds: [], rolledBack: 0, rolledBackIds: [], held: 0 },
};

export const seen = <T>(facts: T): Look<T> => ({ kind: 'seen', atMs: NOW_MS, facts });

/** `kindForMs`: with this very kind of failure. */
export function failed(kind: SqlFailure['kind'], message: string, forMs: number, kindForMs = forMs): Look<never> {
  const since = { sinceMs: NOW_MS - forMs, kindSinceMs: NOW_MS - kindForMs };
  return { kind: 'failed', atMs: NOW_MS, ...since, failure: { kind, message }, last: undefined };
}

const readyPod = (name: string) => ({
  metadata: { name, namespace: 'test', uid: `uid-${name}` },
  status: { conditions: [{ type: 'Ready', status: 'True' }] },
});

export function shardSeen(index: number, more: Partial<ShardObservation> = {}): ShardObservation {
  return {
    name: `shard-${index}`,
    index,
    kind: 'made',
    statefulSet: undefined,
    pod: readyPod(`bank-shard-${index}-0`),
    claim: undefined,
    look: seen(SHARD_FACTS),
    setup: { kind: 'done', problems: [] },
    ...more,
  };
}

export function proxySeen(ordinal: number, more: Partial<ProxyObservation> = {}): ProxyObservation {
  const instance = `proxy-${ordinal}`;
  return {
    ordinal,
    name: `bank-${instance}`,
    instance,
    pod: readyPod(`bank-${instance}`),
    claim: undefined,
    look: seen({ ...PROXY_FACTS, instance, walId: `wal-${ordinal}` }),
    ...more,
  };
}

export interface Changes {
  readonly spec?: object;
  readonly observation?: Partial<Observation>;
  readonly plan?: Partial<Plan>;
  readonly input?: Partial<StatusInput>;
  readonly generation?: number;
  readonly deletionTimestamp?: string;
}

/** Everything that a status is made from. */
export function seenCluster(changes: Changes = {}): StatusInput {
  const cluster = shardedCluster({ shards: { count: 2, storage: { size: '1Gi' } }, ...changes.spec });
  const { generation = 1, deletionTimestamp } = changes;
  const metadata = {
    ...cluster.metadata,
    generation,
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
  };
  const observation: Observation = {
    cluster: { ...cluster, metadata },
    nowMs: NOW_MS,
    clusterId: 'k3x9q',
    children: { byKey: new Map(), pods: [], claims: [], statefulSets: [], jobs: [], events: [] },
    shards: [shardSeen(0), shardSeen(1)],
    proxies: [proxySeen(0), proxySeen(1)],
    proxySet: { metadata: { name: 'bank-proxy' }, spec: { replicas: 2 }, status: { replicas: 2 } },
    secrets: new Map(),
    refusedSets: new Set(),
    applyProblem: undefined,
    ...changes.observation,
  };
  const plan = { ...nothing('run'), settled: true, ...changes.plan };
  return { observation, plan, recovery: NO_FINDINGS, problems: [], before: undefined, ...changes.input };
}

/** status, reason and message of one condition. */
export function conditionOf(status: ShardedClusterStatus, type: string) {
  const found = status.conditions?.find((condition) => condition.type === type);
  return { status: found?.status, reason: found?.reason, message: found?.message };
}

// A scene for the recovery reconciler: what is seen of a cluster of two shards and two proxies, each part changed in words.
import type { ShardedClusterStatus } from '../../../../src/operator/api/sharded-cluster.generated.ts';
import type { Job, Pod } from '../../../../src/operator/cluster/kinds.ts';
import type { Look, Observation, ProxyObservation } from '../../../../src/operator/cluster/observation.ts';
import type { PreparedOfRun, ProxyFacts, ShardFacts } from '../../../../src/operator/sql/facts.ts';
import { shardedCluster } from '../../../support/sharded-cluster.ts';

/** An instant of the tests, and a grace period long behind it. */
export const NOW_MS = Date.parse('2026-03-01T12:00:00Z');
export const GRACE_MS = 300_000;
export const CLUSTER_ID = 'k3x9q';
export const WAL_ID = 'a'.repeat(32);

export interface Scene {
  readonly spec?: object;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly deletionTimestamp?: string;
  readonly status?: ShardedClusterStatus;
  readonly nowMs?: number;
  /** When the shards were last asked; now, unless a test says otherwise. */
  readonly looksAtMs?: number;
  /** By shard; one that is left out answers and holds nothing. */
  readonly left?: Readonly<Record<string, readonly PreparedOfRun[]>>;
  readonly foreign?: Readonly<Record<string, number>>;
  readonly silentShards?: readonly string[];
  readonly neverSeenShards?: readonly string[];
  /** By ordinal; those of the spec that are left out are well. */
  readonly proxies?: Readonly<Record<number, ProxyScene>>;
  readonly jobs?: readonly Job[];
}

export interface ProxyScene {
  /** 'none': there is no pod. */
  readonly pod?: 'none' | 'ready' | 'running' | 'crashing' | 'pending' | 'leaving' | 'failed';
  readonly notReadySince?: string;
  readonly claim?: 'none' | 'Bound' | 'Pending';
  readonly facts?: Partial<ProxyFacts>;
  /** Milliseconds since the Unix epoch; it does not answer since. */
  readonly silentSinceMs?: number;
}

export const run = (instance: string, count: number, ageMs: number, epoch = 1789): PreparedOfRun => ({
  instance,
  epoch,
  count,
  oldestMs: NOW_MS - ageMs,
});

export function observe(scene: Scene = {}): Observation {
  const cluster = shardedCluster({
    shards: { count: 2, storage: { size: '1Gi' } },
    ...scene.spec,
  });
  const { annotations, deletionTimestamp, status, nowMs = NOW_MS } = scene;
  const ordinals = new Set([
    ...Array(cluster.spec.proxy.replicas).keys(),
    ...Object.keys(scene.proxies ?? {}).map(Number),
  ]);
  const jobs = scene.jobs ?? [];
  return {
    cluster: {
      ...cluster,
      metadata: {
        ...cluster.metadata,
        ...(annotations === undefined ? {} : { annotations }),
        ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
      },
      ...(status === undefined ? {} : { status }),
    },
    nowMs,
    clusterId: CLUSTER_ID,
    children: { byKey: new Map(), pods: [], claims: [], statefulSets: [], jobs, events: [] },
    shards: Array.from({ length: cluster.spec.shards.count ?? 0 }, (_, index) => shardAt(scene, index, nowMs)),
    proxies: [...ordinals]
      .toSorted((a, b) => a - b)
      .map((ordinal) => proxyAt(ordinal, scene.proxies?.[ordinal] ?? {}, nowMs)),
    proxySet: undefined,
    secrets: new Map(),
    refusedSets: new Set(),
    applyProblem: undefined,
  };
}

function shardAt({ left, foreign, silentShards, neverSeenShards, looksAtMs }: Scene, index: number, nowMs: number) {
  const name = `shard-${index}`;
  const facts = shardFacts(left?.[name] ?? [], foreign?.[name] ?? 0, nowMs);
  const seen: Look<ShardFacts> = { kind: 'seen', atMs: looksAtMs ?? nowMs, facts };
  const failed: Look<ShardFacts> = {
    kind: 'failed',
    atMs: nowMs,
    sinceMs: nowMs - 1_000,
    kindSinceMs: nowMs - 1_000,
    failure: { kind: 'unreachable', message: `${name}: no answer` },
    last: seen,
  };
  const look = silentShards?.includes(name) === true ? failed : seen;
  return {
    ...{ name, index, kind: 'made' as const, statefulSet: undefined, pod: undefined, claim: undefined },
    look: neverSeenShards?.includes(name) === true ? ({ kind: 'never' } as const) : look,
    setup: { kind: 'done', problems: [] } as const,
  };
}

function shardFacts(runs: readonly PreparedOfRun[], foreign: number, nowMs: number): ShardFacts {
  const ours = runs.reduce((sum, { count }) => sum + count, 0);
  const oldestMs = runs.length === 0 ? null : Math.min(...runs.map((one) => one.oldestMs));
  return {
    ...{ version: 180_004, primary: true, systemIdentifier: '7001', dataChecksums: true },
    ...{ maxPreparedTransactions: 100, maxConnections: 100, connections: 3 },
    tables: 0,
    prepared: { count: ours + foreign, ours, runs, foreign, oldestMs, oldestForeignMs: foreign > 0 ? nowMs - 1 : null },
    ...{ pendingRestart: [], differences: [], fileBehind: false, configurationFaults: [] },
    ...{ configurationLoadedMs: 0, startedMs: 0, nowMs },
  };
}

function proxyAt(ordinal: number, scene: ProxyScene, nowMs: number): ProxyObservation {
  const name = `bank-proxy-${ordinal}`;
  const instance = `proxy-${ordinal}`;
  const { silentSinceMs } = scene;
  const pod = scene.pod === 'none' ? undefined : podOf(name, scene);
  const facts = { ...wellFacts(instance), ...scene.facts };
  const seen: Look<ProxyFacts> = { kind: 'seen', atMs: nowMs, facts };
  const failure = { kind: 'unreachable', message: `${name}: no answer` } as const;
  const failed = (sinceMs: number): Look<ProxyFacts> => ({
    kind: 'failed',
    atMs: nowMs,
    sinceMs,
    kindSinceMs: sinceMs,
    failure,
    last: undefined,
  });
  const phase = scene.claim ?? 'Bound';
  return {
    ...{ ordinal, name, instance, pod },
    claim: phase === 'none' ? undefined : { metadata: { namespace: 'test', name: `wal-${name}` }, status: { phase } },
    look: pod === undefined ? { kind: 'never' } : silentSinceMs === undefined ? seen : failed(silentSinceMs),
  };
}

function podOf(name: string, { pod = 'running', notReadySince }: ProxyScene): Pod {
  const states = {
    ready: { running: { startedAt: '2026-03-01T00:00:00Z' } },
    running: { running: { startedAt: '2026-03-01T00:00:00Z' } },
    leaving: { running: { startedAt: '2026-03-01T00:00:00Z' } },
    crashing: { waiting: { reason: 'CrashLoopBackOff' } },
    pending: { waiting: { reason: 'ImagePullBackOff' } },
    failed: { terminated: { exitCode: 1 } },
  } as const;
  const state = states[pod === 'none' ? 'running' : pod];
  const ready = { type: 'Ready', status: 'False', lastTransitionTime: notReadySince ?? '' };
  return {
    metadata: { namespace: 'test', name, ...(pod === 'leaving' ? { deletionTimestamp: '2026-03-01T11:00:00Z' } : {}) },
    spec: { nodeName: 'n2' },
    status: {
      phase: pod === 'failed' ? 'Failed' : 'Running',
      conditions: pod === 'ready' ? [{ type: 'Ready', status: 'True' }] : notReadySince === undefined ? [] : [ready],
      containerStatuses: [{ name: 'proxy', state }],
    },
  };
}

function wellFacts(instance: string): ProxyFacts {
  return {
    ...{ instance, state: 'Active', ready: true, notReadyReason: null, version: '0.1.0', configSha256: '' },
    ...{ configError: null, restartNeeded: [], walId: WAL_ID, epoch: 1789 },
    positions: { oldest: 1, applied: 1, committed: 1, durable: 1, appended: 1 },
    ...{
      walSegments: 1,
      walBytes: 1,
      walFreeBytes: 1,
      inDoubt: 0,
      held: 0,
      clients: 0,
      running: 0,
      lastRecovery: null,
    },
  };
}

// What must be true before something goes for good: a proxy that leaves is Clean, volumes are deleted after a look, and the finalizer
// is the last.
import { describe, expect, it } from 'vitest';
import { AppliedObjects } from '../../../../src/operator/cluster/applied.ts';
import { CLAIMS } from '../../../../src/operator/cluster/kinds.ts';
import { NO_FINDINGS } from '../../../../src/operator/cluster/no-recovery.ts';
import type { Observation, ProxyObservation } from '../../../../src/operator/cluster/observation.ts';
import { Performer } from '../../../../src/operator/cluster/perform.ts';
import { planDeletion } from '../../../../src/operator/cluster/plan-deletion.ts';
import { nothing } from '../../../../src/operator/cluster/plan-nothing.ts';
import { DRAINING, sizeProxies } from '../../../../src/operator/cluster/proxy-sizing.ts';
import { leftoverClaims, retireShards } from '../../../../src/operator/cluster/retirement.ts';
import { FINALIZER } from '../../../../src/operator/desired/labels.ts';
import type { ContainerStatus } from '../../../../src/operator/diagnosis/children.ts';
import type { KubeClient } from '../../../../src/operator/kube/client.ts';
import { KubeError } from '../../../../src/operator/kube/kube-error.ts';
import type { Gate, InstanceFinding } from '../../../../src/operator/recovery/types.ts';
import type { ProxyFacts, ProxyState } from '../../../../src/operator/sql/facts.ts';
import { createLog } from '../../../../src/telemetry/log.ts';
import { failed, NOW_MS, PROXY_FACTS, proxySeen, SHARD_FACTS, seen, seenCluster, shardSeen } from './seen-cluster.ts';

describe('a proxy that nobody wants any more', () => {
  const replicasWith = (state: ProxyState) => {
    const proxies = [proxySeen(0), proxySeen(1, { look: seen({ ...PROXY_FACTS, instance: 'proxy-1', state }) })];
    const { observation } = seenCluster({ spec: { proxy: { replicas: 1 } }, observation: { proxies } });
    const goal = { wanted: 1, stopping: false, mayDrain: true };
    return sizeProxies(observation, NO_FINDINGS, goal).replicas;
  };

  it.each(['Active', 'Draining', 'Recovering', 'InDoubt'] as const)('stays while it is %s', (state) => {
    expect(replicasWith(state)).toBe(2);
  });

  it('goes when its log is Clean', () => {
    expect(replicasWith('Clean')).toBe(1);
  });
});

describe('a proxy that nobody wants any more and that does not answer, with nothing of it in doubt', () => {
  const GRACE_MS = 60_000;
  const running = { name: 'proxy', state: { running: { startedAt: '2026-11-21T13:59:50Z' } } };
  const restarting = { name: 'proxy', restartCount: 1, state: { waiting: { reason: 'CrashLoopBackOff' } } };
  const ended = { name: 'proxy', restartCount: 0, state: { terminated: { exitCode: 137 } } };
  const neverRan = { name: 'proxy', restartCount: 0, state: { waiting: { reason: 'ImagePullBackOff' } } };

  function sized(look: ProxyObservation['look'], container: ContainerStatus, drainsForMs: number | undefined) {
    const since = drainsForMs === undefined ? {} : { [DRAINING]: new Date(NOW_MS - drainsForMs).toISOString() };
    const metadata = { name: 'bank-proxy-1', namespace: 'test', annotations: since };
    const pod = { metadata, status: { containerStatuses: [container] } };
    const proxies = [proxySeen(0), proxySeen(1, { look, pod })];
    const { observation } = seenCluster({ spec: { proxy: { replicas: 1 } }, observation: { proxies } });
    const facts = { inDoubt: 0, oldestMs: null, walId: null, epoch: null, walLost: null };
    const instances: InstanceFinding[] = [{ instance: 'proxy-1', state: { kind: 'gone' }, ...facts }];
    const goal = { wanted: 1, stopping: false, mayDrain: true };
    return sizeProxies(observation, { ...NO_FINDINGS, instances }, goal);
  }
  const silentFor = (ms: number) => failed('unreachable', 'connection refused', ms);

  it.each([
    ['runs again after a kill', silentFor(2_000), running],
    ['has just been killed', silentFor(100), ended],
    ['is about to run again after a kill', silentFor(2_000), restarting],
    ['runs and was never looked at by this operator', { kind: 'never' } as const, running],
  ])('stays while it %s: it may still tell of its recovery', (_when, look, container) => {
    const { replicas, waiting } = sized(look, container, 30_000);
    expect(replicas).toBe(2);
    expect(waiting.map(({ reason }) => reason)).toEqual(['ProxyNotAnswering']);
  });

  it('has its grace period for that, from when it fell silent or began to drain, and no more', () => {
    expect(sized(silentFor(GRACE_MS - 1_000), running, 600_000).replicas).toBe(2);
    expect(sized(silentFor(600_000), running, GRACE_MS - 1_000).replicas).toBe(2);
    expect(sized(silentFor(GRACE_MS + 1_000), running, GRACE_MS + 1_000).replicas).toBe(1);
    expect(sized({ kind: 'never' }, running, GRACE_MS + 1_000).replicas).toBe(1);
  });

  it('is annotated as it begins to wait, so that the wait ends for an operator that begins anew, too', () => {
    const { calm } = sized({ kind: 'never' }, running, undefined);
    expect(calm.map(({ kind }) => kind)).toEqual(['patch']);
  });

  it('goes at once when it never ran: it has nothing to tell', () => {
    expect(sized(silentFor(2_000), neverRan, 1_000).replicas).toBe(1);
  });
});

const gate: Gate = {
  ...{ reason: 'InDoubtTransactions', message: '2 in doubt', inDoubt: 2 },
  ...{ opensAtMs: null, ignored: false },
};

describe('a proxy that nobody wants any more and that has transactions in doubt', () => {
  function sized(facts: Partial<ProxyFacts> | undefined, ignored: boolean) {
    return sizedBy(facts, { ...gate, ignored }, false);
  }

  /** `drainsForMs`: since when the operator drains it. */
  function sizedBy(
    facts: Partial<ProxyFacts> | undefined,
    closed: Gate | undefined,
    stopping: boolean,
    drainsForMs = 0,
  ) {
    const look = facts === undefined ? failed('unreachable', 'refused', 1_000) : seen({ ...PROXY_FACTS, ...facts });
    const annotations = { [DRAINING]: new Date(NOW_MS - drainsForMs).toISOString() };
    const pod = { metadata: { name: 'bank-proxy-1', namespace: 'test', annotations } };
    const proxies = [proxySeen(0), proxySeen(1, { look, pod })];
    const { observation } = seenCluster({ spec: { proxy: { replicas: 1 } }, observation: { proxies } });
    const removal = new Map(closed === undefined ? [] : [['proxy-1', closed]]);
    const held: InstanceFinding['state'] = { kind: 'held', why: 'policy', message: 'inDoubtPolicy is Hold' };
    const known = { inDoubt: 2, oldestMs: null, walId: null, epoch: null, walLost: null };
    const instances = [{ instance: 'proxy-1', state: held, ...known }];
    const findings = { ...NO_FINDINGS, instances, gates: { ...NO_FINDINGS.gates, removal } };
    const { replicas, waiting } = sizeProxies(observation, findings, { wanted: 1, stopping, mayDrain: true });
    return [replicas, ...waiting.map(({ reason }) => reason)];
  }
  const drained = { state: 'Draining', running: 0, inDoubt: 2 } as const;

  it('stays however long it takes, unless a person says otherwise', () => {
    expect(sized(drained, false)).toEqual([2, 'InDoubtTransactions']);
    expect(sized(undefined, false)).toEqual([2, 'InDoubtTransactions']);
    expect(sized(drained, true)).toEqual([1]);
    expect(sized(undefined, true)).toEqual([1]);
  });

  it('drains before it goes by a person’s word, too', () => {
    expect(sized({ state: 'InDoubt', running: 0, inDoubt: 2 }, true)).toEqual([2, 'ProxyDraining']);
    expect(sized({ ...drained, running: 1 }, true)).toEqual([2, 'ProxyDraining']);
  });

  it('of a cluster that goes leaves at the deadline even with a client that never ends, and never before it', () => {
    const stuck = { ...drained, running: 1 };
    const past = { ...gate, opensAtMs: NOW_MS - 1 };
    expect(sizedBy(stuck, past, true, 61_000)).toEqual([1]);
    expect(sizedBy(stuck, past, true, 59_000)).toEqual([2, 'ProxyDraining']);
    expect(sizedBy(stuck, { ...gate, opensAtMs: NOW_MS + 1 }, true, 61_000)).toEqual([2, 'InDoubtTransactions']);
    expect(sizedBy(stuck, undefined, true, 61_000)).toEqual([2, 'ProxyDraining']);
  });
});

describe('several proxies that nobody wants any more', () => {
  function sized(states: readonly ProxyState[], stopping: boolean) {
    const proxies = states.map((state, ordinal) =>
      proxySeen(ordinal, { look: seen({ ...PROXY_FACTS, instance: `proxy-${ordinal}`, state }) }),
    );
    const proxySet = { metadata: { name: 'bank-proxy' }, spec: { replicas: states.length } };
    const { observation } = seenCluster({ observation: { proxies, proxySet } });
    const goal = { wanted: stopping ? 0 : 1, stopping, mayDrain: true };
    const { replicas, calm } = sizeProxies(observation, NO_FINDINGS, goal);
    return { replicas, drained: calm.flatMap((action) => (action.kind === 'drainProxy' ? [action.proxy] : [])) };
  }

  it('drain one after another from the highest, so that the others carry the clients', () => {
    expect(sized(['Active', 'Active', 'Active'], false)).toEqual({ replicas: 3, drained: ['bank-proxy-2'] });
    expect(sized(['Active', 'Active', 'Clean'], false)).toEqual({ replicas: 2, drained: ['bank-proxy-1'] });
  });

  it('drain all at once where nothing is to stay, and the highest that is not Clean keeps those below it', () => {
    const all = ['bank-proxy-2', 'bank-proxy-1', 'bank-proxy-0'];
    expect(sized(['Active', 'Active', 'Active'], true)).toEqual({ replicas: 3, drained: all });
    expect(sized(['Clean', 'Clean', 'Draining'], true)).toEqual({ replicas: 3, drained: [] });
    expect(sized(['Clean', 'Draining', 'Clean'], true)).toEqual({ replicas: 2, drained: [] });
  });
});

describe('the volume of a log whose proxy was scaled away', () => {
  const claim = { metadata: { namespace: 'test', name: 'wal-bank-proxy-1', uid: 'claim-1' } };

  function deleted(
    more: Partial<ProxyObservation> = {},
    { kind = 'gone' as string, gated = undefined as Gate | undefined, policy = 'Delete' } = {},
  ) {
    const gone = proxySeen(1, { pod: undefined, look: { kind: 'never' }, claim, ...more });
    const proxySet = { metadata: { name: 'bank-proxy' }, spec: { replicas: 1 } };
    const { observation } = seenCluster({
      spec: { proxy: { replicas: 1 }, pvcRetentionPolicy: { whenScaled: policy } },
      observation: { proxies: [proxySeen(0, { claim }), gone], proxySet },
    });
    const facts = { inDoubt: 0, oldestMs: null, walId: null, epoch: null, walLost: null };
    const instance = { instance: 'proxy-1', state: { kind } as InstanceFinding['state'], ...facts };
    const removal = new Map(gated === undefined ? [] : [['proxy-1', gated]]);
    const gates = { ...NO_FINDINGS.gates, removal };
    const instances = kind === 'unknown' ? [] : [instance];
    return leftoverClaims(observation, { ...NO_FINDINGS, instances, gates }).map((action) =>
      action.kind === 'delete' ? `${action.ref.name} ${action.uid}` : action.kind,
    );
  }

  it('is deleted where the policy says so and recovery knows that nothing of it is left', () => {
    expect(deleted()).toEqual(['wal-bank-proxy-1 claim-1']);
    expect(deleted({}, { policy: 'Retain' })).toEqual([]);
  });

  it.each(['unknown', 'present', 'away', 'acting', 'held', 'blocked'])('stays while recovery says %s', (kind) => {
    expect(deleted({}, { kind })).toEqual([]);
  });

  it('stays while transactions need it, while its pod is there, while it is wanted, and is not deleted twice', () => {
    expect(deleted({}, { gated: gate })).toEqual([]);
    // A person let the proxy go, not what its log knows.
    expect(deleted({}, { gated: { ...gate, ignored: true } })).toEqual([]);
    expect(deleted({ pod: { metadata: { name: 'bank-proxy-1' } } })).toEqual([]);
    expect(deleted({ ordinal: 0 })).toEqual([]);
    const leaving = { metadata: { ...claim.metadata, deletionTimestamp: '2026-11-21T13:00:00Z' } };
    expect(deleted({ claim: leaving })).toEqual([]);
  });
});

describe('a shard that left the spec', () => {
  function stopped(proxy: Partial<ProxyFacts>, gated: Gate | undefined = undefined, placement = ['shard-0']) {
    const statefulSet = { metadata: { namespace: 'test', name: 'bank-shard-1' }, spec: { replicas: 1 } };
    const shards = [shardSeen(0), shardSeen(1, { kind: 'retired', statefulSet })];
    const proxies = [proxySeen(0, { look: seen({ ...PROXY_FACTS, configSha256: 'new', ...proxy }) })];
    const { observation } = seenCluster({ observation: { shards, proxies } });
    const restart = new Map(gated === undefined ? [] : [['shard-1', gated]]);
    const findings = { ...NO_FINDINGS, gates: { ...NO_FINDINGS.gates, restart } };
    const { calm, waiting } = retireShards(observation, findings, { placement, configSha256: 'new' });
    return [...calm.map(({ kind }) => kind), ...waiting.map(({ reason }) => reason)];
  }

  it('is stopped when no proxy uses it any more and nothing on it is in doubt', () => {
    expect(stopped({})).toHaveLength(1);
    expect(stopped({})).not.toContain('ShardInUse');
    expect(stopped({ configSha256: 'old' })).toEqual(['ShardInUse']);
    expect(stopped({ restartNeeded: ['shards'] })).toEqual(['ShardInUse']);
    expect(stopped({}, gate)).toEqual(['InDoubtTransactions']);
    expect(stopped({}, { ...gate, opensAtMs: 1 })).toEqual(['InDoubtTransactions']);
    expect(stopped({}, { ...gate, ignored: true })).toEqual(stopped({}));
    expect(stopped({}, undefined, ['shard-0', 'shard-1'])).toEqual([]);
  });
});

describe('deletion', () => {
  /** By an operator that has just begun, when all proxies are gone. */
  function lets(whenDeleted: 'Delete' | 'Retain', look: 'never' | 'seen', forMs: number): boolean {
    const deletionTimestamp = new Date(NOW_MS - forMs).toISOString();
    const claim = { metadata: { namespace: 'test', name: 'data-bank-shard-0-0', uid: 'c' } };
    const shards = [shardSeen(0, { look: look === 'seen' ? seen(SHARD_FACTS) : { kind: 'never' } })];
    const { observation } = seenCluster({
      spec: { pvcRetentionPolicy: { whenDeleted } },
      deletionTimestamp,
      observation: { shards, proxies: [], proxySet: undefined },
    });
    const { cluster, children } = observation;
    const deleted: Observation = {
      ...observation,
      cluster: { ...cluster, metadata: { ...cluster.metadata, finalizers: [FINALIZER] } },
      children: { ...children, claims: [claim] },
    };
    return planDeletion(deleted, NO_FINDINGS).calm.some(({ kind }) => kind === 'removeFinalizer');
  }

  it('of volumes waits for a first look at every shard, for a minute at most', () => {
    expect(lets('Delete', 'never', 59_000)).toBe(false);
    expect(lets('Delete', 'seen', 0)).toBe(true);
    expect(lets('Delete', 'never', 61_000)).toBe(true);
  });

  it('that keeps the volumes does not', () => {
    expect(lets('Retain', 'never', 0)).toBe(true);
  });

  it('is not taken for that of the namespace because one volume goes: the others may be needed', () => {
    const going = '2026-11-21T13:59:00Z';
    const claim = (name: string, more: object = {}) => ({ metadata: { namespace: 'test', name, uid: name, ...more } });
    const letsGo = (last: object) => {
      const { observation } = seenCluster({
        deletionTimestamp: going,
        observation: { proxies: [], proxySet: undefined },
      });
      const { cluster, children } = observation;
      const claims = [claim('data-bank-shard-0-0', { deletionTimestamp: going }), claim('wal-bank-proxy-0', last)];
      const metadata = { ...cluster.metadata, finalizers: [FINALIZER] };
      const deleted = { ...observation, cluster: { ...cluster, metadata }, children: { ...children, claims } };
      const findings = { ...NO_FINDINGS, gates: { ...NO_FINDINGS.gates, deletion: gate } };
      return planDeletion(deleted, findings).calm.some(({ kind }) => kind === 'removeFinalizer');
    };
    expect(letsGo({})).toBe(false);
    expect(letsGo({ deletionTimestamp: going })).toBe(true);
  });

  it('does not let go when a step before that failed', async () => {
    const called: string[] = [];
    const never = () => Promise.reject(new Error('not expected'));
    const client = {
      apply: never,
      create: never,
      get: never,
      delete: async () => Promise.reject(new KubeError('forbidden', 'no')),
      mergePatch: (async () => void called.push('patch')) as unknown as KubeClient['mergePatch'],
    };
    const performer = new Performer({
      ...{ client, applied: new AppliedObjects(), log: createLog('silent') },
      startTask: () => undefined,
      onDone: () => undefined,
    });
    const ref = { namespace: 'test', name: 'data-bank-shard-0-0' };
    const calm = [{ kind: 'delete', type: CLAIMS, ref, uid: 'c', why: '' }, { kind: 'removeFinalizer' }] as const;
    const { observation } = seenCluster();
    await performer.perform(observation, { ...nothing('delete'), calm }, new AbortController().signal);
    expect(called).toEqual([]);
  });
});

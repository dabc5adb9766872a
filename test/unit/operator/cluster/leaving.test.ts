// What must be true before something goes for good: a proxy that leaves is Clean, volumes are deleted after a look, and the finalizer
// is the last.
import { describe, expect, it } from 'vitest';
import { AppliedObjects } from '../../../../src/operator/cluster/applied.ts';
import { CLAIMS } from '../../../../src/operator/cluster/kinds.ts';
import { NO_FINDINGS } from '../../../../src/operator/cluster/no-recovery.ts';
import type { Observation } from '../../../../src/operator/cluster/observation.ts';
import { Performer } from '../../../../src/operator/cluster/perform.ts';
import { planDeletion } from '../../../../src/operator/cluster/plan-deletion.ts';
import { nothing } from '../../../../src/operator/cluster/plan-nothing.ts';
import { sizeProxies } from '../../../../src/operator/cluster/proxy-sizing.ts';
import { FINALIZER } from '../../../../src/operator/desired/labels.ts';
import type { KubeClient } from '../../../../src/operator/kube/client.ts';
import { KubeError } from '../../../../src/operator/kube/kube-error.ts';
import type { ProxyState } from '../../../../src/operator/sql/facts.ts';
import { createLog } from '../../../../src/telemetry/log.ts';
import { NOW_MS, PROXY_FACTS, proxySeen, SHARD_FACTS, seen, seenCluster, shardSeen } from './seen-cluster.ts';

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

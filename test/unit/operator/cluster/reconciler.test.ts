// A round whose status the API server refuses, as it does where the CRD is older than the operator: the rest is done, and it is said.
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import type { ShardedCluster } from '../../../../src/operator/api/sharded-cluster.ts';
import { AppliedObjects } from '../../../../src/operator/cluster/applied.ts';
import { NO_FINDINGS } from '../../../../src/operator/cluster/no-recovery.ts';
import { operatorRoutes } from '../../../../src/operator/cluster/operator-routes.ts';
import { Performer } from '../../../../src/operator/cluster/perform.ts';
import { Prober } from '../../../../src/operator/cluster/prober.ts';
import { ProgramTasks } from '../../../../src/operator/cluster/program-tasks.ts';
import { Reconciler } from '../../../../src/operator/cluster/reconciler.ts';
import { Teller } from '../../../../src/operator/cluster/teller.ts';
import type { KubeClient } from '../../../../src/operator/kube/client.ts';
import { KubeError } from '../../../../src/operator/kube/kube-error.ts';
import type { Logger } from '../../../../src/telemetry/log.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { shardedCluster } from '../../../support/sharded-cluster.ts';

const never = () => Promise.reject(new Error('not expected'));
const KEY = 'test/bank';
const WORDS = 'failed to create typed patch object: .status.heldTransactions: field not declared in schema';

function scene() {
  const clock = new ManualClock();
  const state = { refused: true, logged: [] as string[], told: [] as string[], written: 0 };
  const cluster: ShardedCluster = {
    ...shardedCluster({ shards: { count: 1, storage: { size: '1Gi' } }, paused: true }),
    status: { clusterId: 'k3x9q' },
  };
  const apply = (async () => {
    if (state.refused) throw new KubeError('invalid', WORDS, { status: 500 });
    state.written += 1;
    return cluster;
  }) as unknown as KubeClient['apply'];
  const log = {
    error: (_: object, text: string) => void state.logged.push(text),
    debug: () => undefined,
  } as unknown as Logger;
  const teller = new Teller({ record: ({ reason, note }) => void state.told.push(`${reason}: ${note}`) });
  const eye = { look: never, close: () => undefined };
  const reconciler = new Reconciler({
    client: { apply },
    clock,
    log,
    caches: { cluster: () => cluster, childrenOf: () => new Map() },
    secretWatches: { follow: () => undefined, get: () => 'unknown' },
    prober: new Prober({ clock, openShard: () => eye, openProxy: () => eye, onChange: () => undefined }),
    tasks: new ProgramTasks({
      clock,
      sql: { setUpShard: never, reloadShard: never, commandProxy: never },
      onEnd: () => undefined,
    }),
    performer: new Performer({
      client: { apply: never, create: never, delete: never, get: never, mergePatch: never },
      applied: new AppliedObjects(),
      log,
      startTask: () => undefined,
      onDone: () => undefined,
    }),
    surroundings: {
      operatorImage: 'atomshard:1',
      operatorPeers: [],
      monitoringKinds: { podMonitor: false, prometheusRule: false },
      newClusterId: () => 'k3x9q',
      newPassword: () => 'x',
      certificates: () => [],
    },
    recovery: { step: () => NO_FINDINGS, stop: async () => undefined, forget: () => undefined },
    judges: { problemsOf: () => [], statusOf: () => ({ message: 'new' }), isWorthWriting: () => true },
    eventsOf: () => [],
    tell: (observation, told) => teller.round(observation, told),
    onForgotten: () => undefined,
  });
  return { state, reconciler, round: () => reconciler.reconcile(KEY, new AbortController().signal) };
}

describe('a status that the API server refuses', () => {
  it('is no failed round: it is said once in log and Event with what to do, and tried again', async () => {
    const { state, round } = scene();
    for (let again = 0; again < 3; again += 1) {
      const outcome = await round();
      expect(outcome.kind).toBe('again');
      expect(outcome.kind === 'again' ? outcome.afterMs : 0).toBeLessThanOrEqual(30_000);
    }
    expect(state.logged).toHaveLength(1);
    expect(state.told).toHaveLength(1);
    for (const said of [...state.logged, ...state.told]) {
      expect(said).toContain('kubectl apply --server-side -f crds/shardedclusters.atomshard.dev.yaml');
    }
    expect(state.told[0]).toContain(`StatusNotWritten: ${WORDS}`);
  });

  it('counts as a failed round, for which there is an alert', async () => {
    const { state, reconciler, round } = scene();
    const counted = async () => reconciler.countedAs(KEY, await round());
    expect(await counted()).toBe('failed');
    state.refused = false;
    expect(await counted()).toBe('again');
  });

  it('makes /readyz say which cluster, why and what to do, until it is written', async () => {
    const { state, reconciler, round } = scene();
    const caches = { contactAgeMs: () => 0 };
    const problems = () => reconciler.problems();
    const routes = operatorRoutes(() => ({ caches, problems }), { registry: new Registry() });
    const readyz = async () => routes['/readyz']?.();
    expect(await readyz()).toMatchObject({ status: 200 });
    await round();
    const { status, body } = (await readyz()) ?? {};
    expect(status).toBe(503);
    expect(body).toContain(`the status of ${KEY} cannot be written: ${WORDS}`);
    expect(body).toContain('kubectl apply --server-side -f crds/shardedclusters.atomshard.dev.yaml');
    state.refused = false;
    await round();
    expect(await readyz()).toMatchObject({ status: 200 });
    expect(state.written).toBe(1);
  });
});

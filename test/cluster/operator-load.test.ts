// Under a load of transfers: proxies and shards replaced as a person with kubectl does it, a node drained, the API server away. The
// load's outbox is compared with the rows each time, so that nothing that was acknowledged is lost.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { connectKube, type KubeConnection } from '../e2e/harness/kube.ts';
import { Load } from '../e2e/harness/load.ts';
import { connectionUrls, missingIn, SHARDED_CLUSTERS, shardedCluster } from '../e2e/harness/sharded-cluster.ts';
import { System } from '../e2e/harness/system.ts';
import { describeVerdict } from '../support/judge.ts';
import type { OperatorGround } from './operator/ground.ts';
import { GROUND_TIMEOUT_MS, operatorGround } from './operator/open-ground.ts';
import { noCluster } from './test-cluster.ts';

/** No other cluster has this name: a drain chooses pods of all namespaces by it. */
const SHAPE = { name: 'laden', shards: 2, proxies: 2, gracePeriod: '15s' } as const;
const HEALTH_MS = 180_000;
const API_AWAY_MS = 60_000;
const LOAD = {
  ...{ accounts: 100, initialBalance: 1_000, clients: 6, legsMax: 3, restMs: 80, leaveChance: 0.1 },
  answerTimeoutMs: 120_000,
  seed: 1,
} as const;

describe.skipIf(noCluster)('a cluster under load', () => {
  let ground = {} as OperatorGround;
  let kube = {} as KubeConnection;
  let system = {} as System;
  let load = {} as Load;
  beforeAll(async () => {
    ground = await operatorGround('op-load');
    const { kubectl, namespace, images } = ground;
    kube = connectKube(kubectl.kubeconfig);
    await kubectl.apply([shardedCluster({ ...SHAPE, postgresImage: images['postgres-18'] })]);
    system = new System({
      ...{ kubectl, kube: kube.client, namespace },
      ...{ cluster: SHAPE.name, shards: SHAPE.shards, proxies: SHAPE.proxies },
      unhealthy: async () => missingIn(await kube.client.get(SHARDED_CLUSTERS, { namespace, name: SHAPE.name })),
    });
    await system.untilHealthy(HEALTH_MS);
    load = new Load(system);
    const urls = await connectionUrls(kube, kubectl, namespace, SHAPE);
    await load.start({ clientImage: images['pg-client'], ...urls, order: LOAD });
  }, GROUND_TIMEOUT_MS + HEALTH_MS);
  afterAll(async () => {
    kube.close?.();
    await ground[Symbol.asyncDispose]?.();
  }, 180_000);

  /** Pauses the load, compares everything, and returns how many transfers were acknowledged in all. */
  async function reckon(): Promise<number> {
    const { paused, drained, verdict, hangs, told } = await load.reckon([]);
    expect(verdict.sound ? 'sound' : describeVerdict(verdict)).toBe('sound');
    expect({ paused, drained, hangs }).toEqual({ paused: true, drained: true, hangs: 0 });
    expect(verdict.acrossShards).toBeGreaterThan(0);
    return told.acknowledged;
  }

  const uidOf = async (name: string) => (await system.pod(name))?.metadata.uid;

  it('a proxy pod that is deleted ends what runs on it; clients come back and nothing is lost', async () => {
    await system.rest(1_000);
    const before = await reckon();
    const name = system.proxyPod(0);
    const uid = await uidOf(name);
    await system.rest(1_000);
    await ground.kubectl.run(['delete', 'pod', name, '--wait=false']);
    await system.untilReplaced(name, uid);
    await system.untilHealthy(HEALTH_MS);
    await system.rest(1_000);
    expect(await reckon()).toBeGreaterThan(before);
  });

  it('a shard pod that is deleted comes back on its volume with every row', async () => {
    const { kubectl } = ground;
    const name = system.shardPod(1);
    const uid = await uidOf(name);
    const volume = () => kubectl.value(`pvc data-${name}`, '.spec.volumeName');
    const before = await volume();
    await kubectl.run(['delete', 'pod', name, '--wait=false']);
    await system.untilReplaced(name, uid);
    await system.untilHealthy(HEALTH_MS);
    await system.rest(1_000);
    await reckon();
    expect(await volume()).toBe(before);
  });

  it('a drain of a node is refused its shard, whose pod stays; when it was given up, all is there', async (context) => {
    if (!ground.cluster.canBreak) context.skip('the cluster was given by its kubeconfig; its nodes are not ours');
    const { kubectl } = ground;
    const node = (await system.pod(system.shardPod(0)))?.spec?.nodeName ?? '';
    const selector = `--pod-selector=atomshard.dev/cluster=${SHAPE.name}`;
    const drain = ['drain', node, selector, '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=20s'];
    const uid = await uidOf(system.shardPod(0));
    try {
      const { code, stderr } = await kubectl.try(drain);
      expect(code).not.toBe(0);
      expect(stderr).toContain(`Cannot evict pod as it would violate the pod's disruption budget`);
      expect(await uidOf(system.shardPod(0))).toBe(uid);
    } finally {
      await kubectl.run(['uncordon', node]);
    }
    await system.untilHealthy(HEALTH_MS);
    await reckon();
  });

  it('while the API server is away for a minute clients go on and no container restarts; afterwards the operator goes on', async (context) => {
    const { cluster, kubectl } = ground;
    if (!cluster.canBreak) context.skip('the cluster was given by its kubeconfig; its parts are not ours');
    const [first = ''] = (await cluster.kubectl.value('nodes', '.items[*].metadata.name')).split(' ').toSorted();
    const before = await reckon();
    const restarts = () =>
      kubectl.value(`pod -l atomshard.dev/cluster=${SHAPE.name}`, '.items[*].status.containerStatuses[*].restartCount');
    const restartsBefore = await restarts();
    await cluster.freeze('kube-apiserver', first);
    try {
      await systemClock.sleep(API_AWAY_MS);
    } finally {
      await cluster.thaw('kube-apiserver', first);
    }
    await system.untilHealthy(HEALTH_MS);
    const after = await reckon();
    expect(await restarts()).toBe(restartsBefore);
    // Six clients that rest 80 ms: a data plane that waits for Kubernetes would be far below.
    expect(after - before).toBeGreaterThan(300);
    await kubectl.run(['scale', 'shcl', SHAPE.name, '--replicas=1']);
    system.proxies = 1;
    await kubectl.waitForValue(`shcl ${SHAPE.name}`, '.status.proxiesReady', (ready) => ready === '1/1', HEALTH_MS);
    await reckon();
  });
});

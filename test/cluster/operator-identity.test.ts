// Volumes that outlive their cluster, and clusters that go with their namespace.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testNamespace } from './harness/namespaces.ts';
import { clusterRights, RESTRICTED, smallCluster, waitForReady } from './operator/deploy.ts';
import { editSpec, eventsOf, type OperatorGround, waitForCondition } from './operator/ground.ts';
import { figuresOf, operatorPods, sum } from './operator/metrics.ts';
import { GROUND_TIMEOUT_MS, operatorGround } from './operator/open-ground.ts';
import { noCluster, openTestCluster } from './test-cluster.ts';

const CLUSTER = 'bank';

/** As a former cluster of this name left it. */
const retainedClaim = (name: string, clusterId: string): object => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: {
    name,
    labels: { 'atomshard.dev/cluster': CLUSTER },
    annotations: { 'atomshard.dev/cluster-id': clusterId },
  },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '64Mi' } } },
});

describe.skipIf(noCluster)('what a cluster finds and leaves', () => {
  let ground = {} as OperatorGround;
  beforeAll(async () => {
    ground = await operatorGround('op-ident');
  }, GROUND_TIMEOUT_MS);
  afterAll(() => ground[Symbol.asyncDispose]?.());

  it('volumes of two former clusters of its name are refused with the reason, untouched, until one of them is gone', async () => {
    const { kubectl, images } = ground;
    await kubectl.apply([
      retainedClaim('wal-bank-proxy-0', 'first123'),
      retainedClaim('data-bank-shard-1-0', 'second45'),
    ]);
    await kubectl.apply([smallCluster(CLUSTER, images['postgres-18'])]);
    const ready = await waitForCondition(
      kubectl,
      CLUSTER,
      'Ready',
      ({ reason }) => reason === 'VolumesOfAnotherCluster',
    );
    expect(ready.status).toBe('False');
    expect(ready.message).toContain('wal-bank-proxy-0 (first123)');
    expect(ready.message).toContain('data-bank-shard-1-0 (second45)');
    expect((await eventsOf(kubectl, CLUSTER)).map(({ reason }) => reason)).toContain('VolumesOfAnotherCluster');
    expect(await kubectl.value('statefulset', '.items[*].metadata.name')).toBe('');
    await kubectl.run(['delete', 'pvc', 'data-bank-shard-1-0']);
    // The other one decides: its log may hold what is still prepared somewhere.
    await kubectl.waitForValue(`shcl ${CLUSTER}`, '.status.clusterId', (id) => id === 'first123');
    await waitForCondition(kubectl, CLUSTER, 'Ready', ({ reason }) => reason !== 'VolumesOfAnotherCluster');
  });

  it('a cluster that is deleted while it is made goes with its volumes, except logs that nobody could read to their end', async () => {
    const { kubectl } = ground;
    await editSpec(kubectl, CLUSTER, { pvcRetentionPolicy: { whenDeleted: 'Delete' } });
    await kubectl.run(['delete', 'shcl', CLUSTER, '--timeout=90s']);
    const labelled = `pvc -l atomshard.dev/cluster=${CLUSTER}`;
    await kubectl.waitUntilGone(`pod -l atomshard.dev/cluster=${CLUSTER}`);
    const left = await kubectl.waitForValue(labelled, '.items[*].metadata.name', (names) => !names.includes('data-'));
    for (const name of left.split(' ').filter(Boolean)) expect(name).toMatch(/^wal-bank-proxy-\d$/);
  });
});

describe.skipIf(noCluster)('a namespace that is deleted', () => {
  it('takes its cluster with it: the operator makes nothing anew in there and lets it go', async () => {
    const { cluster } = await openTestCluster([]);
    await using doomed = await testNamespace(cluster.kubectl, 'op-doomed', RESTRICTED);
    // The operator is elsewhere, with rights that do not go with the namespace: a Role in there would.
    let operatorNamespace = '';
    const prepare = (namespace: string) => {
      operatorNamespace = namespace;
      return cluster.kubectl.apply(clusterRights(namespace));
    };
    try {
      await using ground = await operatorGround('op-ns', { args: [`--namespaces=${doomed.name}`], prepare });
      await doomed.kubectl.apply([smallCluster(CLUSTER, ground.images['postgres-18'], { proxy: { replicas: 1 } })]);
      await waitForReady(doomed.kubectl, CLUSTER);
      await cluster.kubectl.run(['delete', 'namespace', doomed.name, '--timeout=120s']);
      const [pod = ''] = await operatorPods(ground.kubectl);
      expect(await ground.kubectl.value(`pod ${pod}`, '.status.containerStatuses[0].restartCount')).toBe('0');
      // What is refused in a namespace that ends is no fault that is tried again and again.
      const { refused } = await figuresOf(ground.kubectl, ground.namespace, pod);
      expect(sum(refused.values())).toBeLessThan(40);
    } finally {
      await cluster.kubectl.try(['delete', 'clusterrole,clusterrolebinding', operatorNamespace]);
    }
  });
});

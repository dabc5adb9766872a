// Proof that this Kubernetes survives what a real one must: lost nodes, cut networks and kill -9 of its own parts.
import { beforeAll, describe, expect, it } from 'vitest';
import { COMPONENTS } from './harness/cluster.ts';
import { type Kubectl, waitFor } from './harness/kubectl.ts';
import { testNamespace } from './harness/namespaces.ts';
import { pod, web } from './platform/objects.ts';
import { noCluster, openTestCluster, type TestCluster } from './test-cluster.ts';

const READY = '.status.conditions[?(@.type=="Ready")].status';

/** The node grace period is 20 s on our own cluster and 50 s on others. */
const LOST_TIMEOUT_MS = 120_000;

async function nodeBecomes(kubectl: Kubectl, node: string, ready: boolean): Promise<void> {
  await kubectl.waitForValue(`node ${node}`, READY, (value) => (value === 'True') === ready, LOST_TIMEOUT_MS);
}

/** Three pods on three nodes, each with a volume; returns the node of the highest one that is not the control plane. */
async function spreadOut(kubectl: Kubectl, image: string): Promise<{ victim: string; node: string }> {
  const nodes = (await kubectl.value('nodes', '.items[*].metadata.name')).split(' ').toSorted();
  const replicas = Math.max(nodes.length, 2);
  await kubectl.apply(web(image, { replicas: Math.min(replicas, 3), spread: true }));
  await waitFor('two pods on two nodes', 90_000, async () => {
    const ready = Number(await kubectl.value('statefulset web', '.status.readyReplicas'));
    return ready >= 2 ? true : undefined;
  });
  const node = nodes.at(-1) ?? '';
  const victim = await kubectl.value(
    `pod -l app=web --field-selector=spec.nodeName=${node}`,
    '.items[0].metadata.name',
  );
  return { victim, node };
}

describe.skipIf(noCluster)('faults', () => {
  let { cluster, images }: TestCluster = {} as TestCluster;
  beforeAll(async () => {
    ({ cluster, images } = await openTestCluster(['busybox']));
  });

  it('a lost node turns NotReady, its pod is freed by the out-of-service taint, and both return with the data', async (context) => {
    if (!cluster.canBreak) context.skip('the cluster was given by its kubeconfig; its nodes are not ours to stop');
    await using space = await testNamespace(cluster.kubectl, 'lost');
    const { kubectl } = space;
    const { victim, node } = await spreadOut(kubectl, images.busybox);
    const taint = 'node.kubernetes.io/out-of-service';
    await cluster.stopNode(node);
    try {
      await nodeBecomes(kubectl, node, false);
      await kubectl.waitForValue(`pod ${victim}`, '.metadata.deletionTimestamp', (time) => time !== '');
      await kubectl.run(['taint', 'node', node, `${taint}=nodeshutdown:NoExecute`]);
      // The successor cannot run elsewhere: its volume is on the lost node. This is what an operator has to see.
      await kubectl.waitForValue(`pod ${victim}`, '.spec.nodeName', (where) => where === '');
      expect(await kubectl.value(`pod ${victim}`, '.status.phase')).toBe('Pending');
      await kubectl.run(['taint', 'node', node, `${taint}-`]);
    } finally {
      await cluster.startNode(node);
      await nodeBecomes(kubectl, node, true);
    }
    await kubectl.waitForValue(`pod ${victim}`, READY, (value) => value === 'True', 120_000);
    const page = await kubectl.run(['exec', victim, '--', 'cat', '/data/index.html']);
    expect(page.trim().split('\n')).toEqual([`${victim} started`, `${victim} started`]);
  });

  it('a node cut from the network turns NotReady and comes back when the link does', async (context) => {
    if (!cluster.canBreak) context.skip('the cluster was given by its kubeconfig; its nodes are not ours to cut');
    const nodes = (await cluster.kubectl.value('nodes', '.items[*].metadata.name')).split(' ').toSorted();
    const node = nodes.at(-1) ?? '';
    await cluster.cutNode(node);
    try {
      await nodeBecomes(cluster.kubectl, node, false);
    } finally {
      await cluster.startNode(node);
    }
    await nodeBecomes(cluster.kubectl, node, true);
  });

  it.for([...COMPONENTS])(
    '%s killed with SIGKILL: pods run on, and a new one can be made soon',
    async (part, context) => {
      if (!cluster.canBreak) context.skip('the cluster was given by its kubeconfig; its parts are not ours to kill');
      await using space = await testNamespace(cluster.kubectl, 'killed');
      const { kubectl } = space;
      const nodes = (await kubectl.value('nodes', '.items[*].metadata.name')).split(' ').toSorted();
      const [first = ''] = nodes;
      await kubectl.apply([pod('before', images.busybox, { nodeName: first })]);
      await kubectl.run(['wait', '--for=condition=Ready', 'pod/before', '--timeout=60s']);
      await cluster.crash(part, first);
      await waitFor(`a new pod after ${part} died`, 60_000, async () => {
        await kubectl.apply([pod('after', images.busybox, { nodeName: first })]);
        return true;
      });
      await waitFor('the new pod Ready', 90_000, async () =>
        (await kubectl.value('pod after', READY)) === 'True' ? true : undefined,
      );
      expect(await kubectl.value('pod before', '.status.containerStatuses[0].restartCount')).toBe('0');
      expect(await kubectl.value('pod before', '.status.phase')).toBe('Running');
    },
  );
});

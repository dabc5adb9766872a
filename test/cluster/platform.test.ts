// Proof that the API of this Kubernetes is real: what the operator relies on in objects, rules and controllers works here.
import { beforeAll, describe, expect, it } from 'vitest';
import { testNamespace } from './harness/namespaces.ts';
import { claim, pod, web, widgetDefinition } from './platform/objects.ts';
import { noCluster, openTestCluster, type TestCluster } from './test-cluster.ts';

describe.skipIf(noCluster)('the API', () => {
  let { cluster, images }: TestCluster = {} as TestCluster;
  beforeAll(async () => {
    ({ cluster, images } = await openTestCluster(['busybox']));
  });

  it('holds a custom resource to its CEL rules, fills in defaults, and has status and scale', async () => {
    await using space = await testNamespace(cluster.kubectl, 'crd');
    const { kubectl } = space;
    const group = `${space.name}.atomshard.dev`;
    const widgets = `widgets.${group}`;
    try {
      await kubectl.apply([widgetDefinition(group)]);
      await kubectl.untilEstablished(widgets);
      const widget = { apiVersion: `${group}/v1`, kind: 'Widget', metadata: { name: 'a' }, spec: { shards: 2 } };
      await kubectl.apply([widget]);
      expect(await kubectl.value(`${widgets} a`, '.spec.shardsMax')).toBe('64');

      const patch = (spec: object) =>
        kubectl.try(['patch', widgets, 'a', '--type=merge', '-p', JSON.stringify({ spec })]);
      expect((await patch({ shards: 1 })).stderr).toContain('shards never shrink');
      expect((await patch({ shards: 65 })).stderr).toContain('more shards than shardsMax');
      expect((await patch({ shards: 3, storageClass: 'fast' })).code).toBe(0);
      expect((await patch({ storageClass: 'slow' })).stderr).toContain('storageClass is immutable');

      const status = JSON.stringify({ status: { phase: 'Ready' }, spec: { shards: 9 } });
      await kubectl.run(['patch', widgets, 'a', '--subresource=status', '--type=merge', '-p', status]);
      expect(await kubectl.value(`${widgets} a`, '.status.phase')).toBe('Ready');
      expect(await kubectl.value(`${widgets} a`, '.spec.shards')).toBe('3');
      await kubectl.run(['scale', widgets, 'a', '--replicas=5']);
      expect(await kubectl.value(`${widgets} a`, '.spec.proxies')).toBe('5');
    } finally {
      await kubectl.try(['delete', 'crd', widgets, '--wait=false']);
    }
  });

  it('reports a conflict when two managers apply one field, and lets one force it', async () => {
    await using space = await testNamespace(cluster.kubectl, 'apply');
    const apply = (value: string, manager: string, ...more: string[]) => {
      const input = JSON.stringify({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'shared' },
        data: { value },
      });
      return space.kubectl.try(['apply', '--server-side', `--field-manager=${manager}`, ...more, '-f', '-'], { input });
    };
    expect((await apply('1', 'first')).code).toBe(0);
    const second = await apply('2', 'second');
    expect(second.code).toBe(1);
    expect(second.stderr).toContain('conflict with "first"');
    expect((await apply('2', 'second', '--force-conflicts')).code).toBe(0);
    expect(await space.kubectl.value('configmap shared', '.data.value')).toBe('2');
  });

  it('refuses a Lease written from a stale read, so that one leader wins', async () => {
    await using space = await testNamespace(cluster.kubectl, 'lease');
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'leader' } };
    await space.kubectl.apply([{ ...lease, spec: { holderIdentity: 'nobody', leaseDurationSeconds: 15 } }]);
    const resourceVersion = await space.kubectl.value('lease leader', '.metadata.resourceVersion');
    const take = (holderIdentity: string) =>
      space.kubectl.try(['replace', '-f', '-'], {
        input: JSON.stringify({ ...lease, metadata: { name: 'leader', resourceVersion }, spec: { holderIdentity } }),
      });
    expect((await take('one')).code).toBe(0);
    expect((await take('two')).stderr).toContain('the object has been modified');
    expect(await space.kubectl.value('lease leader', '.spec.holderIdentity')).toBe('one');
  });

  it('collects what a deleted owner leaves behind', async () => {
    await using space = await testNamespace(cluster.kubectl, 'owner');
    const { kubectl } = space;
    await kubectl.run(['create', 'configmap', 'owner']);
    const uid = await kubectl.value('configmap owner', '.metadata.uid');
    const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid }];
    await kubectl.apply([{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'owned', ownerReferences } }]);
    await kubectl.run(['delete', 'configmap', 'owner']);
    await kubectl.waitUntilGone('configmap owned');
  });

  it('keeps a deleted object until its finalizer is taken off', async () => {
    await using space = await testNamespace(cluster.kubectl, 'finalizer');
    const { kubectl } = space;
    const metadata = { name: 'held', finalizers: ['atomshard.dev/held'] };
    await kubectl.apply([{ apiVersion: 'v1', kind: 'ConfigMap', metadata }]);
    await kubectl.run(['delete', 'configmap', 'held', '--wait=false']);
    expect(await kubectl.value('configmap held', '.metadata.deletionTimestamp')).not.toBe('');
    await kubectl.run(['patch', 'configmap', 'held', '--type=merge', '-p', '{"metadata":{"finalizers":null}}']);
    await kubectl.waitUntilGone('configmap held');
  });

  it('Pod Security `restricted` refuses a careless pod and admits a careful one, with seccomp really on', async () => {
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    await using space = await testNamespace(cluster.kubectl, 'restricted', labels);
    const { kubectl } = space;
    const careless = await kubectl.try(['run', 'careless', `--image=${images.busybox}`, '--', 'sleep', '9']);
    expect(careless.stderr).toContain('violates PodSecurity');
    await kubectl.apply([pod('careful', images.busybox)]);
    await kubectl.run(['wait', '--for=condition=Ready', 'pod/careful', '--timeout=60s']);
    const status = await kubectl.run(['exec', 'careful', '--', 'grep', 'Seccomp:', '/proc/1/status']);
    expect(status.split(/\s+/)[1]).toBe('2');
  });

  it('a PodDisruptionBudget stops an eviction with 429', async () => {
    await using space = await testNamespace(cluster.kubectl, 'budget');
    const { kubectl } = space;
    const budget = {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'one' },
      spec: { minAvailable: 1, selector: { matchLabels: { app: 'one' } } },
    };
    await kubectl.apply([pod('one', images.busybox, { labels: { app: 'one' } }), budget]);
    await kubectl.waitForValue('pdb one', '.status.currentHealthy', (value) => value === '1');
    const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'one', namespace: space.name } };
    const path = `/api/v1/namespaces/${space.name}/pods/one/eviction`;
    const evict = () => kubectl.try(['create', '--raw', path, '-f', '-'], { input: JSON.stringify(eviction) });
    expect((await evict()).stderr).toContain("violate the pod's disruption budget");
    await kubectl.run(['delete', 'pdb', 'one']);
    expect((await evict()).code).toBe(0);
  });

  it('ReadWriteOncePod keeps a second pod Pending until the first is gone', async () => {
    await using space = await testNamespace(cluster.kubectl, 'rwop');
    const { kubectl } = space;
    await kubectl.apply([claim('solo', 'ReadWriteOncePod'), pod('first', images.busybox, { claim: 'solo' })]);
    await kubectl.run(['wait', '--for=condition=Ready', 'pod/first', '--timeout=60s']);
    await kubectl.apply([pod('second', images.busybox, { claim: 'solo' })]);
    const reason = '.status.conditions[?(@.type=="PodScheduled")].message';
    await kubectl.waitForValue('pod second', reason, (message) => message.includes('ReadWriteOncePod'));
    expect(await kubectl.value('pod second', '.status.phase')).toBe('Pending');
    await kubectl.run(['delete', 'pod', 'first', '--force', '--grace-period=0']);
    await kubectl.run(['wait', '--for=condition=Ready', 'pod/second', '--timeout=60s']);
  });

  it('a StatefulSet scales with its claims, waits under OnDelete and stops at a partition', async () => {
    await using space = await testNamespace(cluster.kubectl, 'web');
    const { kubectl } = space;
    const ready = () => kubectl.run(['rollout', 'status', 'statefulset/web', '--timeout=90s']);
    const versions = () => kubectl.value('pod -l app=web', '.items[*].spec.containers[0].env[0].value');
    const onDelete = { updateStrategy: { type: 'OnDelete' } } as const;
    await kubectl.apply(web(images.busybox, { replicas: 3, ...onDelete }));
    await kubectl.waitForValue('statefulset web', '.status.readyReplicas', (count) => count === '3');
    await kubectl.run(['scale', 'statefulset', 'web', '--replicas=2']);
    await kubectl.waitUntilGone('pvc data-web-2');

    await kubectl.apply(web(images.busybox, { replicas: 2, version: '2', ...onDelete }));
    const changed = '.status.updateRevision';
    const before = await kubectl.value('statefulset web', '.status.currentRevision');
    await kubectl.waitForValue('statefulset web', changed, (revision) => revision !== '' && revision !== before);
    expect(await versions()).toBe('1 1');
    await kubectl.run(['delete', 'pod', 'web-1']);
    await kubectl.waitForValue(
      'pod web-1',
      '.status.conditions[?(@.type=="Ready")].status',
      (value) => value === 'True',
    );
    expect(await versions()).toBe('1 2');

    const rollingUpdate = { partition: 1 };
    const partition = { updateStrategy: { type: 'RollingUpdate', rollingUpdate } } as const;
    await kubectl.apply(web(images.busybox, { replicas: 2, version: '3', ...partition }));
    await kubectl.waitForValue('pod -l app=web', '.items[*].spec.containers[0].env[0].value', (all) => all === '1 3');
    await ready();
    // The volume outlived three pods of the name.
    const page = await kubectl.run(['exec', 'web-1', '--', 'cat', '/data/index.html']);
    expect(page.trim().split('\n')).toHaveLength(3);
  });
});

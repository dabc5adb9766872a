// Faults of a cluster's surroundings as a user sees them: each is told in a condition and an event within 30 s of the edit that
// makes it, with what to do, and the cluster heals when the cause is gone. One cluster goes through them one after another.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Kubectl, waitFor } from './harness/kubectl.ts';
import { type TestNamespace, testNamespace } from './harness/namespaces.ts';
import { deployOperator, RESTRICTED, seenCluster, smallCluster, waitForReady } from './operator/deploy.ts';
import { TOLD_WITHIN_MS, untilTold } from './operator/ground.ts';
import { noCluster, openTestCluster } from './test-cluster.ts';

const HEALED_MS = 120_000;

describe.skipIf(noCluster)('a fault is told within 30 s of its cause, and healed when that is gone', () => {
  let space: TestNamespace;
  let kubectl: Kubectl;
  let postgres: string;
  let storageClass: string;

  beforeAll(async () => {
    const { cluster, images } = await openTestCluster(['atomshard', 'postgres-18']);
    space = await testNamespace(cluster.kubectl, 'faults', RESTRICTED);
    kubectl = space.kubectl;
    postgres = images['postgres-18'];
    storageClass = space.name;
    await deployOperator(kubectl, space.name, { image: images.atomshard });
  });
  afterAll(async () => {
    // While the operator is still there: it takes the finalizer away, without which the namespace would stay.
    await kubectl?.try(['delete', 'shcl', '--all', '--timeout=60s']);
    await kubectl?.try(['delete', 'storageclass', storageClass, '--ignore-not-found']);
    await space?.[Symbol.asyncDispose]();
  });

  const small = (name: string, spec: Readonly<Record<string, unknown>> = {}) =>
    smallCluster(name, postgres, {
      shards: { count: 1 },
      proxy: { replicas: 1, tls: { mode: 'Disable' } },
      ...spec,
    });
  const patch = (name: string, spec: object) =>
    kubectl.run(['patch', 'shcl', name, '--type=merge', '-p', JSON.stringify({ spec })]);

  const told = (name: string, reason: string) => untilTold(kubectl, name, reason);

  async function healed(name: string): Promise<void> {
    await waitForReady(kubectl, name, HEALED_MS);
    const { status } = await seenCluster(kubectl, name);
    expect(status?.conditions?.find(({ type }) => type === 'Degraded')).toMatchObject({ status: 'False' });
    expect(status?.phase).toBe('Ready');
  }

  it('an image that cannot be pulled', async () => {
    await kubectl.apply([small('bank', { postgres: { image: 'localhost/none/such:9' } })]);
    expect(await told('bank', 'ImageCannotBePulled')).toContain('Image localhost/none/such:9 cannot be pulled');
    await patch('bank', { postgres: { image: postgres } });
    await healed('bank');
  });

  it('a pod that no node takes', async () => {
    await patch('bank', { shards: { resources: { requests: { cpu: '100' } } } });
    expect(await told('bank', 'Unschedulable')).toContain('Insufficient cpu; add nodes');
    await patch('bank', { shards: { resources: null } });
    await healed('bank');
  });

  it('a parameter that a running server refuses: it goes on as it was', async () => {
    await patch('bank', { postgres: { parameters: { work_mem: 'plenty' } } });
    expect(await told('bank', 'ParametersRefused')).toContain('work_mem: the server does not take the value "plenty"');
    const { status } = await seenCluster(kubectl, 'bank');
    expect(status?.conditions?.find(({ type }) => type === 'ShardsReady')).toMatchObject({ status: 'True' });
    await patch('bank', { postgres: { parameters: { work_mem: '8MB' } } });
    await healed('bank');
  });

  it('a parameter with which the server does not start', async () => {
    await patch('bank', { postgres: { parameters: { shared_preload_libraries: 'no_such_library' } } });
    expect(await told('bank', 'ParametersRefused')).toContain('no_such_library');
    await patch('bank', { postgres: { parameters: { shared_preload_libraries: null } } });
    await healed('bank');
  });

  it('too little memory for a server: a condition names the limit, whoever it is that cannot live within it', async () => {
    await patch('bank', { shards: { resources: { limits: { memory: '8Mi' } } } });
    const { message } = await waitFor('OutOfMemory or the like', TOLD_WITHIN_MS, async () => {
      const { status } = await seenCluster(kubectl, 'bank');
      const degraded = status?.conditions?.find(({ type }) => type === 'Degraded');
      // Where not even the container can be made within the limit, the kubelet says so instead.
      return degraded?.status === 'True' ? degraded : undefined;
    });
    expect(message).toMatch(/resources\.limits\.memory|cannot be made/);
    await patch('bank', { shards: { resources: null } });
    await healed('bank');
  });

  it('a Secret that is missing, then lacks its key', async () => {
    const users = [{ name: 'app' }, { name: 'clerk', passwordSecretRef: { name: 'clerk', key: 'secret' } }];
    await patch('bank', { credentials: { users } });
    const where = 'Secret clerk (spec.credentials.users[1].passwordSecretRef)';
    expect(await told('bank', 'SecretMissing')).toContain(`${where} is not there; make it with the keys secret`);
    await kubectl.run(['create', 'secret', 'generic', 'clerk', '--from-literal=password=c']);
    expect(await told('bank', 'SecretIncomplete')).toContain(`${where} has no secret; add it`);
    await kubectl.apply([
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'clerk' }, stringData: { secret: 'c' } },
    ]);
    await healed('bank');
  });

  it('an extension that the image does not have', async () => {
    await patch('bank', { postgres: { extensions: ['no_such_extension'] } });
    expect(await told('bank', 'SetupIncomplete')).toContain('extension no_such_extension is not installed');
    await patch('bank', { postgres: { extensions: [] } });
    await healed('bank');
    await kubectl.run(['delete', 'shcl', 'bank', '--wait=false']);
  });

  it('a StorageClass that does not exist', async () => {
    await kubectl.apply([small('stored', { shards: { storage: { size: '256Mi', storageClassName: storageClass } } })]);
    expect(await told('stored', 'StorageClassMissing')).toContain(`There is no StorageClass ${storageClass}`);
    const standard = JSON.parse(await kubectl.run(['get', 'storageclass', '-o', 'json'])) as {
      items: readonly { readonly provisioner: string }[];
    };
    await kubectl.apply([
      {
        apiVersion: 'storage.k8s.io/v1',
        kind: 'StorageClass',
        metadata: { name: storageClass },
        provisioner: standard.items[0]?.provisioner,
        volumeBindingMode: 'WaitForFirstConsumer',
      },
    ]);
    await healed('stored');
  });
});

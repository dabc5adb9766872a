// The charts and install.yaml as Helm and a real API server read them; nothing is left running.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { userSecretName } from '../../src/operator/desired/names.ts';
import type { Helm } from './harness/helm.ts';
import { testNamespace } from './harness/namespaces.ts';
import { PROJECT_ROOT } from './images/names.ts';
import {
  CLUSTER_CHART,
  HELM_BUILD_MS,
  helmFor,
  INSTALL_FILE,
  type Manifest,
  OPERATOR_CHART,
  objectsIn,
  settings,
  temporaryFolder,
} from './shipping/charts.ts';
import { noCluster, openTestCluster, type TestCluster } from './test-cluster.ts';

const SAMPLES = path.join(PROJECT_ROOT, 'manifests/samples');

const identity = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
const without = (labels: Readonly<Record<string, string>> | undefined): object =>
  Object.fromEntries(
    Object.entries(labels ?? {}).filter(([name]) => !/helm\.sh\/|app\.kubernetes\.io\/managed-by/.test(name)),
  );

describe.skipIf(noCluster)('charts', () => {
  let { cluster }: TestCluster = {} as TestCluster;
  let helm: Helm;
  beforeAll(async () => {
    ({ cluster } = await openTestCluster([]));
    helm = (await helmFor(cluster))('shipping');
  }, HELM_BUILD_MS);

  const template = async (release: string, chart: string, values: Parameters<typeof settings>[0] = {}) =>
    objectsIn(await helm.run(['template', release, chart, ...settings(values)]));
  const refused = async (chart: string, values: Parameters<typeof settings>[0], release = 'bank'): Promise<string> => {
    const { code, stderr } = await helm.try(['template', release, chart, ...settings(values)]);
    return `${code}: ${stderr}`;
  };

  it('have nothing that Helm would warn of', async () => {
    expect(await helm.run(['lint', '--strict', OPERATOR_CHART, CLUSTER_CHART])).toContain(
      '2 chart(s) linted, 0 chart(s) failed',
    );
  });

  it('install what install.yaml installs', async () => {
    const program = ['template', 'atomshard-operator', OPERATOR_CHART, '--namespace', 'atomshard-system'];
    const byHelm = objectsIn(await helm.run([...program, ...settings({ 'test.enabled': false })]));
    const byKubectl = objectsIn(readFileSync(INSTALL_FILE, 'utf8')).filter(({ kind }) => kind !== 'Namespace');
    expect(byKubectl.map(identity).toSorted()).toEqual(byHelm.map(identity).toSorted());
    for (const object of byKubectl) {
      const twin = byHelm.find((other) => identity(other) === identity(object));
      const { metadata, ...rest } = object;
      expect({ ...twin, metadata: undefined }).toEqual({ ...rest, metadata: undefined });
      expect(without(twin?.metadata.labels)).toEqual(metadata.labels ?? {});
    }
  });

  it('are taken by the API server as they are, every field known to it', async () => {
    await using space = await testNamespace(cluster.kubectl, 'shipping', {
      'pod-security.kubernetes.io/enforce': 'restricted',
    });
    const text = readFileSync(INSTALL_FILE, 'utf8').replaceAll('atomshard-system', space.name);
    const args = ['apply', '--server-side', '--force-conflicts', '--dry-run=server', '--validate=strict', '-f', '-'];
    const said = await cluster.kubectl.try(args, { input: text });
    expect(`${said.code} ${said.stderr}`).not.toMatch(/Warning|rror/);
    expect(said.stdout).toContain('deployment.apps/atomshard-operator serverside-applied');
  });

  it('install.yaml names the image in one place, so that kustomize can change it', async () => {
    using folder = temporaryFolder();
    copyFileSync(INSTALL_FILE, path.join(folder.path, 'install.yaml'));
    const images = [{ name: 'atomshard', newName: 'registry.example.com/atomshard', newTag: 'mine' }];
    writeFileSync(
      path.join(folder.path, 'kustomization.yaml'),
      JSON.stringify({ resources: ['install.yaml'], images }),
    );
    const text = await cluster.kubectl.run(['kustomize', folder.path]);
    expect(text).not.toMatch(/atomshard:\d/);
    expect(text.match(/registry\.example\.com\/atomshard:mine/g)).toHaveLength(1);
  });

  it.each([
    [{ 'image.digest': 'latest' }, "at '/image/digest'"],
    [{ logLevel: 'loud' }, "value must be one of 'debug', 'info', 'warn', 'error'"],
    [{ replica: 2 }, "additional properties 'replica' not allowed"],
    [{ 'watchNamespaces[0]': 'Not A Name' }, "at '/watchNamespaces/0'"],
  ])('of the operator refuses %o', async (values, words) => {
    expect(await refused(OPERATOR_CHART, values)).toMatch(/^1: /);
    expect(await refused(OPERATOR_CHART, values)).toContain(words);
  });

  it.each([
    [{ 'shards.cuont': 3 }, "at '/shards': additional properties 'cuont' not allowed"],
    [{ 'proxy.replicas': 0 }, "at '/proxy/replicas': minimum: got 0, want 1"],
    [{ 'proxy.replicas': 'two' }, "at '/proxy/replicas': got string, want integer"],
    [{ 'sharding.tables[0].type': 'money' }, "at '/sharding/tables/0'"],
    [{ 'twoPhaseCommit.inDoubtPolicy': 'Guess' }, "value must be one of 'Resolve', 'Hold'"],
  ])('of a cluster refuses %o', async (values, words) => {
    expect(await refused(CLUSTER_CHART, values)).toContain(words);
  });

  it('of a cluster refuses a name that is too long before anything is sent', async () => {
    expect(await refused(CLUSTER_CHART, {}, 'a-name-with-more-than-thirty-characters')).toContain(
      'write at most 30 in nameOverride',
    );
  });

  it.each(['joe', 'Joe_X', 'a.b', 'ÄÖ', '-'])(
    'of a cluster knows the Secret of the user %s as the operator does',
    async (role) => {
      const [, test] = await template('bank', CLUSTER_CHART, { 'credentials.users[0].name': role });
      expect(JSON.stringify(test)).toContain(`"name":"${userSecretName('bank', role)}","key":"password"`);
    },
  );

  it('of a cluster hands every field of the spec on, external shards without storage', async () => {
    const shards = { 'shards.external[0].name': 'east', 'shards.external[0].host': 'east.example.com' };
    const values = {
      ...shards,
      'shards.external[0].credentialsSecretRef.name': 'east',
      'proxy.pool.queueMax': 1_000_000,
    };
    const [object] = await template('bank', CLUSTER_CHART, values);
    expect(object?.spec).toEqual({
      paused: false,
      shutdown: false,
      shards: { external: [{ name: 'east', host: 'east.example.com', credentialsSecretRef: { name: 'east' } }] },
      proxy: { pool: { queueMax: 1_000_000 } },
    });
  });

  it.each(['minimal', 'full', 'external', 'tls'])(
    'of a cluster takes the spec of the sample %s as its values',
    async (name) => {
      const sample = readFileSync(path.join(SAMPLES, `${name}.yaml`), 'utf8');
      const wanted = objectsIn(sample).find(({ kind }) => kind === 'ShardedCluster');
      const input = JSON.stringify(wanted?.spec);
      const [object] = objectsIn(await helm.run(['template', 'bank', CLUSTER_CHART, '--values', '-'], { input }));
      expect(object?.spec).toEqual({ paused: false, shutdown: false, ...(wanted?.spec as object) });
    },
  );

  it('of a cluster is a ShardedCluster that the API server takes, and its test Pod is allowed where restricted is enforced', async () => {
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    await using space = await testNamespace(cluster.kubectl, 'shipping', labels);
    const rendered = await helm.run(['template', 'bank', CLUSTER_CHART, '--namespace', space.name]);
    const crds = readFileSync(path.join(PROJECT_ROOT, 'crds/shardedclusters.atomshard.dev.yaml'), 'utf8');
    await cluster.kubectl.apply(crds);
    await cluster.kubectl.untilEstablished('shardedclusters.atomshard.dev');
    const args = ['apply', '--server-side', '--dry-run=server', '--validate=strict', '-f', '-'];
    const said = await space.kubectl.run(args, { input: rendered });
    expect(said).toContain('shardedcluster.atomshard.dev/bank serverside-applied');
    expect(said).toContain('pod/bank-test serverside-applied');
  });

  it('of the operator gives rights in the named namespaces only', async () => {
    const objects = await template('ops', OPERATOR_CHART, {
      'watchNamespaces[0]': 'shop',
      'watchNamespaces[1]': 'bank',
    });
    const kinds = objects.map(identity);
    const watched = kinds.filter((name) => /Role(Binding)? (shop|bank)\//.test(name));
    expect(watched).toHaveLength(4);
    // Those left over whole clusters are for people.
    expect(kinds.filter((name) => name.startsWith('Cluster')).toSorted()).toEqual([
      'ClusterRole /ops-atomshard-operator-editor',
      'ClusterRole /ops-atomshard-operator-viewer',
    ]);
    expect(JSON.stringify(objects)).toContain('--namespaces=shop,bank');
  });
});

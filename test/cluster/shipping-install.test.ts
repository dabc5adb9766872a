// What a platform engineer does with Helm and kubectl: install, test, upgrade and uninstall, where `restricted` is enforced.
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { Helm } from './harness/helm.ts';
import { type TestNamespace, testNamespace } from './harness/namespaces.ts';
import {
  CLUSTER_CHART,
  HELM_BUILD_MS,
  helmFor,
  INSTALL_FILE,
  imageSettings,
  type Manifest,
  OPERATOR_CHART,
  objectsIn,
  settings,
  temporaryFolder,
} from './shipping/charts.ts';
import { grantedRights, type UsedRights, usedRights } from './shipping/rights.ts';
import { noCluster, openTestCluster, type TestCluster } from './test-cluster.ts';

const RESTRICTED = {
  'pod-security.kubernetes.io/enforce': 'restricted',
  'pod-security.kubernetes.io/warn': 'restricted',
};
const METRICS = 'ops-atomshard-operator-metrics';
const CRD = 'crd shardedclusters.atomshard.dev';
const COLUMNS = '.spec.versions[0].additionalPrinterColumns[*].name';
/** Another test or person may have applied the CRD; Helm takes it over, and leaves it. */
const TAKE_CRD = ['--take-ownership', '--force-conflicts'];

/** Rights for what these tests do not bring about, and the reason for each. */
const RARE: Readonly<Record<string, string>> = {
  'delete statefulsets.apps': 'a claim template changes',
  'patch persistentvolumeclaims': 'a volume grows, or is marked with its cluster',
  'delete persistentvolumeclaims': 'the spec has volumes deleted',
  'delete pods': 'a Pod is outdated',
  'patch pods': 'a proxy drains, or gets its files at once',
  'get jobs.batch': 'a proxy does not come back',
  'create jobs.batch': 'a proxy does not come back',
  'delete jobs.batch': 'a proxy does not come back',
  'get pods/log': 'a proxy does not come back',
  'patch secrets': 'the configuration of the proxies, or a certificate changes',
  'patch events.events.k8s.io': 'an event comes again',
  'list events': 'something does not come up for a while',
  'create podmonitors.monitoring.coreos.com': 'its CRD is installed',
  'patch podmonitors.monitoring.coreos.com': 'its CRD is installed',
  'create prometheusrules.monitoring.coreos.com': 'its CRD is installed',
  'delete podmonitors.monitoring.coreos.com': 'its CRD is installed',
  'delete prometheusrules.monitoring.coreos.com': 'its CRD is installed',
  'patch prometheusrules.monitoring.coreos.com': 'its CRD is installed',
  // Checked by an admission plug-in that is off by default, so never a call.
  'update shardedclusters.atomshard.dev/finalizers': 'OwnerReferencesPermissionEnforcement',
};

/** A small cluster: two shards, one proxy. */
const small = (postgres: string) => ({
  'postgres.image': postgres,
  'shards.count': 2,
  'shards.storage.size': '256Mi',
  'proxy.replicas': 1,
  'proxy.wal.size': '64Mi',
  'proxy.wal.segmentSize': '1Mi',
  'test.timeoutSeconds': 120,
});

/** The operator's chart in `folder` as an older version would have been: its CRD lacks a column. */
function writeOlderChart(folder: string): void {
  cpSync(OPERATOR_CHART, folder, { recursive: true });
  const file = path.join(folder, 'files/shardedclusters.atomshard.dev.yaml');
  const whole = readFileSync(file, 'utf8');
  const older = whole.replace(/ {8}- name: Message\n(?: {10}.*\n)+/, '');
  if (older === whole) throw new Error('the CRD has no column Message any more');
  writeFileSync(file, older);
}

describe.skipIf(noCluster)('with Helm', () => {
  let { cluster, images }: TestCluster = {} as TestCluster;
  /** Of the operator, and of the clusters. */
  let ops: TestNamespace;
  let shop: TestNamespace;
  let helmIn: (namespace: string) => Helm;
  const used: UsedRights[] = [];
  beforeAll(async () => {
    ({ cluster, images } = await openTestCluster(['atomshard', 'postgres-18']));
    helmIn = await helmFor(cluster);
    ops = await testNamespace(cluster.kubectl, 'ship-ops', RESTRICTED);
    shop = await testNamespace(cluster.kubectl, 'ship-shop', RESTRICTED);
  }, HELM_BUILD_MS);
  afterAll(async () => {
    for (const [space, release] of [
      [shop, 'bank'],
      [ops, 'ops'],
    ] as const) {
      await helmIn(space.name).try(['uninstall', release, '--wait', '--timeout', '90s']);
      await space[Symbol.asyncDispose]();
    }
  });

  const operatorValues = (more: Readonly<Record<string, string | number | boolean>> = {}) =>
    settings({ ...imageSettings(images.atomshard), 'watchNamespaces[0]': shop.name, 'rbac.aggregate': false, ...more });

  it('the operator is installed for one namespace, and says itself that it is ready', async () => {
    using older = temporaryFolder();
    writeOlderChart(older.path);
    const helm = helmIn(ops.name);
    const args = ['install', 'ops', older.path, '--wait', '--timeout', '120s', ...TAKE_CRD];
    const said = await helm.run([...args, ...operatorValues()]);
    expect(said).toContain(`watches ShardedClusters in ${shop.name}`);
    expect(await helm.run(['test', 'ops', '--logs'])).toMatch(/Phase:\s+Succeeded/);
    expect(await cluster.kubectl.value(CRD, COLUMNS)).not.toContain('Message');
  });

  it('a cluster is made, and `helm test` logs in through its Service', async () => {
    const helm = helmIn(shop.name);
    const said = await helm.run(['install', 'bank', CLUSTER_CHART, ...settings(small(images['postgres-18']))]);
    expect(said).toContain('psql -h localhost -U app -d app');
    await shop.kubectl.run(['wait', '--for=condition=Ready', 'shcl/bank', '--timeout=300s']);
    expect(await helm.run(['test', 'bank', '--logs', '--timeout', '150s'])).toMatch(/Phase:\s+Succeeded/);
    used.push(await usedRights(cluster.kubectl, ops.name, METRICS));
  });

  it('an upgrade of the operator upgrades the CRD too, while clients go on', async () => {
    const before = await shop.kubectl.value('pod', '.items[*].metadata.uid');
    const password = await shop.kubectl.value('secret bank-user-app', '.data.password');
    const env = `PGPASSWORD=${Buffer.from(password, 'base64').toString()}`;
    const client = `for i in $(seq 100); do psql -qAt -h bank -U app -d app -c 'SELECT 1' || exit 1; sleep 0.1; done`;
    const served = shop.kubectl.try(['exec', 'bank-shard-0-0', '--', 'env', env, 'sh', '-c', client]);
    const helm = helmIn(ops.name);
    const args = ['upgrade', 'ops', OPERATOR_CHART, '--wait', '--timeout', '120s', ...TAKE_CRD];
    await helm.run([...args, ...operatorValues({ logLevel: 'debug' })]);
    expect(await cluster.kubectl.value(CRD, COLUMNS)).toContain('Message');
    expect(await helm.run(['test', 'ops'])).toMatch(/Phase:\s+Succeeded/);
    expect(await served).toMatchObject({ code: 0, stdout: '1\n'.repeat(100) });
    expect(await shop.kubectl.value('pod', '.items[*].metadata.uid')).toBe(before);
  });

  it('an upgrade of the cluster changes its spec', async () => {
    const helm = helmIn(shop.name);
    const guards = { 'podDisruptionBudget.enabled': false, 'networkPolicy.enabled': false };
    const values = { ...small(images['postgres-18']), ...guards, 'proxy.replicas': 2 };
    await helm.run(['upgrade', 'bank', CLUSTER_CHART, ...settings(values)]);
    await shop.kubectl.waitForValue('shcl bank', '.status.proxiesReady', (ready) => ready === '2/2', 120_000);
    await shop.kubectl.waitUntilGone('poddisruptionbudget,networkpolicy -l atomshard.dev/cluster=bank');
    const { code, stderr } = await helm.try([
      'upgrade',
      'bank',
      CLUSTER_CHART,
      ...settings({ ...values, 'shards.count': 1 }),
    ]);
    expect(`${code} ${stderr}`).toContain('a shard that has rows is never left out');
  });

  it('the operator was forbidden nothing, and has no right that it never uses', async () => {
    used.push(await usedRights(cluster.kubectl, ops.name, METRICS));
    expect(used.flatMap(({ forbidden }) => forbidden)).toEqual([]);
    const all = new Set(used.flatMap((part) => [...part.used]));
    const granted = grantedRights();
    // The premise: it did count.
    expect(all.size).toBeGreaterThan(20);
    expect([...all].filter((right) => !granted.has(right))).toEqual([]);
    expect([...granted].filter((right) => !all.has(right) && !(right in RARE))).toEqual([]);
    expect(Object.keys(RARE).filter((right) => !granted.has(right))).toEqual([]);
  });

  it('uninstalling the operator leaves what runs and the CRD; uninstalling the cluster leaves its volumes', async () => {
    await helmIn(shop.name).run(['uninstall', 'bank', '--wait', '--timeout', '120s']);
    await shop.kubectl.waitUntilGone('shcl bank', 60_000);
    await shop.kubectl.waitUntilGone('pod -l atomshard.dev/cluster=bank', 60_000);
    const claims = await shop.kubectl.value('pvc', '.items[*].metadata.name');
    expect(claims.split(' ').toSorted()).toEqual([
      'data-bank-shard-0-0',
      'data-bank-shard-1-0',
      'wal-bank-proxy-0',
      'wal-bank-proxy-1',
    ]);
    await helmIn(ops.name).run(['uninstall', 'ops', '--wait', '--timeout', '60s']);
    expect(await cluster.kubectl.value(CRD, '.metadata.name')).not.toBe('');
  });
});

/** install.yaml for one namespace and under names of its own, so that it meets no other operator on a shared cluster. */
function installIn(namespace: string, image: string): string {
  const own = (object: Manifest): Manifest => {
    if (!object.kind.startsWith('ClusterRole')) return object;
    const text = JSON.stringify(object).replaceAll(/"atomshard-operator(-editor|-viewer)?"/g, `"${namespace}$1"`);
    const renamed = JSON.parse(text) as Manifest & { subjects?: readonly object[] };
    const subjects = renamed.subjects?.map((subject) => ({ ...subject, name: 'atomshard-operator' }));
    return subjects === undefined ? renamed : { ...renamed, subjects };
  };
  const text = readFileSync(INSTALL_FILE, 'utf8')
    .replaceAll('atomshard-system', namespace)
    .replaceAll(/image: atomshard:\S+/g, `image: ${image}`)
    .replace('- --http-port=8080', `- --http-port=8080\n            - --namespaces=${namespace}`);
  const objects = objectsIn(text).filter(({ kind }) => kind !== 'Namespace');
  return objects.map((object) => stringify(own(object))).join('---\n');
}

describe.skipIf(noCluster)('with kubectl', () => {
  it('install.yaml brings an operator that is ready, and five lines of spec bring a cluster', async () => {
    const { cluster, images } = await openTestCluster(['atomshard', 'postgres-18']);
    await using space = await testNamespace(cluster.kubectl, 'ship-file', RESTRICTED);
    const { kubectl } = space;
    const file = installIn(space.name, images.atomshard);
    try {
      await kubectl.apply(file);
      await kubectl.run(['rollout', 'status', 'deployment/atomshard-operator', '--timeout=120s']);
      const sample = readFileSync(path.join(import.meta.dirname, '../../manifests/samples/minimal.yaml'), 'utf8');
      await kubectl.apply(sample.replace('\nspec:\n', `\nspec:\n  postgres: { image: ${images['postgres-18']} }\n`));
      await kubectl.run(['wait', '--for=condition=Ready', 'shcl/bank', '--timeout=300s']);
      await kubectl.run(['delete', 'shcl', 'bank', '--timeout=180s']);
    } finally {
      const names = [`clusterrole/${space.name}`, `clusterrolebinding/${space.name}`];
      const people = [`clusterrole/${space.name}-editor`, `clusterrole/${space.name}-viewer`];
      await kubectl.try(['delete', '--ignore-not-found', ...names, ...people]);
    }
  });
});

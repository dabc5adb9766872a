// A ShardedCluster as the API server hands it out: the defaults are read from the CRD itself, so that no test has its own idea of them.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import type { ShardedCluster } from '../../src/operator/api/sharded-cluster.ts';
import type { DesiredInput } from '../../src/operator/desired/desired-input.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

interface Schema {
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

const crd = parse(readFileSync(path.join(ROOT, 'crds/shardedclusters.atomshard.dev.yaml'), 'utf8')) as {
  readonly spec: { readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[] };
};
const schema = crd.spec.versions[0]?.schema.openAPIV3Schema.properties?.spec ?? {};

/** As the API server does: a field that is missing gets its default, then the defaults inside of it. */
function filled(value: unknown, { default: otherwise, properties, items }: Schema): unknown {
  const present = value ?? (otherwise === undefined ? undefined : structuredClone(otherwise));
  if (Array.isArray(present)) return items === undefined ? present : present.map((each) => filled(each, items));
  if (present === null || typeof present !== 'object' || properties === undefined) return present;
  const out: Record<string, unknown> = { ...present };
  for (const [name, inner] of Object.entries(properties)) {
    const found = filled(out[name], inner);
    if (found !== undefined) out[name] = found;
  }
  return out;
}

/** The cluster `name` in namespace `test` with this spec, which may leave out whatever has a default. */
export function shardedCluster(spec: object, name = 'bank', namespace = 'test'): ShardedCluster {
  return {
    apiVersion: 'atomshard.dev/v1alpha1',
    kind: 'ShardedCluster',
    metadata: {
      name,
      namespace,
      uid: '00000000-0000-4000-8000-000000000001',
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
    },
    spec: filled(spec, schema) as ShardedCluster['spec'],
  };
}

/** The ShardedCluster of manifests/samples/SAMPLE.yaml. */
export function sampleCluster(sample: string, namespace = 'test'): ShardedCluster {
  const text = readFileSync(path.join(ROOT, `manifests/samples/${sample}.yaml`), 'utf8');
  const documents = parseAllDocuments(text).map((document) => document.toJS() as ShardedCluster);
  const found = documents.find(({ kind }) => kind === 'ShardedCluster');
  if (found === undefined) throw new Error(`no ShardedCluster in sample ${sample}`);
  return shardedCluster(found.spec, found.metadata.name, namespace);
}

/** Whatever the spec cannot know, at values that a running operator would have. */
export function desiredInput(cluster: ShardedCluster, more: Partial<DesiredInput> = {}): DesiredInput {
  const users = cluster.spec.credentials.users.map(({ name }) => ({ name, password: `password of ${name}` }));
  return {
    cluster,
    clusterId: 'k3x9q',
    operatorImage: 'atomshard:0.1.0',
    proxyReplicas: cluster.spec.proxy.replicas,
    placement:
      cluster.spec.shards.external?.map(({ name }) => name) ??
      Array.from({ length: cluster.spec.shards.count ?? 0 }, (_, index) => `shard-${index}`),
    stoppedShards: new Set(),
    preparedFloor: new Map(),
    superuser: 'postgres',
    logins: {
      users: users.length > 0 ? users : [{ name: 'app', password: 'password of app' }],
      admin: { name: 'atomshard_admin', password: 'password of the admin' },
      resolver: { name: 'atomshard_resolver', password: 'password of the resolver' },
    },
    operatorPeers: [
      {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'atomshard-system' } },
        podSelector: { matchLabels: { 'app.kubernetes.io/name': 'atomshard-operator' } },
      },
    ],
    monitoringKinds: { podMonitor: true, prometheusRule: true },
    ...more,
  };
}

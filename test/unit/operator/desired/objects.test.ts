// What holds for all objects of all clusters, and what single fields of a spec change.
import { describe, expect, it } from 'vitest';
import type { ShardedCluster } from '../../../../src/operator/api/sharded-cluster.ts';
import {
  certificateSecret,
  PASSWORD_BYTES,
  passwordFrom,
  superuserSecret,
  userSecret,
} from '../../../../src/operator/desired/credential-secrets.ts';
import { desiredObjects } from '../../../../src/operator/desired/desired.ts';
import type { DesiredInput } from '../../../../src/operator/desired/desired-input.ts';
import { ANNOTATIONS, LABELS } from '../../../../src/operator/desired/labels.ts';
import { desiredInput, sampleCluster, shardedCluster } from '../../../support/sharded-cluster.ts';

const SAMPLES = ['minimal', 'full', 'external', 'tls'];
const shards = { count: 2, storage: { size: '1Gi' } };

interface Container {
  readonly securityContext: object;
  readonly volumeMounts: readonly { readonly name: string }[];
  readonly env: readonly { readonly name: string }[];
}
interface PodSpec {
  readonly securityContext: object;
  readonly containers: readonly Container[];
  readonly volumes: readonly { readonly name: string }[];
  readonly nodeSelector?: object;
  readonly affinity: object;
  readonly topologySpreadConstraints?: readonly object[];
}
interface SetSpec {
  readonly replicas: number;
  readonly updateStrategy: object;
  readonly persistentVolumeClaimRetentionPolicy: object;
  readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
  readonly template: {
    readonly metadata: {
      readonly labels: Readonly<Record<string, string>>;
      readonly annotations: Readonly<Record<string, string>>;
    };
    readonly spec: PodSpec;
  };
  readonly volumeClaimTemplates: readonly {
    readonly metadata: { readonly name: string; readonly annotations: object };
    readonly spec: { readonly resources: { readonly requests: { readonly storage: string } } };
  }[];
}

const objectsOf = (spec: object, more: Partial<DesiredInput> = {}) =>
  desiredObjects(desiredInput(shardedCluster(spec), more));
const named = (objects: ReturnType<typeof desiredObjects>, kind: string, name: string) =>
  objects.find(({ type, object }) => type.kind === kind && object.metadata.name === name)?.object;
const setsOf = (objects: ReturnType<typeof desiredObjects>) =>
  objects.filter(({ type }) => type.kind === 'StatefulSet').map(({ object }) => object.spec as SetSpec);
const setOf = (objects: ReturnType<typeof desiredObjects>, name: string) =>
  named(objects, 'StatefulSet', name)?.spec as SetSpec;
const hashOf = (objects: ReturnType<typeof desiredObjects>, name: string) =>
  setOf(objects, name).template.metadata.annotations[ANNOTATIONS.restartHash];
const kindsOf = (objects: ReturnType<typeof desiredObjects>) => objects.map(({ type }) => type.kind);

describe.each(SAMPLES)('the objects of the sample %s', (sample) => {
  const objects = desiredObjects(desiredInput(sampleCluster(sample)));

  it('are named once, labelled, and owned by the cluster', () => {
    const keys = objects.map(({ type, object }) => `${type.kind}/${object.metadata.name}`);
    expect(new Set(keys).size).toBe(keys.length);
    for (const { type, object } of objects) {
      expect([object.apiVersion, object.kind]).toEqual([type.apiVersion, type.kind]);
      expect(object.metadata).toMatchObject({ namespace: 'test', ownerReferences: [{ controller: true }] });
      expect(object.metadata.labels?.[LABELS.cluster]).toBe(objects[0]?.object.metadata.labels?.[LABELS.instance]);
    }
  });

  it('are plain JSON', () => {
    const all = objects.map(({ object }) => object);
    expect(JSON.parse(JSON.stringify(all))).toEqual(all);
  });

  it('have pods that Pod Security `restricted` admits, each mount with its volume', () => {
    for (const { template, volumeClaimTemplates } of setsOf(objects)) {
      expect(template.spec.securityContext).toMatchObject({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      const volumes = [
        ...template.spec.volumes.map(({ name }) => name),
        ...volumeClaimTemplates.map(({ metadata }) => metadata.name),
      ];
      for (const { securityContext, volumeMounts } of template.spec.containers) {
        expect(securityContext).toMatchObject({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        expect(new Set(volumeMounts.map(({ name }) => name))).toEqual(new Set(volumes));
      }
    }
  });

  it('have sets that replace no pod and delete no volume by themselves', () => {
    for (const { updateStrategy, persistentVolumeClaimRetentionPolicy, selector, template } of setsOf(objects)) {
      expect(updateStrategy).toEqual({ type: 'OnDelete' });
      expect(persistentVolumeClaimRetentionPolicy).toEqual({ whenDeleted: 'Retain', whenScaled: 'Retain' });
      expect(template.metadata.labels).toMatchObject(selector.matchLabels);
    }
  });

  it('mount nothing before it is made', () => {
    const kinds = kindsOf(objects);
    for (const kind of ['ConfigMap', 'ServiceAccount'])
      if (kinds.includes(kind)) expect(kinds.indexOf(kind)).toBeLessThan(kinds.indexOf('StatefulSet'));
    expect(kinds.indexOf('Secret')).toBeLessThan(kinds.lastIndexOf('StatefulSet'));
  });
});

describe('the restart hash', () => {
  const before = objectsOf({ shards });
  const changed = (spec: object, name: string) => hashOf(objectsOf({ shards, ...spec }), name) !== hashOf(before, name);

  it.each([
    ['another image', { postgres: { image: 'postgres:17' } }],
    ['other resources', { shards: { ...shards, resources: { limits: { memory: '1Gi' } } } }],
    ['certificates of the user', { postgres: { tls: { secretName: 'mine', caSecretName: 'mine' } } }],
    ['a node selector', { shards: { ...shards, nodeSelector: { disk: 'nvme' } } }],
  ])('of a shard changes with %s', (_what, spec) => {
    expect(changed(spec, 'bank-shard-0')).toBe(true);
  });

  it.each([
    ['a setting, whose restart the server itself asks for', { postgres: { parameters: { max_connections: 500 } } }],
    ['another number of shards', { shards: { ...shards, count: 3 } }],
    ['options of initdb', { postgres: { initdbArgs: ['--encoding=UTF8'] } }],
    ['a larger volume', { shards: { ...shards, storage: { size: '2Gi' } } }],
    ['anything about the proxies', { proxy: { replicas: 5, image: 'other', tls: { mode: 'Require' } } }],
  ])('of a shard does not change with %s', (_what, spec) => {
    expect(changed(spec, 'bank-shard-0')).toBe(false);
  });

  it.each([
    ['what a reload can do', { proxy: { pool: { size: 21 } }, sharding: { tables: [{ name: 't', reference: true }] } }],
    ['more proxies', { proxy: { replicas: 5 } }],
    ['a password or a user more', { credentials: { users: [{ name: 'more' }] } }],
    ['a larger volume', { proxy: { wal: { size: '4Gi' } } }],
  ])('of a proxy does not change with %s', (_what, spec) => {
    expect(changed(spec, 'bank-proxy')).toBe(false);
  });

  it('of a proxy changes with the operator’s image unless the spec names one', () => {
    const other = { operatorImage: 'atomshard:0.2.0' };
    expect(hashOf(objectsOf({ shards }, other), 'bank-proxy')).not.toBe(hashOf(before, 'bank-proxy'));
    const pinned = { shards, proxy: { image: 'mine' } };
    expect(hashOf(objectsOf(pinned, other), 'bank-proxy')).toBe(hashOf(objectsOf(pinned), 'bank-proxy'));
  });

  it('does not change with the order in which a user writes fields', () => {
    const one = { shards: { ...shards, nodeSelector: { a: '1', b: '2' } } };
    const other = { shards: { ...shards, nodeSelector: { b: '2', a: '1' } } };
    expect(hashOf(objectsOf(one), 'bank-shard-0')).toBe(hashOf(objectsOf(other), 'bank-shard-0'));
  });
});

describe('single shards and proxies', () => {
  it('have what their override says, the others what all have', () => {
    const overrides = [{ name: 'shard-1', storage: { size: '9Gi' }, nodeSelector: { disk: 'nvme' } }];
    const objects = objectsOf({ shards: { ...shards, overrides } });
    const facts = ['bank-shard-0', 'bank-shard-1'].map((name) => {
      const { template, volumeClaimTemplates } = setOf(objects, name);
      return [volumeClaimTemplates[0]?.spec.resources.requests.storage, template.spec.nodeSelector];
    });
    expect(facts).toEqual([
      ['1Gi', undefined],
      ['9Gi', { disk: 'nvme' }],
    ]);
  });

  it('have no pod while they are stopped, and as many proxies as the plan says', () => {
    const objects = objectsOf({ shards }, { stoppedShards: new Set(['shard-1']), proxyReplicas: 3 });
    const replicas = ['bank-shard-0', 'bank-shard-1', 'bank-proxy'].map((name) => setOf(objects, name).replicas);
    expect(replicas).toEqual([1, 0, 3]);
  });

  it('leave on their volumes whose they are', () => {
    for (const { volumeClaimTemplates } of setsOf(objectsOf({ shards })))
      expect(volumeClaimTemplates[0]?.metadata.annotations).toEqual({ [ANNOTATIONS.clusterId]: 'k3x9q' });
  });

  it('prefer different nodes unless the spec says otherwise, and are counted by our labels where it says no others', () => {
    const mine = { nodeAffinity: {} };
    const spread = { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'ScheduleAnyway' };
    const [free, bound] = [{}, { affinity: mine, topologySpreadConstraints: [spread] }].map(
      (more) => setOf(objectsOf({ shards: { ...shards, ...more } }), 'bank-shard-0').template.spec,
    );
    expect(free?.affinity).toHaveProperty('podAntiAffinity');
    expect(bound?.affinity).toEqual(mine);
    const matchLabels = { 'atomshard.dev/cluster': 'bank', 'app.kubernetes.io/component': 'shard' };
    expect(bound?.topologySpreadConstraints).toEqual([{ ...spread, labelSelector: { matchLabels } }]);
  });
});

describe('what a spec switches off', () => {
  it('is not made: budgets, policies, monitoring', () => {
    const off = { enabled: false };
    const objects = objectsOf({ shards, podDisruptionBudget: off, networkPolicy: off });
    const unwanted = ['PodDisruptionBudget', 'NetworkPolicy', 'PodMonitor', 'PrometheusRule'];
    expect(kindsOf(objects).filter((kind) => unwanted.includes(kind))).toEqual([]);
  });

  it('objects of the Prometheus operator are made only where its CRDs are', () => {
    const on = { podMonitor: { enabled: true, labels: { release: 'p' } }, prometheusRule: { enabled: true } };
    const kinds = (present: boolean) =>
      kindsOf(
        objectsOf({ shards, monitoring: on }, { monitoringKinds: { podMonitor: present, prometheusRule: present } }),
      ).filter((kind) => kind === 'PodMonitor' || kind === 'PrometheusRule');
    expect([kinds(true), kinds(false)]).toEqual([['PodMonitor', 'PrometheusRule'], []]);
    const monitor = named(objectsOf({ shards, monitoring: on }), 'PodMonitor', 'bank-proxy');
    expect(monitor?.metadata.labels).toMatchObject({ release: 'p', [LABELS.cluster]: 'bank' });
  });

  it('makes external clusters without anything of shards', () => {
    const objects = desiredObjects(desiredInput(sampleCluster('external')));
    expect(objects.filter(({ object }) => object.metadata.labels?.[LABELS.component] === 'shard')).toEqual([]);
    expect(setsOf(objects)).toHaveLength(1);
  });
});

describe('NetworkPolicies', () => {
  const ingressOf = (networkPolicy: object, name: string, more: Partial<DesiredInput> = {}) => {
    const policy = named(objectsOf({ shards, networkPolicy }, more), 'NetworkPolicy', name);
    return (policy as unknown as { spec: { ingress: { from?: object[] }[] } }).spec.ingress;
  };
  const client = { podSelector: { matchLabels: { app: 'web' } } };

  it('let proxies, operator and those whom the spec names to the shards, and nobody else', () => {
    const [rule, ...more] = ingressOf({ shardClients: [client] }, 'bank-shard');
    expect(more).toEqual([]);
    expect(rule?.from).toHaveLength(3);
    expect(rule?.from?.at(-1)).toEqual(client);
  });

  it('let everybody to the proxies where the spec names no clients, and only those and the operator where it does', () => {
    expect(ingressOf({}, 'bank-proxy')[0]?.from).toBeUndefined();
    expect(ingressOf({ clients: [client] }, 'bank-proxy')[0]?.from).toHaveLength(2);
  });

  it('let nobody in by an empty list, which Kubernetes would read as everybody', () => {
    const rules = ingressOf({ clients: [] }, 'bank-proxy', { operatorPeers: [] });
    expect(rules).toEqual([{ ports: [{ port: 8080, protocol: 'TCP' }] }]);
  });
});

describe('Secrets', () => {
  const texts = ({ object }: ReturnType<typeof userSecret>) =>
    Object.fromEntries(
      Object.entries(object.data as Record<string, string>).map(([key, text]) => [
        key,
        Buffer.from(text, 'base64').toString(),
      ]),
    );
  const cluster = (whenDeleted: 'Retain' | 'Delete'): ShardedCluster =>
    shardedCluster({ shards, pvcRetentionPolicy: { whenDeleted } });

  it('of a user hold all that an application needs, with a URI that survives odd passwords', () => {
    const made = texts(userSecret(cluster('Retain'), { name: 'a b', password: 'p@s/s:w?rd' }));
    expect(made).toMatchObject({
      username: 'a b',
      password: 'p@s/s:w?rd',
      host: 'bank.test.svc',
      port: '5432',
      dbname: 'app',
    });
    const uri = new URL(made.uri ?? '');
    expect([decodeURIComponent(uri.username), decodeURIComponent(uri.password)]).toEqual(['a b', 'p@s/s:w?rd']);
    expect([uri.host, uri.pathname]).toEqual(['bank.test.svc:5432', '/app']);
  });

  it('stay with volumes that stay, and go with volumes that go', () => {
    const owners = (kept: 'Retain' | 'Delete') =>
      superuserSecret(cluster(kept), { name: 'postgres', password: 'x' }).object.metadata.ownerReferences?.length ?? 0;
    expect([owners('Retain'), owners('Delete')]).toEqual([0, 1]);
    const certificate = certificateSecret(cluster('Retain'), 'caSecret', { certificate: 'c', key: 'k' });
    expect(certificate.object.metadata.ownerReferences).toHaveLength(1);
  });

  it('have passwords of 32 letters that every file and URL takes as they are', () => {
    const random = new Uint8Array(PASSWORD_BYTES).map((_, index) => (index * 37) % 256);
    expect(passwordFrom(random)).toMatch(/^[A-Za-z0-9]{32}$/);
    expect(passwordFrom(random)).not.toBe(passwordFrom(random.toReversed()));
  });
});

// Proof of the API on a real API server: it takes what is right, fills in the rest, and refuses what is wrong in useful words.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { Kubectl } from './harness/kubectl.ts';
import { type TestNamespace, testNamespace } from './harness/namespaces.ts';
import { REFUSALS, SUBJECTS, type Subject } from './operator-api/refusals.ts';
import { noCluster, openTestCluster } from './test-cluster.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const CRD = readFileSync(path.join(ROOT, 'crds/shardedclusters.atomshard.dev.yaml'), 'utf8');
const CRD_NAME = 'shardedclusters.atomshard.dev';
const HEAD = { apiVersion: 'atomshard.dev/v1alpha1', kind: 'ShardedCluster' };

interface Schema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly 'x-kubernetes-validations'?: readonly Rule[];
}
interface Rule {
  readonly rule: string;
  readonly message?: string;
  readonly messageExpression?: string;
}

function* walk(schema: Schema, at: string): Generator<[string, Schema]> {
  yield [at, schema];
  for (const [name, inner] of Object.entries(schema.properties ?? {})) yield* walk(inner, `${at}.${name}`);
  if (schema.items !== undefined) yield* walk(schema.items, at);
  if (typeof schema.additionalProperties === 'object') yield* walk(schema.additionalProperties, at);
}

/** A pattern of what a rule says; a computed part may be anything. */
function wordsOf(rule: Rule): RegExp {
  const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  if (rule.message !== undefined) return new RegExp(`^${escaped(rule.message)}$`);
  const parts = (rule.messageExpression ?? '').split(/\s\+\s/).map((part) => {
    const literal = /^'([^']*)'$/.exec(part.trim())?.[1];
    return literal === undefined ? '.*' : escaped(literal);
  });
  return new RegExp(`^${parts.join('')}$`);
}

describe.skipIf(noCluster)('the API of the operator', () => {
  let whole = {} as Kubectl;
  let space: TestNamespace | undefined;
  let kubectl = {} as Kubectl;
  let wasThere = true;
  const create = (name: string, spec: object, ...more: string[]) =>
    kubectl.try(['create', '-f', '-', '-o', 'json', ...more], {
      input: JSON.stringify({ ...HEAD, metadata: { name }, spec }),
    });

  beforeAll(async () => {
    whole = (await openTestCluster([])).cluster.kubectl;
    wasThere = (await whole.try(['get', 'crd', CRD_NAME])).code === 0;
    await whole.apply(CRD);
    await whole.untilEstablished(CRD_NAME);
    space = await testNamespace(whole, 'api');
    ({ kubectl } = space);
    for (const [name, spec] of Object.entries(SUBJECTS)) await kubectl.apply([{ ...HEAD, metadata: { name }, spec }]);
  });

  afterAll(async () => {
    await space?.[Symbol.asyncDispose]();
    // A definition that somebody else installed stays: deleting it would delete all their clusters.
    if (!wasThere) await whole.try(['delete', 'crd', CRD_NAME, '--wait=false']);
  });

  it('is established without a warning about its schema', async () => {
    const conditions = await whole.value(`crd ${CRD_NAME}`, '.status.conditions[*].type');
    expect(conditions.split(' ').toSorted()).toEqual(['Established', 'NamesAccepted']);
  });

  it.each(['minimal', 'full', 'external', 'tls'])('takes the sample %s, with every field known', async (sample) => {
    const file = path.join(ROOT, `manifests/samples/${sample}.yaml`);
    await kubectl.run(['create', '-f', file, '--dry-run=server', '--validate=strict']);
  });

  it('fills in every default from a count and a size', async () => {
    const made = await create('five-lines', { shards: { count: 3, storage: { size: '1Gi' } } }, '--dry-run=server');
    expect(made.stderr).toBe('');
    const { spec } = JSON.parse(made.stdout) as { spec: object };
    expect(spec).toEqual({
      paused: false,
      shutdown: false,
      postgres: {
        image: 'postgres:18',
        imagePullPolicy: 'IfNotPresent',
        database: 'app',
        extensions: [],
        parameters: {},
        initdbArgs: [],
        tls: { mode: 'Require' },
      },
      shards: { count: 3, turndown: 'Forbid', storage: { size: '1Gi' } },
      sharding: { buckets: 4096, unlisted: 'reference', searchPath: ['public'], tables: [] },
      twoPhaseCommit: {
        enabled: true,
        auto: true,
        commitWait: '5s',
        inDoubtPolicy: 'Resolve',
        recoveryGracePeriod: '5m',
      },
      proxy: {
        replicas: 2,
        imagePullPolicy: 'IfNotPresent',
        service: { type: 'ClusterIP', port: 5432 },
        wal: { size: '2Gi', segmentSize: '64Mi', retention: '24h' },
        pool: {
          size: 20,
          queueMax: 10000,
          queueWait: '10s',
          idleTimeout: '5m',
          lifetime: '1h',
          connectTimeout: '5s',
        },
        terminationGracePeriodSeconds: 60,
        tls: { mode: 'Allow' },
      },
      credentials: { users: [] },
      pvcRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
      podDisruptionBudget: { enabled: true },
      networkPolicy: { enabled: true },
      monitoring: { podMonitor: { enabled: false }, prometheusRule: { enabled: false } },
    });
  });

  it('explains every field', async () => {
    // What `kubectl explain` reads, in one request instead of one per field.
    const published = JSON.parse(await whole.run(['get', '--raw', '/openapi/v3/apis/atomshard.dev/v1alpha1'])) as {
      components: { schemas: Record<string, Schema> };
    };
    const schema = published.components.schemas['dev.atomshard.v1alpha1.ShardedCluster'] ?? {};
    const fields = [...walk(schema, 'shcl')].filter(([at]) => /\.(spec|status)/.test(at));
    expect(fields.length).toBeGreaterThan(300);
    expect(fields.filter(([, field]) => (field.description ?? '') === '').map(([at]) => at)).toEqual([]);
    const text = await kubectl.run(['explain', 'shcl.spec.twoPhaseCommit.inDoubtPolicy']);
    expect(text.replace(/\s+/g, ' ')).toContain('What the operator does for a proxy that does not come back.');
  });

  it.each(REFUSALS.map((one) => [`${one.subject} ${JSON.stringify(one.spec).slice(0, 90)}`, one] as const))(
    'refuses %s',
    async (_title, refusal) => {
      const { subject, spec, at, says } = refusal;
      const patch = ['patch', 'shcl', subject, '--type=merge', '--dry-run=server', '-p', JSON.stringify({ spec })];
      const { code, stderr } = await kubectl.try(patch);
      expect(code).toBe(1);
      expect(stderr).toContain(`${at}: Invalid value`);
      expect(stderr).toContain(says);
    },
  );

  const NAME = [
    [
      'a'.repeat(31),
      'metadata.name: write at most 30 characters, because Pods, Services and volumes are named after it',
    ],
    [
      'shop.prod',
      'metadata.name: write a-z, 0-9 and - only, beginning with a letter and not ending with -, because Services are named after it',
    ],
  ] as const;
  it.each(NAME)('refuses the name %s', async (name, says) => {
    expect((await create(name, SUBJECTS.made, '--dry-run=server')).stderr).toContain(says);
    expect((await create('a'.repeat(30), SUBJECTS.made, '--dry-run=server')).code).toBe(0);
  });

  const CLUSTER_ID = 'status.clusterId cannot change: it is in the name of every prepared transaction';
  it('refuses another cluster id in the status', async () => {
    const write = (clusterId: string) =>
      kubectl.try([
        'patch',
        'shcl',
        'made',
        '--subresource=status',
        '--type=merge',
        '-p',
        JSON.stringify({ status: { clusterId } }),
      ]);
    expect((await write('k3x9q')).code).toBe(0);
    expect((await write('other')).stderr).toContain(CLUSTER_ID);
  });

  it('has a test above for every rule of the CRD', () => {
    const said = [...REFUSALS.map((one) => one.says), ...NAME.map(([, says]) => says), CLUSTER_ID];
    const { spec } = parse(CRD) as { spec: { versions: [{ schema: { openAPIV3Schema: Schema } }] } };
    const rules = [...walk(spec.versions[0].schema.openAPIV3Schema, '')].flatMap(
      ([, schema]) => schema['x-kubernetes-validations'] ?? [],
    );
    expect(rules.length).toBeGreaterThan(40);
    const untested = rules.filter((rule) => !said.some((words) => wordsOf(rule).test(words)));
    expect(untested.map((rule) => rule.rule)).toEqual([]);
  });

  const ALLOWED: readonly (readonly [string, Subject, object])[] = [
    ['fewer shards where that is said to be meant', 'made', { shards: { count: 2, turndown: 'Immediate' } }],
    ['more shards', 'made', { shards: { count: 1024 } }],
    ['larger volumes', 'made', { shards: { storage: { size: '11Gi' } }, proxy: { wal: { size: '3Gi' } } }],
    [
      'settings as numbers and words',
      'made',
      { postgres: { parameters: { max_connections: 300, synchronous_commit: 'on' } } },
    ],
    ['a table less and another more', 'made', { sharding: { tables: [{ name: 'items', reference: true }] } }],
    ['enough prepared transactions', 'made', { twoPhaseCommit: { maxPreparedTransactions: 120 } }],
    [
      'an override of a shard that exists',
      'made',
      { shards: { overrides: [{ name: 'shard-2', nodeSelector: { disk: 'nvme' } }] } },
    ],
  ];
  it.each(ALLOWED)('allows %s', async (_what, subject, spec) => {
    await kubectl.run(['patch', 'shcl', subject, '--type=merge', '--dry-run=server', '-p', JSON.stringify({ spec })]);
  });

  it('allows one more external shard at the end', async () => {
    const former = JSON.parse(await kubectl.run(['get', 'shcl', 'external', '-o', 'json'])) as {
      spec: { shards: { external: object[] } };
    };
    const more = [...former.spec.shards.external, { name: 'north', host: 'n', credentialsSecretRef: { name: 'a' } }];
    const patch = JSON.stringify({ spec: { shards: { external: more } } });
    await kubectl.run(['patch', 'shcl', 'external', '--type=merge', '--dry-run=server', '-p', patch]);
  });

  it('scales the proxies and nothing else, and the status cannot be written with the spec', async () => {
    const namespace = await kubectl.value('shcl made', '.metadata.namespace');
    await kubectl.run(['scale', 'shcl/made', '--replicas=3']);
    expect(await kubectl.value('shcl made', '.spec.proxy.replicas')).toBe('3');
    expect(await kubectl.value('shcl made', '.spec.shards.count')).toBe('3');
    expect((await kubectl.try(['scale', 'shcl/made', '--replicas=0'])).stderr).toContain(
      'spec.proxy.replicas in body should be greater than or equal to 1',
    );
    const status = { proxyReplicas: 2, selector: 'app=x', phase: 'Ready' };
    await kubectl.run(['patch', 'shcl', 'made', '--type=merge', '-p', JSON.stringify({ status })]);
    expect(await kubectl.value('shcl made', '.status.phase')).toBe('');
    await kubectl.run([
      'patch',
      'shcl',
      'made',
      '--subresource=status',
      '--type=merge',
      '-p',
      JSON.stringify({ status }),
    ]);
    const scale = JSON.parse(
      await kubectl.run([
        'get',
        '--raw',
        `/apis/atomshard.dev/v1alpha1/namespaces/${namespace}/shardedclusters/made/scale`,
      ]),
    ) as { status: object };
    expect(scale.status).toEqual({ replicas: 2, selector: 'app=x' });
  });

  it('shows at a glance how a cluster is', async () => {
    const lastTransitionTime = '2026-01-01T00:00:00Z';
    const ready = { type: 'Ready', status: 'True', reason: 'AllReady', message: 'ready', lastTransitionTime };
    const status = {
      conditions: [ready],
      phase: 'Ready',
      shardsReady: '2/2',
      proxiesReady: '1/2',
      inDoubtTransactions: 7,
    };
    const patch = JSON.stringify({ status });
    await kubectl.run(['patch', 'shcl', 'external', '--subresource=status', '--type=merge', '-p', patch]);
    const [head, line] = (await kubectl.run(['get', 'shcl', 'external'])).split('\n').map((one) => one.split(/\s+/));
    expect(head?.slice(0, 7)).toEqual(['NAME', 'READY', 'SHARDS', 'PROXIES', 'IN-DOUBT', 'PHASE', 'AGE']);
    expect(line?.slice(0, 6)).toEqual(['external', 'True', '2/2', '1/2', '7', 'Ready']);
  });
});

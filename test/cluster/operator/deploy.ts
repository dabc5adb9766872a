// The operator in a namespace of its own, with the rights of the shipped list and no more, watching that namespace only.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import type { ShardedClusterStatus } from '../../../src/operator/api/sharded-cluster.generated.ts';
import { type Kubectl, waitFor } from '../harness/kubectl.ts';
import { PROJECT_ROOT } from '../images/names.ts';

export const CRD_FILE = path.join(PROJECT_ROOT, 'crds/shardedclusters.atomshard.dev.yaml');
const RBAC_FILE = path.join(PROJECT_ROOT, 'charts/atomshard-operator/files/rbac.yaml');

/** Namespaces of tests enforce this. */
export const RESTRICTED = { 'pod-security.kubernetes.io/enforce': 'restricted' } as const;

const NAME = 'atomshard-operator';
const LABELS = { 'app.kubernetes.io/name': NAME };

export interface DeployOptions {
  readonly image: string;
  /** Further flags. */
  readonly args?: readonly string[];
  readonly replicas?: number;
}

/** Applies CRD, rights and Deployment, and waits until it is ready. */
export async function deployOperator(kubectl: Kubectl, namespace: string, options: DeployOptions): Promise<void> {
  await kubectl.apply(readFileSync(CRD_FILE, 'utf8'));
  await kubectl.untilEstablished('shardedclusters.atomshard.dev');
  await kubectl.apply(operatorObjects(namespace, options));
  await kubectl.run(['rollout', 'status', `deployment/${NAME}`, '--timeout=90s']);
}

const rights = (): { watched: object[]; own: object[] } =>
  parse(readFileSync(RBAC_FILE, 'utf8')) as { watched: object[]; own: object[] };

/** Rights over all namespaces for the operator that runs in `namespace`; whoever applies them removes them. */
export function clusterRights(namespace: string): object[] {
  const metadata = { name: namespace, labels: { ...LABELS, 'atomshard.dev/made-by': 'cluster-tests' } };
  return [
    { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata, rules: rights().watched },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: namespace },
      subjects: [{ kind: 'ServiceAccount', name: NAME, namespace }],
    },
  ];
}

function operatorObjects(namespace: string, { image, args = [], replicas = 1 }: DeployOptions): object[] {
  const metadata = { name: NAME, namespace, labels: LABELS };
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata,
      rules: [...rights().watched, ...rights().own],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: NAME },
      subjects: [{ kind: 'ServiceAccount', name: NAME, namespace }],
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas,
        selector: { matchLabels: LABELS },
        template: {
          metadata: { labels: LABELS },
          spec: {
            serviceAccountName: NAME,
            securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
            containers: [
              {
                name: 'operator',
                image,
                args: ['operator', `--namespaces=${namespace}`, '--log-level=debug', ...args],
                env: [
                  { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
                  { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
                ],
                ports: [{ name: 'http', containerPort: 8080 }],
                readinessProbe: { httpGet: { path: '/readyz', port: 'http' }, periodSeconds: 1 },
                securityContext: {
                  allowPrivilegeEscalation: false,
                  readOnlyRootFilesystem: true,
                  capabilities: { drop: ['ALL'] },
                },
                terminationMessagePolicy: 'FallbackToLogsOnError',
              },
            ],
          },
        },
      },
    },
  ];
}

/** A small ShardedCluster: two shards and two proxies unless `spec` says otherwise; maps are merged two levels deep. */
export function smallCluster(name: string, postgres: string, spec: Readonly<Record<string, unknown>> = {}): object {
  const base: Record<string, unknown> = {
    postgres: { image: postgres },
    shards: { count: 2, storage: { size: '256Mi' } },
    proxy: { replicas: 2, wal: { size: '128Mi', segmentSize: '4Mi' } },
    sharding: { tables: [{ name: 'accounts', key: 'id', type: 'bigint' }] },
  };
  for (const [key, value] of Object.entries(spec)) {
    const before = base[key];
    const merge = typeof value === 'object' && !Array.isArray(value) && typeof before === 'object';
    base[key] = merge ? { ...before, ...value } : value;
  }
  return { apiVersion: 'atomshard.dev/v1alpha1', kind: 'ShardedCluster', metadata: { name }, spec: base };
}

/**
 * Waits until the status speaks of the present generation and Ready is what is wanted; says what it said last. What is Ready
 * is led to from the client pod as well, where there is one.
 */
export async function waitForReady(
  kubectl: Kubectl,
  name: string,
  timeoutMs = 180_000,
  wanted = 'True',
): Promise<void> {
  let said = '';
  try {
    await waitFor(`ShardedCluster ${name} Ready=${wanted}`, timeoutMs, async () => {
      const text = await kubectl.run(['get', 'shcl', name, '-o', 'json']);
      const { metadata, status } = JSON.parse(text) as SeenCluster;
      const ready = status?.conditions?.find(({ type }) => type === 'Ready');
      said = `${status?.phase}: ${status?.message}`;
      const current = status?.observedGeneration === metadata.generation;
      return current && ready?.status === wanted ? true : undefined;
    });
  } catch (error) {
    throw new Error(`${name} is not Ready=${wanted}; it last said: ${said}`, { cause: error });
  }
  const asks = wanted === 'True' && (await kubectl.try(['get', 'pod', 'client'])).code === 0;
  if (asks) await untilLedTo(kubectl, name, 'client');
}

/** kube-proxy writes the rules of a Service a moment after its pods are Ready, and on a busy machine some seconds after. */
export async function untilLedTo(kubectl: Kubectl, service: string, fromPod: string): Promise<void> {
  await waitFor(`the node of pod ${fromPod} to have rules for Service ${service}`, 30_000, async () => {
    const { code } = await kubectl.try(['exec', fromPod, '--', 'pg_isready', '-t', '2', '-U', 'anyone', '-h', service]);
    return code === 0 ? true : undefined;
  });
}

export interface SeenCluster {
  readonly metadata: { readonly generation: number; readonly finalizers?: readonly string[] };
  readonly status?: ShardedClusterStatus;
}

export async function seenCluster(kubectl: Kubectl, name: string): Promise<SeenCluster> {
  return JSON.parse(await kubectl.run(['get', 'shcl', name, '-o', 'json'])) as SeenCluster;
}

/** A pod with psql that stays, logs in with the users' Secrets, and is no part of any cluster. */
export async function clientPod(kubectl: Kubectl, image: string): Promise<void> {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'client' },
    spec: {
      terminationGracePeriodSeconds: 0,
      securityContext: { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'client',
          image,
          command: ['/bin/busybox', 'sleep', '86400'],
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
        },
      ],
    },
  };
  await kubectl.apply([pod]);
  await kubectl.run(['wait', '--for=condition=Ready', 'pod/client', '--timeout=60s']);
}

/** The rows of a statement as psql prints them unaligned, through the cluster's Service as its first user. */
export async function ask(kubectl: Kubectl, cluster: string, sql: string, role = 'app'): Promise<string> {
  const encoded = await kubectl.value(`secret ${cluster}-user-${role}`, '.data.uri');
  const uri = Buffer.from(encoded, 'base64').toString('utf8');
  const command = ['exec', 'client', '--', 'psql', uri, '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', sql];
  return (await kubectl.run(command)).trim();
}

/** Arguments with which kubectl runs a statement on a shard itself, as superuser; rows come unaligned. */
export const psqlOnShard = (pod: string, sql: string, database = 'postgres'): string[] => [
  ...['exec', pod, '--', 'psql', '-h', '/run/postgresql', '-U', 'postgres', '-d', database],
  ...['-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', sql],
];

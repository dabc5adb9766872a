// Labels and annotations: by these the operator finds what is its own, and people and policies find pods.
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import type { ObjectMeta, OwnerReference } from '../kube/resource.ts';

export const MANAGED_BY = 'atomshard-operator';

export const LABELS = {
  name: 'app.kubernetes.io/name',
  instance: 'app.kubernetes.io/instance',
  component: 'app.kubernetes.io/component',
  managedBy: 'app.kubernetes.io/managed-by',
  cluster: 'atomshard.dev/cluster',
  shard: 'atomshard.dev/shard',
} as const;

export const ANNOTATIONS = {
  /** On pod templates and so on pods: a pod with another one than its set's template has to be replaced. */
  restartHash: 'atomshard.dev/restart-hash',
  /** On pods, patched: the kubelet then brings mounted ConfigMaps and Secrets up to date at once. */
  reloadHash: 'atomshard.dev/reload-hash',
  /** On claims: the cluster whose prepared transactions may be in there. */
  clusterId: 'atomshard.dev/cluster-id',
  /** "true" on a ShardedCluster: deletion goes on although transactions are unfinished. */
  forceDelete: 'atomshard.dev/force-delete',
  /** Names on a ShardedCluster (`shard-0,proxy-1`): restarted, stopped or scaled away although transactions in doubt are there. */
  ignoreInDoubt: 'atomshard.dev/ignore-in-doubt',
} as const;

export const FINALIZER = 'atomshard.dev/drain';

/** The names in an annotation of a ShardedCluster that lists some, separated by commas. */
export function namesIn({ metadata }: ShardedCluster, annotation: string): string[] {
  const text = metadata.annotations?.[annotation] ?? '';
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

export type Component = 'shard' | 'proxy' | 'recovery';

/** Labels of an object of `cluster`, and of one component or shard where it is one's. */
export function labelsOf(cluster: string, component?: Component, shard?: string): Readonly<Record<string, string>> {
  return {
    [LABELS.name]: 'atomshard',
    [LABELS.instance]: cluster,
    [LABELS.managedBy]: MANAGED_BY,
    [LABELS.cluster]: cluster,
    ...(component === undefined ? {} : { [LABELS.component]: component }),
    ...(shard === undefined ? {} : { [LABELS.shard]: shard }),
  };
}

/** What selects the pods of a component; a selector of a StatefulSet can never change, so it names no more than this. */
export function selectorOf(cluster: string, component: Component, shard?: string): Readonly<Record<string, string>> {
  return {
    [LABELS.cluster]: cluster,
    [LABELS.component]: component,
    ...(shard === undefined ? {} : { [LABELS.shard]: shard }),
  };
}

/** As a label selector in a URL, e.g. for status.selector. */
export function selectorText(selector: Readonly<Record<string, string>>): string {
  return Object.entries(selector)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
}

/** The reference by which Kubernetes deletes an object with its cluster. */
export function ownerOf(cluster: ShardedCluster): OwnerReference {
  const { name, uid } = cluster.metadata;
  return {
    apiVersion: cluster.apiVersion,
    kind: cluster.kind,
    name,
    uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** Metadata of an object that goes when its cluster goes. */
export function ownedMeta(
  cluster: ShardedCluster,
  name: string,
  component?: Component,
  shard?: string,
): ObjectMeta & { readonly namespace: string } {
  return {
    name,
    namespace: cluster.metadata.namespace,
    labels: labelsOf(cluster.metadata.name, component, shard),
    ownerReferences: [ownerOf(cluster)],
  };
}

/** Metadata of a Secret whose loss would lock people out of retained volumes: it stays where they stay. */
export function keptWithVolumesMeta(
  cluster: ShardedCluster,
  name: string,
): ObjectMeta & { readonly namespace: string } {
  const { ownerReferences, ...kept } = ownedMeta(cluster, name);
  return cluster.spec.pvcRetentionPolicy.whenDeleted === 'Retain'
    ? kept
    : { ...kept, ownerReferences: ownerReferences ?? [] };
}

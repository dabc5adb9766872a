// What pods of shards, proxies and recovery have in common: the Pod Security level `restricted`, spreading, volumes, and the restart hash.
import { createHash } from 'node:crypto';
import type { Affinity, TopologySpreadConstraints } from '../api/sharded-cluster.generated.ts';
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import type { PlainObject } from './desired-input.ts';
import { ANNOTATIONS, type Component, selectorOf } from './labels.ts';

/** Users of the containers: 999 is postgres in the official Debian image, 65532 needs no name. */
export const UIDS = { shard: 999, proxy: 65_532 } as const;

/** Key files: for the pod's group only. PostgreSQL refuses a key that others can read. */
const SECRET_MODE = 0o440;

export function podSecurity(uid: number): PlainObject {
  return {
    runAsNonRoot: true,
    runAsUser: uid,
    runAsGroup: uid,
    fsGroup: uid,
    // A large volume is not walked through at every start.
    fsGroupChangePolicy: 'OnRootMismatch',
    seccompProfile: { type: 'RuntimeDefault' },
  };
}

export const CONTAINER_SECURITY: PlainObject = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  capabilities: { drop: ['ALL'] },
};

/** Where pods may and should run. */
export interface Placing {
  readonly affinity?: Affinity;
  readonly topologySpreadConstraints?: TopologySpreadConstraints;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly tolerations?: readonly object[];
}

/** The spec's rules for the choice of nodes; without an affinity, pods of one component prefer different nodes. */
export function placingOf(cluster: string, component: Component, placing: Placing): PlainObject {
  const matchLabels = selectorOf(cluster, component);
  const apart = {
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        { weight: 100, podAffinityTerm: { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels } } },
      ],
    },
  };
  const { topologySpreadConstraints, nodeSelector, tolerations } = placing;
  return {
    affinity: placing.affinity ?? apart,
    ...(topologySpreadConstraints === undefined
      ? {}
      : {
          topologySpreadConstraints: topologySpreadConstraints.map((each) => ({
            ...each,
            labelSelector: each.labelSelector ?? { matchLabels },
          })),
        }),
    ...(nodeSelector === undefined ? {} : { nodeSelector }),
    ...(tolerations === undefined ? {} : { tolerations }),
  };
}

export function pullSecretsOf(cluster: ShardedCluster): PlainObject {
  const { imagePullSecrets } = cluster.spec;
  return imagePullSecrets === undefined ? {} : { imagePullSecrets };
}

/** Files of one Secret; `keys` are its keys or `key → file name`. A key that is missing keeps the pod from starting. */
export interface SecretFiles {
  readonly secret: string;
  readonly keys: readonly (string | { readonly key: string; readonly file: string })[];
}

/** A volume of the files of several Secrets. */
export function secretVolume(name: string, sources: readonly SecretFiles[]): PlainObject {
  return {
    name,
    projected: {
      defaultMode: SECRET_MODE,
      sources: sources.map(({ secret, keys }) => ({
        secret: {
          name: secret,
          items: keys.map((each) =>
            typeof each === 'string' ? { key: each, path: each } : { key: each.key, path: each.file },
          ),
        },
      })),
    },
  };
}

export function readOnlyMount(name: string, mountPath: string): PlainObject {
  return { name, mountPath, readOnly: true };
}

/** Certificate, key and CA: the user's Secrets where named, else what the operator made. */
export function certificateFiles(
  tls: { readonly secretName?: string; readonly caSecretName?: string },
  generated: string,
): SecretFiles[] {
  if (tls.secretName === undefined) return [{ secret: generated, keys: ['tls.crt', 'tls.key', 'ca.crt'] }];
  const own = { secret: tls.secretName, keys: ['tls.crt', 'tls.key'] };
  return tls.caSecretName === undefined ? [own] : [own, { secret: tls.caSecretName, keys: ['ca.crt'] }];
}

/** A claim template; labels and the cluster's id stay on the claim, and tell whose it is when the cluster is gone. */
export function claimTemplate(
  name: string,
  labels: Readonly<Record<string, string>>,
  clusterId: string,
  storage: { readonly size: string; readonly storageClassName?: string },
): PlainObject {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name, labels, annotations: { [ANNOTATIONS.clusterId]: clusterId } },
    spec: {
      accessModes: ['ReadWriteOnce'],
      volumeMode: 'Filesystem',
      resources: { requests: { storage: storage.size } },
      ...(storage.storageClassName === undefined ? {} : { storageClassName: storage.storageClassName }),
    },
  };
}

/** A pod template that carries the hash of itself: a pod with another hash is outdated. */
export function hashedTemplate(labels: Readonly<Record<string, string>>, spec: PlainObject): PlainObject {
  const hash = createHash('sha256').update(canonical({ labels, spec })).digest('hex').slice(0, 16);
  return { metadata: { labels, annotations: { [ANNOTATIONS.restartHash]: hash } }, spec };
}

/** JSON with sorted keys, so that the order in which a user writes fields means nothing. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

// The StatefulSet of one shard: one pod that runs PostgreSQL from any image with its usual programs. The operator replaces the pod, never Kubernetes.
import type { Resources, ShardsOverride, Storage } from '../api/sharded-cluster.generated.ts';
import { STATEFUL_SETS } from '../cluster/kinds.ts';
import type { DesiredInput, DesiredObject, PlainObject } from './desired-input.ts';
import { labelsOf, ownedMeta, selectorOf } from './labels.ts';
import { CLAIM_TEMPLATES, clusterNames, POSTGRES_PORT, SHARD_PATHS, type ShardNames, shardNames } from './names.ts';
import {
  CONTAINER_SECURITY,
  certificateFiles,
  claimTemplate,
  hashedTemplate,
  placingOf,
  podSecurity,
  pullSecretsOf,
  readOnlyMount,
  secretVolume,
  UIDS,
} from './pod-parts.ts';

/** A fast shutdown writes a checkpoint first; a kill would only make the next start recover for longer. */
const STOP_SECONDS = 300;
/** initdb and the first answer; a server that recovers answers at once, so this is not for crash recovery. */
const START_SECONDS = 1_800;

/** What a shard has where its override says nothing else. */
interface ShardSpec {
  readonly storage: Storage | undefined;
  readonly resources: Resources | undefined;
  readonly nodeSelector: Readonly<Record<string, string>> | undefined;
}

function shardSpec(input: DesiredInput, logical: string): ShardSpec {
  const { shards } = input.cluster.spec;
  const override: Partial<ShardsOverride> = shards.overrides?.find(({ name }) => name === logical) ?? {};
  return {
    storage: override.storage ?? shards.storage,
    resources: override.resources ?? shards.resources,
    nodeSelector: override.nodeSelector ?? shards.nodeSelector,
  };
}

/** The StatefulSet of the shard at `index`. */
export function shardSet(input: DesiredInput, index: number): DesiredObject {
  const { cluster, clusterId } = input;
  const { name } = cluster.metadata;
  const names = shardNames(name, index);
  const labels = labelsOf(name, 'shard', names.logical);
  const { storage } = shardSpec(input, names.logical);
  return {
    type: STATEFUL_SETS,
    object: {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: ownedMeta(cluster, names.set, 'shard', names.logical),
      spec: {
        replicas: input.stoppedShards.has(names.logical) ? 0 : 1,
        serviceName: names.pods,
        podManagementPolicy: 'Parallel',
        updateStrategy: { type: 'OnDelete' },
        revisionHistoryLimit: 2,
        // Volumes are deleted by the operator alone: a set that somebody deletes by hand must not take rows with it.
        persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
        selector: { matchLabels: selectorOf(name, 'shard', names.logical) },
        template: hashedTemplate(labels, podSpec(input, names)),
        volumeClaimTemplates: [claimTemplate(CLAIM_TEMPLATES.shard, labels, clusterId, storage ?? { size: '1Gi' })],
      },
    },
  };
}

function podSpec(input: DesiredInput, names: ShardNames): PlainObject {
  const { cluster } = input;
  const { spec } = cluster;
  const { resources, nodeSelector } = shardSpec(input, names.logical);
  const { affinity, topologySpreadConstraints, tolerations } = spec.shards;
  const tls = spec.postgres.tls.mode === 'Require';
  return {
    serviceAccountName: clusterNames(cluster.metadata.name).shardAccount,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: STOP_SECONDS,
    securityContext: podSecurity(UIDS.shard),
    ...pullSecretsOf(cluster),
    ...placingOf(cluster.metadata.name, 'shard', {
      ...(affinity === undefined ? {} : { affinity }),
      ...(topologySpreadConstraints === undefined ? {} : { topologySpreadConstraints }),
      ...(nodeSelector === undefined ? {} : { nodeSelector }),
      ...(tolerations === undefined ? {} : { tolerations }),
    }),
    containers: [
      {
        name: 'postgres',
        image: spec.postgres.image,
        imagePullPolicy: spec.postgres.imagePullPolicy,
        command: ['/bin/sh', `${SHARD_PATHS.configuration}/bootstrap.sh`],
        // Whatever the image says of these must not lead PostgreSQL or its clients elsewhere.
        env: [
          { name: 'PGDATA', value: SHARD_PATHS.data },
          { name: 'LC_ALL', value: 'C.UTF-8' },
        ],
        ports: [{ name: 'postgres', containerPort: POSTGRES_PORT, protocol: 'TCP' }],
        ...(resources === undefined ? {} : { resources }),
        securityContext: CONTAINER_SECURITY,
        terminationMessagePolicy: 'FallbackToLogsOnError',
        // SIGINT is PostgreSQL's fast shutdown. Kubernetes sends SIGTERM where the image names no signal, and that waits
        // until every client has gone.
        lifecycle: { preStop: { exec: { command: ['/bin/sh', '-c', 'kill -INT 1'] } } },
        startupProbe: probe('alive', { periodSeconds: 1, failureThreshold: START_SECONDS }),
        livenessProbe: probe('alive', { periodSeconds: 20, failureThreshold: 6 }),
        readinessProbe: probe('ready', { periodSeconds: 5, failureThreshold: 2 }),
        volumeMounts: mounts(tls),
      },
    ],
    volumes: volumes(input, names, tls),
  };
}

function probe(question: 'alive' | 'ready', timing: PlainObject): PlainObject {
  const command = ['/bin/sh', `${SHARD_PATHS.configuration}/probe.sh`, question];
  return { exec: { command }, timeoutSeconds: 6, ...timing };
}

function mounts(tls: boolean): PlainObject[] {
  return [
    { name: CLAIM_TEMPLATES.shard, mountPath: SHARD_PATHS.volume },
    readOnlyMount('configuration', SHARD_PATHS.configuration),
    { ...readOnlyMount('configuration', '/etc/passwd'), subPath: 'passwd' },
    { ...readOnlyMount('configuration', '/etc/group'), subPath: 'group' },
    readOnlyMount('superuser', SHARD_PATHS.superuser),
    ...(tls ? [readOnlyMount('tls', SHARD_PATHS.tls)] : []),
    { name: 'run', mountPath: SHARD_PATHS.sockets },
    { name: 'tmp', mountPath: '/tmp' },
    { name: 'shm', mountPath: '/dev/shm' },
  ];
}

function volumes(input: DesiredInput, names: ShardNames, tls: boolean): PlainObject[] {
  const { metadata, spec } = input.cluster;
  const { superuserSecret, shardTlsSecret } = clusterNames(metadata.name);
  const superuser = spec.credentials.superuserSecretRef?.name ?? superuserSecret;
  return [
    { name: 'configuration', configMap: { name: names.set, defaultMode: 0o444 } },
    secretVolume('superuser', [{ secret: superuser, keys: ['username', 'password'] }]),
    ...(tls ? [secretVolume('tls', certificateFiles(spec.postgres.tls, shardTlsSecret))] : []),
    { name: 'run', emptyDir: {} },
    { name: 'tmp', emptyDir: {} },
    // Parallel queries share memory here; the container's own is 64 MiB.
    { name: 'shm', emptyDir: { medium: 'Memory' } },
  ];
}

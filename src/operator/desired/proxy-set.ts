// The StatefulSet of the proxies: each with a log of its own, and by its ordinal the same log for good.
import { STATEFUL_SETS } from '../cluster/kinds.ts';
import type { DesiredInput, DesiredObject, PlainObject } from './desired-input.ts';
import { labelsOf, ownedMeta, selectorOf } from './labels.ts';
import { CLAIM_TEMPLATES, clusterNames, HTTP_PORT, POSTGRES_PORT, PROXY_PATHS } from './names.ts';
import {
  CONTAINER_SECURITY,
  certificateFiles,
  claimTemplate,
  hashedTemplate,
  placingOf,
  podSecurity,
  pullSecretsOf,
  readOnlyMount,
  type SecretFiles,
  secretVolume,
  UIDS,
} from './pod-parts.ts';
import { LEAVE_SERVICE_SECONDS, PROXY_CONFIG_KEY } from './proxy-config.ts';

/** Folder of the configuration file. */
const CONFIGURATION = PROXY_PATHS.configuration.slice(0, PROXY_PATHS.configuration.lastIndexOf('/'));
/** A log of gigabytes is read before the first answer. */
const START_SECONDS = 600;

/** A read-only folder of Secrets' files, as volume and mount. */
interface SecretFolder {
  readonly name: string;
  readonly path: string;
  readonly sources: readonly SecretFiles[];
}

export function proxySet(input: DesiredInput): DesiredObject {
  const { cluster, clusterId } = input;
  const { name } = cluster.metadata;
  const { proxies, proxyPods } = clusterNames(name);
  const { wal } = cluster.spec.proxy;
  const labels = labelsOf(name, 'proxy');
  return {
    type: STATEFUL_SETS,
    object: {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: ownedMeta(cluster, proxies, 'proxy'),
      spec: {
        replicas: input.proxyReplicas,
        serviceName: proxyPods,
        podManagementPolicy: 'Parallel',
        updateStrategy: { type: 'OnDelete' },
        revisionHistoryLimit: 2,
        // The operator deletes a volume after it has seen that nothing in its log is unfinished; Kubernetes cannot know.
        persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
        selector: { matchLabels: selectorOf(name, 'proxy') },
        template: hashedTemplate(labels, podSpec(input)),
        volumeClaimTemplates: [claimTemplate(CLAIM_TEMPLATES.proxy, labels, clusterId, wal)],
      },
    },
  };
}

function podSpec(input: DesiredInput): PlainObject {
  const { cluster } = input;
  const { proxy } = cluster.spec;
  const folders = secretFolders(input);
  return {
    serviceAccountName: clusterNames(cluster.metadata.name).proxyAccount,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: proxy.terminationGracePeriodSeconds,
    securityContext: podSecurity(UIDS.proxy),
    ...pullSecretsOf(cluster),
    ...placingOf(cluster.metadata.name, 'proxy', proxy),
    containers: [
      {
        name: 'proxy',
        image: proxyImage(input),
        imagePullPolicy: proxy.imagePullPolicy,
        args: ['proxy', '--config', PROXY_PATHS.configuration, '--instance', 'proxy-$(POD_INDEX)'],
        env: [
          {
            name: 'POD_INDEX',
            valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']" } },
          },
        ],
        ports: [
          { name: 'postgres', containerPort: POSTGRES_PORT, protocol: 'TCP' },
          { name: 'http', containerPort: HTTP_PORT, protocol: 'TCP' },
        ],
        ...(proxy.resources === undefined ? {} : { resources: proxy.resources }),
        securityContext: CONTAINER_SECURITY,
        terminationMessagePolicy: 'FallbackToLogsOnError',
        // New clients still arrive until every node knows that this pod leaves the Service; they are served.
        lifecycle: { preStop: { sleep: { seconds: LEAVE_SERVICE_SECONDS } } },
        startupProbe: probe('/livez', { periodSeconds: 1, failureThreshold: START_SECONDS }),
        livenessProbe: probe('/livez', { periodSeconds: 10, failureThreshold: 6 }),
        readinessProbe: probe('/readyz', { periodSeconds: 2, failureThreshold: 2 }),
        volumeMounts: [
          { name: CLAIM_TEMPLATES.proxy, mountPath: PROXY_PATHS.volume },
          ...folders.map(({ name, path }) => readOnlyMount(name, path)),
        ],
      },
    ],
    volumes: folders.map(({ name, sources }) => secretVolume(name, sources)),
  };
}

/** The image that proxies run. */
export function proxyImage({ cluster, operatorImage }: DesiredInput): string {
  return cluster.spec.proxy.image ?? operatorImage;
}

function probe(path: string, timing: PlainObject): PlainObject {
  return { httpGet: { path, port: 'http', scheme: 'HTTP' }, timeoutSeconds: 5, ...timing };
}

function secretFolders({ cluster }: DesiredInput): SecretFolder[] {
  const { metadata, spec } = cluster;
  const names = clusterNames(metadata.name);
  const folders: SecretFolder[] = [
    { name: 'config', path: CONFIGURATION, sources: [{ secret: names.proxyConfig, keys: [PROXY_CONFIG_KEY] }] },
  ];
  if (spec.proxy.tls.mode !== 'Disable')
    folders.push({
      name: 'tls',
      path: PROXY_PATHS.tls,
      sources: certificateFiles(spec.proxy.tls, names.proxyTlsSecret),
    });
  if (spec.shards.external === undefined && spec.postgres.tls.mode === 'Require') {
    const secret = spec.postgres.tls.caSecretName ?? names.shardTlsSecret;
    folders.push({ name: 'shard-ca', path: PROXY_PATHS.shardCa, sources: [{ secret, keys: ['ca.crt'] }] });
  }
  const external = (spec.shards.external ?? []).flatMap(({ name, caSecretRef }): SecretFiles[] =>
    caSecretRef === undefined
      ? []
      : [{ secret: caSecretRef.name, keys: [{ key: caSecretRef.key, file: `${name}.crt` }] }],
  );
  if (external.length > 0) folders.push({ name: 'external-ca', path: PROXY_PATHS.externalCa, sources: external });
  return folders;
}

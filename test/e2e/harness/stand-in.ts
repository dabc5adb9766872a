// Shards and proxies made by hand, named as the operator names them: to try the harness without an operator.

import { RESTRICTED_CONTAINER, RESTRICTED_POD } from '../../cluster/platform/objects.ts';
import type { TRANSFER_SHARDING } from '../../support/transfer-load.ts';

export interface StandIn {
  readonly cluster: string;
  readonly shards: number;
  readonly proxies: number;
  readonly postgresImage: string;
  readonly proxyImage: string;
  readonly sharding: typeof TRANSFER_SHARDING;
}

const START_POSTGRES = `set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username=postgres --auth=trust --locale=C.UTF-8 --encoding=UTF8 >/tmp/initdb.log
  echo "host all all all trust" >> "$PGDATA/pg_hba.conf"
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/run/postgresql -c max_prepared_transactions=200`;

const START_PROXY = `sed "s/INSTANCE/proxy-$POD_INDEX/" /config/proxy.yaml > /tmp/proxy.yaml
exec /usr/local/bin/node /app/test/e2e/program/entry.ts proxy --config /tmp/proxy.yaml`;

const service = (name: string, selector: object, ports: readonly object[], headless = false) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { selector, ports, ...(headless ? { clusterIP: 'None', publishNotReadyAddresses: true } : {}) },
});

const volumeClaim = (name: string, size: string) => ({
  metadata: { name },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: size } } },
});

function shardObjects({ cluster, postgresImage }: StandIn, index: number): object[] {
  const name = `${cluster}-shard-${index}`;
  const labels = { 'atomshard.dev/cluster': cluster, 'atomshard.dev/shard': `shard-${index}` };
  const securityContext = { ...RESTRICTED_POD.securityContext, runAsUser: 999, runAsGroup: 999, fsGroup: 999 };
  const container = {
    name: 'postgres',
    image: postgresImage,
    command: ['bash', '-c', START_POSTGRES],
    env: [{ name: 'PGDATA', value: '/var/lib/postgresql/pgdata' }],
    readinessProbe: { exec: { command: ['pg_isready', '-h', '/run/postgresql'] }, periodSeconds: 1 },
    volumeMounts: [
      { name: 'data', mountPath: '/var/lib/postgresql' },
      { name: 'run', mountPath: '/run/postgresql' },
      { name: 'tmp', mountPath: '/tmp' },
    ],
    ...RESTRICTED_CONTAINER,
  };
  const spec = {
    ...RESTRICTED_POD,
    securityContext,
    containers: [container],
    volumes: ['run', 'tmp'].map((each) => ({ name: each, emptyDir: {} })),
  };
  return [
    service(name, labels, [{ port: 5432 }]),
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name },
      spec: {
        serviceName: name,
        replicas: 1,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec },
        volumeClaimTemplates: [volumeClaim('data', '1Gi')],
      },
    },
  ];
}

function proxyConfig({ cluster, shards, sharding }: StandIn): object {
  return {
    listen: { host: '0.0.0.0', port: 5432 },
    cluster: 'stand1',
    instance: 'INSTANCE',
    database: 'app',
    wal: {
      directory: '/var/lib/atomshard/wal',
      segmentBytes: 262_144,
      reserveBytes: 1_048_576,
      retentionMs: 3_600_000,
    },
    authentication: { method: 'trust' },
    shards: Array.from({ length: shards }, (_, i) => ({ name: `shard-${i}`, host: `${cluster}-shard-${i}` })),
    resolver: { user: 'postgres' },
    sharding: { buckets: 4096, unlisted: 'reject', tables: sharding },
    recovery: { intervalMs: 1_000 },
    pool: { size: 24 },
  };
}

function proxyObjects(standIn: StandIn): object[] {
  const { cluster, proxies, proxyImage } = standIn;
  const name = `${cluster}-proxy`;
  const labels = { 'atomshard.dev/cluster': cluster, 'app.kubernetes.io/component': 'proxy' };
  const index = { fieldRef: { fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']" } };
  const container = {
    name: 'proxy',
    image: proxyImage,
    command: ['sh', '-c', START_PROXY],
    env: [{ name: 'POD_INDEX', valueFrom: index }],
    readinessProbe: { tcpSocket: { port: 5432 }, periodSeconds: 1 },
    volumeMounts: [
      { name: 'wal', mountPath: '/var/lib/atomshard' },
      { name: 'config', mountPath: '/config' },
      { name: 'tmp', mountPath: '/tmp' },
    ],
    ...RESTRICTED_CONTAINER,
  };
  const volumes = [
    { name: 'config', configMap: { name: `${name}-config` } },
    { name: 'tmp', emptyDir: {} },
  ];
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: `${name}-config` },
      data: { 'proxy.yaml': JSON.stringify(proxyConfig(standIn)) },
    },
    service(cluster, labels, [{ port: 5432 }]),
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name },
      spec: {
        serviceName: name,
        replicas: proxies,
        podManagementPolicy: 'Parallel',
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { ...RESTRICTED_POD, containers: [container], volumes } },
        volumeClaimTemplates: [volumeClaim('wal', '256Mi')],
      },
    },
  ];
}

/** Everything, to be applied in one namespace. */
export function standInObjects(standIn: StandIn): object[] {
  return [
    ...Array.from({ length: standIn.shards }, (_, index) => shardObjects(standIn, index)).flat(),
    ...proxyObjects(standIn),
  ];
}

// Many ShardedClusters whose shards are external: small PostgreSQL servers side by side in one pod, one for each cluster.
import type { Kubectl } from '../harness/kubectl.ts';
import { RESTRICTED_CONTAINER, RESTRICTED_POD } from '../platform/objects.ts';

const SERVERS = 'servers';
const FIRST_PORT = 6_000;
const PASSWORD = 'fleet';

/** One data directory is made and copied; nothing in there has to outlive its pod. */
const script = (count: number) => `
set -e
cd /data
initdb -D 0 -U postgres -A trust --no-sync --wal-segsize=1 --no-locale -E UTF8 >/dev/null
echo 'host all all all trust' >> 0/pg_hba.conf
i=1; while [ $i -lt ${count} ]; do cp -r 0 $i; i=$((i+1)); done
i=0
while [ $i -lt ${count} ]; do
  postgres -D $i -p $((${FIRST_PORT}+i)) -h '*' -k /tmp -c shared_buffers=1MB -c max_connections=20 -c max_wal_size=2MB -c min_wal_size=2MB \
    -c max_prepared_transactions=8 -c autovacuum=off -c fsync=off -c max_worker_processes=0 -c max_logical_replication_workers=0 &
  i=$((i+1))
done
wait`;

/** Starts `count` servers and waits until the last one takes connections. */
export async function startServers(kubectl: Kubectl, image: string, count: number): Promise<void> {
  const labels = { app: SERVERS };
  const lastPort = FIRST_PORT + count - 1;
  const volumes = ['data', 'tmp'];
  await kubectl.apply([
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: SERVERS },
      spec: { clusterIP: 'None', selector: labels, publishNotReadyAddresses: true },
    },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: SERVERS },
      stringData: { username: 'postgres', password: PASSWORD },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: SERVERS, labels },
      spec: {
        ...RESTRICTED_POD,
        // The uid of the image's user: initdb wants a name for it.
        securityContext: { ...RESTRICTED_POD.securityContext, runAsUser: 999, fsGroup: 999 },
        containers: [
          {
            name: SERVERS,
            image,
            command: ['/bin/sh', '-c', script(count)],
            ...RESTRICTED_CONTAINER,
            readinessProbe: { tcpSocket: { port: lastPort }, periodSeconds: 1 },
            volumeMounts: volumes.map((name) => ({ name, mountPath: `/${name}` })),
          },
        ],
        volumes: volumes.map((name) => ({ name, emptyDir: {} })),
      },
    },
  ]);
  await kubectl.run(['wait', '--for=condition=Ready', `pod/${SERVERS}`, '--timeout=120s']);
}

export const fleetName = (index: number): string => `fleet-${index}`;

/** Cluster `index` of the fleet: one proxy before one server. */
export function fleetCluster(index: number): object {
  const credentialsSecretRef = { name: SERVERS };
  const server = { host: SERVERS, port: FIRST_PORT + index, database: 'postgres', tlsMode: 'Disable' };
  return {
    apiVersion: 'atomshard.dev/v1alpha1',
    kind: 'ShardedCluster',
    metadata: { name: fleetName(index) },
    spec: {
      shards: { external: [{ name: 'only', ...server, credentialsSecretRef }] },
      sharding: { tables: [{ name: 'accounts', key: 'id', type: 'bigint' }] },
      proxy: { replicas: 1, wal: { size: '64Mi', segmentSize: '1Mi' }, pool: { size: 2 } },
    },
  };
}

/** How many of the fleet say that they are Ready, of the generation that they have. */
export async function readyCount(kubectl: Kubectl): Promise<number> {
  const { items } = JSON.parse(await kubectl.run(['get', 'shcl', '-o', 'json'])) as {
    items: readonly {
      readonly metadata: { readonly generation: number };
      readonly status?: {
        readonly observedGeneration?: number;
        readonly conditions?: readonly { readonly type: string; readonly status: string }[];
      };
    }[];
  };
  return items.filter(
    ({ metadata, status }) =>
      status?.observedGeneration === metadata.generation &&
      status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true,
  ).length;
}

// What every object of a cluster is called, and where its files are: one place, because pods, proxies, SQL and people meet by these names.
import { createHash } from 'node:crypto';
import type { ShardedCluster } from '../api/sharded-cluster.ts';

export const POSTGRES_PORT = 5432;
export const HTTP_PORT = 8080;
/** The database in which a proxy answers about itself. */
export const ADMIN_DATABASE = 'atomshard';

/** The operator's login to the proxies; roles on the shards are named in src/operator/sql/role-names.ts. */
export const ROLES = { admin: 'atomshard_admin' } as const;
/** The superuser of shards where the spec names none. */
export const SUPERUSER = 'postgres';
/** The application's role where the spec names none. */
export const DEFAULT_USER = 'app';

/** Paths in a shard's container. */
export const SHARD_PATHS = {
  volume: '/var/lib/postgresql',
  data: '/var/lib/postgresql/pgdata',
  configuration: '/etc/atomshard/postgres',
  superuser: '/etc/atomshard/superuser',
  tls: '/etc/atomshard/tls',
  sockets: '/run/postgresql',
} as const;

/** Paths in a proxy's container. */
export const PROXY_PATHS = {
  volume: '/var/lib/atomshard',
  wal: '/var/lib/atomshard/wal',
  configuration: '/etc/atomshard/config/proxy.yaml',
  tls: '/etc/atomshard/tls',
  shardCa: '/etc/atomshard/shard-ca',
  externalCa: '/etc/atomshard/external-ca',
} as const;

/** Claim templates; a claim is called TEMPLATE-POD. */
export const CLAIM_TEMPLATES = { shard: 'data', proxy: 'wal' } as const;

/** Objects of which a cluster has one. */
export interface ClusterNames {
  /** The Service that clients connect to. */
  readonly clientService: string;
  readonly proxies: string;
  readonly proxyPods: string;
  readonly proxyConfig: string;
  readonly proxyAccount: string;
  readonly shardAccount: string;
  /** NetworkPolicy and PodMonitor of the shards' side. */
  readonly shards: string;
  readonly superuserSecret: string;
  readonly internalSecret: string;
  readonly caSecret: string;
  readonly shardTlsSecret: string;
  readonly proxyTlsSecret: string;
  readonly alerts: string;
}

/** Names for the cluster called `cluster`, which has at most 30 characters. */
export function clusterNames(cluster: string): ClusterNames {
  return {
    clientService: cluster,
    proxies: `${cluster}-proxy`,
    proxyPods: `${cluster}-proxy-pods`,
    proxyConfig: `${cluster}-proxy-config`,
    proxyAccount: `${cluster}-proxy`,
    shardAccount: `${cluster}-shard`,
    shards: `${cluster}-shard`,
    superuserSecret: `${cluster}-superuser`,
    internalSecret: `${cluster}-internal`,
    caSecret: `${cluster}-ca`,
    shardTlsSecret: `${cluster}-shard-tls`,
    proxyTlsSecret: `${cluster}-proxy-tls`,
    alerts: `${cluster}-alerts`,
  };
}

/** Objects of one shard that the operator makes. */
export interface ShardNames {
  /** Logical name, e.g. `shard-0`: in gids, logs and status. */
  readonly logical: string;
  /** StatefulSet, ConfigMap, PodDisruptionBudget and the Service that proxies connect to. */
  readonly set: string;
  readonly pods: string;
  readonly pod: string;
  readonly claim: string;
}

export function shardNames(cluster: string, index: number): ShardNames {
  const logical = shardName(index);
  const set = `${cluster}-${logical}`;
  return { logical, set, pods: `${set}-pods`, pod: `${set}-0`, claim: `${CLAIM_TEMPLATES.shard}-${set}-0` };
}

/** Objects of one proxy. */
export interface ProxyNames {
  /** In gids, and what the flag `--instance` says, e.g. `proxy-0`. */
  readonly instance: string;
  readonly pod: string;
  readonly claim: string;
}

export function proxyNames(cluster: string, ordinal: number): ProxyNames {
  const pod = `${cluster}-proxy-${ordinal}`;
  return { instance: `proxy-${ordinal}`, pod, claim: `${CLAIM_TEMPLATES.proxy}-${pod}` };
}

/** The logical name of the shard that the operator makes at `index`. */
export function shardName(index: number): string {
  return `shard-${index}`;
}

/** The inverse of {@link shardName}. */
export function shardIndex(name: string): number {
  return Number(name.slice('shard-'.length));
}

/** Where proxies and operator reach a shard that the operator makes. */
export function shardHost(cluster: string, namespace: string, index: number): string {
  return `${shardNames(cluster, index).set}.${namespace}.svc`;
}

/** Where the operator reaches one proxy, whether or not it is ready. */
export function proxyHost(cluster: string, namespace: string, ordinal: number): string {
  return `${proxyNames(cluster, ordinal).pod}.${clusterNames(cluster).proxyPods}.${namespace}.svc`;
}

/** Where clients connect. */
export function clientHost(cluster: string, namespace: string): string {
  return `${clusterNames(cluster).clientService}.${namespace}.svc`;
}

/** The Secret of a generated user; roles whose names no Secret can have get a hash instead of what does not fit. */
export function userSecretName(cluster: string, role: string): string {
  if (/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(role)) return `${cluster}-user-${role}`;
  const readable = role
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '');
  const hash = createHash('sha256').update(role).digest('hex').slice(0, 8);
  return [cluster, 'user', ...(readable === '' ? [] : [readable]), hash].join('-');
}

/** Every name that a certificate of shards must have: their Services, as {@link shardHost} says them. */
export function shardCertificateNames(cluster: ShardedCluster): string[] {
  const { name, namespace } = cluster.metadata;
  return Array.from({ length: cluster.spec.shards.count ?? 0 }, (_, index) => shardHost(name, namespace, index));
}

/** Every name that a certificate of proxies must have: what clients call the Service, and each pod's own name. */
export function proxyCertificateNames({ metadata: { name, namespace } }: ShardedCluster): string[] {
  const { clientService, proxyPods } = clusterNames(name);
  const service = [clientService, `${clientService}.${namespace}`, clientHost(name, namespace)];
  const pods = `${proxyPods}.${namespace}.svc`;
  return [...service, `${clientHost(name, namespace)}.cluster.local`, pods, `*.${pods}`, 'localhost'];
}

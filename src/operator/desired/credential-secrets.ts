// The Secrets that the operator makes: their content is made once by the caller, and stays for as long as the volumes that know it.

import type { ShardedCluster } from '../api/sharded-cluster.ts';
import { SECRETS } from '../cluster/kinds.ts';
import type { DesiredObject, Login } from './desired-input.ts';
import { keptWithVolumesMeta, ownedMeta } from './labels.ts';
import { clientHost, clusterNames, userSecretName } from './names.ts';

/** Letters and digits only: nothing that a shell, a URL or a configuration file would read otherwise. */
const PASSWORD_LETTERS = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789';
/** Random bytes for {@link passwordFrom}: 32 letters of 56 are 185 bits. */
export const PASSWORD_BYTES = 64;
const PASSWORD_LENGTH = 32;

/** A password from {@link PASSWORD_BYTES} random bytes, two for each letter so that none is noticeably likelier. */
export function passwordFrom(random: Uint8Array): string {
  const letters = Array.from({ length: PASSWORD_LENGTH }, (_, index) => {
    const number = (random[2 * index] ?? 0) * 256 + (random[2 * index + 1] ?? 0);
    return PASSWORD_LETTERS[number % PASSWORD_LETTERS.length];
  });
  return letters.join('');
}

function secret(
  metadata: DesiredObject['object']['metadata'],
  type: string,
  content: Readonly<Record<string, string>>,
): DesiredObject {
  const encoded = Object.entries(content).map(([key, text]) => [key, Buffer.from(text).toString('base64')] as const);
  return {
    type: SECRETS,
    object: { apiVersion: 'v1', kind: 'Secret', metadata, type, data: Object.fromEntries(encoded) },
  };
}

/** The superuser of the shards, where the spec names no Secret. */
export function superuserSecret(cluster: ShardedCluster, { name, password }: Login): DesiredObject {
  const meta = keptWithVolumesMeta(cluster, clusterNames(cluster.metadata.name).superuserSecret);
  return secret(meta, 'kubernetes.io/basic-auth', { username: name, password });
}

/** A user without a passwordSecretRef: everything that an application needs to connect. */
export function userSecret(cluster: ShardedCluster, { name, password }: Login): DesiredObject {
  const { metadata, spec } = cluster;
  const host = clientHost(metadata.name, metadata.namespace);
  const port = String(spec.proxy.service.port);
  const dbname = spec.postgres.database;
  const login = `${encodeURIComponent(name)}:${encodeURIComponent(password)}`;
  return secret(keptWithVolumesMeta(cluster, userSecretName(metadata.name, name)), 'kubernetes.io/basic-auth', {
    username: name,
    password,
    host,
    port,
    dbname,
    uri: `postgresql://${login}@${host}:${port}/${encodeURIComponent(dbname)}`,
  });
}

/** Passwords of the operator's own roles. */
export interface InternalPasswords {
  /** Of the proxies' admin database. */
  readonly admin: string;
  readonly resolver: string;
  readonly metrics: string;
}

export function internalSecret(
  cluster: ShardedCluster,
  { admin, resolver, metrics }: InternalPasswords,
): DesiredObject {
  const meta = keptWithVolumesMeta(cluster, clusterNames(cluster.metadata.name).internalSecret);
  return secret(meta, 'Opaque', { admin, resolver, metrics });
}

/** Which of the Secrets with certificates that the operator makes. */
export type CertificateSecret = 'caSecret' | 'shardTlsSecret' | 'proxyTlsSecret';

/** A certificate with its key; `ca` is absent in the CA's own. They are made anew when lost, so they go with the cluster. */
export function certificateSecret(
  cluster: ShardedCluster,
  which: CertificateSecret,
  { certificate, key, ca }: { readonly certificate: string; readonly key: string; readonly ca?: string },
): DesiredObject {
  const meta = ownedMeta(cluster, clusterNames(cluster.metadata.name)[which]);
  const content = { 'tls.crt': certificate, 'tls.key': key, ...(ca === undefined ? {} : { 'ca.crt': ca }) };
  return secret(meta, 'kubernetes.io/tls', content);
}

// Whom the operator asks in SQL and as whom: addresses of pods rather than names, so that no stale DNS answer is in the way.
import { ADMIN_DATABASE, clusterNames, POSTGRES_PORT, proxyHost, shardHost } from '../desired/names.ts';
import type { SqlTarget, SqlTls } from '../sql/facts.ts';
import { childOf } from './caches.ts';
import { type Pod, SECRETS } from './kinds.ts';
import type { Observation, ProxyObservation, ShardObservation } from './observation.ts';
import { loginsOf, secretText } from './secret-needs.ts';

/** A shard as its superuser, or as an external shard's role; undefined while address, password or CA are not known. */
export function shardTarget(observation: Observation, shard: ShardObservation): SqlTarget | undefined {
  return shard.kind === 'external' ? externalTarget(observation, shard) : madeTarget(observation, shard);
}

function madeTarget(observation: Observation, { name, index, pod }: ShardObservation): SqlTarget | undefined {
  const { metadata, spec } = observation.cluster;
  const { superuser } = loginsOf(observation.cluster, observation.secrets);
  const host = addressOf(pod);
  if (superuser === undefined || host === undefined) return undefined;
  const serverName = shardHost(metadata.name, metadata.namespace, index);
  const made = clusterNames(metadata.name).shardTlsSecret;
  const tls =
    spec.postgres.tls.mode === 'Disable' ? DISABLE : verified(observation, spec.postgres.tls, made, serverName);
  if (tls === undefined) return undefined;
  const { name: user, password } = superuser;
  return { name, host, port: POSTGRES_PORT, database: spec.postgres.database, user, password, tls };
}

function externalTarget(observation: Observation, { name, index }: ShardObservation): SqlTarget | undefined {
  const { cluster, secrets } = observation;
  const server = cluster.spec.shards.external?.[index];
  const login = loginsOf(cluster, secrets).external.get(name);
  if (server === undefined || login === undefined) return undefined;
  const tls = externalTls(observation, server);
  if (tls === undefined) return undefined;
  const { host, port, database } = server;
  return { name, host, port, database, user: login.name, password: login.password, tls };
}

function externalTls(
  { secrets }: Observation,
  { tlsMode, caSecretRef }: NonNullable<Observation['cluster']['spec']['shards']['external']>[number],
): SqlTls | undefined {
  if (tlsMode === 'Disable') return DISABLE;
  if (tlsMode === 'Require') return { kind: 'require' };
  const ca = caSecretRef && secretText(secrets.get(caSecretRef.name)?.secret, caSecretRef.key);
  return ca === undefined ? undefined : { kind: 'verify-full', ca };
}

/** A proxy's admin database; undefined while it has no address or its password is not known. */
export function proxyTarget(observation: Observation, { name, ordinal, pod }: ProxyObservation): SqlTarget | undefined {
  const { metadata, spec } = observation.cluster;
  const { admin } = loginsOf(observation.cluster, observation.secrets);
  const host = addressOf(pod);
  if (admin === undefined || host === undefined) return undefined;
  const serverName = proxyHost(metadata.name, metadata.namespace, ordinal);
  const tls = proxyTls(observation, spec.proxy.tls, serverName);
  if (tls === undefined) return undefined;
  return { name, host, port: POSTGRES_PORT, database: ADMIN_DATABASE, user: admin.name, password: admin.password, tls };
}

/** A certificate of the user's need not name the pods, so that it is not verified; ours does. */
function proxyTls(
  observation: Observation,
  tls: Observation['cluster']['spec']['proxy']['tls'],
  serverName: string,
): SqlTls | undefined {
  if (tls.mode === 'Disable') return DISABLE;
  if (tls.secretName !== undefined) return { kind: 'require' };
  return verified(observation, tls, clusterNames(observation.cluster.metadata.name).proxyTlsSecret, serverName);
}

function verified(
  { children, secrets }: Observation,
  { caSecretName }: { readonly caSecretName?: string },
  made: string,
  serverName: string,
): SqlTls | undefined {
  const secret =
    caSecretName === undefined ? childOf(children.byKey, SECRETS, made) : secrets.get(caSecretName)?.secret;
  const ca = secretText(secret, 'ca.crt');
  return ca === undefined ? undefined : { kind: 'verify-full', ca, serverName };
}

const DISABLE: SqlTls = { kind: 'disable' };

function addressOf(pod: Pod | undefined): string | undefined {
  const address = pod?.metadata.deletionTimestamp === undefined ? pod?.status?.podIP : undefined;
  return address === undefined || address === '' ? undefined : address;
}

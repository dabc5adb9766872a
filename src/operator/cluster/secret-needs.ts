// Which Secrets a cluster needs, where the spec names them, and what is read out of them; values never get into messages.
import type { ShardedClusterSpec } from '../api/sharded-cluster.generated.ts';
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import type { Login } from '../desired/desired-input.ts';
import { clusterNames, DEFAULT_USER, ROLES, SUPERUSER, userSecretName } from '../desired/names.ts';
import { roleNames } from '../sql/role-names.ts';
import type { Secret } from './kinds.ts';
import type { SecretObservation } from './observation.ts';

/** `made`: by the operator, once. `user`: read only. */
export interface SecretNeed {
  readonly name: string;
  /** Where the spec names it; for made ones what it is. */
  readonly path: string;
  readonly keys: readonly string[];
  readonly origin: 'made' | 'user';
}

/** Keys of the Secret with the operator's own passwords. */
export const INTERNAL_KEYS = ['admin', 'resolver', 'metrics'] as const;

/** Every Secret that the cluster needs before proxies can be configured; certificates that the operator makes are not among them. */
export function secretNeeds({ metadata, spec }: ShardedCluster): SecretNeed[] {
  const names = clusterNames(metadata.name);
  const needs: SecretNeed[] = [
    { name: names.internalSecret, path: 'passwords of the operator', keys: INTERNAL_KEYS, origin: 'made' },
  ];
  if (spec.shards.external === undefined) {
    const given = spec.credentials.superuserSecretRef;
    const keys = ['username', 'password'];
    if (given === undefined) needs.push({ name: names.superuserSecret, path: 'the superuser', keys, origin: 'made' });
    else needs.push({ name: given.name, path: 'spec.credentials.superuserSecretRef', keys, origin: 'user' });
  }
  needs.push(...userNeeds(metadata.name, spec), ...externalNeeds(spec), ...certificateNeeds(spec));
  return needs;
}

/** The roles that clients log in as: those of the spec, else one. */
export function userNames({ credentials }: ShardedClusterSpec): string[] {
  const names = credentials.users.map(({ name }) => name);
  return names.length === 0 ? [DEFAULT_USER] : names;
}

function userNeeds(cluster: string, spec: ShardedClusterSpec): SecretNeed[] {
  return userNames(spec).map((name, index): SecretNeed => {
    const given = spec.credentials.users[index]?.passwordSecretRef;
    if (given === undefined)
      return { name: userSecretName(cluster, name), path: `the user ${name}`, keys: ['password'], origin: 'made' };
    const path = `spec.credentials.users[${index}].passwordSecretRef`;
    return { name: given.name, path, keys: [given.key], origin: 'user' };
  });
}

function externalNeeds({ shards }: ShardedClusterSpec): SecretNeed[] {
  return (shards.external ?? []).flatMap(({ credentialsSecretRef, caSecretRef }, index): SecretNeed[] => {
    const path = `spec.shards.external[${index}]`;
    const login: SecretNeed = {
      name: credentialsSecretRef.name,
      path: `${path}.credentialsSecretRef`,
      keys: ['username', 'password'],
      origin: 'user',
    };
    if (caSecretRef === undefined) return [login];
    return [login, { name: caSecretRef.name, path: `${path}.caSecretRef`, keys: [caSecretRef.key], origin: 'user' }];
  });
}

function certificateNeeds({ postgres, proxy }: ShardedClusterSpec): SecretNeed[] {
  const sides = [
    { tls: postgres.tls, path: 'spec.postgres.tls' },
    { tls: proxy.tls, path: 'spec.proxy.tls' },
  ];
  return sides.flatMap(({ tls, path }): SecretNeed[] => {
    if (tls.mode === 'Disable' || tls.secretName === undefined) return [];
    const needs: SecretNeed[] = [
      { name: tls.secretName, path: `${path}.secretName`, keys: ['tls.crt', 'tls.key'], origin: 'user' },
    ];
    if (tls.caSecretName !== undefined)
      needs.push({ name: tls.caSecretName, path: `${path}.caSecretName`, keys: ['ca.crt'], origin: 'user' });
    return needs;
  });
}

/** The text of one key; undefined where Secret or key are missing or empty. */
export function secretText(secret: Secret | undefined, key: string): string | undefined {
  const encoded = secret?.data?.[key];
  return encoded === undefined || encoded === '' ? undefined : Buffer.from(encoded, 'base64').toString('utf8');
}

/** All passwords of the cluster; a part is undefined while its Secret is missing or incomplete. */
export interface Logins {
  /** Of shards that the operator makes. */
  readonly superuser: Login | undefined;
  /** In the order of the spec; undefined unless all are known. */
  readonly users: readonly Login[] | undefined;
  readonly admin: Login | undefined;
  readonly resolver: Login | undefined;
  readonly metrics: Login | undefined;
  /** Of external shards, by logical name. */
  readonly external: ReadonlyMap<string, Login>;
}

export function loginsOf(cluster: ShardedCluster, secrets: ReadonlyMap<string, SecretObservation>): Logins {
  const { metadata, spec, status } = cluster;
  const names = clusterNames(metadata.name);
  const roles = roleNames(status?.clusterId ?? '', spec.shards.external !== undefined);
  const text = (secret: string, key: string) => secretText(secrets.get(secret)?.secret, key);
  const own = (name: string, key: string) => login(name, text(names.internalSecret, key));
  const superuserSecret = spec.credentials.superuserSecretRef?.name ?? names.superuserSecret;
  const users = userNames(spec).map((name, index) => {
    const given = spec.credentials.users[index]?.passwordSecretRef;
    const password =
      given === undefined ? text(userSecretName(metadata.name, name), 'password') : text(given.name, given.key);
    return login(name, password);
  });
  const external = (spec.shards.external ?? []).flatMap(({ name, credentialsSecretRef: { name: secret } }) => {
    const found = login(text(secret, 'username') ?? SUPERUSER, text(secret, 'password'));
    return found === undefined || text(secret, 'username') === undefined ? [] : [[name, found] as const];
  });
  return {
    superuser: login(text(superuserSecret, 'username') ?? SUPERUSER, text(superuserSecret, 'password')),
    users: users.every((user) => user !== undefined) ? users : undefined,
    admin: own(ROLES.admin, 'admin'),
    resolver: own(roles.resolver, 'resolver'),
    metrics: own(roles.metrics, 'metrics'),
    external: new Map(external),
  };
}

function login(name: string, password: string | undefined): Login | undefined {
  return password === undefined ? undefined : { name, password };
}

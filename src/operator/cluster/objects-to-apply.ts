// Which of the wanted objects may be applied now, and which objects are left over: pods are not made before what they mount is there.

import type { DesiredInput, DesiredObject } from '../desired/desired-input.ts';
import { clusterNames, shardNames } from '../desired/names.ts';
import type { CalmAction } from './action.ts';
import { childOf } from './caches.ts';
import { CONFIG_MAPS, DISRUPTION_BUDGETS, NETWORK_POLICIES, SECRETS, STATEFUL_SETS } from './kinds.ts';
import type { Observation } from './observation.ts';

/** `heldBack`: sets that must not be applied now. */
export function objectsToApply(
  observation: Observation,
  input: DesiredInput,
  desired: readonly DesiredObject[],
  heldBack: ReadonlySet<string>,
): CalmAction[] {
  const applied = desired.filter(({ type, object: { metadata } }) => {
    if (type.kind !== STATEFUL_SETS.kind) return true;
    if (heldBack.has(metadata.name)) return false;
    // A pod whose Secret is missing waits with ever longer pauses: better it is made a moment later.
    const exists = childOf(observation.children.byKey, STATEFUL_SETS, metadata.name) !== undefined;
    return exists || isMountable(observation, input, metadata.name);
  });
  return [
    ...applied.map(({ type, object }): CalmAction => ({ kind: 'apply', type, object })),
    ...leftOver(observation, desired),
  ];
}

function isMountable({ children, cluster, secrets }: Observation, { logins }: DesiredInput, set: string): boolean {
  const { metadata, spec } = cluster;
  const names = clusterNames(metadata.name);
  const has = (name: string) =>
    childOf(children.byKey, SECRETS, name) !== undefined || secrets.get(name)?.secret !== undefined;
  const certificate = (tls: { mode: string; secretName?: string }, made: string) =>
    tls.mode === 'Disable' || has(tls.secretName ?? made);
  const shardsTrusted = spec.shards.external !== undefined || certificate(spec.postgres.tls, names.shardTlsSecret);
  if (set === names.proxies) {
    const configured = logins !== undefined && has(names.proxyConfig);
    return configured && shardsTrusted && certificate(spec.proxy.tls, names.proxyTlsSecret);
  }
  const superuser = spec.credentials.superuserSecretRef?.name ?? names.superuserSecret;
  return shardsTrusted && has(superuser) && childOf(children.byKey, CONFIG_MAPS, set) !== undefined;
}

/** Budgets and policies that were switched off; those of retired shards stay with them. */
function leftOver({ children, cluster }: Observation, desired: readonly DesiredObject[]): CalmAction[] {
  const { namespace, name: clusterName } = cluster.metadata;
  const wanted = new Set(desired.map(({ type, object }) => `${type.kind}/${object.metadata.name}`));
  const retired = (name: string) => name.startsWith(shardNames(clusterName, 0).set.slice(0, -1));
  return [DISRUPTION_BUDGETS, NETWORK_POLICIES].flatMap((type) =>
    [...children.byKey].flatMap(([key, { metadata }]): CalmAction[] => {
      const { name, uid = '', deletionTimestamp } = metadata;
      if (!key.startsWith(`${type.kind}/`) || wanted.has(key) || deletionTimestamp !== undefined) return [];
      if (retired(name) && isEnabled(cluster, type.kind)) return [];
      return [{ kind: 'delete', type, ref: { namespace, name }, uid, why: 'it was switched off in the spec' }];
    }),
  );
}

function isEnabled({ spec }: Observation['cluster'], kind: string): boolean {
  return kind === DISRUPTION_BUDGETS.kind ? spec.podDisruptionBudget.enabled : spec.networkPolicy.enabled;
}

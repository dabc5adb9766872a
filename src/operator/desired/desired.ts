// All objects of a cluster, in the order in which they are made: what pods mount comes before the pods.
import { proxyAccount, shardAccount } from './accounts.ts';
import type { DesiredInput, DesiredObject } from './desired-input.ts';
import { proxyBudget, shardBudget } from './disruption-budgets.ts';
import { podMonitor, prometheusRule } from './monitoring.ts';
import { proxyPolicy, shardPolicy } from './network-policies.ts';
import { proxyConfigSecret } from './proxy-config.ts';
import { proxySet } from './proxy-set.ts';
import { clientService, proxyPodsService, shardServices } from './services.ts';
import { shardConfig } from './shard-config.ts';
import { shardSet } from './shard-set.ts';

/** Objects of the shard at `index`, which the operator makes. */
export function shardObjects(input: DesiredInput, index: number): DesiredObject[] {
  const { podDisruptionBudget } = input.cluster.spec;
  return [
    ...shardServices(input, index),
    shardConfig(input, index),
    ...(podDisruptionBudget.enabled ? [shardBudget(input, index)] : []),
    shardSet(input, index),
  ];
}

/** Objects of the proxies; without the configuration while a password is missing. */
export function proxyObjects(input: DesiredInput): DesiredObject[] {
  const { podDisruptionBudget, networkPolicy, monitoring } = input.cluster.spec;
  const { monitoringKinds } = input;
  const config = proxyConfigSecret(input);
  return [
    proxyAccount(input),
    proxyPodsService(input),
    clientService(input),
    ...(config === undefined ? [] : [config]),
    ...(networkPolicy.enabled ? [proxyPolicy(input)] : []),
    ...(podDisruptionBudget.enabled ? [proxyBudget(input)] : []),
    ...(monitoring.podMonitor.enabled && monitoringKinds.podMonitor ? [podMonitor(input)] : []),
    ...(monitoring.prometheusRule.enabled && monitoringKinds.prometheusRule ? [prometheusRule(input)] : []),
    proxySet(input),
  ];
}

/**
 * Every object of the cluster but the Secrets that are made once (credential-secrets.ts). Whatever carries the cluster's label and
 * is of one of these kinds but not among them is left over, e.g. a budget that was switched off.
 */
export function desiredObjects(input: DesiredInput): DesiredObject[] {
  const { shards, networkPolicy } = input.cluster.spec;
  const indexes = Array.from({ length: shards.count ?? 0 }, (_, index) => index);
  const shared = shards.count === undefined ? [] : [shardAccount(input)];
  const policy = shards.count !== undefined && networkPolicy.enabled ? [shardPolicy(input)] : [];
  return [...shared, ...policy, ...indexes.flatMap((index) => shardObjects(input, index)), ...proxyObjects(input)];
}

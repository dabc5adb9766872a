// PodDisruptionBudgets: no eviction takes a shard, which has one pod, and none takes two proxies at once.
import { DISRUPTION_BUDGETS } from '../cluster/kinds.ts';
import type { DesiredInput, DesiredObject, PlainObject } from './desired-input.ts';
import { ownedMeta, selectorOf } from './labels.ts';
import { clusterNames, shardNames } from './names.ts';

function budget(
  { cluster }: DesiredInput,
  component: 'shard' | 'proxy',
  { name, shard, allowed }: { readonly name: string; readonly shard?: string; readonly allowed: PlainObject },
): DesiredObject {
  return {
    type: DISRUPTION_BUDGETS,
    object: {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: ownedMeta(cluster, name, component, shard),
      spec: {
        ...allowed,
        // A pod that does not work anyway is no reason to keep a node from being emptied.
        unhealthyPodEvictionPolicy: 'AlwaysAllow',
        selector: { matchLabels: selectorOf(cluster.metadata.name, component, shard) },
      },
    },
  };
}

export function shardBudget(input: DesiredInput, index: number): DesiredObject {
  const { set, logical } = shardNames(input.cluster.metadata.name, index);
  return budget(input, 'shard', { name: set, shard: logical, allowed: { minAvailable: 1 } });
}

export function proxyBudget(input: DesiredInput): DesiredObject {
  const name = clusterNames(input.cluster.metadata.name).proxies;
  return budget(input, 'proxy', { name, allowed: { maxUnavailable: 1 } });
}

// ServiceAccounts of shards and proxies: neither ever speaks to the API server, so neither gets a token.
import { SERVICE_ACCOUNTS } from '../cluster/kinds.ts';
import type { DesiredInput, DesiredObject } from './desired-input.ts';
import { ownedMeta } from './labels.ts';
import { clusterNames } from './names.ts';

function account({ cluster }: DesiredInput, name: string, component: 'shard' | 'proxy'): DesiredObject {
  return {
    type: SERVICE_ACCOUNTS,
    object: {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: ownedMeta(cluster, name, component),
      automountServiceAccountToken: false,
    },
  };
}

export function shardAccount(input: DesiredInput): DesiredObject {
  return account(input, clusterNames(input.cluster.metadata.name).shardAccount, 'shard');
}

export function proxyAccount(input: DesiredInput): DesiredObject {
  return account(input, clusterNames(input.cluster.metadata.name).proxyAccount, 'proxy');
}

// NetworkPolicies: shards take connections from proxies, operator and whom the spec names; proxies from their clients.
import type { NetworkPeer } from '../api/sharded-cluster.generated.ts';
import { NETWORK_POLICIES } from '../cluster/kinds.ts';
import type { DesiredInput, DesiredObject, PlainObject } from './desired-input.ts';
import { type Component, ownedMeta, selectorOf } from './labels.ts';
import { clusterNames, HTTP_PORT, POSTGRES_PORT } from './names.ts';

/** `from` absent: everybody. An empty list would mean everybody too, so nobody is said by leaving the rule out. */
function rule(port: number, from?: readonly object[]): PlainObject {
  return { ...(from === undefined ? {} : { from }), ports: [{ port, protocol: 'TCP' }] };
}

function policy(
  { cluster }: DesiredInput,
  name: string,
  component: Component,
  ingress: readonly PlainObject[],
): DesiredObject {
  return {
    type: NETWORK_POLICIES,
    object: {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: ownedMeta(cluster, name, component),
      spec: {
        podSelector: { matchLabels: selectorOf(cluster.metadata.name, component) },
        policyTypes: ['Ingress'],
        ingress,
      },
    },
  };
}

export function shardPolicy(input: DesiredInput): DesiredObject {
  const { metadata, spec } = input.cluster;
  const peers: readonly (NetworkPeer | object)[] = [
    { podSelector: { matchLabels: selectorOf(metadata.name, 'proxy') } },
    ...input.operatorPeers,
    ...(spec.networkPolicy.shardClients ?? []),
  ];
  return policy(input, clusterNames(metadata.name).shards, 'shard', [rule(POSTGRES_PORT, peers)]);
}

export function proxyPolicy(input: DesiredInput): DesiredObject {
  const { metadata, spec } = input.cluster;
  const { clients } = spec.networkPolicy;
  const peers = clients === undefined ? undefined : [...clients, ...input.operatorPeers];
  return policy(input, clusterNames(metadata.name).proxies, 'proxy', [
    ...(peers?.length === 0 ? [] : [rule(POSTGRES_PORT, peers)]),
    // Health and figures only; who collects them is not for the spec to know.
    rule(HTTP_PORT),
  ]);
}

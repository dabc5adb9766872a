// Puts together what caches, looks and memory know of one cluster; reads nothing and waits for nothing.
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import { LABELS } from '../desired/labels.ts';
import { clusterNames, proxyNames, shardNames } from '../desired/names.ts';
import type { ClaimObject, EventObject } from '../diagnosis/children.ts';
import type { KubeObject } from '../kube/resource.ts';
import type { ShardSetup } from '../sql/facts.ts';
import { childOf, ofKind } from './caches.ts';
import { CLAIMS, JOBS, PODS, type Pod, SECRETS, type Secret, STATEFUL_SETS } from './kinds.ts';
import type {
  ApplyProblem,
  ClusterChildren,
  Look,
  Observation,
  ProxyObservation,
  SecretObservation,
  ShardObservation,
  ShardSetupState,
} from './observation.ts';
import type { Looks } from './prober.ts';
import { secretNeeds, secretText } from './secret-needs.ts';
import { wantedSetup } from './wanted-setup.ts';

export interface Seen {
  readonly cluster: ShardedCluster;
  /** `Kind/name` → object. */
  readonly children: ReadonlyMap<string, KubeObject>;
  /** A Secret of the user's. */
  readonly userSecret: (name: string) => Secret | 'missing' | 'unknown';
  readonly looks: Looks;
  /** What became of setting a shard up as wanted now; wanted is undefined while a password is not known. */
  readonly setupOf: (shard: string, wanted: ShardSetup | undefined) => ShardSetupState;
  readonly events: readonly EventObject[];
  readonly applyProblem: ApplyProblem | undefined;
  readonly refusedSets: ReadonlySet<string>;
  readonly nowMs: number;
}

export function observe(seen: Seen): Observation {
  const { cluster, children: byKey, applyProblem, refusedSets, nowMs, events } = seen;
  const names = clusterNames(cluster.metadata.name);
  const children: ClusterChildren = {
    byKey,
    pods: ofKind(byKey, PODS),
    claims: ofKind(byKey, CLAIMS),
    statefulSets: ofKind(byKey, STATEFUL_SETS),
    jobs: ofKind(byKey, JOBS),
    events,
  };
  const secrets = secretsOf(seen);
  return {
    cluster,
    nowMs,
    clusterId: cluster.status?.clusterId,
    children,
    shards: shardsOf(seen, secrets),
    proxies: proxiesOf(seen, children),
    proxySet: childOf(byKey, STATEFUL_SETS, names.proxies),
    secrets,
    refusedSets,
    applyProblem,
  };
}

function shardsOf(
  { cluster, children, looks, setupOf }: Seen,
  secrets: ReadonlyMap<string, SecretObservation>,
): ShardObservation[] {
  const { external, count = 0 } = cluster.spec.shards;
  const seenOf = (name: string): Pick<ShardObservation, 'look' | 'setup'> => ({
    look: looks.shards.get(name) ?? NEVER,
    setup: setupOf(name, wantedSetup(cluster, secrets, name)),
  });
  if (external !== undefined) {
    return external.map(({ name }, index) => ({
      name,
      index,
      kind: 'external',
      statefulSet: undefined,
      pod: undefined,
      claim: undefined,
      ...seenOf(name),
    }));
  }
  const made = (index: number, kind: 'made' | 'retired'): ShardObservation => {
    const names = shardNames(cluster.metadata.name, index);
    return {
      name: names.logical,
      index,
      kind,
      statefulSet: childOf(children, STATEFUL_SETS, names.set),
      pod: childOf(children, PODS, names.pod),
      claim: childOf(children, CLAIMS, names.claim),
      ...seenOf(names.logical),
    };
  };
  return [
    ...Array.from({ length: count }, (_, index) => made(index, 'made')),
    ...retiredIndexes(children, count).map((index) => made(index, 'retired')),
  ];
}

/** Places beyond the spec of which a set or a claim is still there. */
function retiredIndexes(children: ReadonlyMap<string, KubeObject>, count: number): number[] {
  const labelled = [...ofKind(children, STATEFUL_SETS), ...ofKind(children, CLAIMS)];
  const indexes = labelled.flatMap(({ metadata }) => {
    const index = /^shard-(\d+)$/.exec(metadata.labels?.[LABELS.shard] ?? '')?.[1];
    return index === undefined || Number(index) < count ? [] : [Number(index)];
  });
  return [...new Set(indexes)].toSorted((a, b) => a - b);
}

function proxiesOf({ cluster, children, looks }: Seen, { pods, claims }: ClusterChildren): ProxyObservation[] {
  const { name } = cluster.metadata;
  const wanted = Array.from({ length: cluster.spec.proxy.replicas }, (_, ordinal) => ordinal);
  const pattern = new RegExp(`^(?:wal-)?${name}-proxy-(\\d+)$`);
  const found = [...pods, ...claims].flatMap(({ metadata }: Pod | ClaimObject) => {
    const ordinal = pattern.exec(metadata.name)?.[1];
    return ordinal === undefined ? [] : [Number(ordinal)];
  });
  const ordinals = [...new Set([...wanted, ...found])].toSorted((a, b) => a - b);
  return ordinals.map((ordinal) => {
    const names = proxyNames(name, ordinal);
    return {
      ordinal,
      name: names.pod,
      instance: names.instance,
      pod: childOf(children, PODS, names.pod),
      claim: childOf(children, CLAIMS, names.claim),
      look: looks.proxies.get(names.pod) ?? NEVER,
    };
  });
}

const NEVER: Look<never> = { kind: 'never' };

function secretsOf({ cluster, children, userSecret }: Seen): Map<string, SecretObservation> {
  const found = new Map<string, SecretObservation>();
  for (const { name, path, keys: requiredKeys, origin } of secretNeeds(cluster)) {
    const seen = origin === 'made' ? (childOf(children, SECRETS, name) ?? 'missing') : userSecret(name);
    // Not asked for yet: nothing is concluded from that.
    if (seen === 'unknown') continue;
    const secret = seen === 'missing' ? undefined : seen;
    const keys = secret === undefined ? null : Object.keys(secret.data ?? {}).filter((key) => secretText(secret, key));
    // One Secret may be named twice, e.g. by two users.
    const known = found.get(name)?.finding.requiredKeys ?? [];
    found.set(name, {
      origin,
      finding: { name, path, requiredKeys: [...new Set([...known, ...requiredKeys])], keys },
      secret,
    });
  }
  return found;
}

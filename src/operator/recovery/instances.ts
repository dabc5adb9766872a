// Every proxy instance that ever left something: of the spec, of a pod, of a volume, or of a prepared transaction. Pure.
// The rule: an instance exists as long as something of it is prepared, whether or not anybody still wants it.
import type { StatusProxy } from '../api/sharded-cluster.generated.ts';
import type { Observation, ProxyObservation } from '../cluster/observation.ts';
import { proxyNames } from '../desired/names.ts';
import type { ProxyFacts } from '../sql/facts.ts';

/** Prepared branches of an instance on one shard. */
export interface LeftOnShard {
  readonly shard: string;
  readonly count: number;
  /** Server clock, milliseconds since the Unix epoch. */
  readonly oldestMs: number;
  readonly epochMax: number;
}

export interface InstanceSight {
  readonly instance: string;
  /** Undefined for a name that no proxy of the set can have. */
  readonly ordinal: number | undefined;
  /** Expected to be there, now or soon. */
  readonly wanted: boolean;
  readonly proxy: ProxyObservation | undefined;
  /** As the shards that answered show it. */
  readonly left: readonly LeftOnShard[];
  /** Its entry in the status as it was last written. */
  readonly remembered: StatusProxy | undefined;
}

const INSTANCE = /^proxy-(0|[1-9]\d{0,3})$/;

export function instancesOf(observation: Observation): InstanceSight[] {
  const { cluster, proxies } = observation;
  const left = leftByInstance(observation);
  const known = new Map(proxies.map((proxy) => [proxy.instance, proxy]));
  const names = [...new Set([...known.keys(), ...left.keys()])].toSorted(byNumber);
  const ends = cluster.metadata.deletionTimestamp !== undefined || cluster.spec.shutdown;
  return names.map((instance) => {
    const text = INSTANCE.exec(instance)?.[1];
    const ordinal = text === undefined ? undefined : Number(text);
    const pod = ordinal === undefined ? undefined : proxyNames(cluster.metadata.name, ordinal).pod;
    return {
      instance,
      ordinal,
      wanted: !ends && ordinal !== undefined && ordinal < cluster.spec.proxy.replicas,
      proxy: known.get(instance),
      left: left.get(instance) ?? [],
      remembered: cluster.status?.proxies?.find(({ name }) => name === pod),
    };
  });
}

const byNumber = (one: string, other: string) => one.localeCompare(other, 'en', { numeric: true });

function leftByInstance({ shards }: Observation): Map<string, LeftOnShard[]> {
  const left = new Map<string, LeftOnShard[]>();
  for (const { name: shard, look } of shards) {
    if (look.kind !== 'seen') continue;
    const here = new Map<string, LeftOnShard>();
    for (const { instance, epoch, count, oldestMs } of look.facts.prepared.runs) {
      const before = here.get(instance);
      here.set(instance, {
        shard,
        count: (before?.count ?? 0) + count,
        oldestMs: Math.min(before?.oldestMs ?? oldestMs, oldestMs),
        epochMax: Math.max(before?.epochMax ?? epoch, epoch),
      });
    }
    for (const [instance, one] of here) left.set(instance, [...(left.get(instance) ?? []), one]);
  }
  return left;
}

/** Shards that may hold something that nobody has seen: they do not answer. Retired ones are stopped, and do not count. */
export function unseenShards({ shards }: Observation): string[] {
  return shards.filter(({ kind, look }) => kind !== 'retired' && look.kind !== 'seen').map(({ name }) => name);
}

/** Shards that recovery may ask: a retired one only while it runs, else its branches count as being on a removed shard. */
export function shardsToAsk({ shards }: Observation): string[] {
  return shards.filter(({ kind, look }) => kind !== 'retired' || look.kind === 'seen').map(({ name }) => name);
}

/** Its own word, when it answers; else undefined: it is away. */
export function answerOf({ proxy }: InstanceSight): ProxyFacts | undefined {
  if (proxy?.pod === undefined || proxy.look.kind !== 'seen') return undefined;
  return proxy.look.facts;
}

/**
 * A look at it failed, or there was none yet, while its pod is Ready: most likely it is busy, and what it has prepared belongs to
 * commits that are under way.
 */
export function seemsWell({ proxy }: InstanceSight): boolean {
  const pod = proxy?.pod;
  if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return false;
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

/** Since when the objects say that it is away; undefined when they do not say. */
export function awaySinceMs({ proxy }: InstanceSight): number | undefined {
  const ready = proxy?.pod?.status?.conditions?.find(({ type }) => type === 'Ready');
  const times = [
    ready?.status === 'False' ? Date.parse(ready.lastTransitionTime ?? '') : Number.NaN,
    proxy?.look.kind === 'failed' ? proxy.look.sinceMs : Number.NaN,
  ].filter((ms) => !Number.isNaN(ms));
  return times.length === 0 ? undefined : Math.min(...times);
}

/**
 * Why a process of the instance may still live; null when Kubernetes shows that none does. Needed where no log's lock can
 * show it. A pod that leaves a node which does not answer stays here until somebody declares the node dead.
 */
export function whyMayLive({ proxy }: InstanceSight): string | null {
  const pod = proxy?.pod;
  if (pod === undefined || ['Failed', 'Succeeded'].includes(pod.status?.phase ?? '')) return null;
  const running = pod.status?.containerStatuses?.some(({ state }) => state?.running !== undefined) ?? false;
  if (!running) return null;
  const { name } = pod.metadata;
  if (pod.metadata.deletionTimestamp === undefined) return `pod ${name} runs, but does not answer`;
  const node = pod.spec?.nodeName ?? 'its node';
  return `pod ${name} is leaving ${node}, which has not confirmed its end; if the node is dead, delete its Node object or taint it out-of-service`;
}

/** Transactions in doubt, at least: one of n branches stands on n shards at most once each. */
export function leftCount({ left }: InstanceSight): number {
  return Math.max(0, ...left.map(({ count }) => count));
}

export function oldestLeftMs({ left }: InstanceSight): number | null {
  return left.length === 0 ? null : Math.min(...left.map(({ oldestMs }) => oldestMs));
}

/** The highest epoch that anybody has seen of it; 0 without any. */
export function epochSeen({ left, remembered }: InstanceSight): number {
  return Math.max(0, remembered?.epoch ?? 0, ...left.map(({ epochMax }) => epochMax));
}

/** The claim with its log; a claim that was never bound never held one. */
export function logClaimOf({ proxy }: InstanceSight): string | undefined {
  const claim = proxy?.claim;
  const there = claim?.status?.phase === 'Bound' && claim.metadata.deletionTimestamp === undefined;
  return there ? claim.metadata.name : undefined;
}

/** Where a pod holds the volume now: only there can another one mount it. */
export function nodeOf({ proxy }: InstanceSight): string | undefined {
  const phase = proxy?.pod?.status?.phase;
  return phase === 'Failed' || phase === 'Succeeded' ? undefined : proxy?.pod?.spec?.nodeName;
}

// Which pod is replaced next: at most one over the whole cluster, a broken one first, and a shard never while it is in doubt. Pure.
// The rule: a revision that does not come up is left by replacing the broken pod, so that no rollout is ever stuck.
import { isShut } from '../recovery/gates.ts';
import type { RecoveryFindings } from '../recovery/types.ts';
import type { DisruptiveAction, Waiting } from './action.ts';
import type { Pod } from './kinds.ts';
import type { Observation, ProxyObservation, ShardObservation } from './observation.ts';
import { isLeaving, isPodReady, isProxyReady, isShardReady, whyOutdated } from './wellness.ts';

/** A pod that is not as it should be, and why. */
interface Candidate {
  readonly pod: Pod;
  /** `shard-0`, or the pod's name. */
  readonly of: string;
  readonly why: string;
  /** Nobody loses anything by a new pod. */
  readonly broken: boolean;
  readonly gate: Waiting | undefined;
}

export interface Replacement {
  readonly action: DisruptiveAction | undefined;
  readonly waiting: readonly Waiting[];
  /** Who waits for a restart, with the reason. */
  readonly pending: ReadonlyMap<string, string>;
}

/** `restarts`: who needs a restart for its configuration, by `of`, with the reason. */
export function nextReplacement(
  observation: Observation,
  recovery: RecoveryFindings,
  restarts: ReadonlyMap<string, string>,
): Replacement {
  const shards = observation.shards
    .filter(({ kind }) => kind === 'made')
    .flatMap((shard) => shardCandidate(observation, recovery, shard, restarts));
  const proxies = observation.proxies.flatMap((proxy) => proxyCandidate(observation, proxy, restarts));
  const candidates = [...shards, ...proxies];
  const pending = new Map(candidates.map(({ of, why }) => [of, why]));
  const broken = candidates.find((each) => each.broken);
  if (broken !== undefined) return { action: replace(broken), waiting: [], pending };
  const [next] = candidates;
  if (next === undefined) return { action: undefined, waiting: [], pending };
  const ungated = candidates.find(({ gate }) => gate === undefined);
  const others = [...notWell(observation, next.of), ...notYetReady(observation, pending)];
  const gates = candidates.flatMap(({ gate }) => (gate === undefined ? [] : [gate]));
  if (others.length > 0) {
    const message = `${next.of} is restarted when all others are well; now waiting for ${others.join(', ')} (${next.why})`;
    return { action: undefined, waiting: [{ reason: 'WaitingForOthers', message }, ...gates], pending };
  }
  if (ungated === undefined) return { action: undefined, waiting: gates, pending };
  const message = `${ungated.of} is restarted: ${ungated.why}`;
  return { action: replace(ungated), waiting: [{ reason: 'Restarting', message }, ...gates], pending };
}

function shardCandidate(
  { nowMs }: Observation,
  { gates }: RecoveryFindings,
  shard: ShardObservation,
  restarts: ReadonlyMap<string, string>,
): Candidate[] {
  const { name, pod, look, statefulSet } = shard;
  if (pod === undefined || isLeaving(pod)) return [];
  // Crash recovery after a power cut takes what it takes; a new pod would begin it again.
  if (look.kind === 'failed' && look.failure.kind === 'starting') return [];
  const why = whyOutdated(pod, statefulSet) ?? restarts.get(name);
  if (why === undefined) return [];
  const found = gates.restart.get(name);
  const gate = found !== undefined && isShut(found, nowMs) ? found : undefined;
  // Its server does not answer anyway, so that its prepared transactions lose nothing by a new pod.
  return [{ pod, of: name, why, broken: isBroken(shard), gate }];
}

function proxyCandidate(
  { proxySet }: Observation,
  proxy: ProxyObservation,
  restarts: ReadonlyMap<string, string>,
): Candidate[] {
  const { name, pod } = proxy;
  if (pod === undefined || isLeaving(pod)) return [];
  const why = whyOutdated(pod, proxySet) ?? restarts.get(name);
  if (why === undefined) return [];
  return [{ pod, of: name, why, broken: isBroken(proxy), gate: undefined }];
}

/** Both we and the kubelet say so: what only we cannot reach may serve others, and one that recovers answers us. */
function isBroken({ pod, look }: ShardObservation | ProxyObservation): boolean {
  return look.kind !== 'seen' && !isPodReady(pod);
}

/** Everybody but `except` who should be well and is not. */
export function notWell({ shards, proxies, cluster, proxySet }: Observation, except?: string): string[] {
  const wanted = Math.min(cluster.spec.proxy.replicas, proxySet?.spec?.replicas ?? 0);
  return [
    ...shards.filter((shard) => shard.kind !== 'retired' && !isShardReady(shard)).map(({ name }) => name),
    ...proxies.filter((proxy) => proxy.ordinal < wanted && !isProxyReady(proxy)).map(({ name }) => name),
  ].filter((name) => name !== except);
}

/**
 * Shards that answer us and whose new pod the kubelet has not called ready yet: for their Services, and whoever reads the
 * pods, they are still away. One that waits for a new pod itself is none of them, or it would wait for itself.
 */
function notYetReady({ shards }: Observation, pending: ReadonlyMap<string, string>): string[] {
  return shards
    .filter(
      (shard) => shard.kind === 'made' && isShardReady(shard) && !isPodReady(shard.pod) && !pending.has(shard.name),
    )
    .map(({ name }) => name);
}

function replace({ pod, of, why }: Candidate): DisruptiveAction {
  const { namespace, name, uid = '' } = pod.metadata;
  return { kind: 'replacePod', pod: { namespace, name }, uid, of, why };
}

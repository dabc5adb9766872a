// Whether a pod, a shard, a proxy is well: from SQL that worked, not from a pod's phase alone. Pure.
import { ANNOTATIONS } from '../desired/labels.ts';
import type { KubeObject } from '../kube/resource.ts';
import type { Pod } from './kinds.ts';
import type { ProxyObservation, ShardObservation } from './observation.ts';

export function isLeaving(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp !== undefined;
}

export function isPodReady(pod: Pod | undefined): boolean {
  const ready = pod?.status?.conditions?.find(({ type }) => type === 'Ready');
  return pod !== undefined && !isLeaving(pod) && ready?.status === 'True';
}

/** It answers SQL, takes writes, and has its roles. */
export function isShardReady({ kind, pod, look, setup }: ShardObservation): boolean {
  const served = kind === 'external' || (pod !== undefined && !isLeaving(pod));
  return served && look.kind === 'seen' && look.facts.primary && setup.kind === 'done';
}

/** It takes clients, by its own word. */
export function isProxyReady({ pod, look }: ProxyObservation): boolean {
  return isPodReady(pod) && look.kind === 'seen' && look.facts.ready;
}

/** Which template a pod was made from; a set carries the hash in its template. */
export function templateHashOf(set: KubeObject | undefined): string | undefined {
  return templateAnnotations(set)?.[ANNOTATIONS.restartHash];
}

function templateAnnotations(set: KubeObject | undefined): Readonly<Record<string, string>> | undefined {
  const { spec } = (set ?? {}) as { spec?: { template?: { metadata?: { annotations?: Record<string, string> } } } };
  return spec?.template?.metadata?.annotations;
}

/** Why the set as it is would make another pod than this one; undefined when it would not. */
export function whyOutdated({ metadata }: Pod, liveSet: KubeObject | undefined): string | undefined {
  const hash = templateHashOf(liveSet);
  if (hash === undefined) return undefined;
  if (metadata.annotations?.[ANNOTATIONS.restartHash] !== hash) return `the definition of ${metadata.name} changed`;
  const asked = templateAnnotations(liveSet)?.[RESTARTED_AT];
  if (asked === undefined || metadata.annotations[RESTARTED_AT] === asked) return undefined;
  return `kubectl rollout restart asked for it at ${asked}`;
}

/** What `kubectl rollout restart` writes into a set's template. It is not ours, so that applying the set leaves it there. */
const RESTARTED_AT = 'kubectl.kubernetes.io/restartedAt';

/** It came up and fell, or never came up: its container waits for another try. */
export function isStruggling({ status }: Pod): boolean {
  return (status?.containerStatuses ?? []).some(
    ({ ready, restartCount = 0, state }) =>
      ready !== true && (restartCount > 0 || state?.waiting?.reason === 'CrashLoopBackOff'),
  );
}

// How many pods the proxies' set shall have, and who drains: a proxy goes only when its log has nothing unfinished. Pure.
// The rule: proxies leave from the highest ordinal down, and one with unfinished decisions keeps its place whatever is wanted.
import { isShut } from '../recovery/gates.ts';
import type { RecoveryFindings } from '../recovery/types.ts';
import type { CalmAction, Waiting } from './action.ts';
import { PODS, type Pod } from './kinds.ts';
import type { Observation, ProxyObservation } from './observation.ts';
import { isLeaving, isProxyReady } from './wellness.ts';

/** On a pod that the operator drains, since when; one that a person drained has none, and is left alone. */
export const DRAINING = 'atomshard.dev/draining-since';

export interface ProxySizing {
  /** For the set; as it is while somebody must stay. */
  readonly replicas: number;
  readonly calm: readonly CalmAction[];
  readonly waiting: readonly Waiting[];
  /** No proxy runs, and none is meant to. */
  readonly allGone: boolean;
}

export interface SizingGoal {
  readonly wanted: number;
  /** Everything stops: all drain at once, and clients that stay too long are cut off. */
  readonly stopping: boolean;
  /** Whether draining for a smaller number may begin now: it disturbs clients. */
  readonly mayDrain: boolean;
}

/**
 *   stays ──wanted < ordinal──▶ DRAIN, annotated ──Clean──▶ replicas − 1
 *     ▲                              │
 *     └───────── RESUME ◀── wanted again
 */
export function sizeProxies(observation: Observation, recovery: RecoveryFindings, goal: SizingGoal): ProxySizing {
  const { proxies, proxySet } = observation;
  const current = proxySet?.spec?.replicas ?? Math.max(goal.stopping ? 0 : goal.wanted, placesTaken(proxies));
  const staying = proxies.filter(({ ordinal }) => ordinal < Math.min(goal.wanted, current));
  const leaving = proxies.filter(({ ordinal }) => ordinal >= goal.wanted && ordinal < current).toReversed();
  const calm: CalmAction[] = staying.flatMap(resume);
  const waiting: Waiting[] = [];
  let replicas = Math.max(current, goal.wanted);
  for (const proxy of leaving) {
    const stay = whyStay(observation, recovery, proxy, goal.stopping);
    if (stay === undefined) {
      // Only the highest can go.
      if (replicas === proxy.ordinal + 1) replicas = proxy.ordinal;
      continue;
    }
    waiting.push(stay);
    if (goal.mayDrain || goal.stopping) calm.push(...drain(observation, proxy));
    // One at a time, so that the others carry its clients; all of them where nothing is to stay.
    if (!goal.stopping) break;
  }
  const left = proxies.filter(({ pod }) => pod !== undefined);
  return { replicas, calm, waiting, allGone: replicas === 0 && left.length === 0 };
}

/** A set that is made anew (its volumes grew, or somebody deleted it) takes over the pods that run, also those that are to leave. */
function placesTaken(proxies: readonly ProxyObservation[]): number {
  return Math.max(0, ...proxies.map(({ ordinal, pod }) => (pod === undefined || isLeaving(pod) ? 0 : ordinal + 1)));
}

/** Undefined when the proxy may go. */
function whyStay(
  { nowMs, cluster }: Observation,
  { gates, instances }: RecoveryFindings,
  proxy: ProxyObservation,
  stopping: boolean,
): Waiting | undefined {
  const { name, instance, pod, look } = proxy;
  const graceMs = cluster.spec.proxy.terminationGracePeriodSeconds * 1_000;
  const gate = gates.removal.get(instance);
  if (gate !== undefined && isShut(gate, nowMs)) return { reason: gate.reason, message: gate.message };
  if (look.kind === 'seen' && pod !== undefined && look.facts.state === 'Clean') return undefined;
  if (look.kind === 'seen') {
    const { running, state, inDoubt } = look.facts;
    // By a person's word, or past the deadline of a deletion: the volume of its log is kept.
    const mayLeaveDoubt = inDoubt === 0 || gate !== undefined;
    // Only its clients keep it, and they had their time.
    if (stopping && nowMs - drainsSinceMs(pod) > graceMs && mayLeaveDoubt) return undefined;
    if (gate !== undefined && state === 'Draining' && running === 0) return undefined;
    const message = `${name} drains before it leaves (${state}, ${running} transactions run)`;
    return { reason: 'ProxyDraining', message };
  }
  if (gate !== undefined) return undefined;
  // It does not answer; recovery knows whether anything of it is left, and acts for it after the grace period.
  const state = instances.find((each) => each.instance === instance)?.state;
  const nothingLeft = state === undefined || state.kind === 'gone';
  if (nothingLeft && !maySpeak(proxy, nowMs, graceMs)) return undefined;
  const message = `${name} does not answer, so that it is not known whether its log is finished`;
  return { reason: 'ProxyNotAnswering', message };
}

/**
 * Its container runs or is started again after it ended, and its word may still come: what it recovered is told by nobody else.
 * Nothing depends on that word, so that a proxy that hangs is waited for no longer than for its clients.
 */
function maySpeak({ pod, look }: ProxyObservation, nowMs: number, graceMs: number): boolean {
  if (pod === undefined || isLeaving(pod)) return false;
  const ran = pod.status?.containerStatuses?.some(
    ({ restartCount = 0, state }) =>
      restartCount > 0 || state?.running !== undefined || state?.terminated !== undefined,
  );
  const times = [drainsSinceMs(pod), look.kind === 'failed' ? look.sinceMs : Number.NaN];
  const sinceMs = Math.max(...times.filter((ms) => !Number.isNaN(ms)));
  // Without any time it has just begun to wait, which is written on the pod.
  return ran === true && (sinceMs === -Infinity || nowMs - sinceMs <= graceMs);
}

/** NaN while the operator does not drain it. */
const drainsSinceMs = (pod: Pod | undefined): number => Date.parse(pod?.metadata.annotations?.[DRAINING] ?? '');

function drain({ nowMs, cluster }: Observation, { name, pod, look }: ProxyObservation): CalmAction[] {
  if (pod === undefined || isLeaving(pod)) return [];
  const actions: CalmAction[] = [];
  if (pod.metadata.annotations?.[DRAINING] === undefined) {
    const annotations = { [DRAINING]: new Date(nowMs).toISOString() };
    const ref = { namespace: cluster.metadata.namespace, name };
    // A crash after this and before DRAIN: the next round drains.
    actions.push({ kind: 'patch', type: PODS, ref, patch: { metadata: { annotations } }, why: `${name} is drained` });
  }
  const active = look.kind === 'seen' && look.facts.state !== 'Draining' && look.facts.state !== 'Clean';
  return active ? [...actions, { kind: 'drainProxy', proxy: name }] : actions;
}

/** One that the operator drained and that is wanted again. */
function resume({ name, pod, look }: ProxyObservation): CalmAction[] {
  if (pod === undefined || isLeaving(pod) || pod.metadata.annotations?.[DRAINING] === undefined) return [];
  const drained = look.kind === 'seen' && (look.facts.state === 'Draining' || look.facts.state === 'Clean');
  if (drained) return [{ kind: 'resumeProxy', proxy: name }];
  if (look.kind !== 'seen') return [];
  const ref = { namespace: pod.metadata.namespace, name };
  const patch = { metadata: { annotations: { [DRAINING]: null } } };
  // Last, so that a crash before it only resumes once more.
  return [{ kind: 'patch', type: PODS, ref, patch, why: `${name} takes clients again` }];
}

/** Wanted proxies that do not take clients, for guards and messages. */
export function unreadyProxies({ proxies }: Observation, wanted: number): ProxyObservation[] {
  return proxies.filter((proxy) => proxy.ordinal < wanted && !isProxyReady(proxy));
}

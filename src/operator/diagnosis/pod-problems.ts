// What is wrong with one pod: where it shall run, what it mounts, whether its node answers, and its containers. Pure.

import type { EventObject, PodObject, StatusConditionOfChild } from './children.ts';
import { type Component, containerProblem, creationProblem } from './container-problem.ts';
import type { Ending } from './ended-container.ts';
import { warningsAbout } from './recent-events.ts';

/** Binding a volume or starting a node takes moments in which a pod is "unschedulable". */
const SCHEDULING_PATIENCE_MS = 10_000;
/** What a pod mounts is made just before it, and the kubelet's own copies are a moment behind. */
const MOUNTING_PATIENCE_MS = 10_000;
/** Beyond its grace period, which the deletionTimestamp includes. */
const LEAVING_PATIENCE_MS = 30_000;

/** The faults of a pod, the one nearest to the cause first. Usually none or one. */
export function podProblems(
  pod: PodObject,
  component: Component,
  events: readonly EventObject[],
  nowMs: number,
): Ending[] {
  const leaving = leavingProblem(pod, nowMs);
  if (leaving !== undefined) return [leaving];
  if (pod.metadata.deletionTimestamp !== undefined) return [];
  const lost = nodeProblem(pod) ?? failedPhase(pod);
  if (lost !== undefined) return [lost];
  const scheduling = schedulingProblem(pod, nowMs);
  if (scheduling !== undefined) return [scheduling];
  const { initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {};
  const isNew = isNewOnNode(pod, nowMs);
  const containers = [...initContainerStatuses, ...containerStatuses]
    .flatMap((status) => containerProblem(pod, status, component, nowMs) ?? [])
    .filter(({ reason }) => !(isNew && (reason === 'SecretMissing' || reason === 'SecretIncomplete')));
  if (containers.length > 0) return containers;
  const mount = isNew ? undefined : mountProblem(pod, events, nowMs);
  return mount === undefined ? [] : [mount];
}

function conditionOf({ status }: PodObject, type: string): StatusConditionOfChild | undefined {
  return status?.conditions?.find((condition) => condition.type === type);
}

function leavingProblem(pod: PodObject, nowMs: number): Ending | undefined {
  const { deletionTimestamp, name } = pod.metadata;
  if (deletionTimestamp === undefined || nowMs - Date.parse(deletionTimestamp) < LEAVING_PATIENCE_MS) return undefined;
  const node = pod.spec?.nodeName;
  if (node === undefined) return undefined;
  return {
    reason: 'PodTerminatingLong',
    message:
      `Pod ${name} should have ended at ${deletionTimestamp}, and node ${node} does not confirm that. When that machine is ` +
      `really off, taint it with node.kubernetes.io/out-of-service (or delete the Node); do not delete the pod by force ` +
      `while it may still run: two would write to one volume`,
  };
}

/** The node controller sets Ready to False without a word of the kubelet, whose containers stay as they were. */
function nodeProblem(pod: PodObject): Ending | undefined {
  const [ready, containers] = [conditionOf(pod, 'Ready'), conditionOf(pod, 'ContainersReady')];
  const node = pod.spec?.nodeName;
  if (node === undefined || containers?.status !== 'True') return undefined;
  if (ready === undefined || ready.status === 'True') return undefined;
  const message = `Node ${node} does not answer; the pod comes back with it, or elsewhere when it is given up`;
  return { reason: 'NodeLost', message };
}

function failedPhase({ status }: PodObject): Ending | undefined {
  if (status?.phase !== 'Failed' || status.reason !== 'Evicted') return undefined;
  return {
    reason: 'Evicted',
    message: `The pod was evicted: ${status.message ?? 'no reason is given'}; it is made anew`,
  };
}

function schedulingProblem(pod: PodObject, nowMs: number): Ending | undefined {
  const scheduled = conditionOf(pod, 'PodScheduled');
  if (scheduled?.status !== 'False' || scheduled.reason !== 'Unschedulable') return undefined;
  if (nowMs - Date.parse(scheduled.lastTransitionTime ?? '') < SCHEDULING_PATIENCE_MS) return undefined;
  const said = (scheduled.message ?? '')
    .replace(/\s*(?:no new claims to deallocate,?\s*)?preemption: .*$/s, '')
    .replace(/\.$/, '');
  return {
    reason: 'Unschedulable',
    message: `No node takes the pod: ${said}; add nodes, or lower what it asks for (resources, affinity, nodeSelector)`,
  };
}

function isNewOnNode(pod: PodObject, nowMs: number): boolean {
  const scheduled = conditionOf(pod, 'PodScheduled')?.lastTransitionTime ?? pod.metadata.creationTimestamp;
  return nowMs - Date.parse(scheduled ?? '') < MOUNTING_PATIENCE_MS;
}

function mountProblem(pod: PodObject, events: readonly EventObject[], nowMs: number): Ending | undefined {
  const { containerStatuses = [] } = pod.status ?? {};
  if (containerStatuses.some(({ state }) => state?.running !== undefined)) return undefined;
  const warnings = warningsAbout(events, 'Pod', pod, nowMs);
  const event = warnings.find(({ reason }) => reason === 'FailedMount' || reason === 'FailedAttachVolume');
  if (event === undefined) return undefined;
  const said = event.message ?? '';
  const known = creationProblem(said);
  if (known.reason !== 'ContainerNotCreated') return known;
  return { reason: 'VolumeNotMounted', message: `A volume of the pod is not mounted: ${said}` };
}

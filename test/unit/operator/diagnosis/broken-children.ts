// Pods, claims and events of a cluster called bank, as Kubernetes shows them when something is wrong.
import type {
  Children,
  ClaimObject,
  ContainerStatus,
  EventObject,
  PodObject,
  Terminated,
} from '../../../../src/operator/diagnosis/children.ts';

export const NOW_MS = Date.UTC(2026, 10, 21, 14, 0, 0);
export const ago = (ms: number): string => new Date(NOW_MS - ms).toISOString();

const labels = (component: string, shard?: string) => ({
  'atomshard.dev/cluster': 'bank',
  'app.kubernetes.io/component': component,
  ...(shard === undefined ? {} : { 'atomshard.dev/shard': shard }),
});

export function shardPod(
  status: NonNullable<PodObject['status']>,
  metadata: Partial<PodObject['metadata']> = {},
): PodObject {
  return {
    metadata: { name: 'bank-shard-1-0', uid: 'pod-1', labels: labels('shard', 'shard-1'), ...metadata },
    spec: { nodeName: 'node-1' },
    status,
  };
}

export function proxyPod(status: NonNullable<PodObject['status']>): PodObject {
  return {
    metadata: { name: 'bank-proxy-0', uid: 'pod-2', labels: labels('proxy') },
    spec: { nodeName: 'node-1' },
    status,
  };
}

export function waiting(reason: string, message: string, image = 'postgres:18'): NonNullable<PodObject['status']> {
  return { phase: 'Pending', containerStatuses: [{ name: 'main', image, state: { waiting: { reason, message } } }] };
}

/** A container in a crash loop; `state` is what it does at this moment. */
export function fallen(
  terminated: Partial<Terminated>,
  state: ContainerStatus['state'] = { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 40s' } },
  restartCount = 3,
): NonNullable<PodObject['status']> {
  const ended = { exitCode: 1, reason: 'Error', finishedAt: ago(5_000), ...terminated };
  return {
    phase: 'Running',
    containerStatuses: [
      { name: 'main', image: 'postgres:18', ready: false, restartCount, state, lastState: { terminated: ended } },
    ],
  };
}

export function shardClaim(status: ClaimObject['status'], spec: ClaimObject['spec'] = {}): ClaimObject {
  return {
    metadata: {
      name: 'data-bank-shard-1-0',
      uid: 'claim-1',
      creationTimestamp: ago(60_000),
      labels: labels('shard', 'shard-1'),
    },
    spec: { storageClassName: 'fast', ...spec },
    ...(status === undefined ? {} : { status }),
  };
}

export function warning(kind: string, name: string, uid: string, reason: string, message: string): EventObject {
  return {
    metadata: { name: `${name}.${reason}` },
    type: 'Warning',
    reason,
    message,
    involvedObject: { kind, name, uid },
    lastTimestamp: ago(5_000),
  };
}

export function children(parts: Partial<Children>): Children {
  return { pods: [], claims: [], statefulSets: [], events: [], secrets: [], nowMs: NOW_MS, ...parts };
}

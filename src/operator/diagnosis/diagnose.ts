// All faults of a cluster's surroundings, from its children as they are: the same children give the same list, in the same order.
import { LABELS } from '../desired/labels.ts';
import type { KubeObject } from '../kube/resource.ts';
import type { Children, SecretFinding, StatefulSetObject } from './children.ts';
import { claimProblem } from './claim-problems.ts';
import type { Ending } from './ended-container.ts';
import { podProblems } from './pod-problems.ts';
import type { Afflicted, Problem } from './problem.ts';
import { warningsAbout } from './recent-events.ts';

/** The list; empty when nothing is wrong or all of it is only on its way. */
export function diagnose(children: Children): Problem[] {
  const { pods, claims, statefulSets, events, secrets, nowMs } = children;
  const problems: Problem[] = [];
  const tell = (kind: string, object: KubeObject, ending: Ending | undefined) => {
    if (ending !== undefined)
      problems.push({ of: ownerOf(object), object: { kind, name: object.metadata.name }, ...ending });
  };
  for (const secret of secrets) problems.push(...secretProblems(secret));
  const endingsOfPods = pods.flatMap((pod) => {
    const component = pod.metadata.labels?.[LABELS.component];
    if (component !== 'shard' && component !== 'proxy') return [];
    return podProblems(pod, component, events, nowMs).map((ending) => ({ object: pod, owner: keyOf(pod), ending }));
  });
  const endingsOfClaims = claims.flatMap((claim) => {
    const ending = claimProblem(claim, events, nowMs);
    return ending === undefined ? [] : [{ object: claim, owner: keyOf(claim), ending }];
  });
  // Of a pod that waits for its volume and a volume that waits for its pod, only one is the cause; the scheduler knows which.
  for (const { object, owner, ending } of endingsOfClaims) {
    const pod = endingsOfPods.find((one) => one.owner === owner && one.ending.reason === 'Unschedulable')?.ending;
    if (ending.reason !== 'VolumePending' || pod === undefined || blamesVolume(pod)) {
      tell('PersistentVolumeClaim', object, ending);
    }
  }
  for (const { object, owner, ending } of endingsOfPods) {
    const blamed = ending.reason === 'Unschedulable' && blamesVolume(ending);
    if (!blamed || !endingsOfClaims.some((one) => one.owner === owner)) tell('Pod', object, ending);
  }
  for (const set of statefulSets) {
    const warnings = warningsAbout(events, 'StatefulSet', set, nowMs);
    const failed = lacksPods(set) ? warnings.find(({ reason }) => reason === 'FailedCreate') : undefined;
    const message = `A pod of ${set.metadata.name} cannot be made: ${failed?.message ?? ''}`;
    tell('StatefulSet', set, failed && { reason: 'PodNotCreated', message });
  }
  return problems.toSorted(inOrder);
}

/** What the scheduler says of a pod that has no volume yet. */
function blamesVolume({ message }: Ending): boolean {
  return /PersistentVolumeClaim|persistent volume/i.test(message);
}

const keyOf = (object: KubeObject): string => nameOf(ownerOf(object));

function lacksPods({ spec, status }: StatefulSetObject): boolean {
  return (status?.replicas ?? 0) < (spec?.replicas ?? 0);
}

function secretProblems({ name, path, requiredKeys, keys }: SecretFinding): Problem[] {
  const object = { kind: 'Secret', name };
  if (keys === null) {
    const message = `Secret ${name} (${path}) is not there; make it with the keys ${requiredKeys.join(', ')}`;
    return [{ of: { kind: 'cluster' }, object, reason: 'SecretMissing', message }];
  }
  const missing = requiredKeys.filter((key) => !keys.includes(key));
  if (missing.length === 0) return [];
  const message = `Secret ${name} (${path}) has no ${missing.join(' and no ')}; add ${missing.length === 1 ? 'it' : 'them'}`;
  return [{ of: { kind: 'cluster' }, object, reason: 'SecretIncomplete', message }];
}

/** `wal-bank-proxy-1` and `bank-proxy-1` are the same proxy's. */
function ownerOf({ metadata }: KubeObject): Afflicted {
  const shard = metadata.labels?.[LABELS.shard];
  if (shard !== undefined) return { kind: 'shard', name: shard };
  const proxy = /^(?:wal-)?(.+-proxy-\d+)$/.exec(metadata.name)?.[1];
  return proxy === undefined ? { kind: 'cluster' } : { kind: 'proxy', name: proxy };
}

export function nameOf(of: Afflicted): string {
  return of.kind === 'cluster' ? '' : of.name;
}

const RANK: Readonly<Record<Afflicted['kind'], number>> = { cluster: 0, shard: 1, proxy: 2 };

function inOrder(one: Problem, other: Problem): number {
  const byKind = RANK[one.of.kind] - RANK[other.of.kind];
  if (byKind !== 0) return byKind;
  return nameOf(one.of).localeCompare(nameOf(other.of), 'en', { numeric: true });
}

// Whether what the spec says is in force: the plan waits for nothing, and its objects are the ones that live. Pure.
// The rule: a round that has only just sent a change is not settled, so that Ready never speaks of a generation that is not there.
import type { KubeObject } from '../kube/resource.ts';
import type { CalmAction, Plan } from './action.ts';
import { CONFIG_MAPS, SECRETS, STATEFUL_SETS, type StatefulSet } from './kinds.ts';
import type { Observation } from './observation.ts';
import { templateHashOf } from './wellness.ts';

/** True when nothing is left to do and everything that decides how servers run is applied. */
export function isInForce({ children }: Observation, plan: Plan): boolean {
  if (!plan.settled || plan.disruptive !== undefined || plan.refused !== undefined) return false;
  return plan.calm.every((action) => action.kind !== 'apply' || isAlive(action, children.byKey));
}

type ApplyAction = Extract<CalmAction, { kind: 'apply' }>;

function isAlive({ type, object }: ApplyAction, byKey: ReadonlyMap<string, KubeObject>): boolean {
  const live = byKey.get(`${type.kind}/${object.metadata.name}`);
  switch (type.kind) {
    case STATEFUL_SETS.kind:
      return live !== undefined && isSameSet(object, live);
    case CONFIG_MAPS.kind:
    case SECRETS.kind:
      return live !== undefined && JSON.stringify(dataOf(live)) === JSON.stringify(dataOf(object));
    default:
      return true;
  }
}

function isSameSet(wish: KubeObject, live: StatefulSet): boolean {
  const replicas = (wish as StatefulSet).spec?.replicas;
  return templateHashOf(wish) === templateHashOf(live) && replicas === live.spec?.replicas;
}

/** Sorted, as the API server sorts the keys of maps. */
function dataOf(object: KubeObject): [string, string][] {
  const { data = {} } = object as { readonly data?: Readonly<Record<string, string>> };
  return Object.entries(data).toSorted(([one], [other]) => (one < other ? -1 : 1));
}

// Whether what pods are made from, and what programs read, is in Kubernetes as it is wanted. Only then can the rest be judged. Pure.
import type { DesiredObject } from '../desired/desired-input.ts';
import type { KubeObject } from '../kube/resource.ts';
import { CONFIG_MAPS, SECRETS, STATEFUL_SETS, type StatefulSet } from './kinds.ts';
import type { Observation } from './observation.ts';
import { templateHashOf } from './wellness.ts';

export function isApplied({ children }: Observation, desired: readonly DesiredObject[]): boolean {
  return desired.every(({ type, object }) => {
    const live = children.byKey.get(`${type.kind}/${object.metadata.name}`);
    switch (type.kind) {
      case STATEFUL_SETS.kind:
        return live !== undefined && sameSet(live, object);
      case CONFIG_MAPS.kind:
      case SECRETS.kind:
        return live !== undefined && sameContent(live, object);
      default:
        return true;
    }
  });
}

function sameSet(live: StatefulSet, wanted: StatefulSet): boolean {
  return templateHashOf(live) === templateHashOf(wanted) && live.spec?.replicas === wanted.spec?.replicas;
}

/** Both sides are texts by key; the server keeps them as they are. */
function sameContent(live: KubeObject, wanted: KubeObject): boolean {
  const texts = (object: KubeObject) => (object as { readonly data?: Readonly<Record<string, string>> }).data ?? {};
  const [have, want] = [texts(live), texts(wanted)];
  return Object.entries(want).every(([key, text]) => have[key] === text);
}

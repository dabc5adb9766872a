// The number of a set's pods and nothing else of it, for sets of which nothing else is to change any more. Pure.
import type { CalmAction } from './action.ts';
import { STATEFUL_SETS, type StatefulSet } from './kinds.ts';

export function scale(set: StatefulSet | undefined, replicas: number): CalmAction[] {
  if (set === undefined || set.spec?.replicas === replicas || set.metadata.deletionTimestamp !== undefined) return [];
  const { namespace, name } = set.metadata;
  const why = `${name} is scaled from ${set.spec?.replicas ?? 0} to ${replicas}`;
  return [{ kind: 'patch', type: STATEFUL_SETS, ref: { namespace, name }, patch: { spec: { replicas } }, why }];
}

// Over which shards rows are spread: a bucket's shard follows from the list, so the list changes only while there is no row to lose. Pure.
// It is recorded on the Secret that outlives the cluster with its volumes, before a proxy hears of it.
import { clusterNames, shardName } from '../desired/names.ts';
import type { CalmAction, Waiting } from './action.ts';
import { SECRETS } from './kinds.ts';
import type { Observation } from './observation.ts';

const PLACEMENT = 'atomshard.dev/placement';

/**
 *   not recorded ──▶ recorded as the spec says ──▶ used
 *   another spec, no table on any shard ──▶ recorded anew ──▶ used
 *   another spec, tables ──▶ as before, and the reason is told
 */
export interface Placement {
  /** For the proxies; undefined before the first record. */
  readonly recorded: readonly string[] | undefined;
  readonly calm: readonly CalmAction[];
  readonly waiting: readonly Waiting[];
}

export function placementOf(observation: Observation): Placement {
  const { cluster, secrets } = observation;
  const { count = 0, external } = cluster.spec.shards;
  const wanted = external?.map(({ name }) => name) ?? Array.from({ length: count }, (_, index) => shardName(index));
  const { internalSecret: name } = clusterNames(cluster.metadata.name);
  const secret = secrets.get(name)?.secret;
  const recorded = secret?.metadata.annotations?.[PLACEMENT]?.split(',');
  // Of a Secret that was deleted and made again, the status remembers.
  const before = recorded ?? cluster.status?.placement;
  const obstacle = before === undefined || same(before, wanted) ? undefined : whyNot(observation, before, wanted);
  const next = obstacle === undefined ? wanted : before;
  const waiting = obstacle === undefined ? [] : [obstacle];
  if (secret === undefined || next === undefined || (recorded !== undefined && same(recorded, next)))
    return { recorded, calm: [], waiting };
  const ref = { namespace: cluster.metadata.namespace, name };
  const patch = { metadata: { annotations: { [PLACEMENT]: next.join(',') } } };
  const why = `rows are spread over ${next.join(', ')}`;
  return { recorded, calm: [{ kind: 'patch', type: SECRETS, ref, patch, why }], waiting };
}

function same(one: readonly string[], other: readonly string[]): boolean {
  return one.join(',') === other.join(',');
}

/** Undefined when no row can get lost. */
function whyNot({ shards }: Observation, before: readonly string[], wanted: readonly string[]): Waiting | undefined {
  const involved = shards.filter(({ name }) => before.includes(name) || wanted.includes(name));
  const used = involved.filter(({ look }) => look.kind === 'seen' && look.facts.tables > 0).map(({ name }) => name);
  const unseen = involved.filter(({ look }) => look.kind !== 'seen').map(({ name }) => name);
  const gone = before.filter((name) => !shards.some((shard) => shard.name === name));
  if (used.length + unseen.length + gone.length === 0) return undefined;
  const why =
    used.length > 0
      ? `${used.join(', ')} ${used.length === 1 ? 'has' : 'have'} tables, whose rows this version cannot move`
      : `whether ${[...unseen, ...gone].join(', ')} has tables cannot be asked`;
  const message =
    `Rows stay spread over ${before.join(', ')} although the spec says ${wanted.join(', ')}: ${why}. ` +
    'Write the former shards, or make a new cluster and copy the rows';
  return { reason: used.length > 0 ? 'RowsNotMoved' : 'ShardsNotSeen', message };
}

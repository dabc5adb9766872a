// How a cluster ends: proxies finish their transactions and go, claims follow their policy, then the finalizer lets the object go. Pure.
// The rule: a log with unfinished decisions is never deleted, and whoever insists says so with an annotation.
import { ANNOTATIONS, FINALIZER } from '../desired/labels.ts';
import { isShut } from '../recovery/gates.ts';
import type { Gate, RecoveryFindings } from '../recovery/types.ts';
import type { CalmAction, Plan, Waiting } from './action.ts';
import { CLAIMS } from './kinds.ts';
import { ownMadeSecrets } from './made-secrets.ts';
import type { Observation } from './observation.ts';
import { nothing } from './plan-nothing.ts';
import { sizeProxies } from './proxy-sizing.ts';
import { scale } from './scale.ts';

/** Beyond the time that proxies have to drain. */
const BLOCKED_AFTER_MS = 30_000;
/** Counted from the deletion, so that a shard that nobody can ask (its Secret is gone) holds nothing up for long. */
const FIRST_LOOK_MS = 60_000;

/**
 *   deletion asked ──▶ proxies drain ──all Clean──▶ proxies gone ──nothing in doubt──▶ claims by policy ──▶ finalizer gone
 *                          └──────── force-delete: "true", or everything is leaving with the namespace ──────────┘
 */
export function planDeletion(observation: Observation, recovery: RecoveryFindings): Plan {
  const { cluster } = observation;
  const base = nothing('delete');
  if (cluster.metadata.finalizers?.includes(FINALIZER) !== true) return base;
  const forced = cluster.metadata.annotations?.[ANNOTATIONS.forceDelete] === 'true';
  if (forced || isAllLeaving(observation)) return { ...base, calm: letGo(observation, recovery) };
  const sizing = sizeProxies(observation, recovery, { wanted: 0, stopping: true, mayDrain: true });
  const gate = recovery.gates.deletion;
  const closed = gate !== null && isShut(gate, observation.nowMs) ? gate : undefined;
  const unasked = closed === undefined ? notAskedYet(observation) : undefined;
  const held = closed ?? unasked;
  if (sizing.allGone && held === undefined) return { ...base, calm: letGo(observation, recovery) };
  return {
    ...base,
    calm: [...sizing.calm, ...scale(observation.proxySet, sizing.replicas)],
    waiting: held === undefined ? sizing.waiting : [held, ...sizing.waiting],
    deletionBlocked: blocked(observation, closed, sizing.waiting[0]),
  };
}

/** An operator that has just begun asks the shards first, or it would keep volumes of which it only does not know yet. */
function notAskedYet({ cluster, shards, children, nowMs }: Observation): Waiting | undefined {
  const { deletionTimestamp = '' } = cluster.metadata;
  const toDelete = children.claims.some(({ metadata }) => metadata.deletionTimestamp === undefined);
  if (!toDelete || cluster.spec.pvcRetentionPolicy.whenDeleted === 'Retain') return undefined;
  const names = shards.filter(({ kind, look }) => kind !== 'retired' && look.kind === 'never').map(({ name }) => name);
  if (names.length === 0 || nowMs - Date.parse(deletionTimestamp) > FIRST_LOOK_MS) return undefined;
  return { reason: 'ShardsNotSeen', message: `${names.join(', ')} are asked first whether transactions are in doubt` };
}

/** The namespace is deleted: set and claims go whatever we do, so that nothing could be finished any more. */
function isAllLeaving({ proxySet, children }: Observation): boolean {
  const going = ({ metadata }: { readonly metadata: { readonly deletionTimestamp?: string } }) =>
    metadata.deletionTimestamp !== undefined;
  return children.claims.length > 0 && children.claims.every(going) && (proxySet === undefined || going(proxySet));
}

function letGo(observation: Observation, { gates }: RecoveryFindings): CalmAction[] {
  const { cluster, children } = observation;
  const { namespace, name } = cluster.metadata;
  const keep = cluster.spec.pvcRetentionPolicy.whenDeleted === 'Retain';
  const unfinished = new Set([...gates.removal.keys()].map((instance) => `wal-${name}-${instance}`));
  const claims = children.claims.filter(
    ({ metadata }) => metadata.deletionTimestamp === undefined && !unfinished.has(metadata.name),
  );
  const deletions = claims.map(
    ({ metadata }): CalmAction => ({
      kind: 'delete',
      type: CLAIMS,
      ref: { namespace, name: metadata.name },
      uid: metadata.uid ?? '',
      why: 'pvcRetentionPolicy.whenDeleted is Delete',
    }),
  );
  // A crash between the two: the claims are leaving, and the next round comes here again.
  return [...ownMadeSecrets(observation), ...(keep ? [] : deletions), { kind: 'removeFinalizer' }];
}

function blocked(
  { cluster, nowMs }: Observation,
  gate: Gate | undefined,
  other: Waiting | undefined,
): Waiting | undefined {
  const { deletionTimestamp = '' } = cluster.metadata;
  const patienceMs = cluster.spec.proxy.terminationGracePeriodSeconds * 1_000 + BLOCKED_AFTER_MS;
  const long = nowMs - Date.parse(deletionTimestamp) > patienceMs;
  const why = gate ?? (long ? other : undefined);
  if (why === undefined) return undefined;
  const wayOut = `To delete all the same, annotate it with ${ANNOTATIONS.forceDelete}=true; what is unfinished then stays prepared on the shards.`;
  return { reason: why.reason, message: `${why.message}. ${wayOut}` };
}

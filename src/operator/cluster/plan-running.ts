// The plan of a cluster that runs, or that is to stand still: secrets, objects, SQL, configuration, and one restart at a time. Pure.
import { maxPreparedTransactions } from '../desired/capacity.ts';
import { desiredObjects } from '../desired/desired.ts';
import type { DesiredInput } from '../desired/desired-input.ts';
import { FINALIZER } from '../desired/labels.ts';
import { SUPERUSER } from '../desired/names.ts';
import { isShut } from '../recovery/gates.ts';
import type { RecoveryFindings } from '../recovery/types.ts';
import type { CalmAction, Plan, Waiting } from './action.ts';
import { isApplied } from './is-applied.ts';
import { createMissingSecrets, ownMadeSecrets } from './made-secrets.ts';
import { objectsToApply } from './objects-to-apply.ts';
import type { Observation } from './observation.ts';
import { placementOf } from './placement.ts';
import type { Surroundings } from './plan.ts';
import { nothing } from './plan-nothing.ts';
import { planProgram } from './plan-program.ts';
import { type ProxySizing, sizeProxies } from './proxy-sizing.ts';
import { nextReplacement, notWell } from './replacement.ts';
import { leftoverClaims, retireShards } from './retirement.ts';
import { loginsOf } from './secret-needs.ts';
import { planStorage } from './storage.ts';

export function planRunning(
  observation: Observation,
  recovery: RecoveryFindings,
  surroundings: Surroundings,
  clusterId: string,
  goal: 'run' | 'stop' | 'paused',
): Plan {
  const stopping = goal === 'stop';
  const wanted = stopping ? 0 : observation.cluster.spec.proxy.replicas;
  const placement = placementOf(observation);
  const mayDrain = notWell(observation).length === 0;
  const sizing = sizeProxies(observation, recovery, { wanted, stopping, mayDrain });
  const course = { sizing, stopping, placement: placement.recorded };
  const input = inputOf(observation, recovery, surroundings, clusterId, course);
  if (goal === 'paused') return { ...nothing(goal), input };
  const desired = desiredObjects(input);
  const storage = planStorage(observation, desired);
  const program = planProgram(observation, input);
  const retired = retireShards(observation, recovery, {
    placement: input.placement,
    configSha256: program.configSha256,
  });
  const replacement = nextReplacement(observation, recovery, program.restarts);
  // While a smaller number of proxies drains, nobody else is disturbed; but what is broken is mended, for which they wait.
  const leaving = sizing.waiting.length > 0 && mayDrain;
  const waiting = [
    ...placement.waiting,
    ...sizing.waiting,
    ...heldByPrepared(observation, recovery, input),
    ...program.waiting,
    ...retired.waiting,
    ...replacement.waiting,
  ];
  const calm = [
    ...addFinalizer(observation),
    ...createMissingSecrets(observation, surroundings.newPassword),
    ...placement.calm,
    ...ownMadeSecrets(observation),
    ...surroundings.certificates(observation),
    ...objectsToApply(observation, input, desired, storage.heldBack),
    ...storage.calm,
    ...program.calm,
    ...sizing.calm,
    ...retired.calm,
    ...leftoverClaims(observation, recovery),
  ];
  const disruptive = storage.disruptive ?? (stopping || leaving ? undefined : replacement.action);
  const idle = waiting.length === 0 && disruptive === undefined && calm.every(({ kind }) => kind === 'apply');
  return {
    ...nothing(goal),
    calm,
    disruptive,
    settled: idle && isApplied(observation, desired) && isSettled(observation, course),
    waiting,
    pendingRestart: replacement.pending,
    input,
  };
}

interface Course {
  readonly sizing: ProxySizing;
  readonly stopping: boolean;
  readonly placement: readonly string[] | undefined;
}

function addFinalizer({ cluster }: Observation): CalmAction[] {
  return cluster.metadata.finalizers?.includes(FINALIZER) === true ? [] : [{ kind: 'addFinalizer' }];
}

function inputOf(
  observation: Observation,
  { gates }: RecoveryFindings,
  { operatorImage, operatorPeers, monitoringKinds }: Surroundings,
  clusterId: string,
  { sizing, stopping, placement }: Course,
): DesiredInput {
  const { cluster, secrets } = observation;
  const { users, admin, resolver, superuser } = loginsOf(cluster, secrets);
  const known = users !== undefined && admin !== undefined && resolver !== undefined && placement !== undefined;
  return {
    cluster,
    clusterId,
    operatorImage,
    proxyReplicas: sizing.replicas,
    placement: placement ?? [],
    stoppedShards: stopping && sizing.allGone ? stoppable(observation, gates.restart) : new Set(),
    preparedFloor: preparedFloor(observation, gates.maxPreparedFloor),
    superuser: superuser?.name ?? SUPERUSER,
    logins: known ? { users, admin, resolver } : undefined,
    operatorPeers,
    monitoringKinds,
  };
}

/** A shard that still holds transactions of ours stays up, so that they can be ended; one that is stopped stays so. */
function stoppable({ shards, nowMs }: Observation, gates: RecoveryFindings['gates']['restart']): Set<string> {
  const may = shards.filter(({ name, kind, statefulSet }) => {
    const gate = gates.get(name);
    const open = gate === undefined || !isShut(gate, nowMs);
    return kind === 'made' && (open || statefulSet?.spec?.replicas === 0);
  });
  return new Set(may.map(({ name }) => name));
}

/** Shards that would stop, or have fewer places for prepared transactions, if nothing were prepared on them. */
function heldByPrepared(
  { cluster, nowMs }: Observation,
  { gates }: RecoveryFindings,
  { stoppedShards, preparedFloor: floors }: DesiredInput,
): Waiting[] {
  const wanted = maxPreparedTransactions(cluster.spec);
  const stops = cluster.spec.shutdown ? [...gates.restart] : [];
  return [
    ...stops.flatMap(([name, gate]) => (isShut(gate, nowMs) && !stoppedShards.has(name) ? [gate] : [])),
    ...[...floors].map(([name, places]) => {
      const count = gates.maxPreparedFloor.get(name) ?? 0;
      const message = `max_prepared_transactions of ${name} stays ${places} while ${count} are prepared there, and becomes ${wanted} when they are no more than that; no deadline and no annotation changes it, as PostgreSQL would not start`;
      return { reason: 'PreparedTransactions', message };
    }),
  ];
}

/**
 * PostgreSQL does not start with fewer places than are taken. The floor is what the server has now, not what is prepared at
 * this moment, so that it does not change with every look.
 */
function preparedFloor(
  { cluster, shards }: Observation,
  floors: RecoveryFindings['gates']['maxPreparedFloor'],
): Map<string, number> {
  const wanted = maxPreparedTransactions(cluster.spec);
  const held = shards.flatMap(({ name, look }) => {
    const floor = floors.get(name) ?? 0;
    if (floor <= wanted) return [];
    const present = look.kind === 'seen' ? look.facts.maxPreparedTransactions : floor;
    return [[name, Math.max(floor, present)] as const];
  });
  return new Map(held);
}

function isSettled(observation: Observation, { sizing, stopping }: Course): boolean {
  if (observation.applyProblem !== undefined) return false;
  if (!stopping) return notWell(observation).length === 0;
  return sizing.allGone && observation.shards.every(({ kind, pod }) => kind === 'external' || pod === undefined);
}

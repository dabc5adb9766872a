// What must wait for transactions in doubt, and until when at most. Pure.
// The rule: a gate names the number that holds it shut; what could not be seen holds it shut as well, as it may hold one.
import { parseDuration, timeText } from '../../kernel/quantity.ts';
import type { Observation, ShardObservation } from '../cluster/observation.ts';
import { ANNOTATIONS, namesIn } from '../desired/labels.ts';
import { answerOf, type InstanceSight, leftCount, seemsWell, unseenShards } from './instances.ts';
import type { Gate, InstanceFinding, RecoveryGates } from './types.ts';

/** Prepared for longer than a commit takes: nobody is driving it any more, or somebody is stuck. */
export const IN_DOUBT_AFTER_MS = 10_000;

export function gatesOf(
  observation: Observation,
  sights: readonly InstanceSight[],
  findings: readonly InstanceFinding[],
): RecoveryGates {
  const { cluster, shards } = observation;
  const graceMs = parseDuration(cluster.spec.twoPhaseCommit.recoveryGracePeriod) ?? 0;
  const deadlineMs = deletionDeadlineMs(observation, graceMs);
  const ignored = new Set(namesIn(cluster, ANNOTATIONS.ignoreInDoubt));
  const entry = (name: string, gate: FoundGate | null): (readonly [string, Gate])[] => {
    if (gate === null) return [];
    return [[name, { ...gate, ignored: ignored.has(name) }]];
  };
  return {
    restart: new Map(shards.flatMap((shard) => entry(shard.name, restartGate(shard, sights, graceMs)))),
    removal: new Map(
      sights.flatMap((sight) => entry(sight.instance, removalGate(observation, sight, findings, deadlineMs))),
    ),
    deletion: deletionGate(observation, sights, findings, deadlineMs),
    maxPreparedFloor: new Map(
      shards.flatMap(({ name, look }) => {
        const count = look.kind === 'seen' ? look.facts.prepared.count : 0;
        return count > 0 ? [[name, count] as const] : [];
      }),
    ),
  };
}

/** Whether it still holds anything up. */
export const isShut = ({ opensAtMs, ignored }: Gate, nowMs: number): boolean =>
  !ignored && (opensAtMs === null || opensAtMs > nowMs);

/** Null while nobody deletes the cluster. */
function deletionDeadlineMs({ cluster }: Observation, graceMs: number): number | null {
  const askedMs = Date.parse(cluster.metadata.deletionTimestamp ?? '');
  return Number.isNaN(askedMs) ? null : askedMs + graceMs;
}

/** Before it is known whether a person opened it. */
type FoundGate = Omit<Gate, 'ignored'>;

const annotated = (name: string): string => `the annotation ${ANNOTATIONS.ignoreInDoubt}=${name}`;

const transactions = (count: number): string =>
  count === 1 ? '1 in-doubt transaction' : `${count} in-doubt transactions`;

const isAway = (sight: InstanceSight): boolean => answerOf(sight) === undefined && !seemsWell(sight);

/** Of proxies that are away, or prepared too long ago to belong to a running commit. */
function restartGate(
  { name, look }: ShardObservation,
  sights: readonly InstanceSight[],
  graceMs: number,
): FoundGate | null {
  if (look.kind !== 'seen') return null;
  const { nowMs, prepared } = look.facts;
  const doubtful = prepared.runs.filter(({ instance, oldestMs }) => {
    const sight = sights.find((one) => one.instance === instance);
    return nowMs - oldestMs > IN_DOUBT_AFTER_MS || sight === undefined || isAway(sight);
  });
  if (doubtful.length === 0) return null;
  const inDoubt = doubtful.reduce((sum, { count }) => sum + count, 0);
  const opensAtMs = Math.min(...doubtful.map((run) => run.oldestMs)) + graceMs;
  return {
    reason: 'InDoubtTransactions',
    message: `${name} holds ${transactions(inDoubt)}; it is restarted or stopped when they have ended, at ${timeText(opensAtMs)} at the latest, or at once with ${annotated(name)}`,
    inDoubt,
    opensAtMs,
  };
}

/** A proxy, or its volume, that may still be needed to end a transaction; without a deadline but the deletion's. */
function removalGate(
  observation: Observation,
  sight: InstanceSight,
  findings: readonly InstanceFinding[],
  opensAtMs: number | null,
): FoundGate | null {
  const { instance } = sight;
  const wayOut = `With ${annotated(instance)} it goes all the same, and its volume stays`;
  const inDoubt = findings.find((finding) => finding.instance === instance)?.inDoubt ?? leftCount(sight);
  if (inDoubt > 0) {
    const latest = opensAtMs === null ? 'without a deadline' : `until ${timeText(opensAtMs)} at the latest`;
    const message = `${instance} has ${transactions(inDoubt)}; its log is needed to end them, ${latest}. ${wayOut}`;
    return { reason: 'InDoubtTransactions', message, inDoubt, opensAtMs };
  }
  if (answerOf(sight) !== undefined) return null;
  const unseen = unseenShards(observation);
  if (unseen.length === 0) return null;
  const message = `${instance} does not answer, and ${unseen.join(', ')} may hold transactions of it. ${wayOut}`;
  return { reason: 'ShardsNotSeen', message, inDoubt: 0, opensAtMs };
}

function deletionGate(
  observation: Observation,
  sights: readonly InstanceSight[],
  findings: readonly InstanceFinding[],
  opensAtMs: number | null,
): Gate | null {
  const latest = opensAtMs === null ? '' : `, at ${timeText(opensAtMs)} at the latest`;
  const inDoubt = sights.reduce((sum, sight) => sum + (countOf(findings, sight) ?? 0), 0);
  if (inDoubt > 0) {
    const message = `${transactions(inDoubt)} would be left on the shards; the cluster goes when they have ended${latest}`;
    return { reason: 'InDoubtTransactions', message, inDoubt, opensAtMs, ignored: false };
  }
  const unseen = unseenShards(observation).filter((name) => everSeen(observation, name));
  if (unseen.length === 0) return null;
  const message = `${unseen.join(', ')} cannot be asked whether transactions are in doubt; the cluster goes when they were${latest}`;
  return { reason: 'ShardsNotSeen', message, inDoubt: 0, opensAtMs, ignored: false };
}

const countOf = (findings: readonly InstanceFinding[], { instance }: InstanceSight): number | undefined =>
  findings.find((finding) => finding.instance === instance)?.inDoubt;

/** A shard that was never ready holds nothing. */
function everSeen({ shards, cluster }: Observation, name: string): boolean {
  const shard = shards.find((one) => one.name === name);
  const remembered = cluster.status?.shards?.find((one) => one.name === name);
  return (
    remembered?.maxPreparedTransactions !== undefined ||
    (shard?.look.kind === 'failed' && shard.look.last !== undefined)
  );
}

// What a step found, put together from what is seen, what is remembered and how each instance was judged. Pure.
import type { StatusLastRecovery } from '../api/sharded-cluster.generated.ts';
import type { Observation } from '../cluster/observation.ts';
import { conditionsOf } from './conditions.ts';
import { gatesOf, IN_DOUBT_AFTER_MS } from './gates.ts';
import { answerOf, epochSeen, type InstanceSight, leftCount, oldestLeftMs, seemsWell } from './instances.ts';
import type { HeldFinding, InstanceFinding, InstanceState, PassFinding, RecoveryFindings } from './types.ts';

/** One instance with all that is known of it. */
export interface JudgedInstance {
  readonly sight: InstanceSight;
  readonly state: InstanceState;
  readonly walLost: InstanceFinding['walLost'];
  /** What nobody could end, when the operator or the proxy itself last tried. */
  readonly held: readonly HeldFinding[];
  /** The operator's newest pass for it that ended or held something. */
  readonly pass: PassFinding | undefined;
}

export function findingsOf(
  observation: Observation,
  judged: readonly JudgedInstance[],
): Omit<RecoveryFindings, 'occurrences' | 'nextStepInMs'> {
  const instances = judged.map((one) => findingOf(observation, one));
  const held = judged.flatMap((one) => one.held);
  const sights = judged.map(({ sight }) => sight);
  return {
    instances,
    held,
    conditions: conditionsOf(observation, instances, held),
    inDoubt: {
      count: instances.reduce((sum, { inDoubt }) => sum + inDoubt, 0),
      oldestMs: earliest(instances.flatMap(({ inDoubt, oldestMs }) => (inDoubt > 0 ? [oldestMs] : []))),
    },
    foreign: foreignOf(observation),
    lastRecovery: lastRecoveryOf(observation, judged),
    gates: gatesOf(observation, sights, instances),
  };
}

function findingOf(observation: Observation, { sight, state, walLost }: JudgedInstance): InstanceFinding {
  const facts = answerOf(sight);
  const stuck = isStuck(observation, sight) ? 1 : 0;
  const left = seemsWell(sight) ? stuck : leftCount(sight);
  return {
    instance: sight.instance,
    state,
    inDoubt: facts === undefined ? left : Math.max(facts.inDoubt, stuck),
    oldestMs: oldestLeftMs(sight),
    walId: facts?.walId ?? sight.remembered?.walId ?? null,
    epoch: facts?.epoch ?? (epochSeen(sight) || null),
    walLost,
  };
}

/** Something of it is prepared for longer than a commit takes, whatever it says itself. */
function isStuck({ shards }: Observation, { left }: InstanceSight): boolean {
  return left.some(({ shard, oldestMs }) => {
    const look = shards.find(({ name }) => name === shard)?.look;
    return look?.kind === 'seen' && look.facts.nowMs - oldestMs > IN_DOUBT_AFTER_MS;
  });
}

function foreignOf({ shards }: Observation): RecoveryFindings['foreign'] {
  const seen = shards.flatMap(({ look }) => (look.kind === 'seen' ? [look.facts.prepared] : []));
  return {
    count: seen.reduce((sum, { foreign }) => sum + foreign, 0),
    oldestMs: earliest(seen.map(({ oldestForeignMs }) => oldestForeignMs)),
  };
}

/** The newest pass that did something, of proxies and operator; of older ones the status tells. */
function lastRecoveryOf({ cluster }: Observation, judged: readonly JudgedInstance[]): PassFinding | null {
  const passes = judged.flatMap(({ sight, pass }) => [ownPass(sight), pass].filter((one) => one !== undefined));
  const newest = passes.toSorted((one, other) => other.atMs - one.atMs)[0];
  const written = writtenPass(cluster.status?.lastRecovery);
  if (newest === undefined || written === undefined) return newest ?? written ?? null;
  if (newest.atMs <= written.atMs) return written;
  // The same ones are held again with every pass; that is no news.
  const isNews = newest.committed + newest.rolledBack > 0 || newest.held !== written.held;
  return isNews ? newest : written;
}

/** A proxy's own pass, when it did something. */
export function ownPass(sight: InstanceSight): PassFinding | undefined {
  const last = answerOf(sight)?.lastRecovery;
  if (last == null || last.committed + last.rolledBack + last.held === 0) return undefined;
  return { instance: sight.instance, by: 'proxy', ...last };
}

function writtenPass(written: StatusLastRecovery | undefined): PassFinding | undefined {
  if (written?.time === undefined) return undefined;
  const { time, committed = 0, rolledBack = 0, held = 0 } = written;
  const ids = { committedIds: [], rolledBackIds: [] };
  return { instance: '', by: 'proxy', atMs: Date.parse(time), committed, rolledBack, held, ...ids };
}

function earliest(times: readonly (number | null)[]): number | null {
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : Math.min(...known);
}

// What to do about one instance now: a pure function of what is seen of it and of what was tried already.
//
//   answers ──────────────────────────────► present   it recovers itself
//   away ──grace──► may the operator act? ──► acting ──► gone (nothing left) · held (a person) · blocked (again later)
//                    Hold, paused: no
import { assert } from '../../kernel/assert.ts';
import { parseDuration } from '../../kernel/quantity.ts';
import type { PassReport } from '../../recovery/report.ts';
import type { Observation } from '../cluster/observation.ts';
import { namesIn } from '../desired/labels.ts';
import type { RunOutcome } from './instance-run.ts';
import { answerOf, epochSeen, type InstanceSight, leftCount } from './instances.ts';
import type { ActingStep, BlockedReason, InstanceState } from './types.ts';

/** On a ShardedCluster: instances (`proxy-1,proxy-3`) that will not come back, so that their grace period is over. */
export const RECOVER_NOW = 'atomshard.dev/recover-now';

/** What the operator remembers of an instance that is away. */
export interface InstanceHistory {
  /** Milliseconds since the Unix epoch, as all times here. */
  readonly awaySinceMs: number;
  /** The step of the run that is under way. */
  readonly running: ActingStep | undefined;
  readonly last: { readonly atMs: number; readonly outcome: RunOutcome } | undefined;
}

export interface Judgement {
  readonly state: InstanceState;
  /** Start a run now. */
  readonly start: boolean;
  /** When to judge again without any change; null: no need. */
  readonly againAtMs: number | null;
}

/** One that is not expected back and has no pod: time enough for looks that are a few seconds old. */
const NOT_COMING_BACK_MS = 10_000;
const AGAIN_BLOCKED_MS: Readonly<Record<BlockedReason, number>> = {
  'owner-alive': 60_000,
  'log-unreadable': 30_000,
  'shard-away': 15_000,
  paused: 0,
  'not-allowed': 60_000,
  kubernetes: 15_000,
};
/** The evidence may change: a log is repaired, a shard comes back, a person resolves one. */
const AGAIN_HELD_MS = 60_000;

const calm = (state: InstanceState, againAtMs: number | null = null): Judgement => ({
  state,
  start: false,
  againAtMs,
});

export function judge(sight: InstanceSight, observation: Observation, history: InstanceHistory | undefined): Judgement {
  if (answerOf(sight) !== undefined) return calm({ kind: 'present' });
  assert(history !== undefined, 'who is away has a history');
  const left = leftCount(sight);
  if (sight.ordinal === undefined) {
    const message = `${left} prepared transactions are of ${sight.instance}, and no proxy of this cluster can be called so`;
    return calm({ kind: 'held', why: 'ask', message });
  }
  if (history.running !== undefined) return calm({ kind: 'acting', step: history.running });
  const { spec } = observation.cluster;
  const { nowMs } = observation;
  // Connections of its last run may hold locks even when nothing is prepared; one that never ran has none.
  const isDue = left > 0 || (sight.wanted && history.last === undefined && epochSeen(sight) > 0);
  const sinceMs = history.awaySinceMs;
  const actsAtMs = dueAtMs(sight, observation, sinceMs);
  if (nowMs < actsAtMs) {
    const away = { kind: 'away', sinceMs, actsAtMs } as const;
    if (isDue || sight.wanted) return calm(away, actsAtMs);
    // What shards said before it fell silent does not show what it left.
    return askedSince(observation, sinceMs) ? calm({ kind: 'gone' }) : calm(away, nowMs + NEXT_LOOK_MS);
  }
  if (spec.twoPhaseCommit.inDoubtPolicy === 'Hold') return calm(left > 0 ? heldByPolicy(left) : { kind: 'gone' });
  if (history.last !== undefined) return judgeAgain(sight, observation, history.last);
  return isDue ? begin(observation) : calm({ kind: 'gone' });
}

function begin({ cluster }: Observation): Judgement {
  if (!cluster.spec.paused) return { state: { kind: 'acting', step: 'reading the log' }, start: true, againAtMs: null };
  const message = 'spec.paused is true; the operator would recover for it';
  return calm({ kind: 'blocked', why: 'paused', message });
}

/** After a run: what it left, and whether to try again. */
function judgeAgain(
  sight: InstanceSight,
  observation: Observation,
  { atMs, outcome }: NonNullable<InstanceHistory['last']>,
): Judgement {
  const { nowMs } = observation;
  const again = (state: InstanceState, afterMs: number): Judgement =>
    nowMs >= atMs + afterMs ? begin(observation) : calm(state, atMs + afterMs);
  if (outcome.kind === 'blocked') {
    const { why, message } = outcome;
    return again({ kind: 'blocked', why, message }, AGAIN_BLOCKED_MS[why]);
  }
  const state = leftBy(outcome.log.status, outcome.log.problems, outcome.pass);
  if (state !== null) return again(state, state.kind === 'blocked' ? AGAIN_BLOCKED_MS[state.why] : AGAIN_HELD_MS);
  // It ended everything that it saw; what a later look shows has surfaced since.
  return leftSince(sight, observation, atMs) ? begin(observation) : calm({ kind: 'gone' });
}

/** What a pass could not end; null when it ended all. */
function leftBy(
  log: string,
  problems: readonly string[],
  report: PassReport,
): Extract<InstanceState, { kind: 'held' | 'blocked' }> | null {
  const { held, waiting, unreachableShards, alarms } = report;
  const asks = held.filter(({ askHuman }) => askHuman);
  if (asks.length > 0 && log === 'damaged') {
    const message = `its log is damaged (${problems[0] ?? 'no particulars'}), and ${asks.length} transactions need what cannot be read`;
    return { kind: 'held', why: 'log-damaged', message };
  }
  if (asks.length > 0) {
    const rows = [...new Set(asks.map(({ reason }) => reason))].join(', ');
    return {
      kind: 'held',
      why: 'ask',
      message: `${asks.length} transactions cannot be decided from evidence (${rows})`,
    };
  }
  const refused = alarms.find(({ kind }) => kind === 'ResolverNotAllowed');
  if (refused !== undefined && (held.length > 0 || waiting > 0)) {
    return { kind: 'blocked', why: 'not-allowed', message: `${refused.shard}: ${refused.message}` };
  }
  if (unreachableShards.length > 0) {
    const shards = unreachableShards.map(({ shard }) => shard).join(', ');
    return { kind: 'blocked', why: 'shard-away', message: `no answer from ${shards}; the others are done` };
  }
  if (held.length + waiting === 0) return null;
  return { kind: 'blocked', why: 'shard-away', message: `${held.length + waiting} transactions are not ended yet` };
}

function leftSince({ left }: InstanceSight, { shards }: Observation, atMs: number): boolean {
  return left.some(({ shard }) => {
    const look = shards.find(({ name }) => name === shard)?.look;
    return look?.kind === 'seen' && look.atMs > atMs;
  });
}

/** Objects tell times in whole seconds, and an answer is noted a moment after it was true. */
const SURELY_SINCE_MS = 2_000;

/** All shards that answer; whether the others matter is a question for the gates. */
function askedSince({ shards }: Observation, sinceMs: number): boolean {
  return shards.every(({ look }) => look.kind !== 'seen' || look.atMs > sinceMs + SURELY_SINCE_MS);
}

function heldByPolicy(left: number): InstanceState {
  const message = `inDoubtPolicy is Hold: ${left} transactions wait for the proxy, or for you`;
  return { kind: 'held', why: 'policy', message };
}

/** Instances that somebody says will not come back. */
export const namedToRecover = ({ cluster }: Observation): string[] => namesIn(cluster, RECOVER_NOW);

/** A look that is no news wakes nobody, so that it is asked for. */
const NEXT_LOOK_MS = 5_000;

/** When the operator acts; what shards said while a proxy that left was still there is no sign that it left something. */
function dueAtMs(sight: InstanceSight, observation: Observation, sinceMs: number): number {
  const atMs = sinceMs + patienceMs(sight, observation);
  const isOld = !sight.wanted && leftCount(sight) > 0 && !leftSince(sight, observation, sinceMs);
  return isOld ? Math.max(atMs, observation.nowMs + NEXT_LOOK_MS) : atMs;
}

/** How long to wait for it to come back. */
function patienceMs({ instance, wanted, proxy }: InstanceSight, observation: Observation): number {
  const { cluster } = observation;
  if (namedToRecover(observation).includes(instance)) return 0;
  if (!wanted && proxy?.pod === undefined) return NOT_COMING_BACK_MS;
  return parseDuration(cluster.spec.twoPhaseCommit.recoveryGracePeriod) ?? 0;
}

// What a pass found and did, for people, metrics and the demo; counts are transactions unless a name says otherwise.
import type { Alarm } from './alarm.ts';
import type { Foreign } from './assemble.ts';
import type { ParticipantState } from './evidence.ts';
import type { Gathered } from './gather.ts';

export interface HeldTransaction {
  /** `<cluster>:<instance>.<epoch>.<seq>`. */
  readonly transaction: string;
  /** The row of the decision table, or what else keeps it. */
  readonly reason: string;
  /** True when waiting cannot help: a person must decide. */
  readonly askHuman: boolean;
  readonly participants: readonly { readonly shard: string; readonly state: ParticipantState }[];
}

/** How one transaction came out of the pass. */
export interface Settled {
  /** `<cluster>:<instance>.<epoch>.<seq>`. */
  readonly transaction: string;
  readonly kind: 'committed' | 'rolled-back' | 'confirmed' | 'held' | 'waiting';
  readonly held?: HeldTransaction;
  readonly alarms: readonly Alarm[];
}

export interface PassReport {
  /** Ours, prepared on at least one shard that answered, and driven by nobody when the pass looked. */
  readonly foundInDoubt: number;
  /** In doubt before, committed on every participant now. */
  readonly committed: number;
  readonly committedIds: readonly string[];
  /** In doubt before, rolled back everywhere a branch stood prepared. */
  readonly rolledBack: number;
  readonly rolledBackIds: readonly string[];
  /** Decisions that only lacked their END record: every participant was verified committed. */
  readonly confirmed: number;
  readonly held: readonly HeldTransaction[];
  /** Driven by somebody, changing while the pass looked, or judged but not finished: the next pass looks again. */
  readonly waiting: number;
  readonly foreign: Foreign;
  readonly otherInstances: ReadonlyMap<string, Foreign>;
  readonly unreachableShards: readonly { readonly shard: string; readonly reason: string }[];
  /** Backends of earlier runs of this instance that were ended. */
  readonly backendsFenced: number;
  /** Everything that is wrong now, in every report as long as it is. */
  readonly alarms: readonly Alarm[];
  /** Those of `alarms` that the report before did not have: what a log should say once. */
  readonly newAlarms: readonly Alarm[];
  readonly durationMs: number;
}

/** The report of one round. */
export function reportOf(gathered: Gathered, settled: readonly Settled[], durationMs: number): PassReport {
  const idsOf = (kind: Settled['kind']) => settled.flatMap((one) => (one.kind === kind ? [one.transaction] : []));
  const committedIds = idsOf('committed');
  const rolledBackIds = idsOf('rolled-back');
  const alarms = [...gathered.alarms, ...settled.flatMap((one) => one.alarms)];
  const contradictory = gathered.contradictory.map((transaction) => ({
    transaction,
    reason: 'contradictory',
    askHuman: true,
    participants: [],
  }));
  return {
    foundInDoubt: gathered.foundInDoubt,
    committed: committedIds.length,
    committedIds,
    rolledBack: rolledBackIds.length,
    rolledBackIds,
    confirmed: idsOf('confirmed').length,
    held: [...settled.flatMap(({ held }) => held ?? []), ...contradictory],
    waiting: idsOf('waiting').length + gathered.deferred.length - contradictory.length,
    foreign: gathered.foreign,
    otherInstances: gathered.otherInstances,
    unreachableShards: gathered.unreachable,
    backendsFenced: gathered.backendsFenced,
    alarms,
    newAlarms: alarms,
    durationMs,
  };
}

/** Two rounds of one pass: what was done adds up, what is left is what the later one saw. */
export function mergeReports(earlier: PassReport, later: PassReport): PassReport {
  const known = new Set(later.alarms.map(alarmKey));
  return {
    ...later,
    // What the later round saw again was already counted; what it settled is counted where it was settled.
    foundInDoubt: Math.max(earlier.foundInDoubt, earlier.committed + earlier.rolledBack + later.foundInDoubt),
    committed: earlier.committed + later.committed,
    committedIds: [...earlier.committedIds, ...later.committedIds],
    rolledBack: earlier.rolledBack + later.rolledBack,
    rolledBackIds: [...earlier.rolledBackIds, ...later.rolledBackIds],
    confirmed: earlier.confirmed + later.confirmed,
    backendsFenced: earlier.backendsFenced + later.backendsFenced,
    alarms: [...earlier.alarms.filter((alarm) => !known.has(alarmKey(alarm))), ...later.alarms],
    durationMs: earlier.durationMs + later.durationMs,
  };
}

/** `report` with its new alarms told from those that `before` already had. */
export function withNewAlarms(report: PassReport, before: PassReport | null): PassReport {
  const known = new Set(before?.alarms.map(alarmKey));
  return { ...report, newAlarms: report.alarms.filter((alarm) => !known.has(alarmKey(alarm))) };
}

function alarmKey({ kind, transaction = '', shard = '' }: Alarm): string {
  return `${kind} ${transaction} ${shard}`;
}

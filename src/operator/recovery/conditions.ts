// Three conditions that say how atomic commit is doing; pure. The rule: bad news is never hidden by better news of another
// instance, and what cannot be seen makes a condition Unknown instead of good.
import { timeText } from '../../kernel/quantity.ts';
import type { Observation } from '../cluster/observation.ts';
import { unseenShards } from './instances.ts';
import type { HeldFinding, InstanceFinding, RecoveryCondition } from './types.ts';

/** A lost log stays in sight for so long after it was noticed, and until nothing that it may have decided is unfinished. */
const WAL_LOST_SHOWN_MS = 3_600_000;
const NAMED_MAX = 5;

/** All of them, worst first: what an instance with transactions in doubt waits for. */
const REASONS: readonly {
  readonly reason: string;
  readonly when: (finding: InstanceFinding) => boolean;
}[] = [
  { reason: 'LogDamaged', when: ({ state }) => state.kind === 'held' && state.why === 'log-damaged' },
  { reason: 'NeedsDecision', when: ({ state }) => state.kind === 'held' && state.why === 'ask' },
  { reason: 'RecoveryBlocked', when: ({ state }) => state.kind === 'blocked' },
  { reason: 'HeldByPolicy', when: ({ state }) => state.kind === 'held' && state.why === 'policy' },
  { reason: 'Recovering', when: ({ state }) => state.kind === 'acting' },
  { reason: 'WaitingForProxy', when: ({ state }) => state.kind === 'away' },
  // Present; and gone with something left, until the next look.
  { reason: 'ProxyRecovers', when: () => true },
];

/** Every `condition reason` that is not well, for docs/RECOVERY.md; TwoPhaseHealthy repeats those of InDoubtTransactions. */
export const CONDITION_REASONS: readonly string[] = [
  ...REASONS.map(({ reason }) => `InDoubtTransactions ${reason}`),
  'InDoubtTransactions ShardsNotSeen',
  'TwoPhaseHealthy Disabled',
  'TwoPhaseHealthy WalLost',
  'WalLost VolumeReplaced',
];

export function conditionsOf(
  observation: Observation,
  findings: readonly InstanceFinding[],
  held: readonly HeldFinding[],
): RecoveryCondition[] {
  const inDoubt = inDoubtCondition(observation, findings, held);
  const isUnfinished = inDoubt.status !== 'False' || held.length > 0;
  const walLost = walLostCondition(observation, findings, isUnfinished);
  return [healthyCondition(observation, findings, inDoubt, walLost), inDoubt, walLost];
}

function inDoubtCondition(
  observation: Observation,
  findings: readonly InstanceFinding[],
  held: readonly HeldFinding[],
): RecoveryCondition {
  const type = 'InDoubtTransactions';
  const doubtful = findings.filter(({ inDoubt }) => inDoubt > 0);
  if (doubtful.length > 0) {
    const asked = held.some(({ askHuman }) => askHuman)
      ? REASONS.findIndex(({ reason }) => reason === 'NeedsDecision')
      : Infinity;
    const worst = REASONS.findIndex(({ when }) => doubtful.some(when));
    const reason = REASONS[Math.min(asked, worst)]?.reason ?? 'ProxyRecovers';
    const message = [...doubtful.map(sentence), ...heldSentence(held)].join(' ');
    return { type, status: 'True', reason, message };
  }
  const unseen = unseenShards(observation);
  if (unseen.length > 0) {
    return { type, status: 'Unknown', reason: 'ShardsNotSeen', message: `${unseen.join(', ')} cannot be asked.` };
  }
  return { type, status: 'False', reason: 'AllEnded', message: 'Every transaction over several shards has ended.' };
}

/** Without ages: they change all the time, and status.shards has them. */
function sentence({ instance, inDoubt, state }: InstanceFinding): string {
  return `${instance} has ${inDoubt}: ${stateInWords(state)}.`;
}

export function stateInWords(state: InstanceFinding['state']): string {
  switch (state.kind) {
    case 'present':
      return 'the proxy is at it';
    case 'away':
      return `the proxy is away since ${timeText(state.sinceMs)}, the operator acts at ${timeText(state.actsAtMs)}`;
    case 'gone':
      return 'the proxy is gone';
    case 'acting':
      return `the operator recovers for it (${state.step})`;
    case 'held':
    case 'blocked':
      return state.message;
  }
}

function heldSentence(held: readonly HeldFinding[]): string[] {
  const asked = held.filter(({ askHuman }) => askHuman).map(({ transaction }) => transaction);
  if (asked.length === 0) return [];
  const more = asked.length > NAMED_MAX ? ` and ${asked.length - NAMED_MAX} more` : '';
  return [`For you to decide (kubectl atomshard resolve): ${asked.slice(0, NAMED_MAX).join(', ')}${more}.`];
}

/**
 *   noticed ──▶ True ──an hour, every transaction ended, recovery at rest──▶ False, Recovered (which stays)
 *
 * Since when is only in the status, so that an operator after this one comes to the same end.
 */
function walLostCondition(
  observation: Observation,
  findings: readonly InstanceFinding[],
  isUnfinished: boolean,
): RecoveryCondition {
  const type = 'WalLost';
  const lost = findings.filter(({ walLost }) => walLost !== null);
  const before = writtenWalLost(observation);
  if (lost.length === 0 && before?.status !== 'True') {
    const known = { reason: 'AllLogsKnown', message: 'Every proxy has the log that it had before.' };
    const { reason, message } = before?.reason === 'Recovered' ? before : known;
    return { type, status: 'False', reason, message };
  }
  const isAtRest = (lost.length > 0 ? lost : findings).every(({ state }) => ['present', 'gone'].includes(state.kind));
  if (!isUnfinished && isAtRest && observation.nowMs >= walLostShownUntilMs(observation)) {
    const names = lost.map(({ instance, walLost }) => `The log ${walLost?.before} of ${instance} was lost`);
    const what = names.length === 0 ? 'A log was lost' : names.join('; ');
    return { type, status: 'False', reason: 'Recovered', message: `${what}. Every transaction of it has ended.` };
  }
  // Noticed by an operator before this one: the status alone remembers it.
  if (lost.length === 0) return { type, status: 'True', reason: before?.reason ?? '', message: before?.message ?? '' };
  const sentences = lost.map(({ instance, walLost }) => lostSentence(instance, walLost));
  return { type, status: 'True', reason: 'VolumeReplaced', message: [...sentences, WAL_LOST_ENDS].join(' ') };
}

const WAL_LOST_ENDS =
  'This is shown until no transaction is in doubt or held, an hour after it began at the earliest; then the reason is Recovered.';

/** Whether a lost log is in sight, and when it may be over, which nothing else wakes anybody for. */
export function lostLogsShown(
  observation: Observation,
  conditions: readonly RecoveryCondition[],
): { readonly shown: boolean; readonly againAtMs: readonly number[] } {
  const shown = conditions.some(({ type, status }) => type === 'WalLost' && status === 'True');
  // Later than that it ends with what is in doubt, which wakes everybody.
  const atMs = walLostShownUntilMs(observation);
  return { shown, againAtMs: shown && atMs > observation.nowMs ? [atMs] : [] };
}

function walLostShownUntilMs(observation: Observation): number {
  const before = writtenWalLost(observation);
  const sinceMs = before?.status === 'True' ? Date.parse(before.lastTransitionTime) : observation.nowMs;
  return sinceMs + WAL_LOST_SHOWN_MS;
}

const writtenWalLost = ({ cluster }: Observation) => cluster.status?.conditions?.find(({ type }) => type === 'WalLost');

function lostSentence(instance: string, walLost: InstanceFinding['walLost']): string {
  const now = walLost?.now == null ? 'its volume is gone' : `it has the new log ${walLost.now}`;
  return `The log ${walLost?.before} of ${instance} is lost: ${now}. Bring the volume back if you can; what it decided last is known to the shards only.`;
}

function healthyCondition(
  observation: Observation,
  findings: readonly InstanceFinding[],
  inDoubt: RecoveryCondition,
  walLost: RecoveryCondition,
): RecoveryCondition {
  const type = 'TwoPhaseHealthy';
  if (!observation.cluster.spec.twoPhaseCommit.enabled) {
    const message =
      'spec.twoPhaseCommit.enabled is false: a crash in the middle of a commit over several shards tears it.';
    return { type, status: 'False', reason: 'Disabled', message };
  }
  if (walLost.status === 'True') return { type, status: 'False', reason: 'WalLost', message: walLost.message };
  const stuck = findings.filter(({ state }) => ['held', 'blocked'].includes(state.kind));
  if (stuck.length > 0) {
    const reason = REASONS.find(({ when }) => stuck.some(when))?.reason ?? 'RecoveryBlocked';
    const message = stuck.map(({ instance, state }) => `${instance}: ${stateInWords(state)}.`).join(' ');
    return { type, status: 'False', reason, message };
  }
  if (inDoubt.status !== 'False')
    return {
      type,
      status: inDoubt.status === 'True' ? 'False' : 'Unknown',
      reason: inDoubt.reason,
      message: inDoubt.message,
    };
  return { type, status: 'True', reason: 'AllEnded', message: `${inDoubt.message}${foreignSentence(observation)}` };
}

/** Not ours, so not unhealthy; but they hold locks and slots of max_prepared_transactions. */
function foreignSentence({ shards }: Observation): string {
  const foreign = shards.flatMap(({ name, look }) =>
    look.kind === 'seen' && look.facts.prepared.foreign > 0 ? [`${name} (${look.facts.prepared.foreign})`] : [],
  );
  return foreign.length === 0
    ? ''
    : ` Prepared transactions of other programs are on ${foreign.join(', ')}; they are not touched.`;
}

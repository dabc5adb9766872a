// The verdict on one transaction: a table of rows, the first that matches decides. Pure: the same evidence, the same verdict.
import { assert } from '../kernel/assert.ts';
import type { AlarmKind } from './alarm.ts';
import type { LogEvidence, Owner, ParticipantEvidence, TransactionEvidence } from './evidence.ts';

/**
 * commit, abort: finish every participant so · wait: somebody else drives it · terminate: end the backend that still
 * carries a branch, then gather again · hold-retry: gather again later · hold-ask: a person must decide.
 */
export type VerdictKind = 'commit' | 'abort' | 'wait' | 'terminate' | 'hold-retry' | 'hold-ask';

export interface Verdict {
  readonly kind: VerdictKind;
  /** The row of DECISION_ROWS that matched. */
  readonly row: string;
  readonly alarms: readonly AlarmKind[];
}

export interface DecisionRow {
  readonly name: string;
  readonly log: readonly LogEvidence[] | 'any';
  readonly participants: ParticipantCondition;
  readonly owner: readonly Owner[] | 'any';
  readonly verdict: VerdictKind;
  readonly alarm?: AlarmKind;
}

/** What a row may ask of the participants; rows above have already taken their cases away. */
export const PARTICIPANT_CONDITIONS = {
  any: () => true,
  'some C, proven': (e) => e.participants.some((p) => p.state === 'C' && p.proven),
  'some C': (e) => some(e, 'C'),
  'some A': (e) => some(e, 'A'),
  'some I': (e) => some(e, 'I'),
  'some U': (e) => some(e, 'U'),
  'all P, list complete, no early-ack flag': (e) => allPrepared(e) && e.complete && !e.earlyAcknowledged,
  'both C and A': (e) => some(e, 'C') && some(e, 'A'),
} as const satisfies Record<string, (evidence: TransactionEvidence) => boolean>;

export type ParticipantCondition = keyof typeof PARTICIPANT_CONDITIONS;

const OURS: readonly Owner[] = ['self-idle', 'fenced'];
const DRIVEN: readonly Owner[] = ['self-driving', 'alive'];
const GONE: readonly LogEvidence[] = ['pruned', 'lost', 'damaged'];
/** A record that cannot be read now may be read tomorrow, from a copy: what it says must not have been denied by then. */
const GONE_FOR_GOOD: readonly LogEvidence[] = ['pruned', 'lost'];

/**
 * The table, top to bottom; the first row that matches decides. `docs/RECOVERY.md` shows it and a test compares the two.
 *
 * An intact log without a record means abort, because COMMIT PREPARED never leaves before its record is committed. It is
 * overruled only by a commit that is proven to be this branch's own: after a crash PostgreSQL issues an unlogged xid again,
 * so "committed" alone may be a stranger's (ADR 0002).
 */
export const DECISION_ROWS: readonly DecisionRow[] = [
  { name: 'decided-commit', log: ['commit'], participants: 'any', owner: 'any', verdict: 'commit' },
  { name: 'decided-abort', log: ['abort'], participants: 'any', owner: 'any', verdict: 'abort' },
  { name: 'driven', log: 'any', participants: 'any', owner: DRIVEN, verdict: 'wait' },
  { name: 'engine-says-commit', log: ['uncertain-commit'], participants: 'any', owner: OURS, verdict: 'commit' },
  { name: 'engine-says-abort', log: ['uncertain-abort'], participants: 'any', owner: OURS, verdict: 'abort' },
  { name: 'engine-down', log: ['uncertain-down'], participants: 'any', owner: OURS, verdict: 'hold-retry' },
  {
    name: 'decision-lost',
    log: ['none'],
    participants: 'some C, proven',
    owner: OURS,
    verdict: 'commit',
    alarm: 'DecisionLost',
  },
  {
    name: 'committed-unproven',
    log: ['none'],
    participants: 'some C',
    owner: OURS,
    verdict: 'hold-ask',
    alarm: 'DecisionLost',
  },
  { name: 'presumed-abort', log: ['none'], participants: 'any', owner: OURS, verdict: 'abort' },
  { name: 'lost-committed', log: GONE, participants: 'some C, proven', owner: OURS, verdict: 'commit' },
  { name: 'lost-committed-unproven', log: GONE, participants: 'some C', owner: OURS, verdict: 'hold-ask' },
  { name: 'lost-aborted', log: GONE, participants: 'some A', owner: OURS, verdict: 'abort' },
  { name: 'lost-in-progress', log: GONE, participants: 'some I', owner: OURS, verdict: 'terminate' },
  { name: 'lost-unreachable', log: GONE, participants: 'some U', owner: OURS, verdict: 'hold-retry' },
  {
    name: 'lost-all-prepared',
    log: GONE_FOR_GOOD,
    participants: 'all P, list complete, no early-ack flag',
    owner: OURS,
    verdict: 'abort',
  },
  // Everything else: P with the early-ack flag, a cut list, N or F mixed with P, a branch that is busy just now, or a
  // damaged log that has not been repaired.
  { name: 'lost-the-rest', log: GONE, participants: 'any', owner: OURS, verdict: 'hold-ask' },
];

/** Alarms that do not depend on the row: they are added to whatever the row decided. */
export const ALARM_ROWS: readonly {
  log: readonly LogEvidence[] | 'any';
  participants: ParticipantCondition;
  alarm: AlarmKind;
}[] = [
  { log: 'any', participants: 'both C and A', alarm: 'HeuristicMixed' },
  { log: ['lost'], participants: 'any', alarm: 'WalLost' },
  { log: ['pruned'], participants: 'any', alarm: 'DecisionPruned' },
  { log: ['damaged'], participants: 'any', alarm: 'WalDamaged' },
];

/** The verdict on `evidence`; total: every evidence with at least one participant has exactly one. */
export function decide(evidence: TransactionEvidence): Verdict {
  assert(evidence.participants.length > 0, 'a transaction in doubt has a participant');
  const row = DECISION_ROWS.find((candidate) => matches(candidate, evidence));
  assert(row !== undefined, 'the decision table is total');
  const alarms = new Set<AlarmKind>(row.alarm === undefined ? [] : [row.alarm]);
  for (const rule of ALARM_ROWS) {
    if (oneOf(rule.log, evidence.log) && PARTICIPANT_CONDITIONS[rule.participants](evidence)) alarms.add(rule.alarm);
  }
  return { kind: row.verdict, row: row.name, alarms: [...alarms] };
}

function matches(row: DecisionRow, evidence: TransactionEvidence): boolean {
  return (
    oneOf(row.log, evidence.log) &&
    oneOf(row.owner, evidence.owner) &&
    PARTICIPANT_CONDITIONS[row.participants](evidence)
  );
}

function oneOf<T>(allowed: readonly T[] | 'any', value: T): boolean {
  return allowed === 'any' || allowed.includes(value);
}

function some(evidence: TransactionEvidence, state: ParticipantEvidence['state']): boolean {
  return evidence.participants.some((participant) => participant.state === state);
}

function allPrepared(evidence: TransactionEvidence): boolean {
  return evidence.participants.every((participant) => participant.state === 'P');
}

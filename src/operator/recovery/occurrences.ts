// What is worth an Event, told once each: a pass that ended something, something that waits for a person, a log that is gone.
import { stateInWords } from './conditions.ts';
import type { OperatorPass } from './pass.ts';
import type { HeldFinding, InstanceFinding, InstanceState, PassFinding, RecoveryOccurrence } from './types.ts';

/** Ids in one note; an Event holds 1,024 bytes. */
const NAMED_MAX = 8;

export function startedOccurrence(instance: string, awaySinceMs: number): RecoveryOccurrence {
  const since = new Date(awaySinceMs).toISOString();
  const note = `${instance} is away since ${since}: its log is read, its connections end, and its transactions end as its log says`;
  return { type: 'Normal', reason: 'RecoveryStarted', action: 'Recover', note };
}

/** The operator's pass, with the ids; null when there was nothing to end. */
export function passOccurrence(instance: string, pass: OperatorPass, log: string): RecoveryOccurrence | null {
  const { committed, rolledBack, report } = pass;
  if (committed.length + rolledBack.length + report.held.length === 0) return null;
  const parts = [
    `committed ${committed.length}${named(committed)}`,
    `rolled back ${rolledBack.length}${named(rolledBack)}`,
    `held ${report.held.length}${named(report.held.map(heldName))}`,
  ];
  const by = log === 'whole' || log === 'torn' ? 'by its log' : `without a whole log (${log})`;
  const note = `${instance}, ${by}: ${parts.join(', ')}`;
  return { type: report.held.length > 0 ? 'Warning' : 'Normal', reason: 'Recovered', action: 'Recover', note };
}

export function ownPassOccurrence({ instance, committed, rolledBack, held }: PassFinding): RecoveryOccurrence {
  const note = `${instance} recovered itself: committed ${committed}, rolled back ${rolledBack}, held ${held}`;
  return { type: held > 0 ? 'Warning' : 'Normal', reason: 'Recovered', action: 'Verify', note };
}

/** Something that does not go on by itself, or not now; null for the rest. */
export function stateOccurrence(instance: string, state: InstanceState): RecoveryOccurrence | null {
  if (state.kind !== 'held' && state.kind !== 'blocked') return null;
  const reason = state.kind === 'held' ? 'RecoveryHeld' : 'RecoveryBlocked';
  return { type: 'Warning', reason, action: 'Recover', note: `${instance}: ${stateInWords(state)}` };
}

export function walLostOccurrence(instance: string, lost: NonNullable<InstanceFinding['walLost']>): RecoveryOccurrence {
  const now = lost.now === null ? 'its volume is gone' : `now it has ${lost.now}`;
  return {
    type: 'Warning',
    reason: 'WalLost',
    action: 'Verify',
    note: `${instance} had the log ${lost.before}; ${now}. Transactions of the lost log end by what the shards prove`,
  };
}

const heldName = ({ transaction, reason }: HeldFinding): string => `${transaction} (${reason})`;

function named(ids: readonly string[]): string {
  if (ids.length === 0) return '';
  const more = ids.length > NAMED_MAX ? `, and ${ids.length - NAMED_MAX} more` : '';
  return ` [${ids.slice(0, NAMED_MAX).join(', ')}${more}]`;
}

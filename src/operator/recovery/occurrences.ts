// What is worth an Event, told once each: a pass that ended something, something that waits for a person, a log that is gone.
import type { PassReport } from '../../recovery/report.ts';
import { stateInWords } from './conditions.ts';
import type { HeldFinding, InstanceFinding, InstanceState, PassFinding, RecoveryOccurrence } from './types.ts';

/** Ids in one note; an Event holds 1,024 bytes. */
const NAMED_MAX = 8;

export function startedOccurrence(instance: string, awaySinceMs: number): RecoveryOccurrence {
  const since = new Date(awaySinceMs).toISOString();
  const note = `${instance} is away since ${since}: its log is read, its connections end, and its transactions end as its log says`;
  return { type: 'Normal', reason: 'RecoveryStarted', action: 'Recover', note };
}

/** The operator's pass, with the ids; null when there was nothing to end. */
export function passOccurrence(instance: string, pass: PassReport, log: string): RecoveryOccurrence | null {
  const { committed, rolledBack, held } = pass;
  if (committed + rolledBack + held.length === 0) return null;
  const by = log === 'whole' || log === 'torn' ? 'by its log' : `without a whole log (${log})`;
  const note = `${instance}, ${by}: ${endedText(pass)}, held ${counted(held.length, held.map(heldName))}`;
  return { type: held.length > 0 ? 'Warning' : 'Normal', reason: 'Recovered', action: 'Recover', note };
}

export function ownPassOccurrence(pass: PassFinding): RecoveryOccurrence {
  const note = `${pass.instance} recovered itself: ${endedText(pass)}, held ${pass.held}`;
  return { type: pass.held > 0 ? 'Warning' : 'Normal', reason: 'Recovered', action: 'Verify', note };
}

/** What a proxy that is there cannot end itself; null without any. */
export function ownHeldOccurrence(instance: string, held: readonly HeldFinding[]): RecoveryOccurrence | null {
  if (held.length === 0) return null;
  const note = `${instance} holds ${counted(held.length, held.map(heldName))}`;
  return { type: 'Warning', reason: 'RecoveryHeld', action: 'Verify', note };
}

const endedText = ({
  committed,
  committedIds,
  rolledBack,
  rolledBackIds,
}: Pick<PassFinding, 'committed' | 'committedIds' | 'rolledBack' | 'rolledBackIds'>): string =>
  `committed ${counted(committed, committedIds)}, rolled back ${counted(rolledBack, rolledBackIds)}`;

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

/** `count` with the ids that are known, as many as an Event has room for. */
function counted(count: number, ids: readonly string[]): string {
  if (ids.length === 0) return String(count);
  const shown = ids.slice(0, NAMED_MAX);
  const more = count > shown.length ? `, and ${count - shown.length} more` : '';
  return `${count} [${shown.join(', ')}${more}]`;
}

// What the decision log says about a transaction, with how much a missing record proves; recovery decides by it.
import type { WalIdentity } from '../wal/wal.ts';
import { type CommitDecision, decodeRecord, type IdPosition, orderOf } from './decision-record.ts';
import type { DecisionReplay } from './decision-replay.ts';
import type { DecisionWal } from './decision-wal.ts';
import { transactionKey } from './gid.ts';

/**
 * - commit: a COMMIT record; `committed` when its lsn ≤ the committed position, else it is still uncertain.
 * - abort: a tombstone.
 * - none-above-watermark: no record, and the log is whole at that id: nothing was decided, presume abort.
 * - below-watermark: no record, but one may have been pruned.
 * - lost: the id is from before this log existed or from after its end: another volume, a lost or an older one.
 * - damaged: no record in what is readable, but not all is: one may be in what is not, and may yet be read from a copy.
 */
export type LogEvidence =
  | {
      readonly kind: 'commit';
      readonly decision: CommitDecision;
      readonly lsn: number;
      readonly committed: boolean;
      readonly ended: boolean;
    }
  | { readonly kind: 'abort' }
  | { readonly kind: 'none-above-watermark' }
  | { readonly kind: 'below-watermark' }
  | { readonly kind: 'lost' }
  | { readonly kind: 'damaged' };

/** Looks at the live decisions, then, only for ids it did not find, at every retained record. */
export async function searchLog(
  ids: ReadonlySet<string>,
  state: DecisionReplay,
  identity: WalIdentity,
  wal: Pick<DecisionWal, 'scan' | 'positions'>,
): Promise<ReadonlyMap<string, LogEvidence>> {
  const found = new Map<string, LogEvidence>();
  const sought = new Set<string>();
  for (const key of ids) {
    const { epoch } = positionOf(key);
    const live = liveEvidence(key, state);
    if (live !== undefined) found.set(key, live);
    else if (epoch < identity.firstEpoch || epoch > identity.epoch) found.set(key, { kind: 'lost' });
    else sought.add(key);
  }
  // Read before the scan: records that are pruned while it runs must not look like records that never were.
  const readable = sought.size === 0 ? new Map<string, LogEvidence>() : await scanFor(sought, wal);
  for (const key of sought) {
    // A decision made, or a watermark raised, while the scan ran counts; the watermark is raised before anything is deleted.
    const evidence = readable.get(key) ?? liveEvidence(key, state) ?? missing(key, state.watermark);
    found.set(key, evidence);
  }
  return found;
}

async function scanFor(
  sought: ReadonlySet<string>,
  wal: Pick<DecisionWal, 'scan' | 'positions'>,
): Promise<Map<string, LogEvidence>> {
  const found = new Map<string, LogEvidence>();
  await wal.scan(({ lsn, tag, payload }) => {
    const record = decodeRecord(tag, payload);
    if (record.kind === 'checkpoint') {
      for (const { decision, lsn: at } of record.checkpoint.live) keep(decision, at === 0 ? lsn : at);
    } else if (record.kind === 'commit') {
      keep(record.decision, lsn);
    } else if (record.kind === 'abort') {
      const key = transactionKey(record.id);
      if (sought.has(key) && !found.has(key)) found.set(key, { kind: 'abort' });
    }
  });
  return found;

  /** Decisions never change, so the first record is as good as any. */
  function keep(decision: CommitDecision, lsn: number): void {
    const key = transactionKey(decision.transaction);
    if (!sought.has(key) || found.has(key)) return;
    found.set(key, { kind: 'commit', decision, lsn, committed: lsn <= wal.positions.committed, ended: true });
  }
}

function liveEvidence(key: string, state: DecisionReplay): LogEvidence | undefined {
  const entry = state.live.get(key);
  return entry && { kind: 'commit', decision: entry.decision, lsn: entry.lsn, committed: entry.logged, ended: false };
}

function missing(key: string, watermark: IdPosition): LogEvidence {
  return { kind: orderOf(positionOf(key), watermark) > 0 ? 'none-above-watermark' : 'below-watermark' };
}

/** The inverse of transactionKey. */
export function positionOf(key: string): IdPosition {
  const [epoch, seq] = key.split('.');
  return { epoch: Number(epoch), seq: Number(seq) };
}

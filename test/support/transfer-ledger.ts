// What every client intended and what it was told: the testimony that the judge compares with the rows on the shards.
import type { TransferKind, TransferPlan } from './transfer-plan.ts';

/**
 * acknowledged: COMMIT answered COMMIT. refused: a definite no, or COMMIT was never sent.
 * unknown: the connection was lost in COMMIT, or the answer was 08007. pending: not told yet.
 */
export type Told = 'pending' | 'acknowledged' | 'refused' | 'unknown';

export interface TransferRecord {
  readonly plan: TransferPlan;
  told: Told;
  /** The SQLSTATE or a few words. */
  why: string;
  /** Milliseconds from the first statement to the answer. */
  tookMs: number;
}

export type ToldCounts = Record<Told, number>;

/** Keeps what one client intended and was told beyond its process; each resolves when it is durable. */
export interface TransferJournal {
  intended(record: TransferRecord): Promise<void>;
  told(record: TransferRecord): Promise<void>;
}

export class TransferLedger {
  readonly records = new Map<string, TransferRecord>();
  /** Balances when the load began, by account. */
  readonly initial: ReadonlyMap<number, number>;

  constructor(initial: ReadonlyMap<number, number>) {
    this.initial = initial;
  }

  /** Written down before the first byte leaves, so that no row can appear that nobody intended. */
  intend(plan: TransferPlan): TransferRecord {
    const record: TransferRecord = { plan, told: 'pending', why: '', tookMs: 0 };
    this.records.set(plan.id, record);
    return record;
  }

  counts(): ToldCounts {
    const counts: ToldCounts = { pending: 0, acknowledged: 0, refused: 0, unknown: 0 };
    for (const record of this.records.values()) counts[record.told] += 1;
    return counts;
  }

  /** How often each kind of transfer got each answer, and why, most frequent first: to see what a load really did. */
  summary(): string {
    const tally = new Map<string, number>();
    for (const record of this.records.values()) {
      const line = `${record.plan.kind satisfies TransferKind} ${record.told}${record.why === '' ? '' : `: ${record.why}`}`;
      tally.set(line, (tally.get(line) ?? 0) + 1);
    }
    return [...tally]
      .toSorted((a, b) => b[1] - a[1])
      .map(([line, count]) => `${String(count).padStart(7)}  ${line}`)
      .join('\n');
  }
}

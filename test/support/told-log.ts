// The decision log as recovery sees it, kept in memory: it says what a test told it.

import type { DecisionLog } from '../../src/transaction/decision-log.ts';
import type { CommitDecision } from '../../src/transaction/decision-record.ts';
import { type TransactionId, transactionKey } from '../../src/transaction/gid.ts';
import type { LogEvidence } from '../../src/transaction/log-evidence.ts';

/** This run's epoch in recovery tests. */
export const EPOCH = 1800;

export class ToldLog {
  identity: DecisionLog['identity'] = { walId: 'told', epoch: EPOCH, firstEpoch: 1000, created: false };
  readonly decisions = new Map<string, CommitDecision>();
  readonly ended = new Set<string>();
  /** Overrides whatever would follow from the rest. */
  readonly told = new Map<string, LogEvidence>();
  lookups = 0;
  unreadable = false;

  live(): Iterable<CommitDecision> {
    return [...this.decisions].filter(([key]) => !this.ended.has(key)).map(([, decision]) => decision);
  }

  async lookup(keys: ReadonlySet<string>): Promise<ReadonlyMap<string, LogEvidence>> {
    this.lookups += 1;
    if (this.unreadable) throw new Error('EIO: i/o error, read');
    return new Map([...keys].map((key) => [key, this.#word(key)]));
  }

  end(transaction: TransactionId): void {
    this.ended.add(transactionKey(transaction));
  }

  #word(key: string): LogEvidence {
    const told = this.told.get(key);
    if (told !== undefined) return told;
    const decision = this.decisions.get(key);
    if (decision !== undefined)
      return { kind: 'commit', decision, lsn: 1, committed: true, ended: this.ended.has(key) };
    const epoch = Number(key.split('.')[0]);
    if (epoch < this.identity.firstEpoch || epoch > this.identity.epoch) return { kind: 'lost' };
    return { kind: 'none-above-watermark' };
  }
}

// A dead proxy's log as recovery asks it, answered from its dump. The rule: what was not asked for when the dump was made
// has no answer, which is not the same as "nothing was decided"; such ids are noted, and the log is read once more.
import type { RecoverySubject } from '../../recovery/subject.ts';
import type { CommitDecision } from '../../transaction/decision-record.ts';
import type { EvidenceDump } from '../../transaction/evidence-dump.ts';
import { transactionKey } from '../../transaction/gid.ts';
import type { LogEvidence } from '../../transaction/log-evidence.ts';

/** The volume is gone: no decision is known, and no id was ever ruled out. */
export interface LostLog {
  readonly status: 'lost';
}

export class UnaskedError extends Error {
  override readonly name = 'UnaskedError';
}

export class DumpedLog {
  readonly #dump: EvidenceDump | LostLog;
  /** Ids that recovery asked about and the dump does not know; empty when its answers were whole. */
  readonly unasked = new Set<string>();

  constructor(dump: EvidenceDump | LostLog) {
    this.#dump = dump;
  }

  live(): Iterable<CommitDecision> {
    return this.#dump.status === 'lost' ? [] : this.#dump.live;
  }

  /** Rejects with UnaskedError when an id was not asked for: then nothing is judged in this round. */
  async lookup(ids: ReadonlySet<string>): ReturnType<RecoverySubject['log']['lookup']> {
    const words = new Map<string, LogEvidence>();
    const unasked = new Set<string>();
    for (const id of ids) {
      const word = this.#word(id);
      if (word === undefined) unasked.add(id);
      else words.set(id, word);
    }
    if (unasked.size === 0) return words;
    for (const id of unasked) this.unasked.add(id);
    throw new UnaskedError(`the log was not asked about ${[...unasked].join(', ')}`);
  }

  #word(id: string): LogEvidence | undefined {
    const dump = this.#dump;
    // No log, or an empty one: the same about every id, and nobody writes to it.
    if (dump.status === 'lost' || dump.status === 'empty') return { kind: 'lost' };
    const word = dump.words.get(id);
    if (word !== undefined) return word;
    const decision = dump.live.find(({ transaction }) => transactionKey(transaction) === id);
    return decision && { kind: 'commit', decision, lsn: 0, committed: true, ended: false };
  }
}

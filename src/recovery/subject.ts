// On whose behalf recovery runs: an instance, its log, and the promise that nobody else acts for it.
import type { DecisionLog } from '../transaction/decision-log.ts';

/** Whose transactions are judged, by which log. The operator can pass a dead instance with the dump of its log. */
export interface RecoverySubject {
  readonly cluster: string;
  readonly instance: string;
  /** Backends of earlier epochs are fenced, and of this one when ownership is fenced; transactions of later ones are somebody else's. */
  readonly epoch: number;
  /** self: this process is the instance. fenced: somebody made sure that the instance cannot act. */
  readonly ownership: 'self' | 'fenced';
  readonly log: Pick<DecisionLog, 'live' | 'lookup'>;
  /** `<epoch>.<seq>` of what is being driven now. */
  readonly driving: () => ReadonlySet<string>;
}

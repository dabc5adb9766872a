// The port to the part that finishes what a commit had to leave behind; implemented by recovery, injected here.
import type { ServerIdentity } from '../shard/branch-link.ts';
import type { TransactionId } from './gid.ts';

export interface UnfinishedParticipant {
  readonly shard: string;
  readonly gid: string;
  readonly xid?: string;
  /**
   * The backend that was last asked. Its command may still be queued there (a zombie PREPARE), so it is fenced before
   * the gid's absence means anything.
   */
  readonly identity?: ServerIdentity;
}

export interface Unfinished {
  readonly transaction: TransactionId;
  readonly decision: 'commit' | 'abort';
  readonly participants: readonly UnfinishedParticipant[];
}

export interface Resolver {
  /**
   * Takes participants over and finishes them for ever, with backoff, none blocking another. Calls `done` once per
   * participant (the very object that was handed over) when it is verified finished.
   */
  handOver(unfinished: Unfinished, done: (participant: UnfinishedParticipant) => void): void;
  /** Fences (terminates) the backend, then asks pg_xact_status; `unknown` when it cannot be learned in a short time. */
  outcomeOf(question: {
    readonly shard: string;
    readonly xid: string;
    readonly identity: ServerIdentity;
  }): Promise<'committed' | 'aborted' | 'unknown'>;
}

// What recovery knows about one transaction before it judges; every field is an observation, none is a conclusion.
import type { TransactionId } from '../transaction/gid.ts';

/**
 * What became of one participant's branch:
 * P prepared · B busy (55000: someone is resolving it now) · C gone, committed · A gone, aborted · I in progress without
 * a prepared row · F lost: its xid lies in the future, or was issued again after a crash · N no status (NULL, no xid, or
 * an answer from a server that cannot know) · U unreachable, a standby, or no longer in the topology.
 */
export type ParticipantState = 'P' | 'B' | 'C' | 'A' | 'I' | 'F' | 'N' | 'U';

export const PARTICIPANT_STATES = ['P', 'B', 'C', 'A', 'I', 'F', 'N', 'U'] as const satisfies ParticipantState[];

/** What a participant's branch is known by, from the log's record (all fields) or from the gids of its siblings. */
export interface BranchIdentity {
  readonly shard: string;
  /** The stored name, byte for byte; unknown for a sibling that nobody saw prepared. */
  readonly gid?: string | undefined;
  /** Decimal xid8. */
  readonly xid?: string | undefined;
  readonly timeline?: number | undefined;
  /** Only the log knows it. */
  readonly systemIdentifier?: string | undefined;
  /** A position in that server's WAL at or behind the branch's PREPARE record, `X/X`. */
  readonly lsn?: string | undefined;
}

export interface ParticipantEvidence extends BranchIdentity {
  readonly state: ParticipantState;
  /** C only: the commit is shown to be this branch's own, and not a stranger's that was issued the same xid. */
  readonly proven: boolean;
  /** This process itself read the tag COMMIT PREPARED for this branch. */
  readonly acknowledged: boolean;
  /** Why the state is U, N or F, for people. */
  readonly reason?: string | undefined;
}

/**
 * What the decision log says:
 * commit: a COMMIT record at or below the committed position · abort: a tombstone · uncertain-*: a COMMIT record above
 * it, and what the replicating engine answered · none: intact, above the prune watermark, no record · pruned: below that
 * watermark · lost: the log that would know is gone, was cut by a repair, or is retired · damaged: no record in what is
 * readable of a damaged log, which somebody may yet repair from a copy.
 */
export type LogEvidence =
  | 'commit'
  | 'abort'
  | 'uncertain-commit'
  | 'uncertain-abort'
  | 'uncertain-down'
  | 'none'
  | 'pruned'
  | 'lost'
  | 'damaged';

export const LOG_EVIDENCE = [
  'commit',
  'abort',
  'uncertain-commit',
  'uncertain-abort',
  'uncertain-down',
  'none',
  'pruned',
  'lost',
  'damaged',
] as const satisfies LogEvidence[];

/**
 * Who may still act on the transaction:
 * self-idle: this process owns the log and is not driving it · self-driving: it is (the set A) · fenced: another owner (or
 * an earlier life whose log is gone) that can no longer act · alive: an owner that may still act.
 */
export type Owner = 'self-idle' | 'self-driving' | 'fenced' | 'alive';

export const OWNERS = ['self-idle', 'self-driving', 'fenced', 'alive'] as const satisfies Owner[];

export interface TransactionEvidence {
  readonly transaction: TransactionId;
  readonly log: LogEvidence;
  readonly owner: Owner;
  /** Never empty. */
  readonly participants: readonly ParticipantEvidence[];
  /** Every participant of the transaction is in `participants`. */
  readonly complete: boolean;
  /** Flag `e` of the gid: success may have been told before the decision was durable. */
  readonly earlyAcknowledged: boolean;
}

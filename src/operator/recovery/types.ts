// What the recovery reconciler is told and what it answers, as values: the rest of the operator codes against this file only.
// The rule: whatever could not be seen is said to be unknown, and nothing unknown is counted as clean.
import type { Observation } from '../cluster/observation.ts';
import type { SqlTarget } from '../sql/facts.ts';

/** Everything that one step may look at. Gathered by the caller; a step asks nobody and waits for nothing. */
export interface RecoveryContext {
  readonly observation: Observation;
  /**
   * How to log in to each shard of the observation as the superuser (or as an external shard's own role), by name; one
   * that has no address now, or whose password is not known, is left out.
   */
  readonly shardTargets: ReadonlyMap<string, SqlTarget>;
  /** The operator's own: with it a log is read when the proxy's image is what is broken. */
  readonly image: string;
}

/**
 * present: it answers, and recovers itself · away: not back yet, and the grace period runs · gone: nothing of it is
 * prepared anywhere · acting: the operator is recovering for it · held: something needs a person, or the policy is Hold ·
 * blocked: the operator would act, but something is in the way, and it tries again.
 */
export type InstanceState =
  | { readonly kind: 'present' }
  | { readonly kind: 'away'; readonly sinceMs: number; readonly actsAtMs: number }
  | { readonly kind: 'gone' }
  | { readonly kind: 'acting'; readonly step: ActingStep }
  | { readonly kind: 'held'; readonly why: HeldReason; readonly message: string }
  | { readonly kind: 'blocked'; readonly why: BlockedReason; readonly message: string };

export type ActingStep = 'fencing' | 'reading the log' | 'resolving';

/** policy: inDoubtPolicy is Hold · ask: the evidence proves nothing · log-damaged: `atomshard wal repair` comes first. */
export type HeldReason = 'policy' | 'ask' | 'log-damaged';

/**
 * owner-alive: a process holds the log's lock · log-unreadable: the Job cannot run or read · shard-away: a shard that must
 * be fenced or asked does not answer · paused: spec.paused · not-allowed: the role on a shard may not do it · kubernetes:
 * the API server refuses.
 */
export type BlockedReason = 'owner-alive' | 'log-unreadable' | 'shard-away' | 'paused' | 'not-allowed' | 'kubernetes';

export interface InstanceFinding {
  readonly instance: string;
  readonly state: InstanceState;
  /** Transactions of it that are in doubt: by its own word while it answers, else at least as many as a shard shows. */
  readonly inDoubt: number;
  /** When the oldest of its prepared branches was prepared; null without any. */
  readonly oldestMs: number | null;
  /** Last known; they outlive the proxy. */
  readonly walId: string | null;
  readonly epoch: number | null;
  /** Its log is another one than it was: the volume was lost or replaced. */
  readonly walLost: { readonly before: string; readonly now: string | null } | null;
}

/** One transaction that nobody could end. */
export interface HeldFinding {
  /** `<cluster>:<instance>.<epoch>.<seq>`. */
  readonly transaction: string;
  /** The row of the decision table, or what else keeps it. */
  readonly reason: string;
  readonly askHuman: boolean;
  readonly participants: readonly { readonly shard: string; readonly state: string }[];
}

/** One recovery pass that did or found something, by a proxy or by the operator. */
export interface PassFinding {
  readonly instance: string;
  readonly by: 'proxy' | 'operator';
  readonly atMs: number;
  readonly committed: number;
  /** As many of them as are known. */
  readonly committedIds: readonly string[];
  readonly rolledBack: number;
  readonly rolledBackIds: readonly string[];
  readonly held: number;
}

/** Why something must wait. It opens by itself when the transactions have ended, or at `opensAtMs`, or by a person's word. */
export interface Gate {
  /** One CamelCase word. */
  readonly reason: string;
  /** With the number of transactions, and what opens it. */
  readonly message: string;
  readonly inDoubt: number;
  /** After this the gate no longer holds anything up; null: only the transactions' end or a person opens it. */
  readonly opensAtMs: number | null;
  /** A person said by annotation that it shall not hold anything up. */
  readonly ignored: boolean;
}

/** What must not be done now. What is not in here may be done as far as recovery is concerned. */
export interface RecoveryGates {
  /** Shards that must not be restarted, by name; opens after the grace period at the latest. */
  readonly restart: ReadonlyMap<string, Gate>;
  /** Proxies that must not be scaled away, and whose WAL claim must not be deleted, by instance. */
  readonly removal: ReadonlyMap<string, Gate>;
  /** Why the ShardedCluster must not be deleted yet; null when it may. */
  readonly deletion: Gate | null;
  /** max_prepared_transactions of a shard must not be set below this: PostgreSQL would not start. */
  readonly maxPreparedFloor: ReadonlyMap<string, number>;
}

export type RecoveryConditionType = 'TwoPhaseHealthy' | 'InDoubtTransactions' | 'WalLost';

/** A condition but for its times, which the status writer adds. */
export interface RecoveryCondition {
  readonly type: RecoveryConditionType;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** To be told as an Event about the ShardedCluster, once. */
export interface RecoveryOccurrence {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly action: string;
  readonly note: string;
}

export interface RecoveryFindings {
  readonly instances: readonly InstanceFinding[];
  /** All three, always. */
  readonly conditions: readonly RecoveryCondition[];
  /** Over all shards; at least as many, as branches of one transaction stand on several shards. */
  readonly inDoubt: { readonly count: number; readonly oldestMs: number | null };
  /** Other programs' prepared transactions. */
  readonly foreign: { readonly count: number; readonly oldestMs: number | null };
  readonly held: readonly HeldFinding[];
  /** For status.lastRecovery: the newest pass of any proxy, or of the operator; null when there never was one. */
  readonly lastRecovery: PassFinding | null;
  /** New since the step before; each is handed out once. */
  readonly occurrences: readonly RecoveryOccurrence[];
  readonly gates: RecoveryGates;
  /** Milliseconds until the next step has something to do by itself; null: only a change wakes it. */
  readonly nextStepInMs: number | null;
}

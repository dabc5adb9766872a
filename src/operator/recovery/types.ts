// What the recovery reconciler is told and what it answers, as values: the rest of the operator codes against this file only.
// The rule: whatever could not be seen is said to be unknown, and nothing unknown is counted as clean.
import type { ShardedClusterStatus } from '../api/sharded-cluster.generated.ts';
import type { ClaimObject, PodObject } from '../diagnosis/children.ts';
import type { KubeObject } from '../kube/resource.ts';
import type { Asked, ProxyFacts, ShardFacts, SqlTarget } from '../sql/facts.ts';

/** The ShardedCluster that all of it is about. */
export interface ClusterRef {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** What is seen of one proxy of the spec, or of one that is no longer in it but left a pod, a claim or an answer. */
export interface ProxySight {
  /** `proxy-<ordinal>`. */
  readonly instance: string;
  /** False for one that is scaled away, or of a cluster that is shut down: it is not expected back. */
  readonly wanted: boolean;
  readonly pod: PodObject | null;
  /** `wal-<c>-proxy-<n>`. */
  readonly claim: ClaimObject | null;
  /** Its answer to SHOW STATUS; null where nobody asked because there is no pod. */
  readonly facts: Asked<ProxyFacts> | null;
}

export interface JobObject extends KubeObject {
  readonly spec?: { readonly suspend?: boolean };
  readonly status?: {
    readonly active?: number;
    readonly succeeded?: number;
    readonly failed?: number;
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
  };
}

/** How the pod that reads a log is made; the same as for a proxy's pod where it matters. */
export interface ReaderPod {
  readonly image: string;
  readonly imagePullPolicy?: string;
  readonly imagePullSecrets?: readonly { readonly name: string }[];
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly tolerations?: readonly object[];
  readonly serviceAccountName?: string;
}

/** Everything that one step may look at. Gathered by the caller; a step asks nobody and waits for nothing. */
export interface RecoveryContext {
  readonly cluster: ClusterRef;
  /** status.clusterId: the first part of every gid of ours. */
  readonly clusterId: string;
  readonly policy: 'Resolve' | 'Hold';
  readonly gracePeriodMs: number;
  /** spec.paused: report, and change nothing. */
  readonly paused: boolean;
  readonly reader: ReaderPod;
  /** Where the shards are, and as whom to log in: the superuser, or an external shard's own role. Retired ones too. */
  readonly shards: readonly SqlTarget[];
  /** The last look at each shard, by name. */
  readonly shardFacts: ReadonlyMap<string, Asked<ShardFacts>>;
  readonly proxies: readonly ProxySight[];
  /** Labelled atomshard.dev/recovery, of this cluster. */
  readonly jobs: readonly JobObject[];
  /** Pods of those Jobs. */
  readonly jobPods: readonly PodObject[];
  /** The status as it was last written; it remembers walIds, epochs and since when something is lost. */
  readonly status: ShardedClusterStatus | undefined;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
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
  readonly rolledBack: number;
  readonly held: number;
}

/** Why something must wait. It opens by itself when the transactions have ended, or at `opensAtMs`. */
export interface Gate {
  /** One CamelCase word. */
  readonly reason: string;
  /** With the number of transactions, and what opens it. */
  readonly message: string;
  readonly inDoubt: number;
  /** After this the gate no longer holds anything up; null: only the transactions' end or a person opens it. */
  readonly opensAtMs: number | null;
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

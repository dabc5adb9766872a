// Everything known of one cluster at one moment, as one immutable value: the plan and the status are functions of it.
// The rule: what could not be seen is said so (`failed`, `never`), and is never taken for an answer.
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import type { ClaimObject, EventObject, SecretFinding } from '../diagnosis/children.ts';
import type { KubeObject } from '../kube/resource.ts';
import type { ProxyFacts, SetupProblem, ShardFacts, SqlFailure } from '../sql/facts.ts';
import type { Job, Pod, Secret, StatefulSet } from './kinds.ts';

/** The last look at something that is asked beside the workers. */
export type Look<T> =
  | { readonly kind: 'seen'; readonly atMs: number; readonly facts: T }
  /** `sinceMs`: the first of the failures in a row; `kindSinceMs`: of those that are of this kind. `last`: the newest answer there ever was in this process. */
  | {
      readonly kind: 'failed';
      readonly atMs: number;
      readonly sinceMs: number;
      readonly kindSinceMs: number;
      readonly failure: SqlFailure;
      readonly last: { readonly atMs: number; readonly facts: T } | undefined;
    }
  | { readonly kind: 'never' };

export interface ShardObservation {
  /** Logical name, e.g. `shard-0`. */
  readonly name: string;
  /** Place in the topology; for a retired one the place that it had. */
  readonly index: number;
  /** `made`: by the operator. `retired`: made by it and no longer in the spec. */
  readonly kind: 'made' | 'external' | 'retired';
  /** Absent for external shards, as are pod and claim. */
  readonly statefulSet: StatefulSet | undefined;
  readonly pod: Pod | undefined;
  readonly claim: ClaimObject | undefined;
  readonly look: Look<ShardFacts>;
  readonly setup: ShardSetupState;
}

export type ShardSetupState =
  /** Not tried since the operator started, or what is wanted changed since. */
  | { readonly kind: 'due' }
  /** With problems it is tried again now and then: somebody may have ended their cause on the server. */
  | { readonly kind: 'done'; readonly problems: readonly SetupProblem[]; readonly againAtMs?: number }
  | { readonly kind: 'failed'; readonly failure: SqlFailure; readonly againAtMs: number };

export interface ProxyObservation {
  readonly ordinal: number;
  /** The pod's name, e.g. `bank-proxy-0`; the pod need not be there. */
  readonly name: string;
  /** In gids, e.g. `proxy-0`. */
  readonly instance: string;
  readonly pod: Pod | undefined;
  readonly claim: ClaimObject | undefined;
  readonly look: Look<ProxyFacts>;
}

/** Objects of the cluster as the caches have them; all carry its label. */
export interface ClusterChildren {
  /** `Kind/name` → object, of all kinds that are applied. */
  readonly byKey: ReadonlyMap<string, KubeObject>;
  readonly pods: readonly Pod[];
  readonly claims: readonly ClaimObject[];
  readonly statefulSets: readonly StatefulSet[];
  readonly jobs: readonly Job[];
  /** Warning events, read only while something does not come up. */
  readonly events: readonly EventObject[];
}

/** A Secret of the user's, or one that the operator made. */
export interface SecretObservation {
  /** `made`: by the operator; one that is missing is made again. */
  readonly origin: 'made' | 'user';
  readonly finding: SecretFinding;
  readonly secret: Secret | undefined;
}

export interface Observation {
  readonly cluster: ShardedCluster;
  /** Wall time of this observation, milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** From the status, or of retained volumes of the same name; undefined before it is made. */
  readonly clusterId: string | undefined;
  readonly children: ClusterChildren;
  /** In the order of the topology, retired ones last. */
  readonly shards: readonly ShardObservation[];
  /** By ordinal: those wanted, and those beyond that still have a pod or a volume in use. */
  readonly proxies: readonly ProxyObservation[];
  /** `<c>-proxy` as it is. */
  readonly proxySet: StatefulSet | undefined;
  /** By name: those that the spec names and those that the operator made. */
  readonly secrets: ReadonlyMap<string, SecretObservation>;
  /** Sets whose change the API server refused because a field of theirs can never change; they are made anew. */
  readonly refusedSets: ReadonlySet<string>;
  /** What the last round of applying could not do; undefined when it did all. */
  readonly applyProblem: ApplyProblem | undefined;
}

export interface ApplyProblem {
  /** e.g. `StatefulSet/bank-shard-0`. */
  readonly object: string;
  readonly kind: string;
  readonly message: string;
  readonly sinceMs: number;
}

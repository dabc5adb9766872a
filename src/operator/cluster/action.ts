// What a plan may ask for: closed, in plain words, each the same when done twice.
import type { DesiredInput } from '../desired/desired-input.ts';
import type { KubeObject, ObjectRef, Resource } from '../kube/resource.ts';

/**
 * Steps that change objects without disturbing anybody, in the order in which they are done. Each is the same when it is
 * done twice, as the operator may die after any of them.
 */
export type CalmAction =
  /** Into status.clusterId, before anything carries it. */
  | { readonly kind: 'writeClusterId'; readonly clusterId: string }
  | { readonly kind: 'addFinalizer' }
  /** The last step of a deletion. */
  | { readonly kind: 'removeFinalizer' }
  /** Made once and never changed by us: credentials. One that is there stays. */
  | { readonly kind: 'createOnce'; readonly type: Resource; readonly object: KubeObject }
  | { readonly kind: 'apply'; readonly type: Resource; readonly object: KubeObject }
  | {
      readonly kind: 'delete';
      readonly type: Resource;
      readonly ref: ObjectRef;
      readonly uid: string;
      readonly why: string;
    }
  /** A merge patch of metadata or of a claim's size. */
  | {
      readonly kind: 'patch';
      readonly type: Resource;
      readonly ref: ObjectRef;
      readonly patch: Readonly<Record<string, unknown>>;
      readonly why: string;
    }
  /** Database, roles, grants and extensions. */
  | { readonly kind: 'setUpShard'; readonly shard: string }
  /** pg_reload_conf; proven by the next look. `configuration`: which one it is, so that it is told once. */
  | { readonly kind: 'reloadShard'; readonly shard: string; readonly configuration: string }
  | { readonly kind: 'reloadProxy'; readonly proxy: string; readonly configuration: string }
  | { readonly kind: 'drainProxy'; readonly proxy: string }
  | { readonly kind: 'resumeProxy'; readonly proxy: string };

/** Steps that somebody notices; a plan has at most one. */
export type DisruptiveAction =
  | {
      readonly kind: 'replacePod';
      readonly pod: ObjectRef;
      readonly uid: string;
      readonly of: string;
      readonly why: string;
    }
  /** The set goes and its pods stay: only so can a claim template change. */
  | { readonly kind: 'recreateSet'; readonly set: ObjectRef; readonly uid: string; readonly why: string };

export type Action = CalmAction | DisruptiveAction;

/** Why the cluster is not yet as wanted, the most important first. */
export interface Waiting {
  /** CamelCase, for conditions, e.g. `ShardNotReady`. */
  readonly reason: string;
  readonly message: string;
}

export interface Plan {
  readonly calm: readonly CalmAction[];
  readonly disruptive: DisruptiveAction | undefined;
  /** What the plan is about: decides the phase. */
  readonly goal: 'run' | 'stop' | 'delete' | 'paused';
  /** True when everything is as the spec wants it, so that nothing waits. */
  readonly settled: boolean;
  readonly waiting: readonly Waiting[];
  /** Shards that wait for a restart, with the reason. */
  readonly pendingRestart: ReadonlyMap<string, string>;
  /** Why deletion does not go on; undefined while it does. */
  readonly deletionBlocked: Waiting | undefined;
  /** Why nothing may be touched, e.g. volumes of another cluster; undefined as a rule. */
  readonly refused: Waiting | undefined;
  /** What the objects were made from; undefined before the cluster has its id. */
  readonly input: DesiredInput | undefined;
}

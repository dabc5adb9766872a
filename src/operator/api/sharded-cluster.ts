// A ShardedCluster as an object of Kubernetes; what stands in it is generated from the CRD and never written by hand.
import type { KIND, ShardedClusterSpec, ShardedClusterStatus } from './sharded-cluster.generated.ts';

/** What the operator reads of an object's metadata. */
export interface ObjectMetadata {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Grows by one with every change of the spec. */
  readonly generation: number;
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly finalizers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The object as the API server hands it out; it has no status until the operator wrote one. */
export interface ShardedCluster {
  readonly apiVersion: 'atomshard.dev/v1alpha1';
  readonly kind: typeof KIND;
  readonly metadata: ObjectMetadata;
  readonly spec: ShardedClusterSpec;
  readonly status?: ShardedClusterStatus;
}

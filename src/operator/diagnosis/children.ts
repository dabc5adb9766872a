// What diagnosis reads of Kubernetes objects: only these fields, so that plain objects of any age fit.
import type { KubeObject } from '../kube/resource.ts';

export interface ContainerState {
  readonly waiting?: { readonly reason?: string; readonly message?: string };
  readonly running?: { readonly startedAt?: string };
  readonly terminated?: Terminated;
}

export interface Terminated {
  readonly exitCode: number;
  readonly signal?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly startedAt?: string;
  readonly finishedAt?: string;
}

export interface ContainerStatus {
  readonly name: string;
  readonly ready?: boolean;
  readonly restartCount?: number;
  readonly image?: string;
  readonly state?: ContainerState;
  readonly lastState?: ContainerState;
}

export interface StatusConditionOfChild {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

export interface PodObject extends KubeObject {
  readonly spec?: { readonly nodeName?: string; readonly terminationGracePeriodSeconds?: number };
  readonly status?: {
    readonly phase?: string;
    readonly reason?: string;
    readonly message?: string;
    readonly conditions?: readonly StatusConditionOfChild[];
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
  };
}

export interface ClaimObject extends KubeObject {
  readonly spec?: {
    readonly storageClassName?: string;
    readonly resources?: { readonly requests?: Readonly<Record<string, string>> };
    readonly volumeName?: string;
  };
  readonly status?: {
    readonly phase?: string;
    readonly capacity?: Readonly<Record<string, string>>;
    readonly conditions?: readonly StatusConditionOfChild[];
    readonly allocatedResourceStatuses?: Readonly<Record<string, string>>;
  };
}

export interface StatefulSetObject extends KubeObject {
  readonly spec?: { readonly replicas?: number };
  readonly status?: { readonly replicas?: number; readonly readyReplicas?: number; readonly currentReplicas?: number };
}

/** A core/v1 Event; Warning events of the cluster's children. */
export interface EventObject extends KubeObject {
  readonly type?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly involvedObject?: { readonly kind?: string; readonly name?: string; readonly uid?: string };
  readonly lastTimestamp?: string | null;
  readonly eventTime?: string | null;
  readonly series?: { readonly lastObservedTime?: string };
}

/** A Secret that the spec names, or that the cluster needs: what was found of it. Values are not read here. */
export interface SecretFinding {
  readonly name: string;
  /** Where the spec names it, e.g. `spec.credentials.users[0].passwordSecretRef`. */
  readonly path: string;
  readonly requiredKeys: readonly string[];
  /** Keys with a value that is not empty; null where there is no such Secret. */
  readonly keys: readonly string[] | null;
}

/** Everything of one cluster that can show a fault. Shard and proxy are known by their labels. */
export interface Children {
  readonly pods: readonly PodObject[];
  readonly claims: readonly ClaimObject[];
  readonly statefulSets: readonly StatefulSetObject[];
  /** Warning events of these objects; none are needed for most faults, some faults show nowhere else. */
  readonly events: readonly EventObject[];
  readonly secrets: readonly SecretFinding[];
  /** Milliseconds since the Unix epoch: faults that need time to be faults are measured against it. */
  readonly nowMs: number;
}

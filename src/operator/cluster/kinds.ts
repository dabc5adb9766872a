// The kinds of objects that the operator reads and writes, each named once with the fields that it reads of them.

import { GROUP, KIND, PLURAL, VERSION } from '../api/sharded-cluster.generated.ts';
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import type { ClaimObject, EventObject, PodObject, StatefulSetObject } from '../diagnosis/children.ts';
import { type KubeObject, type Resource, resource } from '../kube/resource.ts';

export interface StatefulSet extends StatefulSetObject {
  readonly status?: NonNullable<StatefulSetObject['status']> & {
    readonly observedGeneration?: number;
    /** What pods made from the present template carry in the label `controller-revision-hash`. */
    readonly updateRevision?: string;
  };
}

export interface Pod extends PodObject {
  readonly status?: NonNullable<PodObject['status']> & { readonly podIP?: string };
}

export interface Secret extends KubeObject {
  readonly type?: string;
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>;
}

export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

export interface Job extends KubeObject {
  readonly status?: {
    readonly active?: number;
    readonly succeeded?: number;
    readonly failed?: number;
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
  };
}

export const CLUSTERS: Resource<ShardedCluster> = resource(`${GROUP}/${VERSION}`, KIND, PLURAL);
export const STATEFUL_SETS = resource<StatefulSet>('apps/v1', 'StatefulSet', 'statefulsets');
export const PODS = resource<Pod>('v1', 'Pod', 'pods');
export const CLAIMS = resource<ClaimObject>('v1', 'PersistentVolumeClaim', 'persistentvolumeclaims');
export const SERVICES = resource('v1', 'Service', 'services');
export const CONFIG_MAPS = resource<ConfigMap>('v1', 'ConfigMap', 'configmaps');
export const SECRETS = resource<Secret>('v1', 'Secret', 'secrets');
export const SERVICE_ACCOUNTS = resource('v1', 'ServiceAccount', 'serviceaccounts');
export const DISRUPTION_BUDGETS = resource('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets');
export const NETWORK_POLICIES = resource('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies');
export const JOBS = resource<Job>('batch/v1', 'Job', 'jobs');
/** core/v1, as `kubectl get events` shows them; read only where something does not come up. */
export const CORE_EVENTS = resource<EventObject>('v1', 'Event', 'events');
/** Of the Prometheus operator: made only where its CRDs are installed. */
export const POD_MONITORS = resource('monitoring.coreos.com/v1', 'PodMonitor', 'podmonitors');
export const PROMETHEUS_RULES = resource('monitoring.coreos.com/v1', 'PrometheusRule', 'prometheusrules');

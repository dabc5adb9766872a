// What the objects of a cluster are made from: the spec, and the few facts that it cannot know. Same input, same objects.
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import type { KubeObject, Resource } from '../kube/resource.ts';

/** A role with its password in clear text, or for users a SCRAM verifier as PostgreSQL stores it. */
export interface Login {
  readonly name: string;
  readonly password: string;
}

/** All passwords that the proxies' configuration holds. */
export interface ProxyLogins {
  /** In the order of the spec; never empty (`app` where the spec names nobody). */
  readonly users: readonly Login[];
  readonly admin: Login;
  readonly resolver: Login;
}

/** Who may reach shards and proxies besides those whom the spec names: the operator. */
export interface PolicyPeer {
  readonly namespaceSelector?: { readonly matchLabels: Readonly<Record<string, string>> };
  readonly podSelector?: { readonly matchLabels: Readonly<Record<string, string>> };
  readonly ipBlock?: { readonly cidr: string };
}

export interface DesiredInput {
  /** With every default of the schema filled in. */
  readonly cluster: ShardedCluster;
  /** Made once; in the name of every prepared transaction. */
  readonly clusterId: string;
  /** Image of proxies where the spec names none: the operator's own. */
  readonly operatorImage: string;
  /** Pods that the proxies' set shall have now: other than spec.proxy.replicas while one drains, 0 when stopped. */
  readonly proxyReplicas: number;
  /** Logical names of the shards over which rows are spread, in order: those that proxies know. */
  readonly placement: readonly string[];
  /** Logical names of shards whose set shall have no pod now. */
  readonly stoppedShards: ReadonlySet<string>;
  /**
   * The least max_prepared_transactions of shards by logical name, whatever the spec says: what is prepared there now, as
   * PostgreSQL does not start with less.
   */
  readonly preparedFloor: ReadonlyMap<string, number>;
  /** The superuser's name, from its Secret. */
  readonly superuser: string;
  /** undefined while a Secret is missing: then the proxies' configuration is left out, everything else is not. */
  readonly logins: ProxyLogins | undefined;
  readonly operatorPeers: readonly PolicyPeer[];
  /** Which CRDs of the Prometheus operator are installed. */
  readonly monitoringKinds: { readonly podMonitor: boolean; readonly prometheusRule: boolean };
}

/** Any further field of an object; plain JSON, typed where it is written. */
export type PlainObject = Readonly<Record<string, unknown>>;

/** One object to be applied whole, with the place that its kind has in the API. */
export interface DesiredObject {
  readonly type: Resource;
  readonly object: KubeObject & PlainObject;
}

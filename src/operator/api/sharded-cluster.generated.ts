// Generated from crds/shardedclusters.atomshard.dev.yaml by scripts/generate-api.mjs; a test compares them.
// A ShardedCluster as the API server hands it out: checked, and with every default filled in, so that only fields without a default can be missing.

export const GROUP = 'atomshard.dev';
export const VERSION = 'v1alpha1';
export const KIND = 'ShardedCluster';
export const PLURAL = 'shardedclusters';

/** What the cluster shall be. The operator makes it so and keeps it so. */
export interface ShardedClusterSpec {
  /**
   * While true the operator changes nothing: not the children and not the databases. It goes on reporting. What
   * runs, runs on.
   */
  readonly paused: boolean;
  /**
   * While true nothing runs: proxies drain and stop first, then the shards stop. Volumes stay; false starts all
   * again.
   */
  readonly shutdown: boolean;
  /** Secrets with registry credentials, in the cluster's namespace, for the images of shards and proxies. */
  readonly imagePullSecrets?: readonly SecretReference[];
  /** The PostgreSQL servers that the operator makes, alike on all shards. */
  readonly postgres: Postgres;
  /**
   * The PostgreSQL servers that hold the rows: either count of them made by the operator, or a list of external
   * ones.
   */
  readonly shards: Shards;
  /** Which tables are spread over the shards, and by which column. */
  readonly sharding: Sharding;
  /** How transactions over several shards end. */
  readonly twoPhaseCommit: TwoPhaseCommit;
  /** The proxies, which clients connect to. */
  readonly proxy: Proxy;
  /** Roles of PostgreSQL and their passwords. */
  readonly credentials: Credentials;
  /** What happens to volumes. A log with unfinished decisions is never deleted, whatever this says. */
  readonly pvcRetentionPolicy: PvcRetentionPolicy;
  /** Guards against evictions of several Pods at once. */
  readonly podDisruptionBudget: PodDisruptionBudget;
  /** Who may connect to the Pods. */
  readonly networkPolicy: NetworkPolicy;
  /** Objects of the Prometheus operator, made where its CRDs are installed. */
  readonly monitoring: Monitoring;
}

/** A Secret of the same namespace. */
export interface SecretReference {
  /** Name of the Secret. */
  readonly name: string;
}

/** The PostgreSQL servers that the operator makes, alike on all shards. */
export interface Postgres {
  /**
   * Image with PostgreSQL 14.5 or later and its usual programs (postgres, initdb, pg_isready) and a shell. A
   * change of the image replaces one shard's Pod at a time. The major version cannot change in place.
   */
  readonly image: string;
  /** When nodes pull the image. */
  readonly imagePullPolicy: ImagePullPolicy;
  /** Name of the database, on every shard and for clients. */
  readonly database: string;
  /**
   * Extensions that every shard's database gets by CREATE EXTENSION. One that is removed here stays in the
   * database.
   */
  readonly extensions: readonly string[];
  /**
   * Settings of postgresql.conf, alike on all shards. Changes that a reload can do are reloaded; others restart
   * one shard at a time, never one that holds in-doubt transactions. Settings that the operator owns are
   * refused.
   */
  readonly parameters: Readonly<Record<string, number | string>>;
  /**
   * Options of initdb for the encoding, locale, checksums and WAL segment size of new shards, e.g.
   * --locale=C.UTF-8. Used when a shard's volume is empty, so they cannot change later.
   */
  readonly initdbArgs: readonly string[];
  /** TLS between proxies, operator and the shards that the operator makes. */
  readonly tls: PostgresTls;
}

/** When nodes pull the image. */
export type ImagePullPolicy = 'Always' | 'IfNotPresent' | 'Never';

/** TLS between proxies, operator and the shards that the operator makes. */
export interface PostgresTls {
  /** Require encrypts and verifies every connection to a shard; Disable leaves them in clear text. */
  readonly mode: 'Require' | 'Disable';
  /**
   * Secret of type kubernetes.io/tls with tls.crt and tls.key. Without it the operator makes a CA and a
   * certificate, and renews it.
   */
  readonly secretName?: string;
  /** Secret whose ca.crt is the CA that signed the certificate of secretName. */
  readonly caSecretName?: string;
}

/**
 * The PostgreSQL servers that hold the rows: either count of them made by the operator, or a list of external
 * ones.
 */
export interface Shards {
  /**
   * How many shards the operator makes, named shard-0, shard-1 and so on. More are used once no shard has a
   * table, because rows cannot be moved yet; status.placement names those in use.
   */
  readonly count?: number;
  /**
   * Forbid refuses a smaller number of shards. Immediate allows it, once no shard has a table: rows cannot be
   * moved, and with fewer shards those of all others would be looked for in the wrong place. Until then
   * everything stays as it was and the condition Progressing says why. Then the shards that left are stopped and
   * shown in status.retiredShards; their volumes stay.
   */
  readonly turndown: 'Forbid' | 'Immediate';
  /** The volume of each shard, for data and WAL. */
  readonly storage?: Storage;
  /** What the container asks for and may use at most, as in a Pod. */
  readonly resources?: Resources;
  /** Rules for the choice of nodes, as in a Pod. Without it Pods of the same kind prefer different nodes. */
  readonly affinity?: Affinity;
  /**
   * How Pods are spread over zones or nodes, as in a Pod. Without labelSelector, Pods of the same kind in this
   * cluster are counted.
   */
  readonly topologySpreadConstraints?: TopologySpreadConstraints;
  /** Labels that a node must have. */
  readonly nodeSelector?: NodeSelector;
  /** Taints of nodes that the Pods tolerate, as in a Pod. */
  readonly tolerations?: Tolerations;
  /** What differs on single shards. What is not written here is as for all. */
  readonly overrides?: readonly ShardsOverride[];
  /**
   * PostgreSQL servers that exist already. Their order decides which rows each holds: new ones are added at the
   * end, and used once no shard has a table. One that is in use cannot be left out, as nobody can ask it for
   * rows then. max_prepared_transactions must be set on each; the condition ShardsReady says when it is too low.
   */
  readonly external?: readonly ShardsExternal[];
}

/** The volume of each shard, for data and WAL. */
export interface Storage {
  /** Size of the volume, e.g. 10Gi. It can grow where the StorageClass allows it, and never shrinks. */
  readonly size: string;
  /** StorageClass of the volume; without it the cluster's default class. It cannot change. */
  readonly storageClassName?: string;
}

/** What the container asks for and may use at most, as in a Pod. */
export interface Resources {
  /** Amounts by resource, e.g. cpu 500m or memory 1Gi. */
  readonly requests?: Quantities;
  /** Amounts by resource, e.g. cpu 500m or memory 1Gi. */
  readonly limits?: Quantities;
}

/** Amounts by resource, e.g. cpu 500m or memory 1Gi. */
export type Quantities = Readonly<Record<string, number | string>>;

/** Rules for the choice of nodes, as in a Pod. Without it Pods of the same kind prefer different nodes. */
export interface Affinity {
  /** Which nodes the Pod may or should run on, by their labels. */
  readonly nodeAffinity?: AffinityNodeAffinity;
  /** Rules relative to Pods that run already; under podAntiAffinity the same terms keep away from them. */
  readonly podAffinity?: PodAffinity;
  /** Rules relative to Pods that run already; under podAntiAffinity the same terms keep away from them. */
  readonly podAntiAffinity?: PodAffinity;
}

/** Which nodes the Pod may or should run on, by their labels. */
export interface AffinityNodeAffinity {
  /** The Pod runs only on nodes that match one of these terms. */
  readonly requiredDuringSchedulingIgnoredDuringExecution?: AffinityNodeAffinityRequiredDuringSchedulingIgnoredDuringExecution;
  /** The scheduler prefers nodes with the greatest sum of weights. */
  readonly preferredDuringSchedulingIgnoredDuringExecution?: readonly AffinityNodeAffinityPreferredDuringSchedulingIgnoredDuringExecution[];
}

/** The Pod runs only on nodes that match one of these terms. */
export interface AffinityNodeAffinityRequiredDuringSchedulingIgnoredDuringExecution {
  /** Terms of which one must match. */
  readonly nodeSelectorTerms: readonly NodeSelectorTerm[];
}

/** Requirements that a node must all meet. */
export interface NodeSelectorTerm {
  /** Requirements on the node's labels. */
  readonly matchExpressions?: NodeSelectorRequirements;
  /** Requirements on the node's labels. */
  readonly matchFields?: NodeSelectorRequirements;
}

/** Requirements on the node's labels. */
export type NodeSelectorRequirements = readonly NodeSelectorRequirement[];

/** One requirement. */
export interface NodeSelectorRequirement {
  /** The label or field. */
  readonly key: string;
  /** How the value is compared. */
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
  /** Values for In and NotIn; one integer for Gt and Lt; none for the others. */
  readonly values?: readonly string[];
}

/** A weighted preference. */
export interface AffinityNodeAffinityPreferredDuringSchedulingIgnoredDuringExecution {
  /** How much it counts, 1 to 100. */
  readonly weight: number;
  /** Requirements that a node must all meet. */
  readonly preference: NodeSelectorTerm;
}

/** Rules relative to Pods that run already; under podAntiAffinity the same terms keep away from them. */
export interface PodAffinity {
  /** Terms that must all hold. */
  readonly requiredDuringSchedulingIgnoredDuringExecution?: readonly PodAffinityTerm[];
  /** The scheduler prefers nodes with the greatest sum of weights. */
  readonly preferredDuringSchedulingIgnoredDuringExecution?: readonly PodAffinityPreferredDuringSchedulingIgnoredDuringExecution[];
}

/** Pods, and the topology in which nearness is measured. */
export interface PodAffinityTerm {
  /** The node label whose equal values mean the same place, e.g. kubernetes.io/hostname. */
  readonly topologyKey: string;
  /** Which objects are meant, by their labels. */
  readonly labelSelector?: LabelSelector;
  /** Which objects are meant, by their labels. */
  readonly namespaceSelector?: LabelSelector;
  /** Namespaces in which Pods are looked for; without it and namespaceSelector the cluster's own. */
  readonly namespaces?: readonly string[];
  /** Labels of the Pod itself that are looked up and added to labelSelector. */
  readonly matchLabelKeys?: LabelKeys;
  /** Labels of the Pod itself that are looked up and added to labelSelector. */
  readonly mismatchLabelKeys?: LabelKeys;
}

/** Which objects are meant, by their labels. */
export interface LabelSelector {
  /** Labels and the values that they must have. */
  readonly matchLabels?: Labels;
  /** Requirements on labels, all to be met. */
  readonly matchExpressions?: readonly LabelSelectorMatchExpression[];
}

/** Labels and the values that they must have. */
export type Labels = Readonly<Record<string, string>>;

/** One requirement. */
export interface LabelSelectorMatchExpression {
  /** The label. */
  readonly key: string;
  /** How the value is compared. */
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  /** Values for In and NotIn; none for the others. */
  readonly values?: readonly string[];
}

/** Labels of the Pod itself that are looked up and added to labelSelector. */
export type LabelKeys = readonly string[];

/** A weighted preference. */
export interface PodAffinityPreferredDuringSchedulingIgnoredDuringExecution {
  /** How much it counts, 1 to 100. */
  readonly weight: number;
  /** Pods, and the topology in which nearness is measured. */
  readonly podAffinityTerm: PodAffinityTerm;
}

/**
 * How Pods are spread over zones or nodes, as in a Pod. Without labelSelector, Pods of the same kind in this
 * cluster are counted.
 */
export type TopologySpreadConstraints = readonly TopologySpreadConstraint[];

/** One constraint. */
export interface TopologySpreadConstraint {
  /** By how many Pods places may differ. */
  readonly maxSkew: number;
  /** Fewest places that must exist, for whenUnsatisfiable DoNotSchedule. */
  readonly minDomains?: number;
  /** The node label whose values are the places, e.g. topology.kubernetes.io/zone. */
  readonly topologyKey: string;
  /** DoNotSchedule leaves the Pod pending, ScheduleAnyway only prefers. */
  readonly whenUnsatisfiable: 'DoNotSchedule' | 'ScheduleAnyway';
  /** Which objects are meant, by their labels. */
  readonly labelSelector?: LabelSelector;
  /** Labels of the Pod itself that are looked up and added to labelSelector. */
  readonly matchLabelKeys?: LabelKeys;
  /** Whether nodes that the Pod cannot run on are left out (Honor) or counted (Ignore). */
  readonly nodeAffinityPolicy?: NodeInclusion;
  /** Whether nodes that the Pod cannot run on are left out (Honor) or counted (Ignore). */
  readonly nodeTaintsPolicy?: NodeInclusion;
}

/** Whether nodes that the Pod cannot run on are left out (Honor) or counted (Ignore). */
export type NodeInclusion = 'Honor' | 'Ignore';

/** Labels that a node must have. */
export type NodeSelector = Readonly<Record<string, string>>;

/** Taints of nodes that the Pods tolerate, as in a Pod. */
export type Tolerations = readonly Toleration[];

/** One toleration. */
export interface Toleration {
  /** The taint; empty with operator Exists means all. */
  readonly key?: string;
  /** Whether the value must be equal or the taint just exist. */
  readonly operator?: 'Exists' | 'Equal';
  /** The value, for operator Equal. */
  readonly value?: string;
  /** The effect that is tolerated; empty means all. */
  readonly effect?: '' | 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
  /** For how many seconds a NoExecute taint is tolerated; without it, for ever. */
  readonly tolerationSeconds?: number;
}

/** One shard's differences. */
export interface ShardsOverride {
  /** The shard, e.g. shard-2. */
  readonly name: string;
  /** The volume of each shard, for data and WAL. */
  readonly storage?: Storage;
  /** What the container asks for and may use at most, as in a Pod. */
  readonly resources?: Resources;
  /** Labels that a node must have. */
  readonly nodeSelector?: NodeSelector;
}

/** One server. */
export interface ShardsExternal {
  /** Name of the shard, for good; it is part of the names of prepared transactions. */
  readonly name: string;
  /** Host name or address. */
  readonly host: string;
  /** Port. */
  readonly port: number;
  /** The database on that server. */
  readonly database: string;
  /**
   * Secret with username and password of a role with which the operator makes the roles of the cluster and
   * proxies finish prepared transactions. It is read, never changed.
   */
  readonly credentialsSecretRef: ShardsExternalCredentialsSecretRef;
  /**
   * Disable connects in clear text, Require encrypts without verifying the server, VerifyFull also verifies its
   * certificate and host name with the CA of caSecretRef.
   */
  readonly tlsMode: 'Disable' | 'Require' | 'VerifyFull';
  /** Secret with the CA certificate that signed the server's, for tlsMode VerifyFull. */
  readonly caSecretRef?: ShardsExternalCaSecretRef;
}

/**
 * Secret with username and password of a role with which the operator makes the roles of the cluster and proxies
 * finish prepared transactions. It is read, never changed.
 */
export interface ShardsExternalCredentialsSecretRef {
  /** Name of the Secret. */
  readonly name: string;
}

/** Secret with the CA certificate that signed the server's, for tlsMode VerifyFull. */
export interface ShardsExternalCaSecretRef {
  /** Name of the Secret. */
  readonly name: string;
  /** Key of the certificate in the Secret. */
  readonly key: string;
}

/** Which tables are spread over the shards, and by which column. */
export interface Sharding {
  /** Into how many parts the keys are cut; shards own whole buckets. Fixed for the life of the data. */
  readonly buckets: number;
  /**
   * What a table is that tables does not list. reference means whole on every shard, reject refuses statements
   * on it.
   */
  readonly unlisted: 'reference' | 'reject';
  /** The only search_path in which unqualified table names are understood. */
  readonly searchPath: readonly string[];
  /** The tables that are spread by a key, and those that are whole on every shard. */
  readonly tables: readonly ShardingTable[];
}

/** One table. */
export interface ShardingTable {
  /** Schema of the table. */
  readonly schema: string;
  /** Name of the table. */
  readonly name: string;
  /** The column whose value decides the shard of a row. */
  readonly key?: string;
  /** Type of that column. */
  readonly type?: 'bigint' | 'integer' | 'smallint' | 'text' | 'varchar' | 'uuid';
  /**
   * How values become buckets. hash is PostgreSQL's own hash of partitioned tables, and what a table has without
   * this.
   */
  readonly method?: 'hash';
  /** True for a table that is whole on every shard. */
  readonly reference?: boolean;
}

/** How transactions over several shards end. */
export interface TwoPhaseCommit {
  /** False commits shards one after another, so that a crash tears transactions. For comparison only. */
  readonly enabled: boolean;
  /** Whether single statements that write to several shards are atomic by themselves. */
  readonly auto: boolean;
  /**
   * How long a client waits for shards that do not answer after the decision, e.g. 5s. The transaction is
   * committed all the same.
   */
  readonly commitWait: string;
  /**
   * max_prepared_transactions of the shards. Without it: one for each connection that the proxies may open to a
   * shard, the proxies rounded up to a multiple of four, and a quarter more for transactions whose proxy is
   * away. A change restarts one shard at a time.
   */
  readonly maxPreparedTransactions?: number;
  /**
   * What the operator does for a proxy that does not come back. Resolve finishes its transactions as its log
   * says; Hold only reports them. What cannot be proven is held under both.
   */
  readonly inDoubtPolicy: 'Resolve' | 'Hold';
  /**
   * How long a proxy may be away before the operator acts for it, and an in-doubt transaction may hold up a
   * restart.
   */
  readonly recoveryGracePeriod: string;
}

/** The proxies, which clients connect to. */
export interface Proxy {
  /**
   * How many proxies. kubectl scale changes it. One that is scaled away drains, and stays until its log is
   * clean.
   */
  readonly replicas: number;
  /** Image of the proxy; without it the operator's own, which holds both. */
  readonly image?: string;
  /** When nodes pull the image. */
  readonly imagePullPolicy: ImagePullPolicy;
  /** The Service that clients connect to. It has the cluster's name. */
  readonly service: ProxyService;
  /** The write-ahead log of each proxy, in which commit decisions are durable. */
  readonly wal: ProxyWal;
  /** Connections from each proxy to each shard, per user. */
  readonly pool: ProxyPool;
  /** What the container asks for and may use at most, as in a Pod. */
  readonly resources?: Resources;
  /** Rules for the choice of nodes, as in a Pod. Without it Pods of the same kind prefer different nodes. */
  readonly affinity?: Affinity;
  /**
   * How Pods are spread over zones or nodes, as in a Pod. Without labelSelector, Pods of the same kind in this
   * cluster are counted.
   */
  readonly topologySpreadConstraints?: TopologySpreadConstraints;
  /** Labels that a node must have. */
  readonly nodeSelector?: NodeSelector;
  /** Taints of nodes that the Pods tolerate, as in a Pod. */
  readonly tolerations?: Tolerations;
  /**
   * How many seconds a proxy has to drain and stop before it is killed. A kill loses nothing; what was under way
   * is recovered at the next start.
   */
  readonly terminationGracePeriodSeconds: number;
  /** TLS between clients and proxies. */
  readonly tls: ProxyTls;
}

/** The Service that clients connect to. It has the cluster's name. */
export interface ProxyService {
  /** Type of the Service. */
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer';
  /** Port of the Service. */
  readonly port: number;
  /** Annotations of the Service, e.g. for a cloud's load balancer. */
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The write-ahead log of each proxy, in which commit decisions are durable. */
export interface ProxyWal {
  /** Size of the volume, e.g. 2Gi. It can grow where the StorageClass allows it, and never shrinks. */
  readonly size: string;
  /** StorageClass of the volume; without it the cluster's default class. It cannot change. */
  readonly storageClassName?: string;
  /** Size of one file of the log, at least 64Ki; allocated ahead. */
  readonly segmentSize: string;
  /** How long decisions that ended can still be found in the log. */
  readonly retention: string;
}

/** Connections from each proxy to each shard, per user. */
export interface ProxyPool {
  /**
   * Most connections per proxy, shard and user. Transactions over several shards may open as many more for each
   * further shard, at most three times as many.
   */
  readonly size: number;
  /** Most transactions that wait for a connection; more are refused. */
  readonly queueMax: number;
  /** How long one waits. */
  readonly queueWait: string;
  /** After how long an unused connection is closed. */
  readonly idleTimeout: string;
  /** After how long a connection is replaced. */
  readonly lifetime: string;
  /** How long connecting to a shard may take. */
  readonly connectTimeout: string;
}

/** TLS between clients and proxies. */
export interface ProxyTls {
  /** Allow serves clients with and without TLS, Require refuses those without, Disable offers none. */
  readonly mode: 'Allow' | 'Require' | 'Disable';
  /**
   * Secret of type kubernetes.io/tls with tls.crt and tls.key. Without it the operator makes a CA and a
   * certificate, and renews it.
   */
  readonly secretName?: string;
  /** Secret whose ca.crt is the CA that signed the certificate of secretName. */
  readonly caSecretName?: string;
}

/** Roles of PostgreSQL and their passwords. */
export interface Credentials {
  /**
   * Secret with username and password of the superuser of new shards. Without it the operator makes one. A
   * Secret of yours is read, never changed.
   */
  readonly superuserSecretRef?: CredentialsSuperuserSecretRef;
  /** Roles that clients log in as. Without any, one is made that is named app, with a generated password. */
  readonly users: readonly CredentialsUser[];
}

/**
 * Secret with username and password of the superuser of new shards. Without it the operator makes one. A Secret
 * of yours is read, never changed.
 */
export interface CredentialsSuperuserSecretRef {
  /** Name of the Secret. */
  readonly name: string;
}

/** One role. */
export interface CredentialsUser {
  /** Name of the role. */
  readonly name: string;
  /**
   * Where the password is. Without it the operator makes a Secret with a generated one. A Secret of yours is
   * read, never changed.
   */
  readonly passwordSecretRef?: CredentialsUserPasswordSecretRef;
}

/**
 * Where the password is. Without it the operator makes a Secret with a generated one. A Secret of yours is read,
 * never changed.
 */
export interface CredentialsUserPasswordSecretRef {
  /** Name of the Secret. */
  readonly name: string;
  /** Key of the password in the Secret. */
  readonly key: string;
}

/** What happens to volumes. A log with unfinished decisions is never deleted, whatever this says. */
export interface PvcRetentionPolicy {
  /** When the ShardedCluster is deleted. */
  readonly whenDeleted: 'Retain' | 'Delete';
  /** When proxies are scaled down. Volumes of shards always stay. */
  readonly whenScaled: 'Retain' | 'Delete';
}

/** Guards against evictions of several Pods at once. */
export interface PodDisruptionBudget {
  /** Whether PodDisruptionBudgets are made, one for the proxies and one per shard. */
  readonly enabled: boolean;
}

/** Who may connect to the Pods. */
export interface NetworkPolicy {
  /** Whether NetworkPolicies are made. Shards then take connections from proxies and operator only. */
  readonly enabled: boolean;
  /** Who may connect to the proxies; without it, everybody. */
  readonly clients?: readonly NetworkPeer[];
  /** Who else may connect to shards directly, e.g. a backup. */
  readonly shardClients?: readonly NetworkPeer[];
}

/** Pods and namespaces, as in a NetworkPolicy. */
export interface NetworkPeer {
  /** Which objects are meant, by their labels. */
  readonly podSelector?: LabelSelector;
  /** Which objects are meant, by their labels. */
  readonly namespaceSelector?: LabelSelector;
}

/** Objects of the Prometheus operator, made where its CRDs are installed. */
export interface Monitoring {
  /** One object of the Prometheus operator. */
  readonly podMonitor: MonitoringObject;
  /** One object of the Prometheus operator. */
  readonly prometheusRule: MonitoringObject;
}

/** One object of the Prometheus operator. */
export interface MonitoringObject {
  /** Whether it is made. */
  readonly enabled: boolean;
  /** Labels and the values that they must have. */
  readonly labels?: Labels;
}

/** What the operator last saw, by SQL and by the proxies' own word. Written by the operator only. */
export interface ShardedClusterStatus {
  /** The generation of the spec that this status speaks of. */
  readonly observedGeneration?: number;
  /** What the operator is doing. */
  readonly phase?:
    | 'Pending'
    | 'Creating'
    | 'Ready'
    | 'Updating'
    | 'Degraded'
    | 'Paused'
    | 'ShuttingDown'
    | 'Stopped'
    | 'Deleting';
  /** The most important thing to know, in words. */
  readonly message?: string;
  /** Label selector of the proxies' Pods, for the scale subresource. */
  readonly selector?: string;
  /** The short id of the cluster in the name of every prepared transaction; made once. */
  readonly clusterId?: string;
  /** Shards that answer SQL, of all, e.g. 3/3. */
  readonly shardsReady?: string;
  /** Proxies that take clients, of all, e.g. 2/2. */
  readonly proxiesReady?: string;
  /** How many proxies there are, for the scale subresource. */
  readonly proxyReplicas?: number;
  /** Transactions whose end is not known yet, on all shards. */
  readonly inDoubtTransactions?: number;
  /**
   * Ready, Progressing, Degraded, ShardsReady, ProxyReady, PendingRestart, TwoPhaseHealthy, InDoubtTransactions,
   * WalLost, ReconciliationPaused and DeletionBlocked, each with reason and message.
   */
  readonly conditions?: readonly StatusCondition[];
  /** Each shard, as SQL shows it. */
  readonly shards?: readonly StatusShard[];
  /** Each proxy, by its own word. */
  readonly proxies?: readonly StatusProxy[];
  /**
   * What the last recovery of any proxy did, in numbers of one pass that came to its end. One that an operator
   * did not live to tell of is left out.
   */
  readonly lastRecovery?: StatusLastRecovery;
  /** Transactions that nobody could end, the first 100; kubectl atomshard resolve ends one. */
  readonly heldTransactions?: readonly StatusHeldTransaction[];
  /**
   * Names of the shards over which rows are spread now, in their order. Rows are not moved yet, so this follows
   * the spec only while no shard has a table; until then proxies go on with these shards.
   */
  readonly placement?: readonly string[];
  /** Shards that are no longer in the spec. They are stopped, and their volumes stay. */
  readonly retiredShards?: readonly StatusRetiredShard[];
}

/** One condition. */
export interface StatusCondition {
  /** Which condition. */
  readonly type: string;
  /** Whether it holds. */
  readonly status: 'True' | 'False' | 'Unknown';
  /** Why, in one word for programs. */
  readonly reason: string;
  /** Why, in a sentence for people. */
  readonly message: string;
  /** Since when status is what it is. */
  readonly lastTransitionTime: string;
  /** The generation of the spec that this condition speaks of. */
  readonly observedGeneration?: number;
}

/** One shard. */
export interface StatusShard {
  /** Name of the shard. */
  readonly name: string;
  /** Whether it answered SQL. */
  readonly ready?: boolean;
  /** Why it is not ready. */
  readonly message?: string;
  /** max_prepared_transactions as the running server has it. */
  readonly maxPreparedTransactions?: number;
  /** Prepared transactions that were there at the last look. */
  readonly preparedTransactions?: number;
  /** Those among them that other programs made. They are counted, never touched. */
  readonly foreignPreparedTransactions?: number;
  /** When the oldest of them was prepared. */
  readonly oldestPreparedTime?: string;
  /** Whether a parameter waits for a restart. */
  readonly pendingRestart?: boolean;
}

/** One proxy. */
export interface StatusProxy {
  /** Name of the proxy's Pod. */
  readonly name: string;
  /**
   * Active takes clients, Draining takes no new ones, Recovering finishes what its predecessor left, InDoubt
   * holds transactions that it cannot finish, Clean has nothing unfinished in its log.
   */
  readonly state?: 'Active' | 'Draining' | 'Recovering' | 'InDoubt' | 'Clean';
  /** Identity of its log. Another one on the same name means that the volume was lost. */
  readonly walId?: string;
  /** How often the log was opened, counting from its making; part of the names of its transactions. */
  readonly epoch?: number;
  /** Positions in its log, in records. */
  readonly positions?: StatusProxyPositions;
  /** Transactions of this proxy whose end is not known yet. */
  readonly inDoubt?: number;
  /** When its last recovery ended. */
  readonly lastRecoveryTime?: string;
}

/** Positions in its log, in records. */
export interface StatusProxyPositions {
  /** The oldest record that is kept. */
  readonly oldest?: number;
  /** Everything up to here is finished on all shards. */
  readonly applied?: number;
  /** Everything up to here is durable. */
  readonly committed?: number;
  /** The last record written. */
  readonly appended?: number;
}

/**
 * What the last recovery of any proxy did, in numbers of one pass that came to its end. One that an operator did
 * not live to tell of is left out.
 */
export interface StatusLastRecovery {
  /** When it ended. */
  readonly time?: string;
  /** Transactions that it committed. */
  readonly committed?: number;
  /** Transactions that it rolled back. */
  readonly rolledBack?: number;
  /** Transactions that it left, because their end cannot be proven. */
  readonly held?: number;
}

/** One transaction. */
export interface StatusHeldTransaction {
  /** Its id, as clients and logs show it. */
  readonly transaction: string;
  /** The row of the decision table that holds it; docs/RECOVERY.md explains each. */
  readonly reason?: string;
  /** True when waiting cannot help, so that a person must decide. */
  readonly needsDecision?: boolean;
  /** The state of each of its branches, e.g. shard-0 P, shard-1 U; P is prepared, C committed. */
  readonly participants?: string;
}

/** One shard. */
export interface StatusRetiredShard {
  /** Name of the shard. */
  readonly name: string;
  /** When it left the spec. */
  readonly retiredTime?: string;
  /** The PersistentVolumeClaim with its rows. */
  readonly claimName?: string;
}

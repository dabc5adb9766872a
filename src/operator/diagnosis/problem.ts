// A fault of the cluster's surroundings in words: which object, why, and what to do; never a guess beyond what was observed.

/**
 * Every reason with its meaning and what to do, as docs/CONDITIONS.md shows them; a test compares the two. From
 * ShardNotAnswering on they are seen in SQL or when objects are applied (src/operator/cluster/faults.ts).
 */
export const PROBLEM_MEANING = {
  ImageCannotBePulled: [
    'the node cannot get the image',
    'correct `image`, name credentials in `imagePullSecrets`, or let the node reach the registry',
  ],
  Unschedulable: [
    'no node takes the pod; the scheduler’s reason is in the message',
    'add nodes, or lower `resources`, `affinity`, `nodeSelector`',
  ],
  CrashLoop: ['the container ends again and again, for the reason in its last line', '`kubectl logs --previous`'],
  ContainerNotCreated: ['the kubelet cannot make the container', 'the message has its reason'],
  OutOfMemory: [
    'the container was killed for using more memory than it may',
    'raise `resources.limits.memory`, or lower `shared_buffers` and `work_mem`',
  ],
  VolumeFull: [
    'the volume has no room left',
    'raise `storage.size` or `proxy.wal.size` where the StorageClass can grow; delete nothing in `pg_wal` or in a log',
  ],
  StorageClassMissing: ['there is no such StorageClass, or no default one', 'make it; a class cannot change later'],
  VolumePending: ['the claim gets no volume', '`kubectl describe pvc`'],
  VolumeLost: [
    'the PersistentVolume behind a claim is gone',
    'bring it back, or restore the shard; for a proxy see [RECOVERY.md](RECOVERY.md)',
  ],
  ResizeFailed: ['a volume does not grow', 'the storage driver’s reason is in the message'],
  VolumeNotMounted: [
    'the node cannot mount a volume of the pod',
    '`kubectl describe pod`; a volume may still be attached to another node',
  ],
  SecretMissing: ['a Secret is not there', 'make it with the keys that the message names'],
  SecretIncomplete: ['a Secret lacks a key', 'add the key'],
  ParametersRefused: [
    'PostgreSQL refuses a setting; a running server goes on with the former one',
    'correct `postgres.parameters`',
  ],
  ForeignDataDirectory: [
    'the volume of a shard holds data that the operator did not make; nothing was changed',
    'give the shard an empty volume',
  ],
  MajorVersionChanged: ['the image has another major version than the data', 'write an image of the former one'],
  ConfigurationRefused: [
    'a proxy refuses its configuration; a running one goes on with the former one',
    'the message has the key; usually a value in the spec',
  ],
  LogLocked: ['another process holds the proxy’s log', 'it starts when that one has ended'],
  LogDamaged: [
    'the proxy’s log has bytes that no crash explains; nothing was changed',
    '[RECOVERY.md](RECOVERY.md); never delete the volume',
  ],
  LogFailed: ['writing the log failed', 'look at the volume’s disk; what was told to clients is durable'],
  Evicted: ['the node gave the pod up for lack of resources', 'it is made anew; raise `resources.requests`'],
  PodNotCreated: ['Kubernetes refuses to make a pod', 'a quota or an admission rule; the message has its reason'],
  PodTerminatingLong: [
    'a pod should have ended and its node does not confirm it',
    'when the machine is really off, taint it with `node.kubernetes.io/out-of-service`; never delete such a pod by force while it may run',
  ],
  NodeLost: ['the node does not answer', 'bring it back, or give it up as above'],
  ShardNotAnswering: [
    'a server has not answered SQL for half a minute and nothing else explains it',
    'look at its log; an external one: host, port, firewall',
  ],
  ProxyNotAnswering: ['a proxy has not answered its admin database for half a minute', 'look at its log'],
  LoginRefused: ['the server refuses role or password', 'the Secret must hold the password that the server knows'],
  TlsRefused: ['no trusted TLS connection', 'correct the certificates, or the TLS mode'],
  DatabaseMissing: ['the database is not there and could not be made', 'make it, or name one that exists'],
  TooManyConnections: ['the server has no connection left', 'raise `max_connections`, or lower `proxy.pool.size`'],
  NotPrimary: ['an external shard is a standby', 'point it at its primary'],
  VersionTooOld: ['PostgreSQL before 14.5', 'upgrade that server'],
  TooFewPreparedTransactions: [
    '`max_prepared_transactions` of an external shard is too low',
    'the message has the statement; then restart that server',
  ],
  SetupIncomplete: [
    'a role, right, database or extension could not be made',
    'the message has the statement that a superuser runs, or what is missing',
  ],
  SettingOverridden: ['`ALTER SYSTEM` or the like stands above a setting of the spec', '`ALTER SYSTEM RESET` it'],
  ObjectRefused: [
    'the API server refuses an object of the cluster',
    'its reason is in the message: a quota, an admission rule, a right that the operator lacks',
  ],
} as const satisfies Readonly<Record<string, readonly [meaning: string, remedy: string]>>;

/** Closed: reasons are read by programs, and stand in conditions and events. */
export type ProblemReason = keyof typeof PROBLEM_MEANING;

/** Whose fault it is: one shard, one proxy, or what all share. */
export type Afflicted =
  | { readonly kind: 'shard'; readonly name: string }
  | { readonly kind: 'proxy'; readonly name: string }
  | { readonly kind: 'cluster' };

export interface Problem {
  readonly of: Afflicted;
  /** The object that `kubectl describe` shows it on. */
  readonly object: { readonly kind: string; readonly name: string };
  readonly reason: ProblemReason;
  /** What is wrong and what to do, in one or two sentences; stable while the cause stays, so that it can be compared. */
  readonly message: string;
}

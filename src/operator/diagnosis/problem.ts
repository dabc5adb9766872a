// A fault of the cluster's surroundings in words: which object, why, and what to do; never a guess beyond what was observed.

/** Closed: reasons are read by programs, and stand in conditions and events. */
export type ProblemReason =
  | 'ImageCannotBePulled'
  | 'Unschedulable'
  | 'CrashLoop'
  | 'ContainerNotCreated'
  | 'OutOfMemory'
  | 'VolumeFull'
  | 'StorageClassMissing'
  | 'VolumePending'
  | 'VolumeLost'
  | 'ResizeFailed'
  | 'VolumeNotMounted'
  | 'SecretMissing'
  | 'SecretIncomplete'
  | 'ParametersRefused'
  | 'ForeignDataDirectory'
  | 'MajorVersionChanged'
  | 'ConfigurationRefused'
  | 'LogLocked'
  | 'LogDamaged'
  | 'LogFailed'
  | 'Evicted'
  | 'PodNotCreated'
  | 'PodTerminatingLong'
  | 'NodeLost'
  // Seen in SQL or when objects are applied, not on Kubernetes objects (src/operator/cluster/faults.ts).
  | 'ShardNotAnswering'
  | 'ProxyNotAnswering'
  | 'LoginRefused'
  | 'TlsRefused'
  | 'DatabaseMissing'
  | 'TooManyConnections'
  | 'NotPrimary'
  | 'VersionTooOld'
  | 'TooFewPreparedTransactions'
  | 'SetupIncomplete'
  | 'SettingOverridden'
  | 'ObjectRefused';

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

// What recovery cannot settle quietly: a closed list, each kind with what it means; a person reads these, so none is vague.

export const ALARM_MEANING = {
  DecisionLost:
    'a participant committed although the intact log has no decision: the log lost one, or somebody interfered',
  DecisionPruned: 'the transaction is older than the decisions that the log still keeps',
  WalLost: 'this instance prepared the transaction under a log that is gone: the volume was lost or replaced',
  WalDamaged: 'the log is damaged, and what can be read of it has no decision about the transaction',
  NewerEpoch: 'a later run of this instance prepared it: this process is stale, or its log was restored from a copy',
  HeuristicMixed: 'the transaction is committed on one shard and aborted on another',
  HeuristicRollback: 'decided COMMIT, but a participant is rolled back: somebody resolved it by hand',
  HeuristicCommit: 'decided ABORT, but a participant is committed: somebody resolved it by hand',
  ParticipantLost: 'decided COMMIT, but the shard no longer has the branch: it lost acknowledged writes',
  Unverified: 'decided COMMIT, but nothing proves what became of a participant that is gone',
  StillInProgress: 'decided COMMIT, but a participant is in progress and not prepared',
  ShardRemoved: 'a participant is on a shard that is no longer in the topology',
  GidMistake: 'a prepared transaction is not what its name says it is',
  FenceFailed: 'connections of an earlier run could not be ended on a shard',
  ResolverNotAllowed: 'the recovery role may not do what recovery needs on a shard',
  LogUnreadable: 'the decision log could not be read, so nothing that depends on it was judged',
} as const satisfies Record<string, string>;

export type AlarmKind = keyof typeof ALARM_MEANING;

export interface Alarm {
  readonly kind: AlarmKind;
  /** `<cluster>:<instance>.<epoch>.<seq>`. */
  readonly transaction?: string | undefined;
  readonly shard?: string | undefined;
  /** Particulars: what was seen. ALARM_MEANING says what it means. */
  readonly message: string;
}

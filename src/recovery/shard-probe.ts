// The port through which recovery sees and touches one shard; every answer says who answered, and silence is an answer too.
import type { CommandReply } from '../shard/branch-link.ts';

/** A probe never rejects: a shard that cannot answer is `absent`, and `why` is for people. */
export type Answer<T> =
  | { readonly kind: 'answer'; readonly value: T }
  | {
      readonly kind: 'absent';
      readonly cause: 'unreachable' | 'standby' | 'refused' | 'too-old';
      readonly why: string;
    };

export interface PreparedRow {
  readonly gid: string;
  /** Widened to 64 bits, decimal. */
  readonly xid: string;
  /** Server clock, milliseconds since the Unix epoch. */
  readonly preparedAtMs: number;
}

/** One look at one primary, taken by one statement. */
export interface ShardScan {
  readonly systemIdentifier: string;
  readonly timeline: number;
  /** When this life of the server began (its checkpointer's start), server clock; null when the role may not see it. */
  readonly livingSinceMs: number | null;
  /**
   * The next xid at the moment when crash recovery ended: a smaller one was never issued again. Null as soon as a later
   * checkpoint has overwritten it.
   */
  readonly recoveredNextXid: string | null;
  /** Prepared transactions of this database only. */
  readonly prepared: readonly PreparedRow[];
  readonly nowMs: number;
}

/** pg_xact_status: `null` is its NULL (too old to know), `future` its error for an xid that was never issued. */
export type XidStatus = 'committed' | 'aborted' | 'in progress' | 'future' | null;

export interface Fenced {
  readonly terminated: number;
  /** Still there at the deadline (a stopped process cannot be ended from SQL). */
  readonly remaining: number;
}

export interface ShardProbe {
  readonly shard: string;
  /** Ends all backends of earlier epochs of `instance` and waits until they are gone. */
  fence(cluster: string, instance: string, beforeEpoch: number): Promise<Answer<Fenced>>;
  scan(): Promise<Answer<ShardScan>>;
  xidStatus(xid: string): Promise<Answer<XidStatus>>;
  /** The WAL position at which `timeline` was left for a later one, `X/X`; null when unknown. */
  timelineEnd(timeline: number): Promise<Answer<string | null>>;
  /** Ends the backend that carries `xid`, if it is a connection named `ownerName`. */
  terminateXid(xid: string, ownerName: string): Promise<Answer<Fenced>>;
  /** Ends exactly that backend: its pid and start time name it for ever. */
  terminateBackend(pid: number, backendStart: string): Promise<Answer<Fenced>>;
  /** COMMIT PREPARED or ROLLBACK PREPARED. */
  resolve(gid: string, verdict: 'commit' | 'abort'): Promise<CommandReply>;
  close(): Promise<void>;
}

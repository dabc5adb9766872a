// Who leads, decided from a Lease and our own clock: times written by others are never compared with ours, only seen to change.
import type { KubeObject } from './resource.ts';

export interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string | null;
    readonly leaseDurationSeconds?: number | null;
    /** RFC 3339 with microseconds. */
    readonly acquireTime?: string | null;
    readonly renewTime?: string | null;
    readonly leaseTransitions?: number | null;
  };
}

export interface ElectionTiming {
  /** After this long without a change of the Lease, others take over. */
  readonly leaseDurationMs: number;
  /** After this long without a renewal that succeeded, the leader stops writing. */
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
}

/** The values of Kubernetes' own controllers: 5 s between the leader's last write and the first of the next. */
export const ELECTION_TIMING: ElectionTiming = {
  leaseDurationMs: 15_000,
  renewDeadlineMs: 10_000,
  retryPeriodMs: 2_000,
};

/** A Lease as first seen in this form, by our monotonic clock. */
export interface Observation {
  readonly lease: Lease;
  readonly sinceMs: number;
}

/** The observation after reading `lease`: the old one while nothing in it changed. */
export function observe(before: Observation | undefined, lease: Lease, nowMs: number): Observation {
  const same = before !== undefined && JSON.stringify(before.lease.spec) === JSON.stringify(lease.spec);
  return { lease, sinceMs: same ? before.sinceMs : nowMs };
}

export type ElectionStep =
  | { readonly kind: 'create' }
  | { readonly kind: 'renew' }
  /** Nobody leads, or the leader has been silent for the length of its Lease. */
  | { readonly kind: 'takeOver' }
  | { readonly kind: 'wait'; readonly leader: string };

export function electionStep(
  observed: Observation | undefined,
  identity: string,
  nowMs: number,
  timing: ElectionTiming,
): ElectionStep {
  if (observed === undefined) return { kind: 'create' };
  const { holderIdentity, leaseDurationSeconds } = observed.lease.spec ?? {};
  const leader = holderIdentity ?? '';
  if (leader === identity) return { kind: 'renew' };
  if (leader === '') return { kind: 'takeOver' };
  // The leader counts by its own setting, which may be longer than ours.
  const durationMs = Math.max(timing.leaseDurationMs, (leaseDurationSeconds ?? 0) * 1_000);
  return nowMs - observed.sinceMs >= durationMs ? { kind: 'takeOver' } : { kind: 'wait', leader };
}

export interface LeaseChange {
  readonly identity: string;
  readonly nowMs: number;
  readonly timing: ElectionTiming;
}

/** The Lease as we want it written: fields of others (labels, annotations) stay. */
export function leaseHeldBy(lease: Lease, { identity, nowMs, timing }: LeaseChange): Lease {
  const now = microTime(nowMs);
  const { spec } = lease;
  const ours = spec?.holderIdentity === identity;
  const before = spec?.leaseTransitions ?? 0;
  return {
    ...lease,
    spec: {
      ...spec,
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(timing.leaseDurationMs / 1_000),
      acquireTime: ours ? (spec?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: ours || spec === undefined ? before : before + 1,
    },
  };
}

/** The Lease given back, so that the next leader need not wait. */
export function leaseReleased(lease: Lease, nowMs: number): Lease {
  const now = microTime(nowMs);
  return {
    ...lease,
    spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: now, acquireTime: now },
  };
}

/** Kubernetes' MicroTime: RFC 3339 with six digits after the second. */
export function microTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('Z', '000Z');
}

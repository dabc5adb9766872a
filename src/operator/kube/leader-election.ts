// One of several processes leads, by a Lease; it stops writing before any other may start, and ends when it lost.
import type { Clock } from '../../kernel/clock.ts';
import type { WriteGate } from './call.ts';
import type { KubeClient } from './client.ts';
import { isKubeError } from './kube-error.ts';
import {
  ELECTION_TIMING,
  type ElectionTiming,
  electionStep,
  type Lease,
  leaseHeldBy,
  leaseReleased,
  type Observation,
  observe,
} from './lease-record.ts';
import { type ObjectRef, resource } from './resource.ts';

export const LEASES = resource<Lease>('coordination.k8s.io/v1', 'Lease', 'leases');

export interface LeaderElectionOptions {
  /** Without a write gate: this is what the gate hangs on. */
  readonly client: Pick<KubeClient, 'get' | 'create' | 'replace'>;
  readonly lease: Required<ObjectRef> & { readonly namespace: string };
  /** Never the same in two processes, nor in two lives of one pod: e.g. pod name and a random part. */
  readonly identity: string;
  readonly clock: Clock;
  /** Numbers in [0, 1), for jitter. */
  readonly random: () => number;
  readonly timing?: ElectionTiming;
  /** Told once, when this process leads. */
  readonly onLeading?: () => void;
  /** Told of calls that failed; the election goes on. */
  readonly onProblem?: (error: unknown) => void;
}

/** `lost`: another may lead, so the process should end. `stopped`: the signal was given, and the Lease given back. */
export type ElectionEnd = 'lost' | 'stopped';

export class LeaderElection implements WriteGate {
  readonly #options: LeaderElectionOptions;
  readonly #timing: ElectionTiming;
  #observed: Observation | undefined;
  /** Both clocks when the newest successful renewal was sent: the monotonic one stands still while a machine sleeps. */
  #renewed: { readonly monotonicMs: number; readonly wallMs: number } | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#timing = options.timing ?? ELECTION_TIMING;
  }

  /** Who holds the Lease, as last seen; '' when nobody. */
  get leader(): string {
    return this.#observed?.lease.spec?.holderIdentity ?? '';
  }

  get isLeader(): boolean {
    return this.writableMs() > 0;
  }

  /** Milliseconds for which nobody else can lead, if nothing renews the Lease any more. */
  writableMs(): number {
    if (this.#renewed === undefined) return 0;
    const { clock } = this.#options;
    const monotonicMs = clock.monotonicMs() - this.#renewed.monotonicMs;
    const wallMs = clock.nowMs() - this.#renewed.wallMs;
    return this.#timing.renewDeadlineMs - Math.max(monotonicMs, wallMs);
  }

  /** Stands for election and leads until lost, or until `signal` aborts; never rejects. Call it once. */
  async run(signal: AbortSignal): Promise<ElectionEnd> {
    const { clock, random, onLeading, onProblem } = this.#options;
    let led = false;
    while (!signal.aborted) {
      try {
        await this.#round(signal);
      } catch (error) {
        if (!signal.aborted) onProblem?.(error);
      }
      if (this.isLeader && !led) {
        led = true;
        onLeading?.();
      }
      if (led && !this.isLeader) return this.#lose();
      // Never asleep beyond the deadline: the loss must be told when it happens.
      const pauseMs = this.#timing.retryPeriodMs * (led ? 1 : 1 + random() * 0.2);
      await clock.sleep(led ? Math.min(pauseMs, Math.max(this.writableMs(), 0)) : pauseMs, signal);
      if (led && !this.isLeader && !signal.aborted) return this.#lose();
    }
    await this.#release();
    return 'stopped';
  }

  #lose(): ElectionEnd {
    this.#renewed = undefined;
    return 'lost';
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { client, lease: ref, identity, clock } = this.#options;
    const timeoutMs = this.#callTimeoutMs();
    // The leader's own copy is as good as the server's until a replace conflicts: one call per renewal instead of two.
    if (this.#renewed === undefined || this.#observed === undefined) await this.#read(signal);
    const step = electionStep(this.#observed, identity, clock.monotonicMs(), this.#timing);
    if (step.kind === 'wait') {
      this.#renewed = undefined;
      return;
    }
    const sent = { monotonicMs: clock.monotonicMs(), wallMs: clock.nowMs() };
    const base: Lease = this.#observed?.lease ?? { metadata: { ...ref } };
    const wanted = leaseHeldBy(base, { identity, nowMs: sent.wallMs, timing: this.#timing });
    try {
      // Lost answer: the Lease is ours on the server, unknown here; the next round conflicts, reads, and renews.
      const written = await client[step.kind === 'create' ? 'create' : 'replace'](LEASES, wanted, {
        signal,
        timeoutMs,
      });
      this.#observed = observe(undefined, written, sent.monotonicMs);
      this.#renewed = sent;
    } catch (error) {
      // Somebody wrote it, maybe we ourselves: look at once, so that a lost leadership is known now.
      if (!isKubeError(error, 'conflict', 'alreadyExists', 'notFound')) throw error;
      await this.#read(signal);
      if (this.leader !== identity) this.#renewed = undefined;
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    const { client, lease, clock } = this.#options;
    try {
      const found = await client.get(LEASES, lease, { signal, timeoutMs: this.#callTimeoutMs() });
      this.#observed = observe(this.#observed, found, clock.monotonicMs());
    } catch (error) {
      if (!isKubeError(error, 'notFound')) throw error;
      this.#observed = undefined;
    }
  }

  /** A call that hangs leaves time for another before the deadline, and never outlasts it. */
  #callTimeoutMs(): number {
    const halfMs = this.#timing.renewDeadlineMs / 2;
    return this.isLeader ? Math.min(halfMs, this.writableMs()) : halfMs;
  }

  async #release(): Promise<void> {
    const { client, clock, onProblem } = this.#options;
    const held = this.isLeader ? this.#observed?.lease : undefined;
    // From here on nothing is written any more, whatever becomes of the Lease.
    this.#renewed = undefined;
    if (held === undefined) return;
    try {
      await client.replace(LEASES, leaseReleased(held, clock.nowMs()), { timeoutMs: this.#timing.retryPeriodMs });
    } catch (error) {
      onProblem?.(error);
    }
  }
}

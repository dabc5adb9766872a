// Commits and rolls back clients' transactions: plans each by what its branches wrote, drives the machines, and keeps the
// set of transactions that recovery must leave alone because this process is driving them.
import type { Clock } from '../kernel/clock.ts';
import type { ControlPoint } from '../kernel/control-point.ts';
import type { SqlError } from '../protocol/sql-error.ts';
import { XID_QUESTION } from '../shard/xid-question.ts';
import { refusalOf, rolledBack } from './classify-reply.ts';
import type { CommitOutcome } from './commit-outcome.ts';
import type { DecisionLog } from './decision-log.ts';
import { type TransactionId, transactionKey } from './gid.ts';
import { commitOnePhase, commitOnlyBranch } from './one-phase-run.ts';
import { type Branch, planCommit } from './plan-commit.ts';
import type { Resolver } from './resolver.ts';
import { TwoPhaseRun } from './two-phase-run.ts';

export type { CommitOutcome } from './commit-outcome.ts';
export type { Branch } from './plan-commit.ts';

/** What the coordinator tells telemetry; every call is synchronous and cheap, and absent in most tests. */
export interface CommitObserver {
  /** A commit over two or more branches ended for its client. Milliseconds from COMMIT to the answer. */
  ended?(way: 'one-phase' | 'two-phase', outcome: CommitOutcome['kind'], elapsedMs: number): void;
  /** A transaction with one branch ended for its client. */
  single?(outcome: CommitOutcome['kind']): void;
  /** Several writers were committed without prepare, because two-phase commit is switched off. */
  unsafe?(writers: number): void;
}

export interface CoordinatorDeps {
  readonly cluster: string;
  readonly instance: string;
  readonly log: Pick<DecisionLog, 'identity' | 'admission' | 'commit' | 'end'>;
  readonly resolver: Resolver;
  readonly clock: Clock;
  readonly controlPoint: ControlPoint;
  /** How long a client waits for participants of a decided transaction, before it is told what is known. */
  readonly commitWaitMs: number;
  /** How long a participant may take for PREPARE (deferred triggers, a synchronous standby); default 60 s. */
  readonly prepareWaitMs?: number;
  /** False: several writers commit one after another, unsafely; for comparison only. Default true. */
  readonly twoPhaseCommit?: boolean;
  readonly observer?: CommitObserver;
}

interface Waiting {
  readonly run: TwoPhaseRun;
  phase: TwoPhaseRun['phase'];
  lateAtMs: number;
}

const PREPARE_WAIT_MS = 60_000;

export class Coordinator {
  /** Waits and switches are read at each use: a reload may have changed them. */
  readonly #deps: CoordinatorDeps;
  /** From before the first PREPARE until END, or until an abort is complete on every shard. */
  readonly #driving = new Map<string, TwoPhaseRun>();
  /** Two-phase commits whose client still waits. */
  readonly #waiting = new Set<Waiting>();
  readonly #stopSweep = new AbortController();
  #sweeping = false;
  #running = 0;
  #onIdle: (() => void)[] = [];
  #seq = 0;

  constructor(deps: CoordinatorDeps) {
    this.#deps = deps;
  }

  get #prepareWaitMs(): number {
    return this.#deps.prepareWaitMs ?? PREPARE_WAIT_MS;
  }

  /**
   * Commits a transaction. Resolves when every connection is quiet again (idle, or destroyed); never rejects.
   * Afterwards no branch is in a transaction, whatever the outcome: AND CHAIN is for the caller, who begins anew.
   */
  async commit(branches: readonly Branch[]): Promise<CommitOutcome> {
    const [only] = branches;
    this.#running++;
    try {
      if (branches.length === 1 && only !== undefined) {
        const outcome = await commitOnlyBranch(only, this.#deps.resolver);
        this.#deps.observer?.single?.(outcome.kind);
        return outcome;
      }
      const startedMs = this.#deps.clock.monotonicMs();
      const { way, outcome } = await this.#commitMany(branches);
      this.#deps.observer?.ended?.(way, outcome.kind, this.#deps.clock.monotonicMs() - startedMs);
      return outcome;
    } finally {
      this.#running--;
      if (this.#running === 0) for (const idle of this.#onIdle.splice(0)) idle();
    }
  }

  /** Rolls every branch back, in parallel. Whatever a shard answers: without a COMMIT its branch is gone. */
  async rollback(branches: readonly Branch[]): Promise<void> {
    await Promise.all(branches.map(({ link }) => link.command('ROLLBACK')));
  }

  /** What this process drives, by `<epoch>.<seq>`: recovery's A. Taken after P, it covers every branch that P showed. */
  driving(): ReadonlySet<string> {
    return new Set(this.#driving.keys());
  }

  /** The next id of this epoch; never given twice, because the epoch is durable before its first use. */
  nextTransactionId(): TransactionId {
    const { cluster, instance, log } = this.#deps;
    this.#seq++;
    return { cluster, instance, epoch: log.identity.epoch, seq: this.#seq };
  }

  /** Waits until no client waits for a commit. What the resolver has is not waited for: the next run finishes it. */
  async drain(): Promise<void> {
    if (this.#running > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
    this.#stopSweep.abort();
  }

  async #commitMany(branches: readonly Branch[]): Promise<{ way: 'one-phase' | 'two-phase'; outcome: CommitOutcome }> {
    const plan = planCommit(branches, this.#deps.twoPhaseCommit ?? true);
    switch (plan.kind) {
      case 'ask': {
        // A crash here leaves open branches only; their connections die and the shards roll them back.
        const asked = await askXids(branches, plan.participants);
        return asked.kind === 'asked' ? this.#commitMany(asked.branches) : this.#refuse(branches, asked.error);
      }
      case 'one-phase': {
        const writers = plan.roles.filter((role) => role === 'writer').length;
        if (writers > 1) this.#deps.observer?.unsafe?.(writers);
        return { way: 'one-phase', outcome: await commitOnePhase(branches, this.#deps.resolver) };
      }
      case 'two-phase': {
        const admission = this.#deps.log.admission();
        if (!admission.ok) return this.#refuse(branches, admission.error);
        return { way: 'two-phase', outcome: await this.#commitTwoPhase(branches) };
      }
    }
  }

  #commitTwoPhase(branches: readonly Branch[]): Promise<CommitOutcome> {
    const { log, resolver, controlPoint, clock } = this.#deps;
    const transaction = this.nextTransactionId();
    const key = transactionKey(transaction);
    // Registered before the first PREPARE leaves, in one tick with it: recovery never sees a branch of ours as orphaned.
    const run = new TwoPhaseRun(branches, {
      transaction,
      log,
      resolver,
      controlPoint,
      nowMs: () => clock.nowMs(),
      onStart: (self) => this.#driving.set(key, self),
      onOver: () => this.#driving.delete(key),
    });
    const waiting = { run, phase: run.phase, lateAtMs: this.#lateAtMs(run.phase) };
    this.#waiting.add(waiting);
    if (!this.#sweeping) void this.#sweep();
    return run.outcome.finally(() => this.#waiting.delete(waiting));
  }

  /** Nothing was prepared: everything is rolled back and the client is told why. */
  async #refuse(branches: readonly Branch[], error: SqlError): Promise<{ way: 'two-phase'; outcome: CommitOutcome }> {
    await this.rollback(branches);
    return { way: 'two-phase', outcome: { kind: 'aborted', error } };
  }

  #lateAtMs(phase: TwoPhaseRun['phase']): number {
    const waitMs = phase === 'voting' ? this.#prepareWaitMs : this.#deps.commitWaitMs;
    return this.#deps.clock.monotonicMs() + waitMs;
  }

  /** One timer for all waiting commits; a wait is kept to within a fifth of the shorter one. */
  async #sweep(): Promise<void> {
    this.#sweeping = true;
    const everyMs = Math.max(5, Math.min(this.#prepareWaitMs, this.#deps.commitWaitMs) / 5);
    while (this.#waiting.size > 0 && !this.#stopSweep.signal.aborted) {
      await this.#deps.clock.sleep(everyMs, this.#stopSweep.signal);
      const nowMs = this.#deps.clock.monotonicMs();
      for (const waiting of this.#waiting) {
        if (waiting.phase !== waiting.run.phase) {
          waiting.phase = waiting.run.phase;
          waiting.lateAtMs = this.#lateAtMs(waiting.phase);
        } else if (nowMs >= waiting.lateAtMs) {
          waiting.run.late();
          waiting.lateAtMs = Number.POSITIVE_INFINITY;
        }
      }
    }
    this.#sweeping = false;
  }
}

type Asked =
  | { readonly kind: 'asked'; readonly branches: readonly Branch[] }
  | { readonly kind: 'failed'; readonly error: SqlError };

/** Learns the xids that are missing; a branch that cannot answer cannot commit either. */
async function askXids(branches: readonly Branch[], participants: readonly number[]): Promise<Asked> {
  const wanted = new Set(participants);
  const replies = await Promise.all(
    branches.map(async ({ link }, i) => (wanted.has(i) ? await link.command(XID_QUESTION) : undefined)),
  );
  const asked: Branch[] = [];
  for (const [i, branch] of branches.entries()) {
    const reply = replies[i];
    if (reply === undefined) {
      asked.push(branch);
      continue;
    }
    if (reply.kind !== 'complete') return { kind: 'failed', error: refusalOf(branch.link.shard, reply) };
    const xid = reply.rows[0]?.[0];
    // NULL says that nothing was written; a reply without a row says nothing at all.
    if (xid === undefined) return { kind: 'failed', error: rolledBack(`${branch.link.shard} did not tell its xid`) };
    asked.push({ ...branch, xid });
  }
  return { kind: 'asked', branches: asked };
}

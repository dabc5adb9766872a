// The real coordinator in a world that fast-check schedules: every command, reply, log write, resolver step and timer may
// come in any order, go wrong, or be the last thing before the proxy dies.
import type fc from 'fast-check';
import type { Clock } from '../../../src/kernel/clock.ts';
import { noControlPoint } from '../../../src/kernel/control-point.ts';
import type { BranchLink, CommandReply } from '../../../src/shard/branch-link.ts';
import { type Branch, Coordinator } from '../../../src/transaction/coordinator.ts';
import { DecisionRefusedError } from '../../../src/transaction/decision-log.ts';
import type { Resolver } from '../../../src/transaction/resolver.ts';
import { complete, FakeShard, type Fault, refused } from '../../unit/transaction/fake-shard.ts';

export type Trouble = 'none' | 'refused' | 'doubtful' | 'lost before' | 'lost after' | 'hangs before' | 'hangs after';

export interface BranchPlan {
  /** Whether it really wrote; what the coordinator is told follows from it. */
  readonly wrote: boolean;
  readonly xidKnown: boolean;
  readonly vote: Trouble;
  readonly finish: Trouble;
}

export interface WorldPlan {
  readonly branches: readonly BranchPlan[];
  readonly log: 'good' | 'full' | 'refuses' | 'fails with the record' | 'fails without it';
  /** The proxy dies when that many things happened; beyond the end: it does not. */
  readonly crashAfter: number;
  /** For each branch: whether a command that was on its way when the proxy died still arrives. */
  readonly arrivesAfterCrash: readonly boolean[];
  readonly statusCanBeLearned: boolean;
}

export class CommitWorld {
  readonly plan: WorldPlan;
  readonly shards: FakeShard[];
  readonly violations: string[] = [];
  readonly coordinator: Coordinator;
  readonly crashed: Promise<'crashed'>;
  record: 'none' | 'handed to the log' | 'committed' = 'none';
  logged = 0;
  prepared = 0;
  isDead = false;
  readonly #scheduler: fc.Scheduler;
  readonly #die: (why: 'crashed') => void;
  readonly #onTheWay = new Map<FakeShard, string>();
  #undone = false;
  #happened = 0;
  #nowMs = 0;

  constructor(scheduler: fc.Scheduler, plan: WorldPlan) {
    this.#scheduler = scheduler;
    this.plan = plan;
    const { promise, resolve } = Promise.withResolvers<'crashed'>();
    this.crashed = promise;
    this.#die = resolve;
    this.shards = plan.branches.map((branch, i) => misbehave(new FakeShard(`shard-${i}`), branch));
    this.coordinator = new Coordinator({
      cluster: 'k3x9q',
      instance: 'proxy-0',
      log: {
        identity: { walId: 'w', epoch: 1, firstEpoch: 1, created: true },
        admission: () => (plan.log === 'full' ? FULL : { ok: true }),
        commit: () => this.#decide(),
        end: () => undefined,
      },
      resolver: this.#resolver(),
      clock: this.#clock(),
      controlPoint: noControlPoint,
      commitWaitMs: 50,
      prepareWaitMs: 50,
    });
  }

  branches(): Branch[] {
    return this.shards.map((shard, i) => {
      const plan = this.plan.branches[i];
      const wrote = plan?.wrote ?? false;
      return { link: this.#link(shard), written: true, xid: plan?.xidKnown ? (wrote ? '700' : null) : undefined };
    });
  }

  /** The next start: fence, then by the log. */
  recover(): void {
    for (const [i, shard] of this.shards.entries()) {
      const command = this.#onTheWay.get(shard);
      if (command !== undefined && this.plan.arrivesAfterCrash[i]) void this.#execute(shard, command);
      shard.finish(this.record === 'none' ? 'abort' : 'commit');
    }
  }

  /** Something may happen now, or the proxy is dead and nothing happens any more. */
  async #turn(label: string): Promise<void> {
    await this.#scheduler.schedule(Promise.resolve(), label);
    this.#happened++;
    if (this.#happened === this.plan.crashAfter) {
      this.isDead = true;
      this.#die('crashed');
    }
    if (this.isDead) await new Promise(() => undefined);
  }

  #link(shard: FakeShard): BranchLink {
    return {
      shard: shard.shard,
      identity: shard.identity,
      destroy: (reason) => shard.destroy(reason),
      command: async (sql) => {
        this.#onTheWay.set(shard, sql);
        await this.#turn(`${shard.shard} gets ${sql}`);
        this.#onTheWay.delete(shard);
        const reply = await this.#execute(shard, sql);
        await this.#turn(`${shard.shard} answers`);
        return reply;
      },
    };
  }

  #execute(shard: FakeShard, sql: string): Promise<CommandReply> {
    if (sql.includes('PREPARE TRANSACTION')) this.prepared++;
    if (sql.startsWith('COMMIT PREPARED') && this.record !== 'committed') this.violations.push('I4');
    if (sql.startsWith('ROLLBACK')) {
      this.#undone = true;
      if (this.record !== 'none') this.violations.push('I5: undone after the decision');
    }
    return shard.command(sql);
  }

  async #decide(): Promise<void> {
    this.logged++;
    if (this.#undone) this.violations.push('I5: decided after something was undone');
    await this.#turn('the log takes the decision');
    if (this.plan.log === 'refuses') throw new DecisionRefusedError('the log is closed');
    if (this.plan.log === 'fails without it') throw new Error('EIO');
    this.record = 'handed to the log';
    await this.#turn('the log syncs');
    if (this.plan.log === 'fails with the record') throw new Error('EIO');
    this.record = 'committed';
    await this.#turn('the log says so');
  }

  #resolver(): Resolver {
    return {
      handOver: (unfinished, done) => {
        if (unfinished.decision === 'abort' && this.record !== 'none') this.violations.push('I5: abort handed over');
        if (unfinished.decision === 'commit' && this.record !== 'committed')
          this.violations.push('I4: commit handed over');
        void this.#turn('the resolver acts').then(() => {
          for (const participant of unfinished.participants) {
            const shard = this.shards.find((one) => one.shard === participant.shard);
            if (shard?.gid !== null && shard?.gid !== participant.gid) this.violations.push('I6: another gid');
            shard?.finish(unfinished.decision);
            done(participant);
          }
        });
      },
      outcomeOf: async ({ shard: name }) => {
        await this.#turn('the resolver asks');
        const shard = this.shards.find((one) => one.shard === name);
        if (shard?.fate === 'open') shard.fate = 'aborted';
        const known = this.plan.statusCanBeLearned && (shard?.fate === 'committed' || shard?.fate === 'aborted');
        return known ? (shard.fate as 'committed' | 'aborted') : 'unknown';
      },
    };
  }

  #clock(): Clock {
    return {
      nowMs: () => this.#nowMs,
      monotonicMs: () => this.#nowMs,
      sleep: async (ms) => {
        await this.#turn(`${ms} ms pass`);
        this.#nowMs += ms;
      },
    };
  }
}

const FULL = { ok: false, error: { severity: 'ERROR', code: '53100', message: 'full' } } as const;

function misbehave(shard: FakeShard, plan: BranchPlan): FakeShard {
  shard.breakOn(/pg_current_xact_id/, {
    kind: 'reply',
    reply: complete('SELECT 1', [], [[plan.wrote ? '700' : null]]),
  });
  const vote = faultOf(plan.vote, complete('PREPARE TRANSACTION', [DOUBT]));
  if (vote !== null) shard.breakOn(/PREPARE TRANSACTION/, vote);
  // Without a deadline a plain COMMIT waits as long as its connection lives, as it does in PostgreSQL.
  const plain = faultOf(plan.vote.startsWith('hangs') ? 'none' : plan.vote, complete('COMMIT', [DOUBT]));
  if (plain !== null) shard.breakOn(/^COMMIT$/, plain);
  const finish = faultOf(plan.finish, complete('COMMIT PREPARED', [DOUBT]));
  if (finish !== null) shard.breakOn(/^(COMMIT|ROLLBACK) PREPARED/, finish);
  return shard;
}

const DOUBT = { severity: 'WARNING', code: '01000', message: 'canceling wait for synchronous replication' };

function faultOf(trouble: Trouble, doubtful: CommandReply): Fault | null {
  switch (trouble) {
    case 'none':
      return null;
    case 'refused':
      return { kind: 'reply', reply: refused('55000') };
    case 'doubtful':
      return { kind: 'reply', reply: doubtful, executed: true };
    case 'lost before':
    case 'lost after':
      return { kind: 'lost', executed: trouble === 'lost after' };
    case 'hangs before':
    case 'hangs after':
      return { kind: 'hang', executed: trouble === 'hangs after' };
  }
}

// A coordinator on fake shards, with a log, a resolver and a clock that the test holds in its hands.
import type { Clock } from '../../../src/kernel/clock.ts';
import { type ControlPoint, noControlPoint } from '../../../src/kernel/control-point.ts';
import { Coordinator, type CoordinatorDeps } from '../../../src/transaction/coordinator.ts';
import type { CommitDecision } from '../../../src/transaction/decision-record.ts';
import { transactionKey } from '../../../src/transaction/gid.ts';
import type { Unfinished, UnfinishedParticipant } from '../../../src/transaction/resolver.ts';
import { FakeShard } from './fake-shard.ts';

/** Time that moves only when told to. */
export class ManualClock implements Clock {
  #nowMs = 1_000;
  #sleepers: { wakeAtMs: number; wake: () => void }[] = [];

  nowMs = () => this.#nowMs;
  monotonicMs = () => this.#nowMs;

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#sleepers.push({ wakeAtMs: this.#nowMs + ms, wake: resolve });
      signal?.addEventListener('abort', () => resolve());
    });
  }

  /** Moves on in small steps, letting everything that woke up run. */
  async advance(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      this.#nowMs += 10;
      const due = this.#sleepers.filter((sleeper) => sleeper.wakeAtMs <= this.#nowMs);
      this.#sleepers = this.#sleepers.filter((sleeper) => sleeper.wakeAtMs > this.#nowMs);
      for (const { wake } of due) wake();
      await settled();
    }
  }
}

/** Lets every promise that can go on go on. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

export class BenchOfShards {
  /** Everything that happened, in order. */
  readonly lines: string[] = [];
  readonly clock = new ManualClock();
  readonly decisions: CommitDecision[] = [];
  readonly ended: string[] = [];
  readonly handedOver: { unfinished: Unfinished; done: (participant: UnfinishedParticipant) => void }[] = [];
  readonly shards: FakeShard[];
  readonly coordinator: Coordinator;
  logBehaviour: 'good' | 'full' | 'fails' = 'good';
  statusOfLost: 'committed' | 'aborted' | 'unknown' = 'unknown';

  constructor(count: number, deps: Partial<CoordinatorDeps> & { controlPoint?: ControlPoint } = {}) {
    this.shards = Array.from({ length: count }, (_, i) => new FakeShard(`shard-${i}`, (line) => this.lines.push(line)));
    this.coordinator = new Coordinator({
      cluster: 'k3x9q',
      instance: 'proxy-0',
      log: this.#log(),
      resolver: {
        handOver: (unfinished, done) => {
          this.handedOver.push({ unfinished, done });
        },
        outcomeOf: async ({ shard, xid }) => {
          this.lines.push(`ask ${shard} for ${xid}`);
          return this.statusOfLost;
        },
      },
      clock: this.clock,
      controlPoint: noControlPoint,
      commitWaitMs: 100,
      prepareWaitMs: 1_000,
      ...deps,
    });
  }

  shard(i: number): FakeShard {
    const shard = this.shards[i];
    if (shard === undefined) throw new RangeError(`no shard ${i}`);
    return shard;
  }

  fates(): string[] {
    return this.shards.map((shard) => shard.fate);
  }

  /** The resolver finishes everything that was handed over. */
  resolveAll(): void {
    for (const { unfinished, done } of this.handedOver.splice(0)) {
      for (const participant of unfinished.participants) {
        this.shards.find((shard) => shard.shard === participant.shard)?.finish(unfinished.decision);
        done(participant);
      }
    }
  }

  #log(): CoordinatorDeps['log'] {
    return {
      identity: { walId: 'w', epoch: 1789, firstEpoch: 1789, created: true },
      admission: () =>
        this.logBehaviour === 'full'
          ? { ok: false, error: { severity: 'ERROR', code: '53100', message: 'the disk of the decision log is full' } }
          : { ok: true },
      commit: async (decision) => {
        this.lines.push(`log: COMMIT ${transactionKey(decision.transaction)}`);
        await new Promise<void>((resolve) => setImmediate(resolve));
        if (this.logBehaviour === 'fails') throw new Error('fdatasync: EIO');
        this.decisions.push(decision);
        this.lines.push('log: committed');
      },
      end: (transaction) => {
        this.ended.push(transactionKey(transaction));
        this.lines.push('log: END');
      },
    };
  }
}

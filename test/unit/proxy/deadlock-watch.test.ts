// When the watch asks, what it believes, and whom it cancels; the shards and the transactions are pretended.
import { describe, expect, it } from 'vitest';
import { DeadlockWatch } from '../../../src/proxy/deadlock-watch.ts';
import type { LockWait } from '../../../src/recovery/lock-waits.ts';
import type { Answer } from '../../../src/recovery/shard-probe.ts';
import type { Deadlock } from '../../../src/session/deadlock-error.ts';
import { type RunningTransaction, RunningTransactions } from '../../../src/session/running-transactions.ts';
import { ManualClock } from '../../support/manual-clock.ts';

class PretendTransaction implements RunningTransaction {
  readonly order: number;
  step = 1;
  committing = false;
  busy: boolean[] = [true, true];
  readonly cancelled: Deadlock[] = [];

  constructor(order: number) {
    this.order = order;
  }

  /** Transaction 3 has process 30 on shard a and 31 on shard b. */
  backends() {
    return this.busy.map((busy, n) => ({ shard: n === 0 ? 'a' : 'b', pid: this.order * 10 + n, busy }));
  }

  cancelFor(deadlock: Deadlock) {
    this.cancelled.push(deadlock);
  }
}

class PretendShard {
  readonly asked: (readonly number[])[] = [];
  waits: LockWait[] = [];
  absent = false;
  /** Called after each question, before its answer. */
  onAsked: (nth: number) => void = () => undefined;

  lockWaits(pids: readonly number[]): Promise<Answer<readonly LockWait[]>> {
    this.asked.push(pids);
    this.onAsked(this.asked.length);
    if (this.absent) return Promise.resolve({ kind: 'absent', cause: 'unreachable', why: 'gone' });
    return Promise.resolve({ kind: 'answer', value: this.waits });
  }
}

const wait = (pid: number, ...blockers: number[]): LockWait => ({ pid, since: `since ${pid}`, blockers });

function scene(count: number) {
  const running = new RunningTransactions();
  const transactions = Array.from({ length: count }, (_, n) => new PretendTransaction(n + 1));
  for (const transaction of transactions) running.add(transaction);
  const [a, b] = [new PretendShard(), new PretendShard()];
  const clock = new ManualClock();
  const told: Deadlock[] = [];
  const watch = new DeadlockWatch({
    running,
    shards: new Map([
      ['a', a],
      ['b', b],
    ]),
    clock,
    timeoutMs: 1_000,
    onDeadlock: (deadlock) => told.push(deadlock),
  });
  const victims = () => transactions.filter(({ cancelled }) => cancelled.length > 0).map(({ order }) => order);
  return { running, transactions, a, b, clock, told, watch, victims };
}

/** 1 waits for 2 on shard a, 2 waits for 1 on shard b. */
function crossing() {
  const all = scene(2);
  all.a.waits = [wait(10, 20)];
  all.b.waits = [wait(21, 11)];
  return all;
}

async function ticks(watch: DeadlockWatch, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await watch.tick();
}

describe('the watch for deadlocks', () => {
  it('cancels the youngest after two ticks and two looks, and tells of the waits', async () => {
    const { watch, a, b, told, victims, transactions } = crossing();
    await watch.tick();
    expect(a.asked).toEqual([]);
    await watch.tick();
    expect([a.asked, b.asked]).toEqual([
      [
        [10, 20],
        [10, 20],
      ],
      [
        [11, 21],
        [11, 21],
      ],
    ]);
    expect(victims()).toEqual([2]);
    const waits = [
      { shard: 'b', waiterPid: 21, blockerPid: 11 },
      { shard: 'a', waiterPid: 10, blockerPid: 20 },
    ];
    expect(told).toEqual([{ waits }]);
    expect(transactions[1]?.cancelled).toEqual([{ waits }]);
  });

  it('asks nobody while statements come and go', async () => {
    const { watch, transactions, a, b } = crossing();
    for (let n = 0; n < 5; n++) {
      await watch.tick();
      for (const transaction of transactions) transaction.step++;
    }
    expect([...a.asked, ...b.asked]).toEqual([]);
  });

  it('asks nobody while transactions are idle, on one shard only, or alone in waiting', async () => {
    const { watch, transactions, a, b } = crossing();
    const [one, two] = transactions;
    if (one === undefined || two === undefined) throw new Error('two transactions were made');
    two.busy = [false, false];
    await ticks(watch, 3);
    two.busy = [true];
    await ticks(watch, 3);
    expect([...a.asked, ...b.asked]).toEqual([]);
  });

  it('asks once and no more when the waits make no circle', async () => {
    const { watch, a, b, victims } = crossing();
    b.waits = [];
    await ticks(watch, 2);
    expect([a.asked.length, b.asked.length]).toEqual([1, 1]);
    expect(victims()).toEqual([]);
  });

  it('asks only the shards that the suspects wait for', async () => {
    const { watch, transactions, a, b } = crossing();
    for (const transaction of transactions) transaction.busy = [true, false];
    await ticks(watch, 2);
    expect([a.asked, b.asked]).toEqual([[[10, 20]], []]);
  });

  it('a circle that the second look does not show was none', async () => {
    const { watch, a, victims } = crossing();
    a.onAsked = (nth) => {
      if (nth === 2) a.waits = [];
    };
    await ticks(watch, 2);
    expect(victims()).toEqual([]);
  });

  it('a wait that ended and began anew between the looks is another one', async () => {
    const { watch, a, victims } = crossing();
    a.onAsked = (nth) => {
      a.waits = [{ pid: 10, since: `look ${nth}`, blockers: [20] }];
    };
    await ticks(watch, 2);
    expect(victims()).toEqual([]);
  });

  it('a transaction whose statement ended between the looks is left alone', async () => {
    for (const who of [0, 1]) {
      const { watch, b, transactions, victims } = crossing();
      b.onAsked = (nth) => {
        const transaction = transactions[who];
        if (nth === 2 && transaction !== undefined) transaction.step++;
      };
      await ticks(watch, 2);
      expect(victims()).toEqual([]);
    }
  });

  it('a transaction that is gone after the looks is left alone', async () => {
    const { watch, b, running, transactions, victims } = crossing();
    b.onAsked = (nth) => {
      const [one] = transactions;
      if (nth === 2 && one !== undefined) running.remove(one);
    };
    await ticks(watch, 2);
    expect(victims()).toEqual([]);
  });

  it('who began to commit is spared, also if that was between the looks; the other one pays', async () => {
    for (const look of [1, 2]) {
      const { watch, a, transactions, victims } = crossing();
      a.onAsked = (nth) => {
        const two = transactions[1];
        if (nth === look && two !== undefined) two.committing = true;
      };
      await ticks(watch, 2);
      expect(victims()).toEqual([1]);
    }
  });

  it('nobody is cancelled when both commit', async () => {
    const { watch, transactions, victims } = crossing();
    for (const transaction of transactions) transaction.committing = true;
    await ticks(watch, 3);
    expect(victims()).toEqual([]);
  });

  it('a shard that does not answer hides its own waits and nothing else', async () => {
    const { watch, a, victims } = crossing();
    a.absent = true;
    await ticks(watch, 2);
    expect(victims()).toEqual([]);
    a.absent = false;
    await ticks(watch, 1);
    expect(victims()).toEqual([2]);
  });

  it('asks again at the next tick when a cancel request had no effect', async () => {
    const { watch, transactions } = crossing();
    await ticks(watch, 4);
    expect(transactions[1]?.cancelled).toHaveLength(3);
  });

  it('has one timer, however many transactions there are, and none after stop', async () => {
    const { watch, clock, victims } = crossing();
    watch.start();
    expect(clock.sleeping).toBe(1);
    await clock.pass(2_000);
    expect(victims()).toEqual([2]);
    expect(clock.sleeping).toBe(1);
    expect(new Set(clock.slept)).toEqual(new Set([1_000]));
    await watch.stop();
    expect(clock.sleeping).toBe(0);
  });
});

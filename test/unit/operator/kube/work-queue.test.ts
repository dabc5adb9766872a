import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type WorkFailure, type WorkOutcome, WorkQueue } from '../../../../src/operator/kube/work-queue.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

interface Running {
  readonly key: string;
  readonly end: (outcome: WorkOutcome) => void;
}

const done: WorkOutcome = { kind: 'done' };
const failed: WorkOutcome = { kind: 'failed', error: new Error('no') };

/** A queue whose works stay open until the test ends them. */
function ground(workers: number, keysMax = 100) {
  const clock = new ManualClock();
  const queue = new WorkQueue({ clock, random: () => 0, keysMax, backoff: { minMs: 1_000, maxMs: 60_000 } });
  const running: Running[] = [];
  const started: string[] = [];
  const failures: WorkFailure[] = [];
  const stop = new AbortController();
  const work = (key: string) => {
    started.push(key);
    return new Promise<WorkOutcome>((resolve) => {
      running.push({ key, end: resolve });
    });
  };
  const run = queue.run(workers, work, stop.signal, (failure) => failures.push(failure));
  const end = async (outcome: WorkOutcome = done) => {
    running.shift()?.end(outcome);
    await setImmediate();
  };
  return { clock, queue, running, started, failures, stop, run, end };
}

describe('the work queue', () => {
  it('works once on a key that is added often, in the order of arrival', async () => {
    const { queue, started, end } = ground(1);
    for (const key of ['a', 'b', 'a', 'c', 'b']) queue.add(key);
    await setImmediate();
    for (let turn = 0; turn < 4; turn += 1) await end();
    expect(started).toEqual(['a', 'b', 'c']);
  });

  it('never works twice at once on a key: one that is added meanwhile comes again after', async () => {
    const { queue, started, running, end } = ground(4);
    queue.add('a');
    await setImmediate();
    queue.add('a');
    queue.add('b');
    await setImmediate();
    expect(running.map(({ key }) => key)).toEqual(['a', 'b']);
    await end();
    expect(started).toEqual(['a', 'b', 'a']);
  });

  it('works later on what is delayed: the earlier of two times wins, and now wins over later', async () => {
    const { clock, queue, started, end } = ground(1);
    queue.add('a', 5_000);
    queue.add('a', 3_000);
    queue.add('b', 4_000);
    queue.add('c', 9_000);
    queue.add('c');
    await clock.pass(2_999);
    expect(started).toEqual(['c']);
    await end();
    await clock.pass(1);
    await end();
    await clock.pass(60_000);
    await end();
    expect(started).toEqual(['c', 'a', 'b']);
    expect(queue.depth).toBe(0);
  });

  it('a delay that ends while its key is worked on makes it come again', async () => {
    const { clock, queue, started, end } = ground(1);
    queue.add('a');
    await setImmediate();
    queue.add('a', 1_000);
    await clock.pass(2_000);
    expect([started, clock.sleeping]).toEqual([['a'], 0]);
    await end();
    expect(started).toEqual(['a', 'a']);
  });

  it('waits twice as long after each failure in a row, and starts anew after a success', async () => {
    const { clock, queue, failures, end } = ground(1);
    queue.add('a');
    await setImmediate();
    for (let turn = 0; turn < 3; turn += 1) {
      await end(failed);
      await clock.pass(60_000);
    }
    expect(failures.map(({ againMs }) => againMs)).toEqual([500, 1_000, 2_000]);
    await end(done);
    queue.add('a');
    await setImmediate();
    await end(failed);
    expect(failures.at(-1)?.failures).toBe(1);
  });

  it('tries a failed key soon when it was touched meanwhile, as that may be the cure, but not at once', async () => {
    const { clock, queue, failures, started, end } = ground(1);
    queue.add('a');
    await setImmediate();
    for (let turn = 0; turn < 4; turn += 1) {
      await end(failed);
      await clock.pass(60_000);
    }
    queue.add('a');
    await end(failed);
    expect([failures.at(-1)?.againMs, started.length]).toEqual([1_000, 5]);
  });

  it('takes a throw for a failure and goes on', async () => {
    const clock = new ManualClock();
    const queue = new WorkQueue({ clock, random: () => 0 });
    const stop = new AbortController();
    const failures: WorkFailure[] = [];
    const run = queue.run(
      1,
      () => {
        throw new Error('thrown');
      },
      stop.signal,
      (failure) => failures.push(failure),
    );
    queue.add('a');
    await clock.pass(150);
    expect(failures.map(({ error }) => String(error))).toEqual(['Error: thrown', 'Error: thrown']);
    stop.abort();
    await run;
  });

  it('comes again after the time that the work asks for', async () => {
    const { clock, queue, started, end } = ground(1);
    queue.add('a');
    await setImmediate();
    await end({ kind: 'again', afterMs: 7_000 });
    await clock.pass(6_999);
    expect(started).toHaveLength(1);
    await clock.pass(1);
    expect(started).toHaveLength(2);
  });

  it('is bounded: a key too many is turned away and counted, one that is known is not', async () => {
    const { queue } = ground(0, 2);
    expect(['a', 'b', 'c', 'a'].map((key) => queue.add(key))).toEqual([true, true, false, true]);
    expect([queue.depth, queue.refused]).toEqual([2, 1]);
  });

  it('ends when told, after the works that run', async () => {
    const { queue, run, running, started, stop, end } = ground(2);
    queue.add('a');
    await setImmediate();
    stop.abort();
    queue.add('b');
    let ended = false;
    void run.then(() => {
      ended = true;
    });
    await setImmediate();
    expect([ended, running.length]).toEqual([false, 1]);
    await end();
    await run;
    expect(started).toEqual(['a']);
  });
});

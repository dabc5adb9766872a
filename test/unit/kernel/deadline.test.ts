// Waiting ends by its deadline, and leaves nothing behind.
import { describe, expect, it } from 'vitest';
import { DeadlineError, withinDeadline } from '../../../src/kernel/deadline.ts';
import { ManualClock } from '../../support/manual-clock.ts';

describe('withinDeadline', () => {
  it('ends as the work ends, and then no timer is left', async () => {
    const clock = new ManualClock();
    await expect(withinDeadline(clock, 10, Promise.resolve(7))).resolves.toBe(7);
    await expect(withinDeadline(clock, 10, Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(clock.sleeping).toBe(0);
  });

  it('rejects when the time is over; what the work does later is nobody’s failure', async () => {
    const clock = new ManualClock();
    const work = Promise.withResolvers<number>();
    const waiting = withinDeadline(clock, 10, work.promise);
    const outcome = waiting.catch((error: unknown) => error);
    await clock.pass(10);
    expect(await outcome).toEqual(new DeadlineError('no answer within 10 ms'));
    work.reject(new Error('too late'));
    await clock.pass(1);
  });
});

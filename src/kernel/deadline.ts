// Waiting with an end: who asked goes on when the time is over, whatever becomes of the work.
import type { Clock } from './clock.ts';

/** No answer in time; the work may still be going on. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

/** As `work` ends; rejects with {@link DeadlineError} when that takes longer than `deadlineMs`. The work itself is not ended. */
export async function withinDeadline<T>(clock: Clock, deadlineMs: number, work: Promise<T>): Promise<T> {
  const finished = new AbortController();
  const deadline = clock.sleep(deadlineMs, finished.signal).then(() => {
    throw new DeadlineError(`no answer within ${deadlineMs} ms`);
  });
  // Whichever loses the race may still fail later, and nobody listens any more.
  deadline.catch(() => undefined);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, deadline]);
  } finally {
    finished.abort();
  }
}

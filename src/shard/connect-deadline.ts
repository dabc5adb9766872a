// The time that making a connection may take, over all its steps.
import type { ConnectOptions } from './target.ts';

/** Runs `work`; when it takes longer than `connectTimeoutMs` the signal aborts, and the work must end itself. */
export async function withinConnectTimeout<T>(
  { clock, connectTimeoutMs }: ConnectOptions,
  work: (tooLate: AbortSignal) => Promise<T>,
): Promise<T> {
  const inTime = new AbortController();
  const tooLate = new AbortController();
  void clock.sleep(connectTimeoutMs, inTime.signal).then(() => {
    if (!inTime.signal.aborted) tooLate.abort();
  });
  try {
    return await work(tooLate.signal);
  } finally {
    inTime.abort();
  }
}

// How a proxy stops: clients first, then the commits they began, then recovery, the connections and, last, the log.
import type { Clock } from '../kernel/clock.ts';
import { DeadlineError, withinDeadline } from '../kernel/deadline.ts';
import type { Drain } from './drain.ts';
import type { Listener } from './listener.ts';
import type { ProxyParts } from './parts.ts';

export interface Stoppable {
  readonly parts: ProxyParts;
  readonly listener: Listener;
  readonly drain: Drain;
}

/** What has begun gets this long even when the grace period is over. */
const LAST_WORDS_MS = 1_000;

/** Waits up to the grace period for clients to finish; whatever is left then is finished by the next start. */
export async function stopProxy({ parts, listener, drain }: Stoppable): Promise<void> {
  const { live, catalog, placement, backends, decisions, recovery, coordinator, deadlocks, probes, clock, log } = parts;
  drain.cancel();
  listener.stop();
  const deadlineMs = clock.monotonicMs() + live.current.shutdown.graceMs;
  while (listener.clients > 0 && clock.monotonicMs() < deadlineMs) await clock.sleep(20);
  if (listener.clients > 0)
    log.warn({ clients: listener.clients }, 'the grace period is over; ending the sessions that are left');
  listener.terminate();
  // Commits that have begun are driven to their end; a kill here leaves them to the next start's recovery.
  const leftMs = () => Math.max(LAST_WORDS_MS, deadlineMs - clock.monotonicMs());
  if (!(await endsWithin(coordinator.drain(), leftMs(), clock))) {
    log.warn('shards have not answered COMMITs that were sent; their connections are ended, the outcome stays unknown');
    await backends.close();
  }
  await endsWithin(recovery.idle(), leftMs(), clock);
  await recovery.stop();
  await placement.close();
  await catalog.close();
  await deadlocks.stop();
  await Promise.all([...probes.values()].map((probe) => probe.close()));
  await backends.close();
  await decisions.close();
  log.info('the log is closed; bye');
}

async function endsWithin(work: Promise<unknown>, deadlineMs: number, clock: Clock): Promise<boolean> {
  try {
    await withinDeadline(clock, deadlineMs, work);
    return true;
  } catch (error) {
    if (error instanceof DeadlineError) return false;
    throw error;
  }
}

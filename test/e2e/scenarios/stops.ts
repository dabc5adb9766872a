// Places in the commit protocol at which scenarios stop a proxy, so that a kill hits a transaction that is prepared for certain.
import type { ControlPointName } from '../../../src/kernel/control-point.ts';
import type { Random } from '../../support/random.ts';
import type { Ground } from './scenario.ts';

export interface Stop {
  readonly point: ControlPointName;
  readonly participant?: number;
}

/** All branches prepared, nothing decided: recovery rolls back. */
export const UNDECIDED: Stop = { point: 'append.before' };
/** Decided, nothing committed yet. */
export const DECIDED: Stop = { point: 'commit.before', participant: 0 };
/** Decided, and the second of the participants waits while the others commit: only recovery can make it whole. */
export const HALF_COMMITTED: Stop = { point: 'commit.before', participant: 1 };

const STOPS = [UNDECIDED, DECIDED, HALF_COMMITTED] as const;

/** Longer than a scenario needs to kill what it holds, on a machine that does other things too. */
const HOLD_MS = 25_000;
/** For a transaction whose proxy lives on: its client waits so long. */
export const SHORT_HOLD_MS = 8_000;

/** Stops one transaction of the proxy at a place, while the others go on; resolves when it stands there. */
export async function holdOne({ system }: Ground, proxy: number, stop: Stop, holdMs = HOLD_MS): Promise<void> {
  await system.order(proxy, { ...stop, skip: 2, signal: 'SIGCONT', holdMs });
  await system.reached(proxy);
}

export const anyStop = (random: Random): Stop => random.pick(STOPS);

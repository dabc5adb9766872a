// What a round lets others judge: faults, the status, and whether anybody must hear of it.
import { problemsOf } from './faults.ts';
import type { Judges } from './reconciler.ts';
import { statusOf } from './status.ts';
import { StatusPace } from './status-pace.ts';

const pace = new StatusPace();

export const judges: Judges = {
  problemsOf,
  statusOf,
  isWorthWriting: (before, now, nowMs) => pace.isWorthWriting(before, now, nowMs),
};

// The plan that changes nothing: what every other plan is made from by saying what differs.
import type { Plan } from './action.ts';

export function nothing(goal: Plan['goal']): Plan {
  return {
    calm: [],
    disruptive: undefined,
    goal,
    settled: false,
    waiting: [],
    pendingRestart: new Map(),
    deletionBlocked: undefined,
    refused: undefined,
    input: undefined,
  };
}

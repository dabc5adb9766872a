// What to do next, as a function of what is seen: objects that are wanted, and at most one step that somebody notices. Pure.
// The rule: every step can be found again from the cluster's state alone, so that the operator may die between any two.
import type { DesiredInput } from '../desired/desired-input.ts';
import type { RecoveryFindings } from '../recovery/types.ts';
import type { CalmAction, Plan, Waiting } from './action.ts';
import { identityOf } from './identity.ts';
import type { Observation } from './observation.ts';
import { planDeletion } from './plan-deletion.ts';
import { nothing } from './plan-nothing.ts';
import { planRunning } from './plan-running.ts';

/** What the plan may use besides the observation; the two makers of random text are the only part that is not a value. */
export interface Surroundings extends Pick<DesiredInput, 'operatorImage' | 'operatorPeers' | 'monitoringKinds'> {
  readonly newClusterId: () => string;
  readonly newPassword: () => string;
  /** Secrets with certificates that are missing or due for renewal. */
  readonly certificates: (observation: Observation) => readonly CalmAction[];
}

export type Goal = Plan['goal'];

/** A cluster that is deleted is not held up by `paused`. */
export function goalOf({ cluster: { metadata, spec } }: Observation): Goal {
  if (metadata.deletionTimestamp !== undefined) return 'delete';
  if (spec.paused) return 'paused';
  return spec.shutdown ? 'stop' : 'run';
}

export function plan(observation: Observation, recovery: RecoveryFindings, surroundings: Surroundings): Plan {
  const goal = goalOf(observation);
  if (goal === 'delete') return planDeletion(observation, recovery);
  const identity = identityOf(observation);
  switch (identity.kind) {
    case 'conflict':
      return { ...nothing(goal), refused: { reason: 'VolumesOfAnotherCluster', message: identity.message } };
    case 'make':
    case 'adopt': {
      if (goal === 'paused') return nothing(goal);
      const clusterId = identity.kind === 'adopt' ? identity.clusterId : surroundings.newClusterId();
      // A crash after this: the id is known and nothing carries it yet.
      return { ...nothing(goal), calm: [{ kind: 'writeClusterId', clusterId }], waiting: [beginning(identity.kind)] };
    }
    case 'known':
      return planRunning(observation, recovery, surroundings, identity.clusterId, goal);
  }
}

function beginning(kind: 'make' | 'adopt'): Waiting {
  const message =
    kind === 'make' ? 'The cluster gets its id' : 'The volumes of a former cluster of this name are adopted';
  return { reason: 'Beginning', message };
}

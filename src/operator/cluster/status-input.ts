// What a status is made from: everything that one round saw, decided and could not do.
import type { ShardedClusterStatus } from '../api/sharded-cluster.generated.ts';
import type { Problem } from '../diagnosis/problem.ts';
import type { RecoveryFindings } from '../recovery/types.ts';
import type { Plan } from './action.ts';
import type { Observation } from './observation.ts';

export interface StatusInput {
  readonly observation: Observation;
  readonly plan: Plan;
  readonly recovery: RecoveryFindings;
  readonly problems: readonly Problem[];
  /** As it is on the API server, whose times and memories go on. */
  readonly before: ShardedClusterStatus | undefined;
}

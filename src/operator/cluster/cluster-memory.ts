// What the operator keeps of one cluster between rounds: only what saves calls, or tells how long something lasts.
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import type { ApplyProblem } from './observation.ts';
import type { Performed } from './perform.ts';

export class ClusterMemory {
  /** True while Ready is not: then faults are searched for more widely. */
  isTroubled = true;
  /** Why the API server does not take the status, in its words; undefined while it does. */
  statusRefused: string | undefined;
  #applyProblem: ApplyProblem | undefined;
  #refusedSets: ReadonlySet<string> = new Set();
  /** The status as written last, and the version of the cache's copy that it was made from. */
  #written: { readonly uid: string; readonly madeFrom: string; readonly status: ShardedCluster['status'] } | undefined;

  get applyProblem(): ApplyProblem | undefined {
    return this.#applyProblem;
  }

  /** Sets that can only be made anew. */
  get refusedSets(): ReadonlySet<string> {
    return this.#refusedSets;
  }

  noteRound({ failures, refusedSets }: Performed, nowMs: number): void {
    const [first] = failures;
    this.#refusedSets = new Set(refusedSets);
    if (first === undefined) {
      this.#applyProblem = undefined;
      return;
    }
    const { object, error } = first;
    const same = this.#applyProblem?.object === object && this.#applyProblem.kind === error.kind;
    const sinceMs = same ? (this.#applyProblem?.sinceMs ?? nowMs) : nowMs;
    this.#applyProblem = { object, kind: error.kind, message: error.message, sinceMs };
  }

  noteStatus({ metadata: { uid, resourceVersion } }: ShardedCluster, { status }: ShardedCluster): void {
    this.#written = { uid, madeFrom: resourceVersion, status };
  }

  /** The cache's copy, with the status that we wrote since and that the cache has not heard of. */
  withNewerStatus(cached: ShardedCluster): ShardedCluster {
    const { uid, resourceVersion } = cached.metadata;
    if (this.#written?.uid !== uid || this.#written.madeFrom !== resourceVersion) return cached;
    const { status } = this.#written;
    return status === undefined ? cached : { ...cached, status };
  }
}

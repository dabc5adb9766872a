// What people are told as Events: each problem once when it begins, what was done, and what recovery says.
import type { Problem } from '../diagnosis/problem.ts';
import type { EventRecorder } from '../kube/event-recorder.ts';
import { objectKey } from '../kube/resource.ts';
import type { Observation } from './observation.ts';
import type { DoneNote } from './perform.ts';
import type { Told } from './reconciler.ts';

export class Teller {
  readonly #recorder: Pick<EventRecorder, 'record'>;
  /** Cluster key → what it was told already. */
  readonly #known = new Map<string, ReadonlySet<string>>();

  constructor(recorder: Pick<EventRecorder, 'record'>) {
    this.#recorder = recorder;
  }

  done({ cluster }: Observation, { reason, note }: DoneNote): void {
    this.#record(cluster, { type: 'Normal', reason, action: 'Reconcile', note });
  }

  /** Tells what is new in a round. */
  round({ cluster }: Observation, { problems, findings, plan, performed }: Told): void {
    const warnings = [
      ...problems.map(warningOf),
      ...performed.failures.map(({ object, error }) => ({
        reason: 'ApplyFailed',
        note: `${object}: ${error.message}`,
      })),
      ...(plan.refused === undefined ? [] : [{ reason: plan.refused.reason, note: plan.refused.message }]),
      ...(plan.deletionBlocked === undefined
        ? []
        : [{ reason: 'DeletionBlocked', note: plan.deletionBlocked.message }]),
    ];
    const key = objectKey(cluster.metadata);
    const known = this.#known.get(key) ?? new Set();
    for (const { reason, note } of warnings) {
      if (!known.has(`${reason}\n${note}`))
        this.#record(cluster, { type: 'Warning', reason, action: 'Reconcile', note });
    }
    this.#known.set(key, new Set(warnings.map(({ reason, note }) => `${reason}\n${note}`)));
    for (const occurrence of findings.occurrences) this.#record(cluster, occurrence);
  }

  forget(clusterKey: string): void {
    this.#known.delete(clusterKey);
  }

  #record(
    { apiVersion, kind, metadata: { namespace, name, uid } }: Observation['cluster'],
    said: { type: 'Normal' | 'Warning'; reason: string; action: string; note: string },
  ): void {
    this.#recorder.record({ regarding: { apiVersion, kind, namespace, name, uid }, ...said });
  }
}

function warningOf({ object, reason, message }: Problem): { reason: string; note: string } {
  return { reason, note: `${object.kind} ${object.name}: ${message}` };
}

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
  /** Cluster key → subject → what was last said to be done to it, until all is settled. */
  readonly #doing = new Map<string, Map<string, string>>();

  constructor(recorder: Pick<EventRecorder, 'record'>) {
    this.#recorder = recorder;
  }

  done({ cluster }: Observation, { reason, note, once }: DoneNote): void {
    if (once !== undefined && !this.#isNew(objectKey(cluster.metadata), once.subject, `${reason} ${once.occasion}`))
      return;
    this.#record(cluster, { type: 'Normal', reason, action: 'Reconcile', note });
  }

  /** Tells what is new in a round. */
  round({ cluster }: Observation, { problems, findings, plan, performed, statusRefused }: Told): void {
    const warnings = [
      ...problems.map(warningOf),
      ...performed.failures.map(({ object, error }) => ({
        reason: 'ApplyFailed',
        note: `${object}: ${error.message}`,
      })),
      ...(statusRefused === undefined ? [] : [{ reason: 'StatusNotWritten', note: statusRefused }]),
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
    if (plan.settled) this.#doing.delete(key);
    for (const occurrence of findings.occurrences) this.#record(cluster, occurrence);
  }

  forget(clusterKey: string): void {
    this.#known.delete(clusterKey);
    this.#doing.delete(clusterKey);
  }

  #isNew(key: string, subject: string, said: string): boolean {
    const doing = this.#doing.get(key) ?? new Map<string, string>();
    this.#doing.set(key, doing);
    const before = doing.get(subject);
    doing.set(subject, said);
    return before !== said;
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

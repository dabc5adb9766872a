// Objects of the Prometheus operator, whose CRDs need not be there: made where they are, removed where the spec switches them off.
// The rule: a missing CRD is no failure, nobody else's object is touched, and a cluster without them costs two reads in the
// life of this process, because such kinds cannot be watched before their CRD is there.
import type { Logger } from '../../telemetry/log.ts';
import { clusterNames } from '../desired/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { isKubeError } from '../kube/kube-error.ts';
import { type KubeObject, type ObjectRef, objectKey, type Resource } from '../kube/resource.ts';
import type { CalmAction } from './action.ts';
import { POD_MONITORS, PROMETHEUS_RULES } from './kinds.ts';
import type { Observation } from './observation.ts';

type Wish = Extract<CalmAction, { kind: 'apply' }>;

export interface MonitoringObjectsOptions {
  readonly client: Pick<KubeClient, 'apply' | 'get' | 'delete'>;
  readonly log: Logger;
}

/** Between two attempts at a kind that the API server does not know. */
const MISSING_KIND_MS = 300_000;

const KINDS = [POD_MONITORS, PROMETHEUS_RULES] as const;

export const isMonitoring = (action: CalmAction): boolean =>
  action.kind === 'apply' && KINDS.some(({ kind }) => kind === action.type.kind);

/** What a plan wants of one of the kinds. */
export function wishFor(type: Resource, calm: readonly CalmAction[]): Wish | undefined {
  return calm.find((action): action is Wish => action.kind === 'apply' && action.type.kind === type.kind);
}

export class MonitoringObjects {
  readonly #options: MonitoringObjectsOptions;
  /** `Kind/namespace/name` → what was applied, or that there is none of ours. */
  readonly #known = new Map<string, string>();
  /** Kind → until when it is not tried again. */
  readonly #missingUntilMs = new Map<string, number>();

  constructor(options: MonitoringObjectsOptions) {
    this.#options = options;
  }

  /** Brings one kind of object of a cluster to `wish`; undefined: there shall be none. Rejects with KubeError. */
  async settle(type: Resource, observation: Observation, wish: Wish | undefined, signal: AbortSignal): Promise<void> {
    const { cluster, nowMs } = observation;
    const { proxies, alerts } = clusterNames(cluster.metadata.name);
    const name = type.kind === POD_MONITORS.kind ? proxies : alerts;
    const ref = { namespace: cluster.metadata.namespace, name };
    const key = `${type.kind}/${objectKey(ref)}`;
    const state = wish === undefined ? NONE : JSON.stringify(wish.object);
    if (this.#known.get(key) === state || nowMs < (this.#missingUntilMs.get(type.kind) ?? 0)) return;
    if (wish === undefined) await this.#remove(type, ref, cluster.metadata.uid, signal);
    else if (!(await this.#apply(type, wish.object, nowMs, signal))) return;
    this.#known.set(key, state);
  }

  async #apply(type: Resource, object: KubeObject, nowMs: number, signal: AbortSignal): Promise<boolean> {
    const { client, log } = this.#options;
    try {
      await client.apply(type, object, { signal });
      return true;
    } catch (error) {
      // An apply makes what is not there, so that only the kind itself can be missing.
      if (!isKubeError(error, 'notFound')) throw error;
      this.#missingUntilMs.set(type.kind, nowMs + MISSING_KIND_MS);
      log.warn({ object: `${type.kind}/${objectKey(object.metadata)}` }, 'not made: its CRD is not installed');
      return false;
    }
  }

  async #remove(type: Resource, ref: ObjectRef, clusterUid: string, signal: AbortSignal): Promise<void> {
    const { client } = this.#options;
    try {
      const { metadata } = await client.get(type, ref, { signal });
      if (metadata.ownerReferences?.some(({ uid }) => uid === clusterUid) !== true) return;
      await client.delete(type, ref, { uid: metadata.uid, signal });
    } catch (error) {
      // Whoever may not look at such objects has not made any.
      if (!isKubeError(error, 'notFound', 'conflict', 'forbidden')) throw error;
    }
  }
}

const NONE = '';

export const MONITORING_KINDS: readonly Resource[] = KINDS;

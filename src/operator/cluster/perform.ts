// Does what a plan says, through one client: in its order, objects before what needs them, and only what differs.
// The rule: a failed step is reported and does not keep independent ones from being done; nothing is believed done without an answer.
import type { Logger } from '../../telemetry/log.ts';
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import { FINALIZER } from '../desired/labels.ts';
import type { KubeClient } from '../kube/client.ts';
import { isKubeError, type KubeError } from '../kube/kube-error.ts';
import { type KubeObject, type ObjectRef, objectKey } from '../kube/resource.ts';
import type { CalmAction, DisruptiveAction, Plan } from './action.ts';
import type { AppliedObjects } from './applied.ts';
import { CLUSTERS, PODS, STATEFUL_SETS } from './kinds.ts';
import { isMonitoring, MONITORING_KINDS, MonitoringObjects, wishFor } from './monitoring-objects.ts';
import type { Observation } from './observation.ts';

type KubeAction = Exclude<
  CalmAction,
  { kind: 'setUpShard' | 'reloadShard' | 'reloadProxy' | 'drainProxy' | 'resumeProxy' }
>;
export type SqlAction = Exclude<CalmAction, KubeAction>;
type ApplyAction = Extract<CalmAction, { kind: 'apply' }>;

export interface PerformerOptions {
  readonly client: Pick<KubeClient, 'apply' | 'create' | 'delete' | 'get' | 'mergePatch'>;
  readonly applied: AppliedObjects;
  readonly log: Logger;
  /** Begins a task in SQL. */
  readonly startTask: (observation: Observation, action: SqlAction) => void;
  /** Told of what was done, for Events. */
  readonly onDone: (observation: Observation, note: DoneNote) => void;
}

export interface DoneNote {
  readonly reason: string;
  readonly note: string;
  /** Of what is done until it works: told when it is another occasion than the last one of the same subject. */
  readonly once?: { readonly subject: string; readonly occasion: string };
}

export interface Performed {
  /** What could not be done, in the order of the plan. */
  readonly failures: readonly { readonly object: string; readonly error: KubeError }[];
  /** Sets that can only be made anew. */
  readonly refusedSets: readonly string[];
}

const PARALLEL = 6;
/** Faults of the way to the API server, or of ours. */
const HOPELESS = ['unavailable', 'timeout', 'aborted', 'notLeader', 'unauthorized', 'tooManyRequests'] as const;
/** The API server's words for a field of a StatefulSet that can never change. */
const SET_REFUSED = /updates to statefulset spec for fields other than/;

export class Performer {
  readonly #options: PerformerOptions;
  readonly #monitoring: MonitoringObjects;

  constructor(options: PerformerOptions) {
    this.#options = options;
    this.#monitoring = new MonitoringObjects(options);
  }

  /** Does the plan's steps. Rejects only with what is no {@link KubeError}. */
  async perform(observation: Observation, plan: Plan, signal: AbortSignal): Promise<Performed> {
    const failures: { object: string; error: KubeError }[] = [];
    const round: Round = { observation, signal, failures };
    const calm = plan.calm.filter((action) => !isMonitoring(action));
    for (const group of groupsOf(calm)) {
      // A failed step before it may be what must be true when a cluster is let go.
      if (group.some(({ kind }) => kind === 'removeFinalizer') && failures.length > 0) break;
      for (let from = 0; from < group.length && !isHopeless(failures); from += PARALLEL) {
        await Promise.all(group.slice(from, from + PARALLEL).map((action) => this.#try(round, action)));
      }
      if (isHopeless(failures)) break;
    }
    // Only a plan that applies knows what shall be there.
    if (failures.length === 0 && calm.some(({ kind }) => kind === 'apply')) await this.#settleMonitoring(round, plan);
    if (plan.disruptive !== undefined && mayDisturb(plan.disruptive, failures)) await this.#try(round, plan.disruptive);
    const refusedSets = failures.flatMap(({ object, error }) =>
      object.startsWith(`${STATEFUL_SETS.kind}/`) && SET_REFUSED.test(error.message)
        ? [object.slice(object.indexOf('/') + 1)]
        : [],
    );
    return { failures, refusedSets };
  }

  async #try(round: Round, action: CalmAction | DisruptiveAction): Promise<void> {
    try {
      await this.#do(round, action);
    } catch (error) {
      if (!isKubeError(error)) throw error;
      round.failures.push({ object: subjectOf(action), error });
    }
  }

  async #settleMonitoring({ observation, signal, failures }: Round, { calm }: Plan): Promise<void> {
    for (const type of MONITORING_KINDS) {
      try {
        await this.#monitoring.settle(type, observation, wishFor(type, calm), signal);
      } catch (error) {
        if (!isKubeError(error)) throw error;
        failures.push({ object: type.kind, error });
      }
    }
  }

  async #do({ observation, signal }: Round, action: CalmAction | DisruptiveAction): Promise<void> {
    const { client, startTask, onDone } = this.#options;
    const { cluster } = observation;
    const options = { signal };
    switch (action.kind) {
      case 'writeClusterId': {
        const wish = withStatus(cluster, { ...cluster.status, clusterId: action.clusterId });
        const { resourceVersion } = cluster.metadata;
        // Of the version that was seen and no other: a cache that lags behind our own write must not make a second id.
        const first = { ...wish, metadata: { ...wish.metadata, resourceVersion } };
        await orStale(first, client.apply(CLUSTERS, first, { ...options, subresource: 'status' }));
        return;
      }
      case 'addFinalizer':
      case 'removeFinalizer':
        await this.#setFinalizer(cluster, action.kind === 'addFinalizer', signal);
        return;
      case 'createOnce':
        await ignoring('alreadyExists', client.create(action.type, action.object, options));
        return;
      case 'apply':
        await this.#apply(observation, action, signal);
        return;
      case 'delete':
        await ignoring(
          ['notFound', 'conflict'],
          client.delete(action.type, action.ref, { uid: action.uid, ...options }),
        );
        onDone(observation, { reason: 'Deleted', note: `${subjectOf(action)}: ${action.why}` });
        return;
      case 'patch':
        await ignoring('notFound', client.mergePatch(action.type, action.ref, action.patch, options));
        if (action.type.kind !== PODS.kind) onDone(observation, { reason: 'Changed', note: action.why });
        return;
      case 'replacePod':
        await ignoring(['notFound', 'conflict'], client.delete(PODS, action.pod, { uid: action.uid, ...options }));
        onDone(observation, { reason: 'Restarting', note: `${action.of} is restarted: ${action.why}` });
        return;
      case 'recreateSet': {
        // A crash after this: the set is missing, its pods run, and the next round makes it again around them.
        const orphan = { uid: action.uid, propagationPolicy: 'Orphan' as const, ...options };
        await ignoring(['notFound', 'conflict'], client.delete(STATEFUL_SETS, action.set, orphan));
        onDone(observation, { reason: 'SetMadeAnew', note: action.why });
        return;
      }
      case 'setUpShard':
      case 'reloadShard':
      case 'reloadProxy':
      case 'drainProxy':
      case 'resumeProxy':
        startTask(observation, action);
        if (action.kind !== 'setUpShard') {
          const [reason, words] = TOLD[action.kind];
          const subject = subjectOf(action);
          const occasion = 'configuration' in action ? action.configuration : '';
          onDone(observation, { reason, note: `${subject} ${words}`, once: { subject, occasion } });
        }
    }
  }

  async #apply(
    { children, ...observation }: Observation,
    { type, object }: ApplyAction,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, applied, onDone, log } = this.#options;
    const live = children.byKey.get(`${type.kind}/${object.metadata.name}`);
    if (!applied.isDue(type, object, live)) return;
    const answer = await orStale(object, client.apply(type, object, { signal }));
    if (answer === undefined) return;
    applied.noteApplied(type, object, answer);
    log.debug({ object: `${type.kind}/${objectKey(object.metadata)}` }, 'applied');
    if (type.kind === STATEFUL_SETS.kind && live === undefined)
      onDone({ children, ...observation }, { reason: 'Created', note: `${type.kind} ${object.metadata.name} is made` });
  }

  async #setFinalizer(cluster: ShardedCluster, wanted: boolean, signal: AbortSignal): Promise<void> {
    const { namespace, name, resourceVersion, finalizers = [] } = cluster.metadata;
    const others = finalizers.filter((each) => each !== FINALIZER);
    // With the version, so that nobody else's finalizer is lost; a conflict is tried again with the newer object.
    const patch = { metadata: { resourceVersion, finalizers: wanted ? [...others, FINALIZER] : others } };
    await ignoring('notFound', this.#options.client.mergePatch(CLUSTERS, { namespace, name }, patch, { signal }));
  }
}

/** What follows would fail alike: nobody reaches the API server, or it takes nothing new in a namespace that ends. */
const isHopeless = (failures: Performed['failures']): boolean =>
  failures.some(({ error }) => error.hasCause('NamespaceTerminating') || isKubeError(error, ...HOPELESS));

const TOLD = {
  reloadShard: ['Reloading', 'is asked to read its new configuration'],
  reloadProxy: ['Reloading', 'is asked to read its new configuration'],
  drainProxy: ['Draining', 'takes no new clients and finishes what runs'],
  resumeProxy: ['Resuming', 'takes clients again'],
} as const;

interface Round {
  readonly observation: Observation;
  readonly signal: AbortSignal;
  readonly failures: { object: string; error: KubeError }[];
}

/**
 * A pod is replaced by what its set in Kubernetes says, so that it need not wait for other things that are refused, e.g. for a
 * volume that cannot grow. A set is made anew only when all before it is done.
 */
function mayDisturb({ kind }: DisruptiveAction, failures: Round['failures']): boolean {
  if (kind === 'recreateSet') return failures.length === 0;
  return !failures.some(({ error }) => isKubeError(error, ...HOPELESS));
}

/** Objects of one kind of step that need not wait for each other; sets come after what their pods mount. */
function groupsOf(actions: readonly CalmAction[]): CalmAction[][] {
  const applies = actions.filter((action) => action.kind === 'apply');
  const isSet = ({ type }: ApplyAction) => type.kind === STATEFUL_SETS.kind;
  const at = actions.findIndex(({ kind }) => kind === 'apply');
  const others = (part: readonly CalmAction[]) => part.filter(({ kind }) => kind !== 'apply').map((action) => [action]);
  if (at < 0) return others(actions);
  return [
    ...others(actions.slice(0, at)),
    applies.filter((action) => !isSet(action)),
    applies.filter(isSet),
    ...others(actions.slice(at)),
  ];
}

/** The status with its object's identity, so that a later object of the same name never gets it. */
export function withStatus(
  { apiVersion, kind, metadata: { namespace, name, uid } }: ShardedCluster,
  status: ShardedCluster['status'],
) {
  return { apiVersion, kind, metadata: { namespace, name, uid }, status };
}

function subjectOf(action: CalmAction | DisruptiveAction): string {
  const named = (kind: string, { name }: ObjectRef) => `${kind}/${name}`;
  switch (action.kind) {
    case 'createOnce':
    case 'apply':
      return named(action.type.kind, action.object.metadata);
    case 'delete':
    case 'patch':
      return named(action.type.kind, action.ref);
    case 'replacePod':
      return named(PODS.kind, action.pod);
    case 'recreateSet':
      return named(STATEFUL_SETS.kind, action.set);
    case 'setUpShard':
    case 'reloadShard':
      return action.shard;
    case 'reloadProxy':
    case 'drainProxy':
    case 'resumeProxy':
      return action.proxy;
    case 'writeClusterId':
    case 'addFinalizer':
    case 'removeFinalizer':
      return CLUSTERS.kind;
  }
}

/** Undefined where the object is no longer of the version that the wish was made from: the next round sees the newer one. */
async function orStale(wish: KubeObject, call: Promise<KubeObject>): Promise<KubeObject | undefined> {
  try {
    return await call;
  } catch (error) {
    if (wish.metadata.resourceVersion !== undefined && isKubeError(error, 'conflict')) return undefined;
    throw error;
  }
}

async function ignoring(
  kinds: KubeError['kind'] | readonly KubeError['kind'][],
  call: Promise<unknown>,
): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!isKubeError(error, ...(typeof kinds === 'string' ? [kinds] : kinds))) throw error;
  }
}

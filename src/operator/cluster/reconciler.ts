// One round for one cluster: observe, let recovery speak, plan, perform, tell. The rule: a round keeps nothing that the next one could
// not find again, but for what only saves calls.
import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { ShardedClusterStatus } from '../api/sharded-cluster.generated.ts';
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import type { EventObject } from '../diagnosis/children.ts';
import type { Problem } from '../diagnosis/problem.ts';
import type { KubeClient } from '../kube/client.ts';
import { isKubeError, type KubeError } from '../kube/kube-error.ts';
import { objectKey, refOfKey } from '../kube/resource.ts';
import type { WorkOutcome } from '../kube/work-queue.ts';
import type { RecoveryContext, RecoveryFindings } from '../recovery/types.ts';
import type { Plan } from './action.ts';
import { aimsOf } from './aims.ts';
import type { Caches } from './caches.ts';
import { ClusterMemory } from './cluster-memory.ts';
import { CLUSTERS } from './kinds.ts';
import { NO_FINDINGS } from './no-recovery.ts';
import type { Observation } from './observation.ts';
import { observe } from './observe.ts';
import { type Performed, type Performer, withStatus } from './perform.ts';
import { plan, type Surroundings } from './plan.ts';
import type { Prober } from './prober.ts';
import type { ProgramTasks } from './program-tasks.ts';
import { secretNeeds } from './secret-needs.ts';
import type { SecretWatches } from './secret-watches.ts';
import type { StatusInput } from './status-input.ts';
import { shardTarget } from './targets.ts';

/** What others judge; each is a pure function. */
export interface Judges {
  readonly problemsOf: (observation: Observation) => readonly Problem[];
  readonly statusOf: (input: StatusInput) => ShardedClusterStatus;
  /** Whether the API server must hear of it now; positions alone wait a while. */
  readonly isWorthWriting: (
    before: ShardedClusterStatus | undefined,
    now: ShardedClusterStatus,
    nowMs: number,
  ) => boolean;
}

export interface RecoveryPort {
  readonly step: (context: RecoveryContext) => RecoveryFindings;
  /** Starts nothing more and waits for what is under way. */
  readonly stop: () => Promise<void>;
  readonly forget: (cluster: { readonly namespace: string; readonly name: string }) => void;
}

export interface ReconcilerOptions {
  readonly client: Pick<KubeClient, 'apply'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly caches: Pick<Caches, 'cluster' | 'childrenOf'>;
  readonly secretWatches: Pick<SecretWatches, 'follow' | 'get'>;
  readonly prober: Prober;
  readonly tasks: ProgramTasks;
  readonly performer: Performer;
  readonly surroundings: Surroundings;
  readonly recovery: RecoveryPort;
  readonly judges: Judges;
  /** Warning events of a namespace, read now and then while something does not come up. */
  readonly eventsOf: (namespace: string, clusterKey: string, wanted: boolean) => readonly EventObject[];
  readonly tell: (observation: Observation, told: Told) => void;
  readonly onForgotten: (clusterKey: string) => void;
}

/** What of a round people should hear of. */
export interface Told {
  readonly problems: readonly Problem[];
  readonly findings: RecoveryFindings;
  readonly plan: Plan;
  readonly performed: Performed;
  /** Why the status cannot be written, and what to do; undefined while it can. */
  readonly statusRefused: string | undefined;
}

/** What to do where the API server does not know what a newer operator writes. */
const CRD_REMEDY =
  'If the operator is newer than the CRD: kubectl apply --server-side -f crds/shardedclusters.atomshard.dev.yaml';
/** Nobody tells us that the CRD is a newer one. */
const STATUS_AGAIN_MS = 30_000;
/** Waits that only time ends are looked at again this soon. */
const UNSETTLED_MS = 2_000;
const TERMINATING_MS = 5_000;

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #memory = new Map<string, ClusterMemory>();

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** Clusters that were seen and are not gone, for metrics. */
  get clusters(): ReadonlyMap<string, ClusterMemory> {
    return this.#memory;
  }

  /** What keeps the operator from its work, one sentence each; empty as a rule. */
  problems(): string[] {
    return [...this.#memory].flatMap(([key, { statusRefused }]) =>
      statusRefused === undefined ? [] : [`the status of ${key} cannot be written: ${statusRefused}`],
    );
  }

  /** What a round of the cluster is in the metrics: one whose status is refused is not through. */
  countedAs(key: string, { kind }: WorkOutcome): WorkOutcome['kind'] {
    return this.#memory.get(key)?.statusRefused === undefined ? kind : 'failed';
  }

  async reconcile(key: string, signal: AbortSignal): Promise<WorkOutcome> {
    const cached = this.#options.caches.cluster(refOfKey(key));
    if (cached === undefined) {
      this.#forget(key);
      return { kind: 'done' };
    }
    const memory = this.#memory.get(key) ?? new ClusterMemory();
    this.#memory.set(key, memory);
    const observation = this.#observe(key, memory.withNewerStatus(cached), memory);
    const findings = this.#recover(observation);
    const planned = plan(observation, findings, this.#options.surroundings);
    const performed = await this.#options.performer.perform(observation, planned, signal);
    memory.noteRound(performed, this.#options.clock.nowMs());
    this.#options.prober.aim(key, aimsOf(observation, planned.input));
    const problems = this.#options.judges.problemsOf(observation);
    await this.#writeStatus(memory, { observation, plan: planned, recovery: findings, problems }, planned, signal);
    const { statusRefused } = memory;
    this.#options.tell(observation, { problems, findings, plan: planned, performed, statusRefused });
    return outcomeOf(planned, findings, performed, statusRefused !== undefined);
  }

  #observe(key: string, cluster: ShardedCluster, memory: ClusterMemory): Observation {
    const { caches, clock, secretWatches, prober, tasks, eventsOf } = this.#options;
    const { namespace } = cluster.metadata;
    const given = secretNeeds(cluster).filter(({ origin }) => origin === 'user');
    secretWatches.follow(key, namespace, [...new Set(given.map(({ name }) => name))]);
    return observe({
      cluster,
      children: caches.childrenOf(key),
      userSecret: (name) => secretWatches.get(namespace, name),
      looks: prober.looksOf(key),
      setupOf: (shard, wanted) => tasks.setupOf(key, shard, wanted),
      events: eventsOf(namespace, key, memory.isTroubled),
      applyProblem: memory.applyProblem,
      refusedSets: memory.refusedSets,
      nowMs: clock.nowMs(),
    });
  }

  #recover(observation: Observation): RecoveryFindings {
    if (observation.clusterId === undefined) return NO_FINDINGS;
    const shardTargets = new Map(
      observation.shards.flatMap((shard) => {
        const target = shardTarget(observation, shard);
        return target === undefined ? [] : [[shard.name, target] as const];
      }),
    );
    const { recovery, surroundings } = this.#options;
    return recovery.step({ observation, shardTargets, image: surroundings.operatorImage });
  }

  async #writeStatus(
    memory: ClusterMemory,
    told: Omit<StatusInput, 'before'>,
    { calm }: Plan,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, judges } = this.#options;
    const { cluster, nowMs } = told.observation;
    // Both speak of an object that the next round sees anew.
    if (calm.some(({ kind }) => kind === 'removeFinalizer' || kind === 'writeClusterId')) return;
    const before = cluster.status;
    const status = judges.statusOf({ ...told, before });
    memory.isTroubled = status.conditions?.find(({ type }) => type === 'Ready')?.status !== 'True';
    if (!judges.isWorthWriting(before, status, nowMs)) return;
    try {
      const written = await client.apply(CLUSTERS, withStatus(cluster, status), { subresource: 'status', signal });
      memory.noteStatus(cluster, written);
      memory.statusRefused = undefined;
    } catch (error) {
      if (isKubeError(error, 'invalid')) return this.#noteRefused(memory, objectKey(cluster.metadata), error);
      // Deleted meanwhile, or another one of the same name.
      if (!isKubeError(error, 'notFound', 'conflict')) throw error;
    }
  }

  /** Everything else of the round is done; only nobody can see it. */
  #noteRefused(memory: ClusterMemory, cluster: string, error: KubeError): void {
    const why = `${error.message}. ${CRD_REMEDY}`;
    if (memory.statusRefused !== why) this.#options.log.error({ cluster }, `the status cannot be written: ${why}`);
    memory.statusRefused = why;
  }

  #forget(key: string): void {
    const { prober, tasks, recovery, secretWatches, onForgotten } = this.#options;
    const { namespace = '', name } = refOfKey(key);
    this.#memory.delete(key);
    prober.forget(key);
    tasks.forget(key);
    secretWatches.follow(key, namespace, []);
    recovery.forget({ namespace, name });
    onForgotten(key);
  }
}

function outcomeOf(
  { settled }: Plan,
  { nextStepInMs }: RecoveryFindings,
  { failures }: Performed,
  isStatusRefused: boolean,
): WorkOutcome {
  const [first] = failures;
  if (first !== undefined) {
    // Nothing can be made there any more; what is there goes by itself.
    if (failures.every(({ error }) => isTerminating(error))) return { kind: 'again', afterMs: TERMINATING_MS };
    return { kind: 'failed', error: first.error };
  }
  if (settled) {
    const afterMs = Math.min(nextStepInMs ?? Infinity, isStatusRefused ? STATUS_AGAIN_MS : Infinity);
    return afterMs === Infinity ? { kind: 'done' } : { kind: 'again', afterMs };
  }
  return { kind: 'again', afterMs: Math.min(UNSETTLED_MS, nextStepInMs ?? UNSETTLED_MS) };
}

function isTerminating(error: KubeError): boolean {
  return error.hasCause('NamespaceTerminating');
}

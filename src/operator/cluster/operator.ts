// The operator put together over one client: caches wake the queue, workers run rounds, SQL goes on beside them.
//
//   reflectors ──┐                    ┌── prober (looks)
//   Secrets ─────┼──▶ queue ──▶ Reconciler ──▶ performer ──▶ API server
//   looks, tasks ┘                    └── tasks (SQL)
import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { KubeClient } from '../kube/client.ts';
import type { EventRecorder } from '../kube/event-recorder.ts';
import { objectKey, refOfKey } from '../kube/resource.ts';
import { type WorkFailure, WorkQueue } from '../kube/work-queue.ts';
import { AppliedObjects } from './applied.ts';
import { Caches } from './caches.ts';
import type { Observation } from './observation.ts';
import type { OperatorMetrics } from './operator-metrics.ts';
import { Performer, type SqlAction } from './perform.ts';
import type { Surroundings } from './plan.ts';
import { Prober, type ProberOptions } from './prober.ts';
import { type ProgramTask, ProgramTasks, type SqlPort } from './program-tasks.ts';
import { type Judges, Reconciler, type RecoveryPort } from './reconciler.ts';
import { SecretWatches } from './secret-watches.ts';
import { proxyTarget, shardTarget } from './targets.ts';
import { Teller } from './teller.ts';
import { wantedSetup } from './wanted-setup.ts';
import { WarningEvents } from './warning-events.ts';

export interface OperatorOptions {
  /** Reads at any time. */
  readonly reader: KubeClient;
  /** Writes only while this process leads. */
  readonly writer: KubeClient;
  readonly recorder: EventRecorder;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly namespaces: readonly string[];
  readonly resyncMs: number;
  readonly workers: number;
  readonly surroundings: Surroundings;
  readonly sql: SqlPort;
  readonly eyes: Pick<ProberOptions, 'openShard' | 'openProxy'>;
  /** `wake` with a cluster's key when a step would find something new. */
  readonly recoveryWith: (wake: (clusterKey: string) => void) => RecoveryPort;
  readonly judges: Judges;
  readonly metrics: Pick<OperatorMetrics, 'rounds' | 'roundSeconds'>;
}

/** What others set right (a quota, a right, a webhook) is no event for us: it must be found soon all the same. */
const BACKOFF = { minMs: 200, maxMs: 30_000 };

export class Operator {
  readonly #options: OperatorOptions;
  readonly caches: Caches;
  readonly queue: WorkQueue;
  readonly reconciler: Reconciler;
  readonly #prober: Prober;
  readonly #tasks: ProgramTasks;
  readonly #secretWatches: SecretWatches;
  readonly #recovery: RecoveryPort;

  constructor(options: OperatorOptions) {
    this.#options = options;
    const { reader, writer, clock, random, log, namespaces, resyncMs, sql, eyes, recorder } = options;
    this.queue = new WorkQueue({ clock, random, backoff: BACKOFF });
    const wake = (clusterKey: string) => void this.queue.add(clusterKey);
    this.#recovery = options.recoveryWith(wake);
    const onProblem = (error: unknown) => log.warn({ err: error }, 'the API server cannot be followed');
    const following = { client: reader, clock, random, onProblem };
    this.caches = new Caches({ ...following, namespaces, resyncMs, onChange: wake });
    this.#secretWatches = new SecretWatches({ ...following, onChange: wake });
    this.#prober = new Prober({ clock, ...eyes, onChange: wake });
    this.#tasks = new ProgramTasks({ clock, sql, onEnd: (key, task, end) => this.#taskEnded(key, task, end) });
    const teller = new Teller(recorder);
    const events = new WarningEvents({ client: reader, clock, onProblem, onChange: wake });
    const applied = new AppliedObjects();
    const performer = new Performer({
      client: writer,
      applied,
      log,
      startTask: (observation, action) => this.#startTask(observation, action),
      onDone: (observation, note) => teller.done(observation, note),
    });
    this.reconciler = new Reconciler({
      client: writer,
      clock,
      log,
      caches: this.caches,
      secretWatches: this.#secretWatches,
      prober: this.#prober,
      tasks: this.#tasks,
      performer,
      surroundings: options.surroundings,
      recovery: this.#recovery,
      judges: options.judges,
      eventsOf: (namespace, key, wanted) => events.of(namespace, key, wanted),
      tell: (observation, told) => teller.round(observation, told),
      onForgotten: (key) => {
        applied.forget(refOfKey(key));
        teller.forget(key);
        events.forget(key);
      },
    });
  }

  /** Follows the API server until `signal` aborts; never rejects. */
  follow(signal: AbortSignal): Promise<void> {
    return this.caches.run(signal);
  }

  /** Why it does not do its work, or people do not see it; one sentence each. */
  problems(): string[] {
    return [...this.caches.problems(), ...this.reconciler.problems()];
  }

  /** Works until `signal` aborts and the running rounds are through; never rejects. Only the leader does. */
  async work(signal: AbortSignal): Promise<void> {
    const { workers, metrics, log, clock } = this.#options;
    // Before that an absence means nothing.
    await Promise.race([this.caches.synced(), aborted(signal)]);
    for (const { metadata } of this.caches.clusters()) this.queue.add(objectKey(metadata));
    const round = async (key: string, stop: AbortSignal) => {
      const startedMs = clock.monotonicMs();
      const outcome = await this.reconciler.reconcile(key, stop).catch((error: unknown) => {
        // Thrown by a step that nobody expected to throw: the alert on failing rounds must hear of it all the same.
        metrics.rounds.inc({ outcome: 'failed' });
        throw error;
      });
      metrics.roundSeconds.observe((clock.monotonicMs() - startedMs) / 1_000);
      metrics.rounds.inc({ outcome: this.reconciler.countedAs(key, outcome) });
      return outcome;
    };
    const onFailure = ({ key, error, failures, againMs }: WorkFailure) =>
      log.warn({ cluster: key, err: error, failures, againMs }, 'a round failed');
    await this.queue.run(workers, round, signal, onFailure);
    await this.#recovery.stop();
    this.#prober.stop();
    this.#secretWatches.stop();
  }

  #startTask(observation: Observation, action: SqlAction): void {
    const key = objectKey(observation.cluster.metadata);
    const task = taskOf(observation, action);
    if (task !== undefined) this.#tasks.start(key, task);
  }

  #taskEnded(clusterKey: string, task: ProgramTask, end: { readonly kind: string }): void {
    const { log } = this.#options;
    log[end.kind === 'failed' ? 'warn' : 'info'](
      {
        cluster: clusterKey,
        server: task.target.name,
        task: task.kind,
        ...('failure' in end ? { failure: end.failure } : {}),
      },
      end.kind === 'failed' ? 'a task failed' : 'a task is done',
    );
    this.#prober.hurry(clusterKey, task.target.name);
    this.queue.add(clusterKey);
  }
}

/** Undefined while the server has no address. */
function taskOf(observation: Observation, action: SqlAction): ProgramTask | undefined {
  if (action.kind === 'setUpShard' || action.kind === 'reloadShard') {
    const shard = observation.shards.find(({ name }) => name === action.shard);
    const target = shard && shardTarget(observation, shard);
    if (target === undefined) return undefined;
    if (action.kind === 'reloadShard') return { kind: 'reloadShard', target };
    const wanted = wantedSetup(observation.cluster, observation.secrets, action.shard);
    return wanted && { kind: 'setUpShard', target, wanted };
  }
  const proxy = observation.proxies.find(({ name }) => name === action.proxy);
  const target = proxy && proxyTarget(observation, proxy);
  return target && { kind: 'commandProxy', target, command: COMMANDS[action.kind] };
}

const COMMANDS = { reloadProxy: 'RELOAD', drainProxy: 'DRAIN', resumeProxy: 'RESUME' } as const;

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

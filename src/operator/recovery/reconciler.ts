// Guarantees that every log has an owner: a proxy that is back recovers itself, for one that is not the operator does. A step
// looks and judges, and never waits; what takes time runs beside it and wakes the cluster's key when it is over.
//
// Nothing here has to survive: after a crash the next operator sees the same pods, claims, Jobs and prepared transactions,
// waits the grace period anew where no object says since when, and comes to the same end.
import type { Clock } from '../../kernel/clock.ts';
import { type ControlPoint, noControlPoint } from '../../kernel/control-point.ts';
import type { Observation } from '../cluster/observation.ts';
import { proxyTarget } from '../cluster/targets.ts';
import { isKubeError } from '../kube/kube-error.ts';
import { objectKey } from '../kube/resource.ts';
import { lostLogsShown } from './conditions.ts';
import { findingsOf, type JudgedInstance, ownPass } from './findings.ts';
import { type AskHeld, askHeld } from './held-rows.ts';
import { InstanceMemory } from './instance-memory.ts';
import { type RunOutcome, recoverInstance } from './instance-run.ts';
import {
  answerOf,
  awaySinceMs,
  epochSeen,
  type InstanceSight,
  instancesOf,
  logClaimOf,
  nodeOf,
  shardsToAsk,
  whyMayLive,
} from './instances.ts';
import { judge, namedToRecover } from './judge.ts';
import { RECOVERY_LABEL } from './log-job.ts';
import { readLogByJob, removeLogJobs } from './log-source.ts';
import {
  ownHeldOccurrence,
  ownPassOccurrence,
  passOccurrence,
  startedOccurrence,
  stateOccurrence,
  walLostOccurrence,
} from './occurrences.ts';
import { closeProbes, openProbes, type ProbeFactory, probeFactory } from './probes.ts';
import { RecoveryTally } from './recovery-tally.ts';
import { RequestDesk, type RequestDeskDeps } from './request-desk.ts';
import type { RecoveryContext, RecoveryFindings, RecoveryOccurrence } from './types.ts';

export interface RecoveryReconcilerDeps {
  readonly kube: RequestDeskDeps['kube'];
  readonly clock: Clock;
  /** Called with `namespace/name` when a step would find something new. */
  readonly wake: (clusterKey: string) => void;
  /** Told of what went wrong beside the steps, for the log; it is tried again. */
  readonly onProblem?: (clusterKey: string, error: unknown) => void;
  /** Tests only. */
  readonly controlPoint?: ControlPoint;
  /** Tests only. */
  readonly probeFor?: ProbeFactory;
  /** Tests only. */
  readonly askHeld?: AskHeld;
}

interface ClusterMemory {
  readonly instances: Map<string, InstanceMemory>;
  /** To be handed out by the next step. */
  readonly occurrences: RecoveryOccurrence[];
  readonly stop: AbortController;
  /** Jobs whose deletion was asked for. */
  readonly removing: Set<string>;
}

export class RecoveryReconciler {
  readonly tally = new RecoveryTally();
  readonly #deps: RecoveryReconcilerDeps;
  readonly #probeFor: ProbeFactory;
  readonly #askHeld: AskHeld;
  readonly #desk: RequestDesk;
  readonly #clusters = new Map<string, ClusterMemory>();
  readonly #running = new Set<Promise<void>>();

  constructor(deps: RecoveryReconcilerDeps) {
    this.#deps = deps;
    const { kube, clock } = deps;
    this.#probeFor = deps.probeFor ?? probeFactory(clock);
    this.#askHeld = deps.askHeld ?? askHeld(clock);
    this.#desk = new RequestDesk({ kube, clock, probeFor: this.#probeFor, askHeld: this.#askHeld });
  }

  /** Looks, judges, and starts what is due; returns at once. Call it with every reconcile of the cluster. */
  step(context: RecoveryContext): RecoveryFindings {
    const { observation } = context;
    const key = objectKey(observation.cluster.metadata);
    const memory = this.#memoryOf(key);
    const nextAtMs: number[] = [];
    const judged = instancesOf(observation).map((sight): JudgedInstance => {
      const own = this.#remember(memory, sight, observation.nowMs);
      const judgement = judge(sight, observation, own.history);
      if (judgement.start) this.#start(key, memory, own, sight, context);
      if (judgement.againAtMs !== null) nextAtMs.push(judgement.againAtMs);
      this.#tell(memory, own, sight, judgement.state);
      this.#tidy(key, memory, own, sight, observation);
      this.#askWhatItHolds(key, memory, own, sight, observation);
      const { state } = judgement;
      return { sight, state, walLost: own.walLost, held: own.held, pass: own.pass };
    });
    this.#attendRequests(key, memory, judged, context);
    const findings = findingsOf(observation, judged);
    const lost = lostLogsShown(observation, findings.conditions);
    nextAtMs.push(...lost.againAtMs);
    // The status remembers one that is over.
    if (!lost.shown) for (const own of memory.instances.values()) own.walLost = null;
    const nextStepInMs = nextAtMs.length === 0 ? null : Math.max(0, Math.min(...nextAtMs) - observation.nowMs);
    this.tally.found(key, findings);
    return { ...findings, occurrences: memory.occurrences.splice(0), nextStepInMs };
  }

  /** The cluster is gone. */
  forget(cluster: { readonly namespace: string; readonly name: string }): void {
    this.#drop(objectKey(cluster));
  }

  /** Starts nothing more and waits for what is under way, which takes seconds: a read log is given up, a pass ends. */
  async stop(): Promise<void> {
    for (const key of [...this.#clusters.keys()]) this.#drop(key);
    await Promise.all(this.#running);
  }

  #drop(key: string): void {
    this.#desk.forget(key);
    this.#clusters.get(key)?.stop.abort();
    this.#clusters.delete(key);
    this.tally.standing.delete(key);
  }

  #memoryOf(key: string): ClusterMemory {
    const known = this.#clusters.get(key);
    if (known !== undefined) return known;
    const memory = { instances: new Map(), occurrences: [], stop: new AbortController(), removing: new Set<string>() };
    this.#clusters.set(key, memory);
    return memory;
  }

  #remember({ instances }: ClusterMemory, sight: InstanceSight, nowMs: number): InstanceMemory {
    const memory = instances.get(sight.instance) ?? new InstanceMemory();
    instances.set(sight.instance, memory);
    if (answerOf(sight) === undefined) memory.isAway(Math.min(nowMs, awaySinceMs(sight) ?? nowMs), sight.wanted);
    else memory.isBack();
    memory.compareLog(sight);
    return memory;
  }

  #tell(memory: ClusterMemory, own: InstanceMemory, sight: InstanceSight, state: JudgedInstance['state']): void {
    const { instance } = sight;
    const occurrences = [
      own.news('state', stateOccurrence(instance, state)),
      own.news('held', state.kind === 'present' ? ownHeldOccurrence(instance, own.held) : null),
      own.news('wal', own.walLost === null ? null : walLostOccurrence(instance, own.walLost)),
    ];
    const pass = ownPass(sight);
    if (pass !== undefined && own.isNewPass(pass, sight.remembered)) occurrences.push(ownPassOccurrence(pass));
    memory.occurrences.push(...occurrences.filter((one) => one !== null));
  }

  #start(
    key: string,
    memory: ClusterMemory,
    own: InstanceMemory,
    sight: InstanceSight,
    context: RecoveryContext,
  ): void {
    own.running = 'reading the log';
    own.reading = new AbortController();
    if (own.last === undefined) memory.occurrences.push(startedOccurrence(sight.instance, own.awaySinceMs ?? 0));
    const run = this.#run(memory, own, sight, context)
      .catch((error: unknown): RunOutcome => {
        if (own.reading.signal.aborted) return { kind: 'blocked', why: 'owner-alive', message: 'the proxy is back' };
        const message = error instanceof Error ? error.message : String(error);
        if (!memory.stop.signal.aborted) this.#deps.onProblem?.(key, error);
        const why = isKubeError(error) ? 'kubernetes' : 'log-unreadable';
        return { kind: 'blocked', why, message };
      })
      .then((outcome) => {
        this.tally.ran(outcome);
        own.ended(sight.instance, this.#deps.clock.nowMs(), outcome);
        if (outcome.kind === 'passed') {
          const occurrence = passOccurrence(sight.instance, outcome.pass, outcome.log.status);
          if (occurrence !== null) memory.occurrences.push(occurrence);
        }
        if (!memory.stop.signal.aborted) this.#deps.wake(key);
      });
    this.#beside(key, memory, run);
  }

  async #run(
    { stop }: ClusterMemory,
    own: InstanceMemory,
    sight: InstanceSight,
    { observation, shardTargets, image }: RecoveryContext,
  ): Promise<RunOutcome> {
    const { kube, clock, controlPoint = noControlPoint } = this.#deps;
    const { instance } = sight;
    const claim = logClaimOf(sight);
    const probes = openProbes(shardsToAsk(observation), shardTargets, this.#probeFor);
    const clusterId = observation.clusterId ?? '';
    const wish = { clusterId, instance, epochSeen: epochSeen(sight), hasLog: claim !== undefined };
    const job = { cluster: observation.cluster, instance, claim: claim ?? '', image };
    const nodeName = nodeOf(sight);
    const signal = AbortSignal.any([stop.signal, own.reading.signal]);
    try {
      return await recoverInstance(
        { ...wish, mayLive: whyMayLive(sight) },
        {
          probes,
          readLog: (ids) => readLogByJob({ ...job, nodeName, ids }, { kube, clock }, signal),
          clock,
          controlPoint,
          onStep: (step) => {
            own.running = step;
          },
        },
      );
    } finally {
      await closeProbes(probes);
    }
  }

  /** Removes the Jobs of an instance that needs them no more. */
  #tidy(
    key: string,
    memory: ClusterMemory,
    own: InstanceMemory,
    { instance }: InstanceSight,
    { cluster, children }: Observation,
  ): void {
    if (own.running !== undefined || !own.isSettled || cluster.spec.paused) return;
    const jobs = children.jobs
      .map(({ metadata }) => metadata)
      .filter(
        ({ labels, deletionTimestamp }) => labels?.[RECOVERY_LABEL] === instance && deletionTimestamp === undefined,
      )
      .filter(({ uid = '' }) => !memory.removing.has(uid));
    if (jobs.length === 0) return;
    for (const { uid = '' } of jobs) memory.removing.add(uid);
    const removal = removeLogJobs(jobs, this.#deps, memory.stop.signal).catch((error: unknown) => {
      for (const { uid = '' } of jobs) memory.removing.delete(uid);
      throw error;
    });
    this.#beside(key, memory, removal);
  }

  /** A proxy that is there says itself what it holds; it is asked when it says that it holds something else than before. */
  #askWhatItHolds(
    key: string,
    memory: ClusterMemory,
    own: InstanceMemory,
    sight: InstanceSight,
    observation: Observation,
  ): void {
    const facts = answerOf(sight);
    if (facts === undefined || sight.proxy === undefined || !own.mayHoldOther(facts)) return;
    const target = proxyTarget(observation, sight.proxy);
    if (target === undefined) return;
    const asked = this.#askHeld(target).then((held) => {
      if (held === null) return;
      own.ownHeld = held;
      if (!memory.stop.signal.aborted) this.#deps.wake(key);
    });
    this.#beside(key, memory, asked);
  }

  #attendRequests(
    key: string,
    memory: ClusterMemory,
    judged: readonly JudgedInstance[],
    context: RecoveryContext,
  ): void {
    const { signal } = memory.stop;
    const sights = judged.map(({ sight }) => sight);
    const attended = this.#desk.step(context, sights, signal)?.then((occurrence) => {
      if (occurrence === null) return;
      memory.occurrences.push(occurrence);
      if (!signal.aborted) this.#deps.wake(key);
    });
    if (attended !== undefined) this.#beside(key, memory, attended);
    const named = namedToRecover(context.observation);
    const busy = judged.filter(({ state }) => ['away', 'acting', 'blocked'].includes(state.kind));
    if (named.length === 0 || busy.some(({ sight }) => named.includes(sight.instance))) return;
    this.#beside(key, memory, this.#desk.clearRecoverNow(context, signal));
  }

  /** Work that no step waits for. */
  #beside(key: string, { stop }: ClusterMemory, work: Promise<unknown>): void {
    const tracked: Promise<void> = work.then(
      () => void this.#running.delete(tracked),
      (error: unknown) => {
        this.#running.delete(tracked);
        if (!stop.signal.aborted) this.#deps.onProblem?.(key, error);
      },
    );
    this.#running.add(tracked);
  }
}

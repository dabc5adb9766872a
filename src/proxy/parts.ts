// Everything that a running proxy is made of, wired together but not started. What a reload may change is read from
// LiveConfig at each use; what it replaces is a field here that can be set.
import type { Clock } from '../kernel/clock.ts';
import type { ControlPoint } from '../kernel/control-point.ts';
import { PgShardProbe } from '../recovery/pg-shard-probe.ts';
import { Recovery } from '../recovery/recovery.ts';
import type { PassReport } from '../recovery/report.ts';
import type { ShardProbe } from '../recovery/shard-probe.ts';
import { Router } from '../routing/router.ts';
import type { Topology } from '../routing/topology.ts';
import { shardsOfDeadlock } from '../session/deadlock-error.ts';
import { RunningTransactions } from '../session/running-transactions.ts';
import type { SessionServices } from '../session/session-state.ts';
import { StatementNames } from '../session/statement-names.ts';
import type { Logger } from '../telemetry/log.ts';
import { Coordinator } from '../transaction/coordinator.ts';
import type { DecisionLog } from '../transaction/decision-log.ts';
import { renderOwnerName } from '../transaction/gid.ts';
import { Backends } from './backends.ts';
import { type CatalogWatch, catalogWatch } from './catalog-watch.ts';
import { DeadlockWatch } from './deadlock-watch.ts';
import type { LiveConfig } from './live-config.ts';
import { PlacementGuard } from './placement-guard.ts';
import { ProxyCounters } from './proxy-counters.ts';

export interface PartsDeps {
  readonly live: LiveConfig;
  readonly decisions: DecisionLog;
  readonly topology: Topology;
  readonly clock: Clock;
  readonly controlPoint: ControlPoint;
  readonly log: Logger;
}

/** What sessions share, with what a reload replaces. */
export type LiveServices = { -readonly [Key in keyof SessionServices]: SessionServices[Key] };

export interface ProxyParts extends PartsDeps {
  /** `as1:<cluster>:<instance>.<epoch>`. */
  readonly ownerName: string;
  readonly counters: ProxyCounters;
  /** By logical shard name; the very map that recovery and the deadlock watch read. */
  readonly probes: Map<string, PgShardProbe>;
  readonly recovery: Recovery;
  readonly coordinator: Coordinator;
  readonly running: RunningTransactions;
  readonly deadlocks: DeadlockWatch;
  readonly backends: Backends;
  readonly services: LiveServices;
  readonly placement: PlacementGuard;
  catalog: CatalogWatch;
}

/** The probe of one shard, as the configuration in force says. */
export function probeFor({ live, clock }: PartsDeps, ownerName: string, shard: string): PgShardProbe {
  const { shards, resolver } = live.current;
  const target = shards.find(({ name }) => name === shard);
  if (target === undefined) throw new Error(`no shard ${shard} is configured`);
  return new PgShardProbe({ ...target, shard, ...resolver, ownerName, clock });
}

export function assembleParts(deps: PartsDeps): ProxyParts {
  const { live, decisions, topology, clock, log } = deps;
  const { cluster, instance } = live.started;
  const ownerName = renderOwnerName(cluster, instance, decisions.identity.epoch);
  const probes = new Map(live.current.shards.map(({ name }) => [name, probeFor(deps, ownerName, name)]));
  const counters = new ProxyCounters(clock);
  const { recovery, coordinator } = assembleRecovery(deps, probes, counters);
  const running = new RunningTransactions();
  const deadlocks = new DeadlockWatch({
    running,
    shards: probes,
    clock,
    get timeoutMs() {
      return live.current.deadlock.timeoutMs;
    },
    onDeadlock: (deadlock) => {
      counters.deadlocks++;
      log.warn({ ...deadlock, shards: shardsOfDeadlock(deadlock) }, DEADLOCK);
    },
  });
  const backends = new Backends(live, ownerName, clock);
  const placement = new PlacementGuard({ config: () => live.current, ownerName, clock, log });
  const router = new Router(topology);
  const catalog = catalogWatch(live.current, ownerName, { topology, adopt: (seen) => router.adopt(seen), clock, log });
  const services: LiveServices = {
    router,
    schema: catalog,
    shardNames: topology.shards,
    coordinator,
    running,
    statementNames: new StatementNames(),
    autoTwoPhaseCommit: live.current.twoPhaseCommit.auto,
    preparedStatementsMax: live.current.limits.preparedStatementsMax,
    searchPath: topology.searchPath,
    traffic: counters,
  };
  return {
    ...deps,
    ownerName,
    counters,
    probes,
    recovery,
    coordinator,
    running,
    deadlocks,
    backends,
    services,
    placement,
    catalog,
  };
}

/** Recovery and the coordinator know each other: the one leaves alone what the other drives and finishes what it leaves. */
function assembleRecovery(deps: PartsDeps, probes: ReadonlyMap<string, ShardProbe>, counters: ProxyCounters) {
  const { live, decisions, clock, controlPoint, log } = deps;
  const { cluster, instance } = live.started;
  let coordinator: Coordinator | undefined;
  const recovery = new Recovery({
    cluster,
    instance,
    log: decisions,
    probes,
    driving: () => coordinator?.driving() ?? new Set(),
    clock,
    controlPoint,
    get intervalMs() {
      return live.current.recovery.intervalMs;
    },
    onReport: (report) => {
      counters.passEnded(report);
      logReport(log, report);
    },
    onAlarm: (alarm) => log.error(alarm, 'recovery alarm'),
  });
  coordinator = new Coordinator({
    cluster,
    instance,
    log: decisions,
    resolver: recovery,
    clock,
    controlPoint,
    observer: counters,
    get commitWaitMs() {
      return live.current.twoPhaseCommit.commitWaitMs;
    },
    get prepareWaitMs() {
      return live.current.twoPhaseCommit.prepareWaitMs;
    },
    get twoPhaseCommit() {
      return live.current.twoPhaseCommit.enabled;
    },
  });
  return { recovery, coordinator };
}

const DEADLOCK = 'transactions waited for each other over several shards; the youngest was cancelled with 40P01';

function logReport(log: Logger, report: PassReport): void {
  const { alarms: _known, newAlarms, ...fields } = report;
  for (const alarm of newAlarms) log.error(alarm, 'recovery alarm');
  // Under load every pass sees transactions that end while it looks; only what it had to do, or could not do, is news.
  const did = report.committed + report.rolledBack + report.backendsFenced;
  const quiet = did === 0 && report.held.length === 0 && report.unreachableShards.length === 0;
  if (quiet) log.debug(fields, 'recovery pass');
  else log.info(fields, 'recovery pass');
}

// The data plane assembled. The start order is the safety argument: open the log (lock, epoch) → recover what earlier
// runs left → pools → listen. Nobody can write across shards before the first recovery pass is over.
import { type Clock, systemClock } from '../kernel/clock.ts';
import { type ControlPoint, noControlPoint } from '../kernel/control-point.ts';
import { PgShardProbe } from '../recovery/pg-shard-probe.ts';
import { Recovery } from '../recovery/recovery.ts';
import type { PassReport } from '../recovery/report.ts';
import { Router } from '../routing/router.ts';
import { buildTopology } from '../routing/topology.ts';
import { authenticationRules } from '../session/authentication.ts';
import { shardsOfDeadlock } from '../session/deadlock-error.ts';
import { RunningTransactions } from '../session/running-transactions.ts';
import type { SessionServices } from '../session/session-state.ts';
import { StatementNames } from '../session/statement-names.ts';
import { loadParser } from '../sql/parser.ts';
import type { Logger } from '../telemetry/log.ts';
import { Coordinator } from '../transaction/coordinator.ts';
import { DecisionLog } from '../transaction/decision-log.ts';
import { renderOwnerName } from '../transaction/gid.ts';
import { FileStorage } from '../wal/file-storage.ts';
import { openWal } from '../wal/wal.ts';
import { Backends } from './backends.ts';
import { type CatalogWatch, catalogWatch } from './catalog-watch.ts';
import type { ProxyConfig } from './config.ts';
import { DeadlockWatch } from './deadlock-watch.ts';
import { Listener } from './listener.ts';
import { inspectShards } from './shard-inspection.ts';

export interface ProxyDeps {
  readonly log: Logger;
  readonly clock?: Clock;
  /** Tests only; production has the no-op. */
  readonly controlPoint?: ControlPoint;
  /** Tests only: a module whose `syncHook` runs in the log's own thread, where the control points around fsync are. */
  readonly syncHook?: URL;
}

export interface RunningProxy {
  readonly host: string;
  readonly port: number;
  readonly instance: string;
  readonly epoch: number;
  /** What the first recovery pass found and did. */
  readonly firstPass: PassReport;
  /** Positions of the write-ahead log now. */
  positions(): DecisionLog['positions'];
  /** Resolves when the log has failed: the process must end, and acknowledges nothing more. */
  readonly failed: Promise<unknown>;
  /** Finishes running transactions up to the grace period, then ends the rest; closes the log clean. */
  stop(): Promise<void>;
}

/** Starts a proxy in this process. Rejects with WalLockedError, WalDamageError, TopologyError or a listen error. */
export async function startProxy(config: ProxyConfig, deps: ProxyDeps): Promise<RunningProxy> {
  const { log, clock = systemClock, controlPoint = noControlPoint } = deps;
  await loadParser();
  const shardNames = config.shards.map((shard) => shard.name);
  const topology = buildTopology(config.sharding, shardNames);
  const decisions = await openDecisions(config, { ...deps, clock, controlPoint });
  const { epoch } = decisions.identity;
  const ownerName = renderOwnerName(config.cluster, config.instance, epoch);
  let catalog: CatalogWatch | undefined;
  const recovery: { parts: ReturnType<typeof assembleRecovery> | undefined } = { parts: undefined };
  try {
    const parts = assembleRecovery(config, { decisions, ownerName, clock, controlPoint, log });
    recovery.parts = parts;
    if (!config.twoPhaseCommit.enabled) {
      log.warn('two-phase commit is off: a crash in the middle of a cross-shard COMMIT tears the transaction');
    }
    await inspectShards(config, ownerName, clock, log);
    // A crash here: nothing new was begun; the next start finds the same in-doubt transactions.
    const firstPass = await parts.recovery.firstPass();
    const backends = new Backends(config, ownerName, clock);
    const router = new Router(topology);
    const watch = catalogWatch(config, ownerName, { topology, adopt: (seen) => router.adopt(seen), clock, log });
    catalog = watch;
    await watch.start();
    const services: SessionServices = {
      router,
      schema: watch,
      shardNames,
      coordinator: parts.coordinator,
      running: parts.running,
      statementNames: new StatementNames(),
      autoTwoPhaseCommit: config.twoPhaseCommit.auto,
      preparedStatementsMax: config.limits.preparedStatementsMax,
      searchPath: topology.searchPath,
    };
    const listener = new Listener({
      host: config.listen.host,
      port: config.listen.port,
      database: config.database,
      ...config.limits,
      rules: await authenticationRules(config.authentication.method, config.authentication.users),
      services,
      backends,
      log,
    });
    const port = await listener.listen();
    parts.recovery.start();
    parts.deadlocks.start();
    return {
      host: config.listen.host,
      port,
      instance: config.instance,
      epoch,
      firstPass,
      positions: () => decisions.positions,
      failed: decisions.failed,
      stop: () => stopProxy(config, { catalog: watch, listener, backends, decisions, ...parts, clock, log }),
    };
  } catch (error) {
    await catalog?.close();
    await recovery.parts?.recovery.stop();
    await Promise.all([...(recovery.parts?.probes.values() ?? [])].map((probe) => probe.close()));
    await decisions.close();
    throw error;
  }
}

async function openDecisions(
  config: ProxyConfig,
  { clock, controlPoint, log, syncHook }: Required<Omit<ProxyDeps, 'syncHook'>> & Pick<ProxyDeps, 'syncHook'>,
): Promise<DecisionLog> {
  const { directory, segmentBytes, reserveBytes, retentionMs, retentionBytesMax } = config.wal;
  return DecisionLog.open({
    clock,
    retentionMs,
    retentionBytesMax,
    openWal: async (onRecord) => {
      const opened = await openWal(
        {
          directory,
          segmentBytes,
          reserveBytes,
          clock,
          controlPoint,
          holder: `atomshard proxy ${config.instance}`,
          ...(syncHook === undefined ? {} : { storage: new FileStorage(directory, { syncHook }) }),
        },
        onRecord,
      );
      const { identity, repaired } = opened;
      log.info(
        { ...identity, directory, ...opened.positions },
        identity.created ? 'write-ahead log created' : 'write-ahead log opened',
      );
      if (repaired !== undefined) log.warn(repaired, 'a torn write at the end of the log was cut off; a copy was kept');
      return opened;
    },
  });
}

interface Assembly {
  readonly decisions: DecisionLog;
  readonly ownerName: string;
  readonly clock: Clock;
  readonly controlPoint: ControlPoint;
  readonly log: Logger;
}

/** Recovery and the coordinator know each other: the one leaves alone what the other drives and finishes what it leaves. */
function assembleRecovery(config: ProxyConfig, { decisions, ownerName, clock, controlPoint, log }: Assembly) {
  const { cluster, instance } = config;
  const probes = new Map(
    config.shards.map((shard) => [
      shard.name,
      new PgShardProbe({ ...shard, shard: shard.name, ...config.resolver, ownerName, clock }),
    ]),
  );
  let coordinator: Coordinator | undefined;
  const recovery = new Recovery({
    cluster,
    instance,
    log: decisions,
    probes,
    driving: () => coordinator?.driving() ?? new Set(),
    clock,
    controlPoint,
    intervalMs: config.recovery.intervalMs,
    onReport: (report) => logReport(log, report),
    onAlarm: (alarm) => log.error(alarm, 'recovery alarm'),
  });
  coordinator = new Coordinator({
    cluster,
    instance,
    log: decisions,
    resolver: recovery,
    clock,
    controlPoint,
    commitWaitMs: config.twoPhaseCommit.commitWaitMs,
    prepareWaitMs: config.twoPhaseCommit.prepareWaitMs,
    twoPhaseCommit: config.twoPhaseCommit.enabled,
  });
  const running = new RunningTransactions();
  const deadlocks = new DeadlockWatch({
    running,
    shards: probes,
    clock,
    timeoutMs: config.deadlock.timeoutMs,
    onDeadlock: (deadlock) => log.warn({ ...deadlock, shards: shardsOfDeadlock(deadlock) }, DEADLOCK),
  });
  return { recovery, coordinator, probes, running, deadlocks };
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

type Parts = ReturnType<typeof assembleRecovery> & {
  readonly catalog: CatalogWatch;
  readonly listener: Listener;
  readonly backends: Backends;
  readonly decisions: DecisionLog;
  readonly clock: Clock;
  readonly log: Logger;
};

async function stopProxy(config: ProxyConfig, parts: Parts): Promise<void> {
  const { catalog, listener, backends, decisions, recovery, coordinator, deadlocks, probes, clock, log } = parts;
  listener.drain();
  const deadlineMs = clock.monotonicMs() + config.shutdown.graceMs;
  while (listener.clients > 0 && clock.monotonicMs() < deadlineMs) await clock.sleep(20);
  if (listener.clients > 0)
    log.warn({ clients: listener.clients }, 'the grace period is over; ending the sessions that are left');
  listener.terminate();
  // Commits that have begun are driven to their end; a kill here leaves them to the next start's recovery.
  await coordinator.drain();
  await Promise.race([recovery.idle(), clock.sleep(Math.max(1_000, deadlineMs - clock.monotonicMs()))]);
  await recovery.stop();
  await catalog.close();
  await deadlocks.stop();
  await Promise.all([...probes.values()].map((probe) => probe.close()));
  await backends.close();
  await decisions.close();
  log.info('the log is closed; bye');
}

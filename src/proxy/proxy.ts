// The data plane assembled. The start order is the safety argument: open the log (lock, epoch) → listen for administrators →
// recover what earlier runs left → see that rows are where this list of shards has them → look at the tables → let clients in.
// Nobody can write across shards before the first recovery pass is over.
import type { Socket } from 'node:net';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { type ControlPoint, noControlPoint } from '../kernel/control-point.ts';
import { VERSION } from '../kernel/version.ts';
import type { PassReport } from '../recovery/report.ts';
import { buildTopology } from '../routing/topology.ts';
import { loadParser } from '../sql/parser.ts';
import type { Logger } from '../telemetry/log.ts';
import type { DecisionLog } from '../transaction/decision-log.ts';
import { type Actors, commandActions } from './admin/actions.ts';
import { AdminDesk } from './admin/admin-desk.ts';
import { AdminSession } from './admin/admin-session.ts';
import { ConfigError, type ProxyConfig } from './config.ts';
import type { ConfigFile, LoadedConfig } from './config-file.ts';
import { Drain } from './drain.ts';
import { Metrics, startHttp } from './http-endpoints.ts';
import { Listener } from './listener.ts';
import { LiveConfig } from './live-config.ts';
import { loginSettings } from './login-settings.ts';
import { openDecisions } from './open-decisions.ts';
import { assembleParts, type ProxyParts } from './parts.ts';
import { Reload, type ReloadOutcome } from './reload.ts';
import { inspectShards } from './shard-inspection.ts';
import { stopProxy } from './stop-proxy.ts';

export interface ProxyDeps {
  readonly log: Logger;
  readonly clock?: Clock;
  /** Where the configuration came from; without it there is nothing to reload. */
  readonly from?: { readonly file: ConfigFile; readonly loaded: LoadedConfig };
  /** Tests only; production has the no-op. */
  readonly controlPoint?: ControlPoint;
  /** Tests only: a module whose `syncHook` runs in the log's own thread, where the control points around fsync are. */
  readonly syncHook?: URL;
}

export interface RunningProxy {
  readonly host: string;
  readonly port: number;
  /** Undefined without `http` in the configuration. */
  readonly httpPort: number | undefined;
  readonly instance: string;
  readonly epoch: number;
  /** What the first recovery pass found and did. */
  readonly firstPass: PassReport;
  /** Positions of the write-ahead log now. */
  positions(): DecisionLog['positions'];
  /** Resolves when the log has failed: the process must end, and acknowledges nothing more. */
  readonly failed: Promise<unknown>;
  /** Reads the configuration file again; never rejects for the file's sake. */
  reload(): Promise<ReloadOutcome>;
  /** Finishes running transactions up to the grace period, then ends the rest; closes the log clean. */
  stop(): Promise<void>;
}

/** Starts a proxy in this process. Rejects with ConfigError, WalLockedError, WalDamageError, TopologyError or a listen error. */
export async function startProxy(config: ProxyConfig, deps: ProxyDeps): Promise<RunningProxy> {
  const { log, clock = systemClock, controlPoint = noControlPoint } = deps;
  const live = new LiveConfig(config, deps.from);
  await loadParser();
  const topology = buildTopology(
    config.sharding,
    config.shards.map(({ name }) => name),
  );
  const settings = await loginSettings(config, { clock, log });
  await using undo = new AsyncDisposableStack();
  const decisions = await openDecisions(config, { clock, controlPoint, log, syncHook: deps.syncHook });
  undo.defer(() => decisions.close());
  const parts = assembleParts({ live, decisions, topology, clock, controlPoint, log });
  undo.defer(async () => {
    await parts.placement.close();
    await parts.catalog.close();
    await parts.recovery.stop();
    await Promise.all([...parts.probes.values()].map((probe) => probe.close()));
    await parts.backends.close();
  });
  const front = assembleFront(parts, settings);
  const { listener, metrics, reload } = front;
  undo.defer(() => {
    metrics.close();
    listener.close();
  });
  const port = await listener.listen();
  const http = await startHttp(front, metrics);
  undo.defer(() => http?.close());
  if (!config.twoPhaseCommit.enabled) {
    log.warn('two-phase commit is off: a crash in the middle of a cross-shard COMMIT tears the transaction');
  }
  await inspectShards(config, parts.ownerName, clock, log);
  // A crash here: nothing new was begun; the next start finds the same in-doubt transactions.
  const firstPass = await parts.recovery.firstPass();
  const placed = await parts.placement.start();
  if (placed.kind === 'refused') throw new ConfigError(deps.from?.file.path ?? 'configuration', placed.problems);
  await parts.catalog.start();
  listener.admit();
  parts.recovery.start();
  parts.deadlocks.start();
  undo.move();
  return {
    host: config.listen.host,
    port,
    instance: config.instance,
    epoch: decisions.identity.epoch,
    firstPass,
    positions: () => decisions.positions,
    failed: decisions.failed,
    reload: () => reload.run(),
    httpPort: http?.port,
    stop: async () => {
      await stopProxy(front);
      metrics.close();
      // Last, so that /readyz says "stopping" as long as there is something to stop.
      await http?.close();
    },
  };
}

/** What stands towards clients and administrators. */
function assembleFront(parts: ProxyParts, settings: Awaited<ReturnType<typeof loginSettings>>) {
  const { live, clock, log, services, backends, recovery, running, coordinator, decisions } = parts;
  const openAdmin = (socket: Socket, user: string) => {
    const { database } = live.current.admin;
    return new AdminSession(socket, new AdminDesk(actions, { version: VERSION, database }, user));
  };
  const counts = parts.counters;
  const listener = new Listener({ ...live.started.listen, settings, services, backends, counts, openAdmin, log });
  const drain = new Drain({
    clock,
    listener,
    busy: () => [...running].length > 0 || coordinator.driving().difference(recovery.handedOver()).size > 0,
    unfinished: () => decisions.liveCount + recovery.handedOverCount,
    pass: () => recovery.pass(),
    passIntervalMs: () => live.current.recovery.intervalMs,
  });
  const reload = new Reload(parts, listener);
  const inspected = { parts, listener, drain, version: VERSION };
  const metrics = new Metrics(inspected);
  const actors: Actors = { ...inspected, reload, metricRows: () => metrics.rows() };
  const actions = commandActions(actors);
  return { ...inspected, reload, metrics };
}

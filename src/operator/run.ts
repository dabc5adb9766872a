// `atomshard operator`: stands for election, works while it leads, and ends on signals. Exit codes: 0 stopped in good order ·
// 1 unexpected · 2 flags or access · 3 the lead was lost, so that the next start stands for election anew.
import { randomBytes } from 'node:crypto';
import { systemClock } from '../kernel/clock.ts';
import { type ControlPoint, noControlPoint } from '../kernel/control-point.ts';
import { startHttpStatus } from '../telemetry/http-status.ts';
import { createLog, type Logger } from '../telemetry/log.ts';
import { CountingTransport } from './cluster/counting-transport.ts';
import { judges } from './cluster/judges.ts';
import { Operator } from './cluster/operator.ts';
import { type OperatorMetrics, operatorMetrics } from './cluster/operator-metrics.ts';
import { operatorRoutes } from './cluster/operator-routes.ts';
import { sqlEyes, sqlPort } from './cluster/sql-port.ts';
import { AccessError, type AccessSource } from './kube/access.ts';
import { KubeClient } from './kube/client.ts';
import { EventRecorder } from './kube/event-recorder.ts';
import { HttpsTransport } from './kube/https-transport.ts';
import { inClusterAccess } from './kube/in-cluster-access.ts';
import { kubeconfigAccess } from './kube/kubeconfig-access.ts';
import { LeaderElection } from './kube/leader-election.ts';
import { ownSurroundings } from './own-surroundings.ts';
import { RecoveryReconciler } from './recovery/reconciler.ts';
import { registerRecoveryMetrics } from './recovery/recovery-tally.ts';
import { type OperatorFlags, type OperatorSettings, SettingsError, settingsOf } from './settings.ts';

export const EXIT = { stopped: 0, unexpected: 1, settings: 2, leadLost: 3 } as const;

export const FIELD_MANAGER = 'atomshard-operator';

export interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly stderr?: NodeJS.WritableStream;
  /** Stops it as SIGTERM does. */
  readonly signal?: AbortSignal;
  /** Tests only; production has the no-op. */
  readonly controlPoint?: ControlPoint;
}

/** Runs until a signal, a lost lead or a failure ends it; resolves with the exit code. */
export async function runOperator(flags: OperatorFlags, version: string, options: RunOptions = {}): Promise<number> {
  const { env = process.env, stderr = process.stderr } = options;
  try {
    const settings = settingsOf(flags, env);
    const { controlPoint = noControlPoint } = options;
    return await serve(settings, { env, version, stop: stopSignal(options.signal), controlPoint });
  } catch (error) {
    stderr.write(`atomshard operator: ${error instanceof Error ? error.message : String(error)}\n`);
    if (error instanceof SettingsError || error instanceof AccessError) return EXIT.settings;
    if (error instanceof Error) stderr.write(`${error.stack ?? ''}\n`);
    return EXIT.unexpected;
  }
}

interface Surrounding {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly stop: AbortSignal;
  readonly controlPoint: ControlPoint;
}

async function serve(settings: OperatorSettings, { env, version, stop, controlPoint }: Surrounding): Promise<number> {
  const identity = `${settings.pod?.name ?? 'atomshard-operator'}-${randomBytes(4).toString('hex')}`;
  const log = createLog(settings.logLevel, { operator: identity });
  const parts: { operator?: Operator; election?: LeaderElection } = {};
  const metrics = metricsOf(parts, settings);
  const count = (verb: string, code: string, resource: string) => metrics.apiRequests.inc({ verb, resource, code });
  const inner = new HttpsTransport({ access: accessOf(settings, env), userAgent: `atomshard-operator/${version}` });
  const transport = new CountingTransport(inner, count);
  const base = { transport, clock: systemClock, random: Math.random, fieldManager: FIELD_MANAGER };
  const reader = new KubeClient(base);
  const election = electionOf(settings, reader, identity, log);
  const writer = new KubeClient({ ...base, gate: election });
  const recorder = new EventRecorder({
    client: writer,
    clock: systemClock,
    controller: 'atomshard.dev/operator',
    instance: settings.pod?.name ?? identity,
    onProblem: (error) => log.debug({ err: error }, 'an Event was not written'),
  });
  const http = await startHttpStatus({
    host: '0.0.0.0',
    port: settings.httpPort,
    routes: operatorRoutes(() => parts.operator, metrics),
  });
  log.info({ version, port: http.port, namespaces: settings.namespaces }, 'started');
  try {
    const surroundings = await ownSurroundings(settings, { client: reader, clock: systemClock, log, stop });
    if (surroundings === undefined) return EXIT.stopped;
    const operator = new Operator({
      ...{ reader, writer, recorder, log, metrics, surroundings, judges },
      clock: systemClock,
      random: Math.random,
      namespaces: settings.namespaces,
      resyncMs: settings.resyncMs,
      workers: settings.workers,
      sql: sqlPort(systemClock),
      eyes: sqlEyes(systemClock),
      recoveryWith: (wake) => {
        const onProblem = recoveryProblem(log);
        const recovery = new RecoveryReconciler({ kube: writer, clock: systemClock, wake, onProblem, controlPoint });
        registerRecoveryMetrics(metrics.registry, recovery.tally, () => systemClock.nowMs());
        return recovery;
      },
    });
    parts.operator = operator;
    if (election !== undefined) parts.election = election;
    return await leadAndWork({ operator, election, recorder, stop, log });
  } finally {
    await http.close();
    transport.close();
  }
}

function recoveryProblem(log: Logger): (cluster: string, error: unknown) => void {
  return (cluster, error) => log.warn({ cluster, err: error }, 'recovery for a proxy could not go on');
}

interface Running {
  readonly operator: Operator;
  readonly election: LeaderElection | undefined;
  readonly recorder: EventRecorder;
  readonly stop: AbortSignal;
  readonly log: Logger;
}

/** Rounds end before the Lease is given back: the next leader never meets our writes. */
async function leadAndWork({ operator, election, recorder, stop, log }: Running): Promise<number> {
  const following = new AbortController();
  const resigning = new AbortController();
  const caches = operator.follow(following.signal);
  const events = recorder.run(following.signal);
  let lost = false;
  const work = new AbortController();
  const leading = Promise.withResolvers<void>();
  const elected =
    election?.run(resigning.signal).then((end) => {
      lost = end === 'lost';
      if (lost) work.abort();
    }) ?? Promise.resolve();
  const asked = () => work.abort();
  stop.addEventListener('abort', asked);
  if (stop.aborted) asked();
  if (election === undefined) leading.resolve();
  else void untilLeading(election, work.signal).then(leading.resolve);
  await leading.promise;
  if (!work.signal.aborted) {
    log.info('this process leads');
    await operator.work(work.signal);
  }
  following.abort();
  await Promise.all([caches, events]);
  resigning.abort();
  await elected;
  log.info({ lost }, 'stopped');
  return lost ? EXIT.leadLost : EXIT.stopped;
}

async function untilLeading(election: LeaderElection, signal: AbortSignal): Promise<void> {
  while (!election.isLeader && !signal.aborted) await systemClock.sleep(100, signal);
}

function electionOf(
  { lease }: OperatorSettings,
  client: KubeClient,
  identity: string,
  log: Logger,
): LeaderElection | undefined {
  if (lease === undefined) return undefined;
  const onProblem = (error: unknown) => log.warn({ err: error }, 'the Lease could not be read or written');
  return new LeaderElection({ client, lease, identity, clock: systemClock, random: Math.random, onProblem });
}

function accessOf({ kubeconfig, context }: OperatorSettings, env: Surrounding['env']): AccessSource {
  const clock = systemClock;
  return kubeconfig === undefined
    ? inClusterAccess({ clock, env })
    : kubeconfigAccess({ clock, file: kubeconfig, context, env });
}

function metricsOf(
  parts: { readonly operator?: Operator; readonly election?: LeaderElection },
  { lease }: OperatorSettings,
): OperatorMetrics {
  return operatorMetrics({
    leading: () => (lease === undefined || parts.election?.isLeader === true ? 1 : 0),
    queueDepth: () => parts.operator?.queue.depth ?? 0,
    clusters: () => {
      const memories = [...(parts.operator?.reconciler.clusters.values() ?? [])];
      const notReady = memories.filter(({ isTroubled }) => isTroubled).length;
      return { ready: memories.length - notReady, notReady };
    },
    cacheContactAgeSeconds: () => (parts.operator?.caches.contactAgeMs() ?? 0) / 1_000,
  });
}

/** Aborts at SIGTERM or SIGINT; a second one ends the process at once, which is safe. */
function stopSignal(given: AbortSignal | undefined): AbortSignal {
  if (given !== undefined) return given;
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
  return stop.signal;
}

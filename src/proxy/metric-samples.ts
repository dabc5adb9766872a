// Reads every metric of the proxy, when somebody asks. Each number is owned by the part that counts it.
import type { monitorEventLoopDelay } from 'node:perf_hooks';
import type { SampleSet, Samples } from '../telemetry/metrics.ts';
import type { PROXY_METRICS } from '../telemetry/metrics-table.ts';
import { freeBytes, type Inspected, stateFacts } from './admin/status-row.ts';
import type { PreparedWatch } from './prepared-watch.ts';
import { COMMIT_BUCKETS_MS, type ProxyCounters } from './proxy-counters.ts';
import { notReadyReasons, PROXY_STATES, type StateFacts, stateOf } from './proxy-state.ts';

export interface Metered extends Inspected {
  readonly prepared: PreparedWatch;
  /** In nanoseconds; reset by each reading. */
  readonly eventLoopDelay: ReturnType<typeof monitorEventLoopDelay>;
}

type Set = SampleSet<typeof PROXY_METRICS>;
type Part<Prefix extends string> = Pick<Set, Extract<keyof Set, `${Prefix}${string}`>>;

export async function proxySamples(metered: Metered): Promise<Set> {
  const { parts, listener } = metered;
  const facts = stateFacts(metered);
  return {
    ...stateSamples(metered, facts),
    ...trafficSamples(parts.counters),
    atomshard_clients: listener.clients,
    atomshard_transactions_running: [...parts.running].length,
    ...shardSamples(metered),
    ...(await walSamples(metered)),
    ...recoverySamples(metered, facts),
    ...processSamples(metered),
  };
}

function stateSamples({ parts: { live, services, counters }, version }: Metered, facts: StateFacts) {
  const state = stateOf(facts);
  const { parses, texts, shapes } = services.router.statistics;
  return {
    atomshard_info: [{ labels: [version, live.started.instance], value: 1 }],
    atomshard_state: PROXY_STATES.map((name) => ({ labels: [name], value: name === state ? 1 : 0 })),
    atomshard_ready: notReadyReasons(facts).length === 0 ? 1 : 0,
    atomshard_config_refused: live.error === null ? 0 : 1,
    atomshard_config_restart_needed: live.restartNeeded.length,
    atomshard_reloads_total: [
      { labels: ['applied'], value: counters.reloads },
      { labels: ['refused'], value: counters.refusedReloads },
    ],
    atomshard_parses_total: parses,
    atomshard_plans_cached: [
      { labels: ['text'], value: texts },
      { labels: ['shape'], value: shapes },
    ],
  } satisfies Partial<Set>;
}

function trafficSamples(counters: ProxyCounters) {
  const { commits, commitTimes } = counters;
  return {
    atomshard_logins_total: [
      { labels: ['admitted'], value: counters.logins },
      { labels: ['refused'], value: counters.refusedLogins },
    ],
    atomshard_queries_total: counters.queries,
    atomshard_errors_total: [...counters.errors].map(([kind, value]) => ({ labels: [kind], value })),
    atomshard_commits_total: Object.entries(commits).flatMap(([way, outcomes]) =>
      Object.entries(outcomes).map(([outcome, value]) => ({ labels: [way, outcome], value })),
    ),
    atomshard_commit_seconds: Object.entries(commitTimes).map(([way, { counts, sumMs }]) => ({
      labels: [way],
      bounds: COMMIT_BUCKETS_MS.map((ms) => ms / 1_000),
      counts,
      sum: sumMs / 1_000,
    })),
    atomshard_unsafe_commits_total: counters.unsafeCommits,
    atomshard_deadlocks_total: counters.deadlocks,
  } satisfies Partial<Set>;
}

function shardSamples({ parts, prepared }: Metered) {
  const pools = [...parts.backends.all()].map(({ pool }) => ({ shard: pool.target.shard, stats: pool.stats() }));
  const names = parts.live.current.shards.map(({ name }) => name);
  const unreachable = new Set(parts.counters.lastPass?.report.unreachableShards.map(({ shard }) => shard));
  const byShard = Map.groupBy(pools, ({ shard }) => shard);
  const each = (read: (stats: (typeof pools)[number]['stats'][]) => number): Samples =>
    names.map((shard) => ({ labels: [shard], value: read((byShard.get(shard) ?? []).map(({ stats }) => stats)) }));
  const sum = (key: 'idle' | 'leased' | 'opening' | 'waiting' | 'opened' | 'connectFailures' | 'waitTimeouts') =>
    each((stats) => stats.reduce((total, one) => total + one[key], 0));
  const counts = [...prepared.counts()];
  return {
    atomshard_server_connections: names.flatMap((shard) =>
      (['idle', 'leased', 'opening'] as const).map((state) => ({
        labels: [shard, state],
        value: (byShard.get(shard) ?? []).reduce((total, { stats }) => total + stats[state], 0),
      })),
    ),
    atomshard_server_connections_opened_total: sum('opened'),
    atomshard_connect_failures_total: sum('connectFailures'),
    atomshard_pool_waiters: sum('waiting'),
    atomshard_pool_oldest_wait_seconds: each((stats) => Math.max(0, ...stats.map((one) => one.oldestWaitMs)) / 1_000),
    atomshard_pool_wait_timeouts_total: sum('waitTimeouts'),
    atomshard_shard_reachable: names.map((shard) => {
      const failing = (byShard.get(shard) ?? []).some(({ stats }) => stats.lastFailure !== undefined);
      return { labels: [shard], value: failing || unreachable.has(shard) ? 0 : 1 };
    }),
    atomshard_prepared_transactions: counts.flatMap(([shard, { ours, otherInstances, foreign }]) => [
      { labels: [shard, 'ours'], value: ours },
      { labels: [shard, 'other_instances'], value: otherInstances },
      { labels: [shard, 'foreign'], value: foreign },
    ]),
    atomshard_oldest_prepared_seconds: counts.map(([shard, { oldestSeconds }]) => ({
      labels: [shard],
      value: oldestSeconds,
    })),
  } satisfies Partial<Set>;
}

async function walSamples({ parts: { decisions, live } }: Metered): Promise<Part<'atomshard_wal_'>> {
  const { positions, statistics } = decisions;
  const segments = decisions.segments();
  const { directory, segmentBytes } = live.started.wal;
  const free = await freeBytes(directory);
  return {
    atomshard_wal_position: Object.entries(positions).map(([position, value]) => ({ labels: [position], value })),
    atomshard_wal_syncs_total: statistics.groups,
    atomshard_wal_records_total: statistics.records,
    atomshard_wal_written_bytes_total: statistics.bytes,
    atomshard_wal_segments: segments.length,
    atomshard_wal_bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
    atomshard_wal_segment_bytes: segmentBytes,
    atomshard_wal_free_bytes: free === null ? [] : free,
    atomshard_wal_failed: decisions.hasFailed ? 1 : 0,
  };
}

function recoverySamples({ parts: { decisions, counters } }: Metered, { inDoubt }: StateFacts) {
  const { passes, lastPass } = counters;
  const alarms = Map.groupBy(lastPass?.report.alarms ?? [], ({ kind }) => kind);
  return {
    atomshard_decisions_open: decisions.liveCount,
    atomshard_in_doubt_transactions: inDoubt,
    atomshard_recovery_held_transactions: lastPass?.report.held.length ?? 0,
    atomshard_recovery_passes_total: passes.count,
    atomshard_recovery_seconds_total: passes.seconds,
    atomshard_recovery_last_pass_timestamp_seconds: (lastPass?.atMs ?? 0) / 1_000,
    atomshard_recovery_verdicts_total: [
      { labels: ['committed'], value: passes.committed },
      { labels: ['rolled_back'], value: passes.rolledBack },
      { labels: ['confirmed'], value: passes.confirmed },
    ],
    atomshard_recovery_fenced_backends_total: passes.fenced,
    atomshard_recovery_alarms: [...alarms].map(([kind, some]) => ({ labels: [kind], value: some.length })),
  } satisfies Partial<Set>;
}

function processSamples({ parts: { counters }, eventLoopDelay }: Metered) {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  const seconds = (nanoseconds: number) => (Number.isFinite(nanoseconds) ? nanoseconds / 1e9 : 0);
  const delays = [
    { labels: ['0.5'], value: seconds(eventLoopDelay.percentile(50)) },
    { labels: ['0.99'], value: seconds(eventLoopDelay.percentile(99)) },
    { labels: ['1'], value: seconds(eventLoopDelay.max) },
  ];
  eventLoopDelay.reset();
  return {
    process_resident_memory_bytes: rss,
    process_cpu_seconds_total: (user + system) / 1e6,
    process_start_time_seconds: counters.startedAtMs / 1_000,
    nodejs_heap_used_bytes: heapUsed,
    nodejs_eventloop_delay_seconds: delays,
  } satisfies Partial<Set>;
}

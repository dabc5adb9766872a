// Every metric of the proxy, in one table: /metrics, SHOW STATS, docs/METRICS.md and the alerts follow it. Names are a
// contract with dashboards: add, never rename.
import type { MetricFacts } from './metrics.ts';

const metric = (type: MetricFacts['type'], help: string, labels: readonly string[] = []): MetricFacts => ({
  type,
  help,
  labels,
});
const gauge = (help: string, ...labels: string[]): MetricFacts => metric('gauge', help, labels);
const counter = (help: string, ...labels: string[]): MetricFacts => metric('counter', help, labels);
const histogram = (help: string, ...labels: string[]): MetricFacts => metric('histogram', help, labels);

export const PROXY_METRICS = {
  atomshard_info: gauge('1, with what this proxy is', 'version', 'instance'),
  atomshard_state: gauge('1 for the state that SHOW STATUS says, 0 for the others', 'state'),
  atomshard_ready: gauge('1 while clients are let in'),

  atomshard_clients: gauge('clients that are logged in'),
  atomshard_logins_total: counter('logins of clients: admitted, or refused for whatever reason', 'outcome'),
  atomshard_queries_total: counter('answers that ended with ReadyForQuery: one for each Query and each Sync'),
  atomshard_errors_total: counter('errors told to clients, by the first two characters of the SQLSTATE', 'class'),
  atomshard_transactions_running: gauge('transactions that hold server connections'),

  atomshard_commits_total: counter(
    'explicit commits by way (single shard, one-phase over several, two-phase) and outcome',
    'way',
    'outcome',
  ),
  atomshard_commit_seconds: histogram('from COMMIT to its answer, for commits over several shards', 'way'),
  atomshard_unsafe_commits_total: counter('commits of several writers without prepare (two-phase commit is off)'),
  atomshard_deadlocks_total: counter('circles of waits over several shards that were broken'),

  atomshard_server_connections: gauge('connections to a shard: idle, leased or opening', 'shard', 'state'),
  atomshard_server_connections_opened_total: counter('connections to a shard that were made', 'shard'),
  atomshard_connect_failures_total: counter('attempts to connect to a shard that failed', 'shard'),
  atomshard_pool_waiters: gauge('transactions that wait for a connection to a shard', 'shard'),
  atomshard_pool_oldest_wait_seconds: gauge('how long the first of them has waited', 'shard'),
  atomshard_pool_wait_timeouts_total: counter('transactions that waited too long', 'shard'),
  atomshard_shard_reachable: gauge('1 when the shard answers, as far as pools and recovery know', 'shard'),

  atomshard_wal_position: gauge(
    'positions of the log: oldest, applied, committed, durable, appended (record numbers)',
    'position',
  ),
  atomshard_wal_syncs_total: counter('groups of records made durable, each with one fdatasync'),
  atomshard_wal_records_total: counter('records written; divided by the syncs it is the size of a group'),
  atomshard_wal_written_bytes_total: counter('bytes of records written'),
  atomshard_wal_segments: gauge('files of the log'),
  atomshard_wal_bytes: gauge('bytes in them'),
  atomshard_wal_segment_bytes: gauge('size of a segment as configured'),
  atomshard_wal_free_bytes: gauge("free bytes of the log's volume"),
  atomshard_wal_failed: gauge('1 when the log has failed; the process is about to end'),

  atomshard_decisions_open: gauge('decisions to commit that have not reached every shard'),
  atomshard_in_doubt_transactions: gauge('unfinished transactions that no client waits for'),
  atomshard_recovery_held_transactions: gauge('those that recovery may not decide yet'),
  atomshard_recovery_passes_total: counter('recovery passes'),
  atomshard_recovery_seconds_total: counter('time that they took'),
  atomshard_recovery_last_pass_timestamp_seconds: gauge('when the last one ended, Unix time; 0 before the first'),
  atomshard_recovery_verdicts_total: counter('what they did: committed, rolled_back or confirmed', 'verdict'),
  atomshard_recovery_fenced_backends_total: counter('connections of earlier runs that they ended'),
  atomshard_recovery_alarms: gauge('alarms of the last pass by kind (docs/RECOVERY.md)', 'kind'),
  atomshard_prepared_transactions: gauge(
    'what a shard holds prepared: ours, of other proxies of the cluster, or foreign; a few seconds old',
    'shard',
    'owner',
  ),
  atomshard_oldest_prepared_seconds: gauge('age of the oldest of them, whoever owns it; 0 without any', 'shard'),

  atomshard_config_refused: gauge('1 while the file on the disk is one that was refused'),
  atomshard_config_restart_needed: gauge('changed keys that wait for a restart'),
  atomshard_reloads_total: counter('reloads of the configuration, by outcome (applied, refused)', 'outcome'),

  atomshard_parses_total: counter('texts that went through the parser; repeated shapes do not'),
  atomshard_plans_cached: gauge('plans in memory, by exact text or by shape', 'by'),

  process_resident_memory_bytes: gauge('memory of the process'),
  process_cpu_seconds_total: counter('user and system time of the process'),
  process_start_time_seconds: gauge('when the process started, Unix time'),
  nodejs_heap_used_bytes: gauge('bytes in use on the JavaScript heap'),
  nodejs_eventloop_delay_seconds: gauge('how late the event loop was since the last scrape', 'quantile'),
} as const satisfies Record<string, MetricFacts>;

export type ProxyMetric = keyof typeof PROXY_METRICS;

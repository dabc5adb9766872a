// The alerts of one cluster, in Prometheus' words: each names what is wrong, and its section of docs/RUNBOOK.md says what to do.
// A test compares both, and the metrics that they ask for with those that there are.
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import type { PlainObject } from './desired-input.ts';

interface Alert {
  readonly name: string;
  /** `SELECTOR` stands for the labels that choose this cluster's proxies. */
  readonly expression: string;
  readonly for: string;
  readonly severity: 'warning' | 'critical';
  readonly summary: string;
  /** What Prometheus knows of the case is filled in by it. */
  readonly description: string;
}

export const CLUSTER_ALERTS: readonly Alert[] = [
  {
    name: 'AtomShardProxyDown',
    expression: 'up{SELECTOR} == 0',
    for: '2m',
    severity: 'warning',
    summary: 'A proxy does not answer.',
    description:
      '{{ $labels.pod }} has not answered for two minutes; transactions that it drove may be in doubt until it is back.',
  },
  {
    name: 'AtomShardProxyNotReady',
    expression: 'atomshard_ready{SELECTOR} == 0',
    for: '5m',
    severity: 'warning',
    summary: 'A proxy runs and lets no client in.',
    description: '{{ $labels.pod }} has let no client in for five minutes; its /readyz says why.',
  },
  {
    name: 'AtomShardShardDown',
    expression: 'min by (namespace, shard) (atomshard_shard_reachable{SELECTOR}) == 0',
    for: '2m',
    severity: 'critical',
    summary: 'No proxy reaches a shard.',
    description: 'No proxy has reached {{ $labels.shard }} for two minutes; statements that need it fail.',
  },
  {
    name: 'AtomShardInDoubt',
    expression: 'sum by (namespace, pod) (atomshard_in_doubt_transactions{SELECTOR}) > 0',
    for: '5m',
    severity: 'warning',
    summary: 'Transactions are in doubt.',
    description:
      '{{ $value }} transactions of {{ $labels.pod }} have not ended for five minutes; their rows are locked.',
  },
  {
    name: 'AtomShardRecoveryHeld',
    expression: 'sum by (namespace, pod) (atomshard_recovery_held_transactions{SELECTOR}) > 0',
    for: '1m',
    severity: 'critical',
    summary: 'Transactions wait for a person.',
    description: 'Recovery of {{ $labels.pod }} holds {{ $value }} transactions, because their end cannot be proven.',
  },
  {
    name: 'AtomShardRecoveryAlarm',
    expression: 'max by (namespace, pod, kind) (atomshard_recovery_alarms{SELECTOR}) > 0',
    for: '1m',
    severity: 'critical',
    summary: 'Recovery found something that it cannot put right.',
    description:
      '{{ $labels.pod }} raises {{ $labels.kind }}: a log or a shard lost something, or somebody resolved a transaction by hand.',
  },
  {
    name: 'AtomShardRecoveryStalled',
    // Before the first pass the value is 0; such a proxy takes no clients, which is another alert's business.
    expression: 'time() - (atomshard_recovery_last_pass_timestamp_seconds{SELECTOR} > 0) > 900',
    for: '1m',
    severity: 'warning',
    summary: 'A proxy has not looked for unfinished transactions.',
    description: 'The last recovery pass of {{ $labels.pod }} ended {{ $value | humanizeDuration }} ago.',
  },
  {
    name: 'AtomShardPreparedTooOld',
    expression: 'max by (namespace, shard) (atomshard_oldest_prepared_seconds{SELECTOR}) > 600',
    for: '1m',
    severity: 'warning',
    summary: 'A prepared transaction is old.',
    description:
      'On {{ $labels.shard }} a transaction has been prepared for {{ $value | humanizeDuration }}; it holds locks and keeps VACUUM back.',
  },
  {
    name: 'AtomShardWalDiskLow',
    expression: 'atomshard_wal_free_bytes{SELECTOR} < 4 * atomshard_wal_segment_bytes{SELECTOR}',
    for: '1m',
    severity: 'critical',
    summary: "The volume of a proxy's log is nearly full.",
    description:
      '{{ $labels.pod }} has {{ $value | humanize1024 }}B left for its log; when it is full, commits over several shards are refused.',
  },
  {
    name: 'AtomShardConfigRefused',
    expression: 'atomshard_config_refused{SELECTOR} == 1',
    for: '5m',
    severity: 'warning',
    summary: 'A proxy refuses its configuration.',
    description: '{{ $labels.pod }} runs on with the configuration before; SHOW STATUS says why (config_error).',
  },
  {
    name: 'AtomShardPoolExhausted',
    expression: 'sum by (namespace, pod, shard) (atomshard_pool_waiters{SELECTOR}) > 0',
    for: '5m',
    severity: 'warning',
    summary: 'Transactions wait for connections.',
    description: '{{ $value }} transactions of {{ $labels.pod }} wait for a connection to {{ $labels.shard }}.',
  },
];

/** Rules for the PrometheusRule of `cluster`. */
export function alertsOf({ metadata }: ShardedCluster): PlainObject[] {
  const selector = `namespace="${metadata.namespace}", atomshard_dev_cluster="${metadata.name}"`;
  return CLUSTER_ALERTS.map(({ name, expression, severity, summary, description, for: holdsFor }) => ({
    alert: name,
    expr: expression.replaceAll('SELECTOR', selector),
    for: holdsFor,
    labels: { severity },
    annotations: { summary, description, runbook: `docs/RUNBOOK.md#${name.toLowerCase()}` },
  }));
}

// The alerts of one cluster, as a PrometheusRule holds them: each has a section in docs/RUNBOOK.md that says what to do, and a test
// compares both, and the metrics that they ask for with those that there are.

export type Severity = 'critical' | 'warning';

/** One rule of a group in a PrometheusRule. */
export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  /** How long it must hold. */
  readonly for: string;
  readonly labels: { readonly severity: Severity };
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook: string };
}

interface Alert {
  readonly name: string;
  /** `{proxies}` stands for the labels that choose the cluster's proxies, `{cluster}` for those of the operator's figures about it. */
  readonly expr: string;
  readonly for: string;
  readonly severity: Severity;
  readonly summary: string;
  readonly description: string;
}

/** What a proxy or the operator says of this cluster; `$labels` is filled in by Prometheus. */
export const CLUSTER_ALERTS: readonly Alert[] = [
  {
    name: 'AtomShardProxyDown',
    expr: 'up{proxies} == 0',
    for: '2m',
    severity: 'warning',
    summary: 'A proxy does not answer.',
    description:
      '{{ $labels.pod }} has not answered for two minutes; transactions that it drove may be in doubt until it is back.',
  },
  {
    name: 'AtomShardShardDown',
    expr: 'min by (namespace, shard) (atomshard_shard_reachable{proxies}) == 0',
    for: '2m',
    severity: 'critical',
    summary: 'No proxy reaches a shard.',
    description: 'No proxy has reached {{ $labels.shard }} for two minutes; statements that need it fail.',
  },
  {
    name: 'AtomShardInDoubt',
    expr: 'sum by (namespace, pod) (atomshard_in_doubt_transactions{proxies}) > 0',
    for: '5m',
    severity: 'warning',
    summary: 'Transactions are in doubt.',
    description:
      '{{ $value }} transactions of {{ $labels.pod }} have not ended for five minutes; their rows are locked.',
  },
  {
    name: 'AtomShardRecoveryHeld',
    expr: 'sum by (namespace, pod) (atomshard_recovery_held_transactions{proxies}) > 0',
    for: '1m',
    severity: 'critical',
    summary: 'Transactions wait for a person.',
    description: 'Recovery of {{ $labels.pod }} holds {{ $value }} transactions, because their end cannot be proven.',
  },
  {
    name: 'AtomShardPreparedTooOld',
    expr: 'max by (namespace, shard) (atomshard_oldest_prepared_seconds{proxies}) > 600',
    for: '1m',
    severity: 'warning',
    summary: 'A prepared transaction is old.',
    description:
      'On {{ $labels.shard }} a transaction has been prepared for {{ $value | humanizeDuration }}; it holds locks and keeps VACUUM back.',
  },
  {
    name: 'AtomShardWalDiskLow',
    expr: 'atomshard_wal_free_bytes{proxies} < 4 * atomshard_wal_segment_bytes{proxies}',
    for: '1m',
    severity: 'critical',
    summary: "The volume of a proxy's log is nearly full.",
    description:
      '{{ $labels.pod }} has {{ $value | humanize1024 }}B left for its log; when it is full, commits over several shards are refused.',
  },
  {
    name: 'AtomShardConfigRefused',
    expr: 'atomshard_config_refused{proxies} == 1',
    for: '5m',
    severity: 'warning',
    summary: 'A proxy refuses its configuration.',
    description: '{{ $labels.pod }} runs on with the configuration before; SHOW STATUS says why (config_error).',
  },
  {
    name: 'AtomShardPoolExhausted',
    expr: 'sum by (namespace, pod, shard) (atomshard_pool_waiters{proxies}) > 0',
    for: '5m',
    severity: 'warning',
    summary: 'Transactions wait for connections.',
    description: '{{ $value }} transactions of {{ $labels.pod }} wait for a connection to {{ $labels.shard }}.',
  },
];

/** The rules for the cluster `name` in `namespace`, for `spec.groups` of a PrometheusRule. */
export function alertRules(name: string, namespace: string): AlertRule[] {
  const proxies = `{namespace="${namespace}", pod=~"${name}-proxy-[0-9]+"}`;
  const cluster = `{namespace="${namespace}", cluster="${name}"}`;
  return CLUSTER_ALERTS.map((alert) => ({
    alert: alert.name,
    expr: alert.expr.replaceAll('{proxies}', proxies).replaceAll('{cluster}', cluster),
    for: alert.for,
    labels: { severity: alert.severity },
    annotations: {
      summary: alert.summary,
      description: alert.description,
      runbook: `docs/RUNBOOK.md#${alert.name.toLowerCase()}`,
    },
  }));
}

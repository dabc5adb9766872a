// The alerts of one cluster, in Prometheus' words: each names what is wrong, and its section of docs/RUNBOOK.md says what to do.
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import type { PlainObject } from './desired-input.ts';

interface Alert {
  readonly name: string;
  /** `SELECTOR` stands for the labels that choose this cluster's proxies. */
  readonly expression: string;
  readonly for: string;
  readonly severity: 'warning' | 'critical';
  readonly summary: string;
}

const ALERTS: readonly Alert[] = [];

/** Rules for the PrometheusRule of `cluster`. */
export function alertsOf({ metadata }: ShardedCluster): PlainObject[] {
  const selector = `namespace="${metadata.namespace}", atomshard_dev_cluster="${metadata.name}"`;
  return ALERTS.map((alert) => ({
    alert: alert.name,
    expr: alert.expression.replaceAll('SELECTOR', selector),
    for: alert.for,
    labels: { severity: alert.severity },
    annotations: { summary: alert.summary },
  }));
}

// Objects of the Prometheus operator: where a cluster's proxies are scraped, and the alerts about them. Made where its CRDs are.
import type { MonitoringObject } from '../api/sharded-cluster.generated.ts';
import { POD_MONITORS, PROMETHEUS_RULES } from '../cluster/kinds.ts';
import { alertsOf } from './alerts.ts';
import type { DesiredInput, DesiredObject } from './desired-input.ts';
import { LABELS, ownedMeta, selectorOf } from './labels.ts';
import { clusterNames } from './names.ts';

const METRICS_PATH = '/metrics';
const SCRAPE_INTERVAL = '15s';

/** The spec's labels, by which a Prometheus chooses its objects, and ours, which nobody may take away. */
function metaWith(
  input: DesiredInput,
  name: string,
  { labels }: MonitoringObject,
): DesiredObject['object']['metadata'] {
  const meta = ownedMeta(input.cluster, name, 'proxy');
  return { ...meta, labels: { ...labels, ...meta.labels } };
}

export function podMonitor(input: DesiredInput): DesiredObject {
  const { metadata, spec } = input.cluster;
  return {
    type: POD_MONITORS,
    object: {
      apiVersion: POD_MONITORS.apiVersion,
      kind: POD_MONITORS.kind,
      metadata: metaWith(input, clusterNames(metadata.name).proxies, spec.monitoring.podMonitor),
      spec: {
        selector: { matchLabels: selectorOf(metadata.name, 'proxy') },
        podTargetLabels: [LABELS.cluster],
        podMetricsEndpoints: [{ port: 'http', path: METRICS_PATH, interval: SCRAPE_INTERVAL }],
      },
    },
  };
}

export function prometheusRule(input: DesiredInput): DesiredObject {
  const { metadata, spec } = input.cluster;
  return {
    type: PROMETHEUS_RULES,
    object: {
      apiVersion: PROMETHEUS_RULES.apiVersion,
      kind: PROMETHEUS_RULES.kind,
      metadata: metaWith(input, clusterNames(metadata.name).alerts, spec.monitoring.prometheusRule),
      spec: { groups: [{ name: `atomshard/${metadata.namespace}/${metadata.name}`, rules: alertsOf(input.cluster) }] },
    },
  };
}

// The operator's metrics, all in one table; the hot places only add numbers, the rest is read at the scrape.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export interface OperatorMetrics {
  readonly registry: Registry;
  /** Calls to the API server by verb, resource and outcome; watches count once, when they are opened. */
  readonly apiRequests: Counter<'verb' | 'resource' | 'code'>;
  readonly rounds: Counter<'outcome'>;
  readonly roundSeconds: Histogram;
  readonly statusWrites: Counter;
}

/** What is read at the scrape. */
export interface OperatorGauges {
  readonly leading: () => number;
  readonly queueDepth: () => number;
  readonly clusters: () => { readonly ready: number; readonly notReady: number };
  readonly cacheContactAgeSeconds: () => number;
}

export function operatorMetrics({
  leading,
  queueDepth,
  clusters,
  cacheContactAgeSeconds,
}: OperatorGauges): OperatorMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge('atomshard_operator_leader', '1 while this process leads and writes.', leading);
  gauge('atomshard_operator_queue_depth', 'Clusters that wait for a round.', queueDepth);
  gauge(
    'atomshard_operator_cache_age_seconds',
    'Since the API server was last heard, the oldest of all watches.',
    cacheContactAgeSeconds,
  );
  gauge(
    'atomshard_operator_clusters',
    'ShardedClusters that are watched.',
    () => clusters().ready + clusters().notReady,
  );
  gauge('atomshard_operator_clusters_not_ready', 'ShardedClusters that are not Ready.', () => clusters().notReady);
  return {
    registry,
    apiRequests: new Counter({
      name: 'atomshard_operator_api_requests_total',
      help: 'Calls to the Kubernetes API server.',
      labelNames: ['verb', 'resource', 'code'],
      registers,
    }),
    rounds: new Counter({
      name: 'atomshard_operator_reconcile_total',
      help: 'Rounds of reconciling one cluster.',
      labelNames: ['outcome'],
      registers,
    }),
    roundSeconds: new Histogram({
      name: 'atomshard_operator_reconcile_seconds',
      help: 'Duration of a round.',
      buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
      registers,
    }),
    statusWrites: new Counter({
      name: 'atomshard_operator_status_writes_total',
      help: 'Statuses written.',
      registers,
    }),
  };
}

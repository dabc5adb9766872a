// Alerts and dashboard ask for metrics and labels that there are, and every alert has a section that says what to do.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { operatorMetrics } from '../../../src/operator/cluster/operator-metrics.ts';
import { alertsOf } from '../../../src/operator/desired/alerts.ts';
import { PROXY_METRICS } from '../../../src/telemetry/metrics-table.ts';
import { sampleCluster } from '../../support/sharded-cluster.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook: string };
}

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const ofCluster = alertsOf(sampleCluster('minimal')) as unknown as readonly Rule[];
const ofOperator = parse(read('charts/atomshard-operator/files/alerts.yaml')) as readonly Rule[];
const rules = [...ofCluster, ...ofOperator];
const dashboard = JSON.parse(read('charts/atomshard-operator/files/dashboard.json')) as { panels: readonly Panel[] };
const expressions = [
  ...rules.map(({ alert, expr }) => ({ of: alert, expr })),
  ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ of: title, expr }))),
];

/** What Prometheus itself adds to every sample that it scrapes from a Pod. */
const FROM_PROMETHEUS = new Set(['namespace', 'pod', 'atomshard_dev_cluster', 'le', 'job', 'instance']);

/** As prom-client keeps a metric. */
interface Registered {
  readonly name: string;
  readonly type: string;
  readonly labelNames: readonly string[];
}

const { registry } = operatorMetrics({
  leading: () => 0,
  queueDepth: () => 0,
  clusters: () => ({ ready: 0, notReady: 0 }),
  cacheContactAgeSeconds: () => 0,
});
const ofOperatorItself = registry.getMetricsAsArray() as unknown as readonly Registered[];

const TABLES: Readonly<Record<string, { readonly type: string; readonly labels: readonly string[] }>> = {
  ...Object.fromEntries(ofOperatorItself.map(({ name, type, labelNames }) => [name, { type, labels: labelNames }])),
  ...PROXY_METRICS,
  up: { type: 'gauge', labels: [] },
};

function metricsIn(expr: string): string[] {
  return [...expr.matchAll(/\b(up|(?:atomshard|process|nodejs)_\w+?)(_bucket|_sum|_count)?(?=\{)/g)].map(
    ([, name = '', suffix = '']) => (name + suffix in TABLES ? name + suffix : name),
  );
}

/** Labels that an expression selects or groups by. */
function labelsIn(expr: string): string[] {
  const grouped = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, names = '']) => names.split(/,\s*/));
  const selected = [...expr.matchAll(/\{([^}]*)\}/g)].flatMap(([, inside = '']) =>
    [...inside.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, name = '']) => name),
  );
  return [...grouped, ...selected].filter((name) => !FROM_PROMETHEUS.has(name));
}

describe('alerts and dashboard', () => {
  it('ask for metrics that the table has', () => {
    expect(rules.length).toBeGreaterThan(8);
    const unknown = expressions.flatMap(({ of, expr }) => {
      const metrics = metricsIn(expr);
      if (metrics.length === 0) return [`${of}: no metric in ${expr}`];
      return metrics.filter((name) => !(name in TABLES)).map((name) => `${of}: ${name}`);
    });
    expect(unknown).toEqual([]);
  });

  it('ask for labels that those metrics have', () => {
    const unknown = expressions.flatMap(({ of, expr }) => {
      const known = new Set(metricsIn(expr).flatMap((name) => TABLES[name]?.labels ?? []));
      return labelsIn(expr)
        .filter((label) => !known.has(label))
        .map((label) => `${of}: ${label}`);
    });
    expect(unknown).toEqual([]);
  });

  it('rate counters and nothing else', () => {
    const wrong = expressions.filter(({ expr }) =>
      metricsIn(expr).some((name) => (TABLES[name]?.type !== 'gauge') !== /\b(rate|increase)\(/.test(expr)),
    );
    expect(wrong).toEqual([]);
  });

  it('name in words only labels that are left after grouping', () => {
    const wrong = rules.flatMap(({ alert, expr, annotations }) => {
      const words = annotations.summary + annotations.description;
      const used = [...words.matchAll(/\$labels\.(\w+)/g)].map(([, name = '']) => name);
      const grouped = /\bby \(([^)]*)\)/.exec(expr)?.[1]?.split(/,\s*/);
      const own = metricsIn(expr).flatMap((name) => TABLES[name]?.labels ?? []);
      const left = new Set(grouped ?? [...FROM_PROMETHEUS, ...own]);
      return used.filter((name) => !left.has(name)).map((name) => `${alert}: ${name}`);
    });
    expect(wrong).toEqual([]);
  });

  it('have a section in the runbook each, and no section is left over', () => {
    const sections = [...read('docs/RUNBOOK.md').matchAll(/^## (\w+)$/gm)].map(([, name = '']) => name);
    expect(sections.toSorted()).toEqual(rules.map(({ alert }) => alert).toSorted());
    for (const { alert, annotations } of rules) {
      expect(annotations.runbook).toBe(`docs/RUNBOOK.md#${alert.toLowerCase()}`);
    }
  });
});

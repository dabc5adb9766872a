// Metrics as Prometheus reads them (text format 0.0.4), rendered from a table and from numbers that are read when somebody
// asks. Nothing is registered or kept here: counting costs its owner an addition.

export interface MetricFacts {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** Names of labels, in the order in which they are shown. */
  readonly labels: readonly string[];
}

export type MetricTable = Readonly<Record<string, MetricFacts>>;

export interface Sample {
  /** One for each label of the table, in its order. */
  readonly labels?: readonly string[];
  readonly value: number;
}

/** Counts by upper bound, the last one without a bound; not cumulated. */
export interface HistogramSample {
  readonly labels?: readonly string[];
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
}

/** What one metric has now; a number stands for one sample without labels. */
export type Samples = number | readonly Sample[] | readonly HistogramSample[];

/** A value for each metric of the table. */
export type SampleSet<Table extends MetricTable> = { readonly [Name in keyof Table]: Samples };

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export interface MetricLine {
  readonly name: string;
  /** As Prometheus writes them, e.g. `shard="shard-0"`; empty without any. */
  readonly labels: string;
  readonly value: number;
}

/** The whole text of /metrics. */
export function renderMetrics<Table extends MetricTable>(table: Table, samples: SampleSet<Table>): string {
  const blocks = Object.entries(table).map(([name, { type, help }]) => {
    const lines = linesOf(table, name, samples).map(
      ({ name: full, labels, value }) => `${full}${labels === '' ? '' : `{${labels}}`} ${numberText(value)}\n`,
    );
    return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n${lines.join('')}`;
  });
  return blocks.join('');
}

/** Every line of /metrics as a value. */
export function metricLines<Table extends MetricTable>(table: Table, samples: SampleSet<Table>): MetricLine[] {
  return Object.keys(table).flatMap((name) => linesOf(table, name, samples));
}

function linesOf<Table extends MetricTable>(table: Table, name: string, set: SampleSet<Table>): MetricLine[] {
  const names = table[name]?.labels ?? [];
  const samples = set[name] ?? [];
  if (typeof samples === 'number') return [{ name, labels: '', value: samples }];
  return samples.flatMap((sample: Sample | HistogramSample): MetricLine[] => {
    const labels = labelText(names, sample.labels ?? []);
    return 'counts' in sample ? histogramLines(name, labels, sample) : [{ name, labels, value: sample.value }];
  });
}

function histogramLines(name: string, labels: string, { bounds, counts, sum }: HistogramSample): MetricLine[] {
  const before = labels === '' ? '' : `${labels},`;
  let total = 0;
  const buckets = counts.map((count, at): MetricLine => {
    total += count;
    const bound = bounds[at];
    return { name: `${name}_bucket`, labels: `${before}le="${bound ?? '+Inf'}"`, value: total };
  });
  return [...buckets, { name: `${name}_sum`, labels, value: sum }, { name: `${name}_count`, labels, value: total }];
}

function labelText(names: readonly string[], values: readonly string[]): string {
  return names.map((name, at) => `${name}="${escapeLabel(values[at] ?? '')}"`).join(',');
}

const escapeHelp = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
const escapeLabel = (text: string): string => escapeHelp(text).replaceAll('"', '\\"');

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (Number.isFinite(value)) return String(value);
  return value > 0 ? '+Inf' : '-Inf';
}

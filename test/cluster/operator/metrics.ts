// What an operator's pod says of itself over HTTP, read through the API server, which works on any cluster.
import type { Kubectl } from '../harness/kubectl.ts';
import { OPERATOR_PODS } from './ground.ts';

export interface Sample {
  readonly name: string;
  /** As printed, e.g. `{verb="get",resource="pods",code="200"}`; empty when there are none. */
  readonly labels: string;
  readonly value: number;
}

const LINE = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$/;

/** The samples in the text of a scrape. */
export function samplesIn(text: string): Sample[] {
  return text.split('\n').flatMap((line) => {
    const [, name, labels = '', value] = LINE.exec(line) ?? [];
    return name === undefined ? [] : [{ name, labels, value: Number(value) }];
  });
}

/** Every sample of one pod. */
export async function scrape(kubectl: Kubectl, namespace: string, pod: string): Promise<Sample[]> {
  return samplesIn(
    await kubectl.run(['get', '--raw', `/api/v1/namespaces/${namespace}/pods/${pod}:8080/proxy/metrics`]),
  );
}

/** Names of the operator's pods that are not on their way out. */
export async function operatorPods(kubectl: Kubectl): Promise<string[]> {
  const text = await kubectl.run(['get', 'pods', '-l', OPERATOR_PODS, '-o', 'json']);
  const { items } = JSON.parse(text) as {
    items: readonly { readonly metadata: { readonly name: string; readonly deletionTimestamp?: string } }[];
  };
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined).map(({ metadata }) => metadata.name);
}

export interface OperatorFigures {
  /** Calls to the API server by verb, a watch once. */
  readonly calls: ReadonlyMap<string, number>;
  /** Calls that were refused, by verb and resource. */
  readonly refused: ReadonlyMap<string, number>;
  readonly residentMib: number;
  readonly leading: boolean;
  readonly cpuSeconds: number;
}

/** Of one operator pod. */
export async function figuresOf(kubectl: Kubectl, namespace: string, pod: string): Promise<OperatorFigures> {
  const samples = await scrape(kubectl, namespace, pod);
  const calls = new Map<string, number>();
  const refused = new Map<string, number>();
  for (const { name, labels, value } of samples) {
    if (name !== 'atomshard_operator_api_requests_total') continue;
    const of = (label: string) => new RegExp(`[{,]${label}="([^"]*)"`).exec(labels)?.[1] ?? '';
    const key = `${of('verb')} ${of('resource')}`;
    calls.set(key, (calls.get(key) ?? 0) + value);
    if (of('code').startsWith('4')) refused.set(key, (refused.get(key) ?? 0) + value);
  }
  const one = (wanted: string) => samples.find(({ name }) => name === wanted)?.value ?? Number.NaN;
  return {
    calls,
    refused,
    residentMib: Math.round(one('process_resident_memory_bytes') / 1024 ** 2),
    leading: one('atomshard_operator_leader') === 1,
    cpuSeconds: one('process_cpu_seconds_total'),
  };
}

/** What was called between two looks; those of the Lease, which renews itself, are left out. */
export function callsBetween(before: OperatorFigures, after: OperatorFigures): Map<string, number> {
  const grown = [...after.calls].map(([key, count]) => [key, count - (before.calls.get(key) ?? 0)] as const);
  return new Map(grown.filter(([key, count]) => count > 0 && !key.includes(' leases.')));
}

export const sum = (numbers: Iterable<number>): number => [...numbers].reduce((total, each) => total + each, 0);

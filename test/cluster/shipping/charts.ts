// The charts as tests use them: where they are, Helm in a namespace, and what a rendered chart consists of.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Cluster } from '../harness/cluster.ts';
import { foldersFrom } from '../harness/folders.ts';
import { ensureHelm, Helm } from '../harness/helm.ts';
import { silentReport } from '../harness/report.ts';
import { PROJECT_ROOT } from '../images/names.ts';

export const OPERATOR_CHART = path.join(PROJECT_ROOT, 'charts/atomshard-operator');
export const CLUSTER_CHART = path.join(PROJECT_ROOT, 'charts/atomshard-cluster');
export const INSTALL_FILE = path.join(PROJECT_ROOT, 'manifests/install.yaml');

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** For a hook in which Helm may have to be built first. */
export const HELM_BUILD_MS = 900_000;

/** Helm for namespaces of `cluster`; builds the program where there is none. */
export async function helmFor(cluster: Cluster): Promise<(namespace: string) => Helm> {
  const program = await ensureHelm(foldersFrom(process.env), silentReport);
  return (namespace) => new Helm(program, cluster.record.kubeconfig, namespace);
}

/** The objects in a text of YAML documents; empty documents are left out. */
export function objectsIn(text: string): Manifest[] {
  return parseAllDocuments(text)
    .map((document): unknown => document.toJS({ maxAliasCount: -1 }))
    .filter((object): object is Manifest => object !== null && object !== undefined);
}

/** A folder that goes with the block that uses it. */
export function temporaryFolder(): { readonly path: string; [Symbol.dispose](): void } {
  const folder = mkdtempSync(path.join(tmpdir(), 'atomshard-shipping-'));
  return { path: folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

/** `--set` for each value; commas in a value are part of it. */
export function settings(values: Readonly<Record<string, string | number | boolean>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [
    '--set',
    `${name}=${String(value).replaceAll(',', '\\,')}`,
  ]);
}

/** The values that make a chart use an image as it was built: `name:tag`. */
export function imageSettings(reference: string): Record<string, string> {
  const colon = reference.lastIndexOf(':');
  return { 'image.repository': reference.slice(0, colon), 'image.tag': reference.slice(colon + 1) };
}

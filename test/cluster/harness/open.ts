// Finds the cluster of a name, or the way to make one; the only place that knows all three kinds.
import path from 'node:path';
import { BareCluster } from '../bare/bare-cluster.ts';
import { ExistingCluster } from '../existing/existing-cluster.ts';
import { KindCluster } from '../kind/kind-cluster.ts';
import type { Cluster } from './cluster.ts';
import type { Folders } from './folders.ts';
import { gatherFacts } from './machine.ts';
import { assertClusterName, readRecord } from './record.ts';
import type { Report } from './report.ts';
import { chooseWay, type Way } from './way.ts';

export const DEFAULT_NAME = 'atomshard';

/** Thrown when no way to a cluster is open; the message names what each lacks and how to get it. */
export class NoWayToACluster extends Error {
  override readonly name = 'NoWayToACluster';

  constructor(way: Extract<Way, { kind: 'none' }>) {
    super([`${way.why}. Missing`, ...way.missing].join('\n  '));
  }
}

/**
 * The kubeconfig that a person gave, unless it is that of a cluster of ours, living or gone: `eval $(… env)` sets it, and
 * it stays set after `down`. Of a list (`a:b`) the first file counts.
 */
export function givenKubeconfig(given: string | undefined, stateFolder: string): string | undefined {
  const [first = ''] = (given ?? '').split(':');
  if (first === '') return undefined;
  const file = path.resolve(first);
  return file.startsWith(`${stateFolder}/`) ? undefined : file;
}

/** Chooses the way for this machine; what a cluster of that name is already made by comes first. */
export async function wayFor(
  folders: Folders,
  name: string,
  kubeconfig: string | undefined,
  only?: 'kind' | 'bare',
): Promise<Way> {
  const record = readRecord(folders, name);
  if (record !== undefined) {
    const why = `cluster ${name} is on record`;
    return record.way === 'existing'
      ? { kind: 'existing', kubeconfig: record.kubeconfig, why }
      : { kind: record.way, why };
  }
  return chooseWay(await gatherFacts(givenKubeconfig(kubeconfig, folders.state)), only);
}

/** The cluster on record under `name`, good for `down` and nothing else: it builds nothing and asks nobody. */
export function findRecorded(folders: Folders, name: string): Cluster | undefined {
  const record = readRecord(folders, name);
  switch (record?.way) {
    case undefined:
      return undefined;
    case 'bare':
      return new BareCluster(folders, record);
    case 'kind':
      return new KindCluster(folders, record);
    case 'existing':
      return new ExistingCluster(folders, record);
  }
}

/** Opens the cluster on record under `name` with all its programs; undefined when there is none. */
export async function openRecorded(folders: Folders, name: string, report: Report): Promise<Cluster | undefined> {
  const cluster = findRecorded(folders, name);
  return cluster instanceof BareCluster ? cluster.open(report) : cluster;
}

/** Opens the cluster of that name or makes its record, by `way`. It may still have to be brought up. */
export async function openOrCreate(folders: Folders, name: string, way: Way, report: Report): Promise<Cluster> {
  assertClusterName(name);
  if (way.kind === 'none') throw new NoWayToACluster(way);
  const recorded = await openRecorded(folders, name, report);
  if (recorded !== undefined) return recorded;
  switch (way.kind) {
    case 'bare':
      return BareCluster.create(folders, name);
    case 'kind':
      return KindCluster.create(folders, name);
    case 'existing':
      return ExistingCluster.create(folders, name, way.kubeconfig);
  }
}

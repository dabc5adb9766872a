// What is known about a cluster, on disk: written before the first thing is created, so that `down` finds even what a crash left.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Folders } from './folders.ts';

export interface ClusterRecord {
  readonly name: string;
  readonly way: 'existing' | 'kind' | 'bare';
  readonly kubeconfig: string;
  readonly nodes: number;
  /** Of a bare cluster: which of the private networks it has, 10.98.SLOT.0/24. */
  readonly slot?: number;
}

/** Short enough for a network interface's name and a cgroup's, and safe in a path. */
const NAME = /^[a-z][a-z0-9-]{0,19}$/;

/** Thrown for a cluster name that cannot name an interface, a cgroup and a folder. */
export class InvalidClusterName extends Error {
  override readonly name = 'InvalidClusterName';
}

export function assertClusterName(name: string): void {
  if (!NAME.test(name)) {
    throw new InvalidClusterName(
      `cluster name ${JSON.stringify(name)}: wanted a-z, 0-9 and -, at most 20, a letter first`,
    );
  }
}

export const clusterFolder = (folders: Folders, name: string): string => path.join(folders.state, name);

const recordFile = (folders: Folders, name: string): string => path.join(clusterFolder(folders, name), 'cluster.json');

export function readRecord(folders: Folders, name: string): ClusterRecord | undefined {
  const file = recordFile(folders, name);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as ClusterRecord) : undefined;
}

export function writeRecord(folders: Folders, record: ClusterRecord): void {
  assertClusterName(record.name);
  const file = recordFile(folders, record.name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, `${JSON.stringify(record, undefined, 2)}\n`);
  renameSync(`${file}.new`, file);
}

/** Every cluster that is written down here, whatever its state. */
export function listRecords(folders: Folders): ClusterRecord[] {
  if (!existsSync(folders.state)) return [];
  const names = readdirSync(folders.state, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return names.flatMap(({ name }) => readRecord(folders, name) ?? []);
}

export function removeRecord(folders: Folders, name: string): void {
  rmSync(clusterFolder(folders, name), { recursive: true, force: true });
  // The state folder itself goes with the last cluster.
  if (existsSync(folders.state) && readdirSync(folders.state).length === 0) rmSync(folders.state, { recursive: true });
}

// Where the harness keeps things: what can be built again lies in the cache, what lives belongs to the state of one cluster.
import { homedir } from 'node:os';
import path from 'node:path';

/** A unix socket's path has at most 107 bytes; below the state folder the longest is `NAME/n99/containerd.sock`. */
const STATE_PATH_BYTES_MAX = 60;

/** Inside a node these are private or empty, so nothing that a node reads may lie below them. */
const HIDDEN_IN_NODES = ['/run', '/var/run', '/var/lib', '/var/log', '/proc', '/sys', '/dev'] as const;

export interface Folders {
  /** Built programs and images; may be deleted at any time when no cluster is up. */
  readonly cache: string;
  /** One folder per cluster; `down` removes it. */
  readonly state: string;
}

/** Thrown when the folders chosen cannot work; the message says which and why. */
export class UnusableFolder extends Error {
  override readonly name = 'UnusableFolder';
}

/** The folders by XDG, or `ATOMSHARD_CLUSTER_CACHE` and `ATOMSHARD_CLUSTER_STATE` where set. */
export function foldersFrom(env: Readonly<Record<string, string | undefined>>, home = homedir()): Folders {
  const cache = env.ATOMSHARD_CLUSTER_CACHE ?? path.join(env.XDG_CACHE_HOME ?? path.join(home, '.cache'), 'atomshard');
  const state =
    env.ATOMSHARD_CLUSTER_STATE ?? path.join(env.XDG_STATE_HOME ?? path.join(home, '.local/state'), 'atomshard');
  return { cache: path.resolve(cache), state: path.resolve(state) };
}

/** Throws {@link UnusableFolder} when a node of the bare cluster could not use these folders. */
export function assertUsableByNodes(folders: Folders): void {
  for (const folder of [folders.cache, folders.state]) {
    const hidden = HIDDEN_IN_NODES.find((above) => folder === above || folder.startsWith(`${above}/`));
    if (hidden !== undefined)
      throw new UnusableFolder(`${folder}: nodes have a ${hidden} of their own; choose another`);
  }
  if (Buffer.byteLength(folders.state) > STATE_PATH_BYTES_MAX) {
    throw new UnusableFolder(
      `${folders.state}: longer than ${STATE_PATH_BYTES_MAX} bytes, too long for a unix socket below it; ` +
        'set ATOMSHARD_CLUSTER_STATE to a shorter one',
    );
  }
}

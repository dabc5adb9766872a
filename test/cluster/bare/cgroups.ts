// A node's place in the machine's cgroups, in version 1, version 2 and the hybrid of both: made before the node, removed after it.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { systemClock } from '../../../src/kernel/clock.ts';

const ROOT = '/sys/fs/cgroup';

/** The hierarchies that Kubernetes uses: the one of version 2, or each controller's of version 1. */
function hierarchies(root: string): string[] {
  if (existsSync(path.join(root, 'cgroup.controllers'))) return [root];
  return readdirSync(root)
    .filter((name) => name !== 'unified')
    .map((name) => path.join(root, name));
}

/**
 * Makes `name` and `name/node` in every hierarchy and returns the files that take the node's process 1. The node's own
 * programs lie in the leaf, because version 2 allows no processes beside children.
 */
export function ensureCgroups(name: string, root = ROOT): string[] {
  return hierarchies(root).map((hierarchy) => {
    const node = path.join(hierarchy, name);
    const leaf = path.join(node, 'node');
    mkdirSync(leaf, { recursive: true });
    // Version 1 starts a cpuset empty, and nothing may join an empty one.
    if (existsSync(path.join(hierarchy, 'cpuset.mems')) && hierarchy !== root) {
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        const whole = readFileSync(path.join(hierarchy, file), 'utf8');
        for (const folder of [node, leaf]) writeFileSync(path.join(folder, file), whole);
      }
    }
    return path.join(leaf, 'cgroup.procs');
  });
}

/** Removes `name` and all below it, also from the hybrid's unified hierarchy, where runc leaves folders. */
export async function removeCgroups(name: string, root = ROOT): Promise<void> {
  const folders = [...new Set([...hierarchies(root), path.join(root, 'unified')])].map((each) => path.join(each, name));
  // The kernel frees a cgroup some milliseconds after its last process.
  for (let attempt = 0; attempt < 100; attempt += 1) {
    if (folders.map(removeTree).every(Boolean)) return;
    await systemClock.sleep(50);
  }
  throw new Error(`cgroups still in use: ${folders.filter((folder) => existsSync(folder)).join(' ')}`);
}

function removeTree(folder: string): boolean {
  if (!existsSync(folder)) return true;
  const below = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const emptied = below.map((entry) => removeTree(path.join(folder, entry.name))).every(Boolean);
  if (!emptied) return false;
  try {
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}

// One node of a bare cluster on the host: start it, kill it, find it again by what it left on disk.
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { Programs } from '../harness/build.ts';
import { run } from '../harness/command.ts';
import { isAlive, killExactly, type ProcessIdentity, readIdentity } from '../harness/identity.ts';
import { ensureNodeIdentity } from './authority.ts';
import { ensureCgroups, removeCgroups } from './cgroups.ts';
import { type BareLayout, cgroupName, linkName, nodeFiles } from './layout.ts';
import { connectNode, removeLink } from './network.ts';
import { cniConfig, containerdConfig, kubeletConfig, proxyConfig, resolvConf } from './node-config.ts';
import { nodeSpec } from './node-spec.ts';

export interface NodeParts {
  readonly programs: Programs;
  readonly pauseImage: string;
  readonly systemImages: readonly string[];
}

/** The node's process 1 while it lives. */
export function livingNode(layout: BareLayout, index: number): ProcessIdentity | undefined {
  const identity = readIdentity(nodeFiles(layout, index).identity);
  return identity !== undefined && isAlive(identity) ? identity : undefined;
}

/** Starts a node; returns when its programs are being started, not when they are ready. */
export async function startNode(layout: BareLayout, index: number, nodes: number, parts: NodeParts): Promise<void> {
  const files = nodeFiles(layout, index);
  const { programs } = parts;
  for (const folder of [files.log, files.cniConfig, files.podLogs, files.volumes, files.kubeletRoot]) {
    mkdirSync(folder, { recursive: true });
  }
  await ensureNodeIdentity(layout, programs, index);
  writeFileSync(files.containerdConfig, containerdConfig(layout, index, programs, parts.pauseImage));
  writeFileSync(`${files.cniConfig}/10-bridge.conflist`, cniConfig(layout, index));
  writeFileSync(files.kubeletConfig, kubeletConfig(layout, index));
  writeFileSync(files.proxyConfig, proxyConfig(layout, index));
  writeFileSync(files.resolvConf, resolvConf(layout));
  // A crash from here on leaves cgroups without a process; `down` finds them by the node's folder.
  const cgroups = ensureCgroups(cgroupName(layout.name, index));
  const spec = nodeSpec({ layout, index, programs, systemImages: parts.systemImages, cgroups });
  writeFileSync(files.spec, JSON.stringify(spec, undefined, 2));
  rmSync(files.containerdSocket, { force: true });
  // A crash in here: nodeinit writes the identity down before the node may begin, or there is no node.
  await run([programs.program('nodeinit'), 'start', files.spec]);
  const node = readIdentity(files.identity);
  if (node === undefined) throw new Error(`nodeinit left no identity in ${files.identity}`);
  // A crash before this leaves a node that waits for its address; the next `up` or `down` meets it by its identity.
  await connectNode(layout, index, node.pid, nodes);
}

/** Kills a node at once, as a power failure would, and frees what it held on the host. Its folder, the disk, stays. */
export async function stopNode(layout: BareLayout, index: number): Promise<void> {
  const files = nodeFiles(layout, index);
  const identity = readIdentity(files.identity);
  if (identity !== undefined) await killExactly(identity);
  // The kernel takes the link with the network namespace, a moment later; not waiting for it would race with a start.
  await removeLink(layout.name, index);
  while (readdirSync('/sys/class/net').includes(linkName(layout.name, index))) await systemClock.sleep(20);
  await removeCgroups(cgroupName(layout.name, index));
  rmSync(files.identity, { force: true });
}

/** Signals a program of the node, found by its file among the processes of the node's own pid namespace. */
export function signalProgram(layout: BareLayout, index: number, program: string, signal: NodeJS.Signals): void {
  const node = livingNode(layout, index);
  if (node === undefined) throw new Error(`node n${index} is not running`);
  const namespace = readlinkSync(`/proc/${node.pid}/ns/pid`);
  const found = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => inNamespace(pid, namespace) && executableOf(pid) === program);
  if (found.length === 0) throw new Error(`${program} does not run on n${index}`);
  for (const pid of found) process.kill(Number(pid), signal);
}

function inNamespace(pid: string, namespace: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`) === namespace;
  } catch {
    return false; // ended while we looked
  }
}

function executableOf(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0];
  } catch {
    return undefined;
  }
}

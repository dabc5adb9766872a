// The node network on the host: one bridge and one link per node. No rule of the host's firewall and no sysctl is touched.
import { readFileSync } from 'node:fs';
import { run, tryRun } from '../harness/command.ts';
import {
  type BareLayout,
  bridgeName,
  hostAddress,
  linkName,
  nodeAddress,
  nodeHardwareAddress,
  POD_BRIDGE,
  podRangeOf,
  SERVICE_RANGE,
} from './layout.ts';

/** The host's routes as text, to find a free network. */
export const hostRoutes = (): Promise<string> => run(['ip', '-4', 'route', 'show', 'table', 'all']);

/** Thrown when the machine's own firewall would keep the nodes apart; the message holds the rule that lets them talk. */
export class FirewallInTheWay extends Error {
  override readonly name = 'FirewallInTheWay';
}

/** Whether the host drops what its bridges forward, by `iptables -S FORWARD`; a rule about our bridges settles it. */
export const firewallBlocks = (forwardRules: string): boolean =>
  /^-P FORWARD DROP$/m.test(forwardRules) && !/-i asb-\S* .*-j ACCEPT/.test(forwardRules);

/** Rejects with {@link FirewallInTheWay} rather than wait for nodes that cannot hear each other. Changes nothing. */
export async function assertNodesMayTalk(): Promise<void> {
  const bridgesAreFiltered = readFileSync('/proc/sys/net/bridge/bridge-nf-call-iptables', 'utf8').trim() === '1';
  if (bridgesAreFiltered && firewallBlocks(await run(['iptables', '-S', 'FORWARD']))) {
    throw new FirewallInTheWay(
      'this machine drops forwarded packets (Docker does that), also between nodes; ' +
        'to allow those between ours: iptables -I FORWARD -i asb-+ -o asb-+ -j ACCEPT',
    );
  }
}

export async function ensureBridge(layout: BareLayout): Promise<void> {
  const bridge = bridgeName(layout.name);
  if (!(await linkExists(bridge))) await run(['ip', 'link', 'add', bridge, 'type', 'bridge']);
  await run(['ip', 'addr', 'replace', `${hostAddress(layout.slot)}/24`, 'dev', bridge]);
  await run(['ip', 'link', 'set', bridge, 'up']);
}

/** Gives the network namespace of process `pid` its `eth0` on the cluster's bridge, and routes to the pods of all nodes. */
export async function connectNode(layout: BareLayout, index: number, pid: number, nodes: number): Promise<void> {
  const link = linkName(layout.name, index);
  // Left over when the node before this one died a moment ago and the kernel has not cleaned up yet.
  await tryRun(['ip', 'link', 'del', link]);
  await run([
    'ip',
    'link',
    'add',
    link,
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'address',
    nodeHardwareAddress(layout.slot, index),
    'netns',
    String(pid),
  ]);
  await run(['ip', 'link', 'set', link, 'master', bridgeName(layout.name), 'up']);
  const inside = [
    'link set lo up',
    `addr add ${nodeAddress(layout.slot, index)}/24 dev eth0`,
    'link set eth0 up',
    `route add default via ${hostAddress(layout.slot)}`,
    // Clouds answer here with the machine's own metadata; a test must not see it, nor wait for it.
    'route add unreachable 169.254.0.0/16',
    // A pod that calls a Service before kube-proxy has written its rules is refused at once and tries again. Without
    // this the packet would be lost, and connection tracking would keep losing its repetitions for 30 seconds.
    `rule add iif ${POD_BRIDGE} to ${SERVICE_RANGE} unreachable`,
    ...routesToPods(layout, index, nodes),
  ];
  await ipBatchInside(pid, inside);
}

/** Tells a running node about the pods of nodes that came later. */
export const refreshRoutes = (layout: BareLayout, index: number, pid: number, nodes: number): Promise<void> =>
  ipBatchInside(pid, routesToPods(layout, index, nodes));

function routesToPods(layout: BareLayout, self: number, nodes: number): string[] {
  return Array.from({ length: nodes }, (_, offset) => offset + 1)
    .filter((other) => other !== self)
    .map((other) => `route replace ${podRangeOf(other)} via ${nodeAddress(layout.slot, other)}`);
}

async function ipBatchInside(pid: number, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  await run(['nsenter', '-t', String(pid), '-n', 'ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

/** Cuts a node's link, or puts it back: the node lives on and is not heard. */
export async function setLink(layout: BareLayout, index: number, up: boolean): Promise<void> {
  await run(['ip', 'link', 'set', linkName(layout.name, index), up ? 'up' : 'down']);
}

export async function removeLink(name: string, index: number): Promise<void> {
  await tryRun(['ip', 'link', 'del', linkName(name, index)]);
}

export async function removeBridge(name: string): Promise<void> {
  await tryRun(['ip', 'link', 'del', bridgeName(name)]);
}

async function linkExists(link: string): Promise<boolean> {
  return (await tryRun(['ip', 'link', 'show', link])).code === 0;
}

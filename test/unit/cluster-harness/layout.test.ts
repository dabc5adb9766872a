// Names on the host: short enough for the kernel, different for different clusters, and never outside our own.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bridgeName,
  freeSlot,
  linkName,
  NODES_MAX,
  nodeFiles,
  nodeHardwareAddress,
  nodeIndex,
  nodeName,
  SLOTS_MAX,
} from '../../cluster/bare/layout.ts';
import { firewallBlocks } from '../../cluster/bare/network.ts';
import { assertUsableByNodes, foldersFrom, UnusableFolder } from '../../cluster/harness/folders.ts';
import { assertClusterName, InvalidClusterName } from '../../cluster/harness/record.ts';

const INTERFACE_NAME_MAX = 15;
const clusterName = fc.stringMatching(/^[a-z][a-z0-9-]{0,19}$/);
/** Any name, or digits to put behind the other one: only such pairs can be mistaken for a name and a node's number. */
const nearName = fc.oneof(clusterName, fc.stringMatching(/^\+[0-9]{1,2}$/));
const index = fc.integer({ min: 1, max: NODES_MAX });

describe('names of a bare cluster', () => {
  it('fit into an interface name, for every allowed cluster name and node', () => {
    fc.assert(
      fc.property(clusterName, index, (name, node) => {
        assertClusterName(name);
        expect(bridgeName(name).length).toBeLessThanOrEqual(INTERFACE_NAME_MAX);
        expect(linkName(name, node).length).toBeLessThanOrEqual(INTERFACE_NAME_MAX);
      }),
    );
  });

  it('of two clusters never meet', () => {
    fc.assert(
      fc.property(clusterName, nearName, index, index, (a, near, i, j) => {
        const b = near.startsWith('+') ? a + near.slice(1) : near;
        fc.pre(a !== b);
        expect(new Set([bridgeName(a), bridgeName(b), linkName(a, i), linkName(b, j)]).size).toBe(4);
      }),
      { numRuns: 2000, examples: [['a', '+1', 12, 2]] },
    );
  });

  it('a node’s name and index are each other’s inverse, and nothing else is a node', () => {
    fc.assert(
      fc.property(index, (node) => {
        expect(nodeIndex(nodeName(node))).toBe(node);
      }),
    );
    for (const other of ['n0', 'n01', 'n100', 'pki', 'kubeconfig', 'n1.old']) expect(nodeIndex(other)).toBeUndefined();
  });

  it('names that could leave their folder or not name an interface are refused', () => {
    for (const name of ['', '.', '..', 'a/b', 'A', '1a', '-a', 'a'.repeat(21)]) {
      expect(() => assertClusterName(name)).toThrow(InvalidClusterName);
    }
  });

  it('a containerd socket’s path fits into a unix socket’s 107 bytes in every accepted state folder', () => {
    const state = `/${'s'.repeat(59)}`;
    assertUsableByNodes({ cache: '/cache', state });
    const layout = { name: 'a'.repeat(20), slot: 0, folder: `${state}/${'a'.repeat(20)}` };
    expect(nodeFiles(layout, NODES_MAX).containerdSocket.length).toBeLessThanOrEqual(107);
    expect(() => assertUsableByNodes({ cache: '/cache', state: `${state}s` })).toThrow(UnusableFolder);
  });

  it('folders that a node replaces by its own are refused', () => {
    for (const hidden of ['/run/x', '/var/lib/x', '/var/log']) {
      expect(() => assertUsableByNodes({ cache: hidden, state: '/s' })).toThrow(hidden);
    }
  });

  it('folders follow XDG and their own variables', () => {
    expect(foldersFrom({}, '/home/me')).toEqual({
      cache: '/home/me/.cache/atomshard',
      state: '/home/me/.local/state/atomshard',
    });
    expect(foldersFrom({ XDG_CACHE_HOME: '/c', ATOMSHARD_CLUSTER_STATE: '/s' }, '/home/me')).toEqual({
      cache: '/c/atomshard',
      state: '/s',
    });
  });
});

describe('networks', () => {
  it('a firewall that drops forwarded packets is in the way, unless it knows our bridges', () => {
    expect(firewallBlocks('-P FORWARD ACCEPT\n')).toBe(false);
    expect(firewallBlocks('-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n')).toBe(true);
    expect(firewallBlocks('-P FORWARD DROP\n-A FORWARD -i asb-+ -o asb-+ -j ACCEPT\n')).toBe(false);
  });

  it('the first that neither a cluster on record nor the host has', () => {
    expect(freeSlot([], '')).toBe(0);
    expect(freeSlot([0, 2], '10.98.1.0/24 dev other')).toBe(3);
    const all = Array.from({ length: SLOTS_MAX }, (_, slot) => slot);
    expect(() => freeSlot(all, '')).toThrow('no free network');
  });

  it('a node keeps its hardware address, since neighbours remember it longer than a power failure lasts', () => {
    expect(nodeHardwareAddress(0, 1)).toBe('0a:58:0a:62:00:0b');
    expect(nodeHardwareAddress(63, 99)).toBe('0a:58:0a:62:3f:6d');
  });
});

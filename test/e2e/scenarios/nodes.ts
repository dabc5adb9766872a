// A node's kubelet and the API server that stop working while proxies die; and what the data plane does without them.
import type { Component } from '../../cluster/harness/cluster.ts';
import type { Fault, Ground, Scenario } from './scenario.ts';
import { HALF_COMMITTED, type Stop } from './stops.ts';

const API_DOWN_MS = 20_000;
/** Longer than the grace of nodes and that of recovery: the operator wants to act, and cannot. */
const KUBELET_DOWN_MS = 45_000;
const DIES_AFTER_MS = 3_000;

/** The proxy will die by itself at its place, some seconds from now, whoever can or cannot reach it then. */
async function doom({ system }: Ground, proxy: number, stop: Stop): Promise<number> {
  await system.order(proxy, { ...stop, skip: 1, signal: 'SIGKILL', holdMs: DIES_AFTER_MS });
  return (await system.reached(proxy)) + DIES_AFTER_MS;
}

/** A proxy on another node than the load's, so that the load itself goes on. */
async function proxyAwayFromLoad({ system, load, random }: Ground): Promise<{ proxy: number; node: string }> {
  const loadNode = (await system.pod(await load.pod()))?.spec.nodeName;
  const found: { proxy: number; node: string }[] = [];
  for (let proxy = 0; proxy < system.proxies; proxy++) {
    const node = (await system.pod(system.proxyPod(proxy)))?.spec.nodeName;
    if (node !== undefined && node !== loadNode) found.push({ proxy, node });
  }
  return random.pick(found);
}

async function controlPlaneNode({ system }: Ground): Promise<string> {
  const labelled = await system.kubectl.run([
    'get',
    'nodes',
    '-l',
    'node-role.kubernetes.io/control-plane',
    '-o',
    'name',
  ]);
  const [first = 'node/n1'] = labelled.trim().split('\n').filter(Boolean);
  return first.replace('node/', '');
}

/** Freezes a component for so long; it goes on whatever happens meanwhile. */
async function frozen({ cluster, system, closing }: Ground, component: Component, node: string, ms: number) {
  const mending = closing.use({ [Symbol.asyncDispose]: () => cluster.thaw(component, node) });
  await cluster.freeze(component, node);
  try {
    await system.rest(ms);
  } finally {
    await mending[Symbol.asyncDispose]();
  }
}

const kubeletStopped: Scenario = {
  name: 'kubelet-stopped',
  kind: 'kubelet-stopped',
  title: "the kubelet of a proxy's node stops, and then the proxy dies: nobody can start it, nor read its log",
  kills: 2,
  needs: ['operator', 'nodes'],
  leavesDoubt: true,
  async run(ground) {
    const { system } = ground;
    const { proxy, node } = await proxyAwayFromLoad(ground);
    const instance = system.instance(proxy);
    const atMs = await doom(ground, proxy, HALF_COMMITTED);
    await frozen(ground, 'kubelet', node, KUBELET_DOWN_MS);
    return [{ what: `kubelet of ${node} stopped, ${instance} SIGKILL`, atMs, kills: 2, instances: [instance] }];
  },
};

const apiServerDown: Scenario = {
  name: 'api-server-down',
  kind: 'api-server-down',
  title: 'the API server stops answering, and a proxy dies meanwhile: it comes back without it',
  kills: 2,
  needs: ['operator', 'nodes'],
  leavesDoubt: true,
  async run(ground) {
    const { system, random } = ground;
    const proxy = random.between(0, system.proxies - 1);
    const instance = system.instance(proxy);
    // What is measured is how soon it is back without the API server, not how long the kubelet waits after other rounds' kills.
    await system.forgetRestarts(proxy);
    const node = await controlPlaneNode(ground);
    const atMs = await doom(ground, proxy, HALF_COMMITTED);
    await frozen(ground, 'kube-apiserver', node, API_DOWN_MS);
    const fault: Fault = { what: `API server frozen, ${instance} SIGKILL`, atMs, kills: 2, instances: [instance] };
    return [fault];
  },
  // The kubelet needs nobody to restart a container: the doubt is over before the API server is back.
  async check(_ground, reckoning) {
    const late = reckoning.faults
      .flatMap(({ runs }) => runs)
      .filter(({ resolvedAfterMs = 0 }) => resolvedAfterMs > API_DOWN_MS);
    return late.map(
      ({ instance, resolvedAfterMs }) =>
        `${instance} was in doubt until the API server was back (${resolvedAfterMs} ms)`,
    );
  },
};

export const NODE_SCENARIOS: readonly Scenario[] = [kubeletStopped, apiServerDown];

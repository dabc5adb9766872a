// Changes of the spec in the middle of commits: a proxy scaled away, everything restarted.
import { waitFor } from '../../cluster/harness/kubectl.ts';
import type { Ground, Scenario } from './scenario.ts';
import { DECIDED, holdOne, SHORT_HOLD_MS, UNDECIDED } from './stops.ts';

const CHANGE_TIMEOUT_MS = 300_000;

async function patchSpec({ system }: Ground, spec: object): Promise<void> {
  const patch = JSON.stringify({ spec });
  await system.kubectl.run(['patch', 'shcl', system.cluster, '--type=merge', '--patch', patch]);
}

/** Waits until the pod is gone and its set does not want it back. */
async function untilGone({ system }: Ground, pod: string): Promise<void> {
  await waitFor(`${pod} to be gone`, CHANGE_TIMEOUT_MS, async () =>
    (await system.pod(pod)) === undefined ? true : undefined,
  );
}

const scaleDown: Scenario = {
  name: 'scale-down',
  kind: 'scale-down',
  title: 'a proxy scaled away in the middle of commits, killed while it drains, and scaled back',
  kills: 2,
  needs: ['operator'],
  leavesDoubt: true,
  healthTimeoutMs: CHANGE_TIMEOUT_MS,
  async run(ground) {
    const { system } = ground;
    const last = system.proxies - 1;
    const [pod, instance] = [system.proxyPod(last), system.instance(last)];
    await holdOne(ground, last, DECIDED);
    await system.kubectl.run(['scale', 'shcl', system.cluster, `--replicas=${last}`]);
    // It drains now, and the held transaction keeps it. A kill in the middle must not make it leave its log behind.
    await system.rest(2_000);
    const atMs = Date.now();
    await system.killProcess(last);
    await untilGone(ground, pod);
    const goneMs = Date.now();
    await system.kubectl.run(['scale', 'shcl', system.cluster, `--replicas=${system.proxies}`]);
    return [
      { what: `${instance} killed while it drains to be scaled away`, atMs, kills: 1, instances: [instance] },
      { what: `${instance} scaled away`, atMs: goneMs, kills: 1, instances: [] },
    ];
  },
};

const rollingRestart: Scenario = {
  name: 'rolling-restart',
  kind: 'rolling-restart',
  title: 'every shard and every proxy restarted, one after the other, by a change of the spec',
  kills: 5,
  needs: ['operator'],
  leavesDoubt: false,
  healthTimeoutMs: 600_000,
  async run(ground) {
    const { system, random } = ground;
    const before = await Promise.all(system.podNames.map(async (name) => (await system.pod(name))?.metadata.uid));
    await holdOne(ground, random.between(0, system.proxies - 1), UNDECIDED, SHORT_HOLD_MS);
    const atMs = Date.now();
    await patchSpec(ground, {
      // Both need a restart, and are new each time.
      postgres: { parameters: { max_connections: random.between(200, 400) } },
      proxy: { resources: { requests: { memory: `${random.between(64, 128)}Mi` } } },
    });
    const changed = async () => {
      const pods = await Promise.all(system.podNames.map((name) => system.pod(name)));
      return pods.filter((pod, index) => pod !== undefined && pod.metadata.uid !== before[index]).length;
    };
    await waitFor('every pod to be another', 600_000, async () =>
      (await changed()) === system.podNames.length ? true : undefined,
    );
    return [{ what: 'every pod replaced', atMs, kills: system.podNames.length, instances: [] }];
  },
};

export const CHANGE_SCENARIOS: readonly Scenario[] = [scaleDown, rollingRestart];

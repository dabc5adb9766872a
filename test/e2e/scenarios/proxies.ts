// Proxies that die: their process, their pod, their volume, one of them or all.
import type { ControlPointName } from '../../../src/kernel/control-point.ts';
import { endHeld } from './person.ts';
import type { Fault, Ground, Scenario } from './scenario.ts';
import { anyStop, DECIDED, HALF_COMMITTED, holdOne, type Stop, UNDECIDED } from './stops.ts';

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

/**
 * A proxy whose container was not restarted yet, since kubelet makes others wait longer each time. Where there is none,
 * a pod is deleted by force first, which is a fault of its own.
 */
async function freshProxy(ground: Ground): Promise<{ readonly proxy: number; readonly faults: readonly Fault[] }> {
  const { system, random } = ground;
  const restarts = await Promise.all(
    numbers(system.proxies).map(async (proxy) => {
      const pod = await system.pod(system.proxyPod(proxy));
      return pod?.status?.containerStatuses?.[0]?.restartCount ?? 0;
    }),
  );
  const fresh = numbers(system.proxies).filter((proxy) => restarts[proxy] === 0);
  if (fresh.length > 0) return { proxy: random.pick(fresh), faults: [] };
  const proxy = anyProxy(ground);
  const faults = await deletedByForce(ground, proxy);
  await system.untilHealthy(60_000);
  return { proxy, faults };
}

async function deletedByForce({ system }: Ground, proxy: number): Promise<Fault[]> {
  const name = system.proxyPod(proxy);
  const uid = (await system.pod(name))?.metadata.uid;
  const atMs = await system.deletePod(name);
  await system.untilReplaced(name, uid);
  const instance = system.instance(proxy);
  return [
    { what: `pod of ${instance} deleted by force`, atMs, kills: 1, instances: [instance], measures: 'proxy-death' },
  ];
}

const anyProxy = ({ system, random }: Ground) => random.between(0, system.proxies - 1);

/** The armed process kills itself where it stands. */
async function killedAt(ground: Ground, stop: Stop, skip: number): Promise<Fault[]> {
  const { system } = ground;
  const { proxy, faults } = await freshProxy(ground);
  const before = await system.life(system.proxyPod(proxy));
  const sinceMs = Date.now();
  await system.order(proxy, { ...stop, skip, signal: 'SIGKILL' });
  const { atMs, signal } = await system.death(proxy, before, sinceMs);
  if (signal !== 'SIGKILL') throw new Error(`${system.proxyPod(proxy)} ended by ${signal} at ${stop.point}`);
  const instance = system.instance(proxy);
  return [
    ...faults,
    { what: `${instance} SIGKILL at ${stop.point}`, atMs, kills: 1, instances: [instance], measures: 'proxy-death' },
  ];
}

const LEAVES_DOUBT: readonly ControlPointName[] = [
  'prepare.after',
  'append.before',
  'append.after',
  'fsync.before',
  'fsync.after',
  'commit.before',
];

function killAt(point: ControlPointName, participant?: number): Scenario {
  const stop = participant === undefined ? { point } : { point, participant };
  return {
    name: `proxy-kill-${point.replaceAll('.', '-')}${participant === undefined ? '' : `-${participant}`}`,
    kind: 'proxy-kill',
    title: `proxy process SIGKILL at ${point}${participant === undefined ? '' : `, participant ${participant}`}`,
    kills: 1,
    needs: [],
    leavesDoubt: LEAVES_DOUBT.includes(point),
    run: (ground) => killedAt(ground, stop, ground.random.between(0, 8)),
  };
}

const KILL_AT = [
  killAt('prepare.after', 1),
  killAt('append.before'),
  killAt('append.after'),
  killAt('fsync.before'),
  killAt('fsync.after'),
  killAt('commit.before', 0),
  killAt('commit.before', 1),
  killAt('commit.after', 0),
  killAt('end.before'),
];

const killRandom: Scenario = {
  name: 'proxy-kill-random',
  kind: 'proxy-kill',
  title: 'proxy process SIGKILL at a random moment',
  kills: 1,
  needs: [],
  leavesDoubt: false,
  async run(ground) {
    const { system, random } = ground;
    const { proxy, faults } = await freshProxy(ground);
    const before = await system.life(system.proxyPod(proxy));
    const sinceMs = Date.now();
    await system.rest(random.between(0, 500));
    await system.killProcess(proxy);
    const { atMs } = await system.death(proxy, before, sinceMs);
    const instance = system.instance(proxy);
    return [...faults, { what: `${instance} SIGKILL`, atMs, kills: 1, instances: [instance], measures: 'proxy-death' }];
  },
};

const killInRecovery: Scenario = {
  name: 'proxy-kill-in-recovery',
  kind: 'proxy-kill-in-recovery',
  title: 'proxy SIGKILL after the decision, and again inside its recovery',
  kills: 2,
  needs: [],
  leavesDoubt: true,
  async run(ground) {
    const { system, random } = ground;
    const { proxy, faults } = await freshProxy(ground);
    const points = [
      'recovery.fenced',
      'recovery.gathered',
      'recovery.resolve.before',
      'recovery.resolve.after',
    ] as const;
    const point = random.pick(points);
    const before = await system.life(system.proxyPod(proxy));
    await holdOne(ground, proxy, HALF_COMMITTED);
    const sinceMs = Date.now();
    // Waits in the folder for the next start, which it kills in the middle of its first pass.
    await system.orderNextStart(proxy, { point, skip: 0, signal: 'SIGKILL' });
    await system.killProcess(proxy);
    const { atMs } = await system.death(proxy, before, sinceMs);
    await system.untilRestarted(proxy, 2, before);
    const instance = system.instance(proxy);
    return [...faults, { what: `${instance} SIGKILL, again at ${point}`, atMs, kills: 2, instances: [instance] }];
  },
};

const forceDelete: Scenario = {
  name: 'proxy-force-delete',
  kind: 'proxy-force-delete',
  title: 'proxy pod deleted with --force',
  kills: 1,
  needs: [],
  leavesDoubt: true,
  async run(ground) {
    const proxy = anyProxy(ground);
    const stop = anyStop(ground.random);
    await holdOne(ground, proxy, stop);
    return deletedByForce(ground, proxy);
  },
};

const volumeLost: Scenario = {
  name: 'proxy-volume-lost',
  kind: 'proxy-volume-lost',
  title: "proxy pod deleted together with its log's volume",
  kills: 1,
  needs: [],
  leavesDoubt: true,
  losesLog: true,
  async run(ground) {
    const { system, random } = ground;
    const proxy = anyProxy(ground);
    const stop = random.pick([UNDECIDED, HALF_COMMITTED]);
    await holdOne(ground, proxy, stop);
    const atMs = await system.deletePodAndVolume(proxy);
    const instance = system.instance(proxy);
    // A shard that is younger than five minutes cannot prove a commit without the log.
    const byHand = await endHeld(ground, instance);
    return [
      {
        what: `${instance} and its volume deleted at ${stop.point}`,
        atMs,
        kills: 1,
        instances: [instance],
        ...(byHand > 0 ? { byHand } : { measures: 'volume-lost' as const }),
      },
    ];
  },
};

const allAtOnce: Scenario = {
  name: 'proxies-all-at-once',
  kind: 'proxies-all-at-once',
  title: 'all proxies deleted by force at once',
  kills: 2,
  needs: [],
  leavesDoubt: true,
  async run(ground) {
    const { system } = ground;
    const proxies = numbers(system.proxies);
    const uids = await Promise.all(
      proxies.map(async (proxy) => (await system.pod(system.proxyPod(proxy)))?.metadata.uid),
    );
    await Promise.all(proxies.map((proxy) => holdOne(ground, proxy, proxy % 2 === 0 ? DECIDED : UNDECIDED)));
    const times = await Promise.all(proxies.map((proxy) => system.deletePod(system.proxyPod(proxy))));
    await Promise.all(proxies.map((proxy) => system.untilReplaced(system.proxyPod(proxy), uids[proxy])));
    return [
      {
        what: 'all proxies deleted by force',
        atMs: Math.min(...times),
        kills: proxies.length,
        instances: proxies.map(system.instance),
      },
    ];
  },
};

export const PROXY_SCENARIOS: readonly Scenario[] = [
  ...KILL_AT,
  killRandom,
  killInRecovery,
  forceDelete,
  volumeLost,
  allAtOnce,
];

// A proxy that does not come back, so that the operator acts for it, and an operator that is killed while it does.
import type { ControlPointName } from '../../../src/kernel/control-point.ts';
import { waitFor } from '../../cluster/harness/kubectl.ts';
import { preparedNow, preparedOn } from '../harness/prepared.ts';
import type { Fault, Ground, Scenario } from './scenario.ts';
import { holdOne, type Stop, UNDECIDED } from './stops.ts';

/** Grace period, the operator's restart and its lead, the Job and the pass, on a machine that does other things too. */
const RECOVERED_TIMEOUT_MS = 150_000;
/** Longer than anything in here: the proxy is let in by hand. */
const AWAY_MS = 300_000;

/** Kills a proxy in the middle of a commit and keeps it from starting. */
async function takeAway(ground: Ground, proxy: number, stop: Stop): Promise<Fault> {
  const { system } = ground;
  await holdOne(ground, proxy, stop);
  await preparedOn(ground, system.instance(proxy));
  await system.refuseStart(proxy, AWAY_MS);
  const atMs = Date.now();
  await system.killProcess(proxy);
  const instance = system.instance(proxy);
  return { what: `${instance} dies at ${stop.point} and does not come back`, atMs, kills: 1, instances: [instance] };
}

/** Waits until nothing of the proxy is prepared, although it is away. */
async function untilRecoveredFor(ground: Ground, proxy: number): Promise<void> {
  const instance = ground.system.instance(proxy);
  await waitFor(`the operator to recover for ${instance}`, RECOVERED_TIMEOUT_MS, async () =>
    (await preparedNow(ground, instance))?.length === 0 ? true : undefined,
  );
}

/** A new pod does not wait for what kubelet thinks of the old one. */
async function letBack({ system }: Ground, proxy: number): Promise<void> {
  await system.allowStart(proxy);
}

const takesOver: Scenario = {
  name: 'operator-takes-over',
  kind: 'operator-takes-over',
  title: 'a proxy dies in a commit and does not come back: the operator fences, reads its log and resolves',
  kills: 1,
  needs: ['operator'],
  leavesDoubt: true,
  async run(ground) {
    const proxy = ground.random.between(0, ground.system.proxies - 1);
    const fault = await takeAway(ground, proxy, UNDECIDED);
    await untilRecoveredFor(ground, proxy);
    await letBack(ground, proxy);
    return [fault];
  },
};

function operatorKilledAt(point: ControlPointName, participant?: number): Scenario {
  const at = `${point}${participant === undefined ? '' : `, participant ${participant}`}`;
  return {
    name: `operator-kill-${point.replace('operator.', '').replaceAll('.', '-')}`,
    kind: 'operator-kill',
    title: `the operator SIGKILLed inside the recovery of a proxy that does not come back, at ${at}`,
    kills: 2,
    needs: ['operator'],
    leavesDoubt: true,
    ...(point === 'operator.recovery.resolved' ? { losesStatus: true } : {}),
    async run(ground) {
      const { system } = ground;
      const proxy = ground.random.between(0, system.proxies - 1);
      const which = participant === undefined ? {} : { participant };
      await system.orderOperator({ point, ...which, skip: 0, signal: 'SIGKILL' });
      const sinceMs = Date.now();
      const fault = await takeAway(ground, proxy, UNDECIDED);
      const { atMs } = await system.operatorDeath(sinceMs, RECOVERED_TIMEOUT_MS);
      await untilRecoveredFor(ground, proxy);
      await letBack(ground, proxy);
      return [fault, { what: `operator SIGKILL at ${at}`, atMs, kills: 1, instances: [] }];
    },
  };
}

export const OPERATOR_SCENARIOS: readonly Scenario[] = [
  takesOver,
  operatorKilledAt('operator.recovery.fenced'),
  operatorKilledAt('operator.recovery.dumped'),
  operatorKilledAt('recovery.resolve.before', 1),
  operatorKilledAt('operator.recovery.resolved'),
];

// A proxy's log that gets into trouble: its volume full, its file damaged at rest.
import { waitFor } from '../../cluster/harness/kubectl.ts';
import { SHARDED_CLUSTERS } from '../harness/sharded-cluster.ts';
import { handOn, WAL_FOLDER } from './hands.ts';
import { endHeld } from './person.ts';
import type { Ground, Scenario } from './scenario.ts';
import { smallVolume } from './small-volume.ts';
import { HALF_COMMITTED, holdOne } from './stops.ts';

const FULL_FOR_MS = 8_000;
const TOLD_TIMEOUT_MS = 120_000;
const FILL = '/var/lib/atomshard/fill';

const FILL_VOLUME = `dd if=/dev/zero of=${FILL} bs=64k 2>/dev/null || true`;

const volumeFull: Scenario = {
  name: 'wal-volume-full',
  kind: 'wal-volume-full',
  title: "a proxy's WAL volume full under load, and the proxy killed on it",
  kills: 2,
  needs: ['operator', 'nodes'],
  leavesDoubt: false,
  async run(ground) {
    const { system, random } = ground;
    const proxy = random.between(0, system.proxies - 1);
    const instance = system.instance(proxy);
    const volume = await smallVolume(ground, proxy);
    try {
      await system.untilHealthy(120_000);
      const fullMs = Date.now();
      await system.execOk(system.proxyPod(proxy), 'proxy', ['sh', '-c', FILL_VOLUME]);
      await system.rest(FULL_FOR_MS);
      const before = await system.life(system.proxyPod(proxy));
      const atMs = Date.now();
      await system.killProcess(proxy);
      // There is no room for a word about its death.
      await system.untilRestarted(proxy, 1, before);
      await system.rest(FULL_FOR_MS);
      return [
        { what: `the volume of ${instance} full`, atMs: fullMs, kills: 1, instances: [] },
        { what: `${instance} SIGKILL on a full volume`, atMs, kills: 1, instances: [instance] },
      ];
    } finally {
      await waitFor('room on the volume', 60_000, async () => {
        const { code } = await system.exec(system.proxyPod(proxy), 'proxy', ['rm', '-f', FILL]);
        return code === 0 ? true : undefined;
      });
      await volume[Symbol.asyncDispose]();
    }
  },
  async check(_ground, { summary }) {
    return summary.includes('53100') ? [] : ['no commit was refused with 53100, so the volume was never full'];
  },
};

/** Overwrites eight bytes in the middle of the records of the oldest segment. */
const DAMAGE = `f=$(ls ${WAL_FOLDER}/*.wal | head -n 1); printf 'DAMAGED!' | dd of=$f bs=1 seek=2048 conv=notrunc 2>/dev/null; echo $f`;

const fileDamaged: Scenario = {
  name: 'wal-file-damaged',
  kind: 'wal-file-damaged',
  title: 'a WAL file damaged at rest: the proxy refuses to start, it is told, and a person repairs the log',
  kills: 2,
  needs: ['operator'],
  leavesDoubt: true,
  losesLog: true,
  healthTimeoutMs: 240_000,
  async run(ground) {
    const { system, random } = ground;
    const proxy = random.between(0, system.proxies - 1);
    const [pod, instance] = [system.proxyPod(proxy), system.instance(proxy)];
    await holdOne(ground, proxy, HALF_COMMITTED);
    const file = await system.execOk(pod, 'proxy', ['sh', '-c', DAMAGE]);
    const atMs = Date.now();
    await system.killProcess(proxy);
    const told = await untilTold(ground, instance);
    ground.say(`told: ${told}`);
    await repair(ground, proxy);
    const { uid } = (await system.pod(pod))?.metadata ?? {};
    await system.deletePod(pod);
    await system.untilReplaced(pod, uid);
    const byHand = await endHeld(ground, instance);
    return [{ what: `${instance} killed, ${file.trim()} damaged`, atMs, kills: 2, instances: [instance], byHand }];
  },
};

/** Waits for a condition that names the proxy and the command that mends its log. */
function untilTold({ system }: Ground, instance: string): Promise<string> {
  return waitFor('a condition that tells of the damaged log', TOLD_TIMEOUT_MS, async () => {
    const ref = { namespace: system.namespace, name: system.cluster };
    const { status } = await system.kube.get(SHARDED_CLUSTERS, ref);
    const messages = (status?.conditions ?? []).map(({ message = '' }) => message);
    return messages.find((message) => message.includes(instance) && message.includes('wal repair'));
  });
}

/** As docs/RECOVERY.md tells an engineer on call. */
async function repair({ system, say }: Ground, proxy: number): Promise<void> {
  await using hand = await handOn(system, proxy);
  const verified = await hand.atomshard(['wal', 'verify', WAL_FOLDER]);
  if (verified.code !== 1) throw new Error(`wal verify ended with ${verified.code}: ${verified.said}`);
  const refused = await hand.atomshard(['wal', 'repair', WAL_FOLDER, '--yes']);
  say(`repair: ${refused.said.split('\n')[0]}`);
  if (refused.code === 0) return;
  const repaired = await hand.atomshard(['wal', 'repair', WAL_FOLDER, '--yes', '--lose-acknowledged']);
  if (repaired.code !== 0) throw new Error(`wal repair ended with ${repaired.code}: ${repaired.said}`);
}

export const LOG_SCENARIOS: readonly Scenario[] = [volumeFull, fileDamaged];

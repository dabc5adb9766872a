// Shards that die in the middle of a commit, alone or together with the proxy that drives it.
import { preparedOn } from '../harness/prepared.ts';
import type { Ground, Scenario } from './scenario.ts';
import { holdOne, SHORT_HOLD_MS, UNDECIDED } from './stops.ts';

/** Stops a transaction between PREPARE and COMMIT PREPARED and finds the shards on which it is prepared. */
async function heldOn(ground: Ground, proxy: number, holdMs?: number): Promise<number[]> {
  await holdOne(ground, proxy, UNDECIDED, holdMs);
  return preparedOn(ground, ground.system.instance(proxy));
}

const shardBetween: Scenario = {
  name: 'shard-between-prepare-and-commit',
  kind: 'shard-between-prepare-and-commit',
  title: "a shard's pod deleted by force between PREPARE and COMMIT PREPARED",
  kills: 1,
  needs: [],
  leavesDoubt: false,
  async run(ground) {
    const { system, random } = ground;
    const proxy = random.between(0, system.proxies - 1);
    const shard = random.pick(await heldOn(ground, proxy, SHORT_HOLD_MS));
    const name = system.shardPod(shard);
    const uid = (await system.pod(name))?.metadata.uid;
    const atMs = await system.deletePod(name);
    await system.untilReplaced(name, uid);
    return [
      { what: `shard-${shard} deleted by force while it held a prepared transaction`, atMs, kills: 1, instances: [] },
    ];
  },
};

const shardAndProxy: Scenario = {
  name: 'shard-and-proxy',
  kind: 'shard-and-proxy',
  title: 'a shard and the proxy that drives a commit on it deleted by force together',
  kills: 2,
  needs: [],
  leavesDoubt: true,
  async run(ground) {
    const { system, random } = ground;
    const proxy = random.between(0, system.proxies - 1);
    const shard = random.pick(await heldOn(ground, proxy));
    const names = [system.proxyPod(proxy), system.shardPod(shard)];
    const uids = await Promise.all(names.map(async (name) => (await system.pod(name))?.metadata.uid));
    const [atMs = Date.now()] = await Promise.all(names.map((name) => system.deletePod(name)));
    await Promise.all(names.map((name, index) => system.untilReplaced(name, uids[index])));
    const instance = system.instance(proxy);
    return [{ what: `${instance} and shard-${shard} deleted by force`, atMs, kills: 2, instances: [instance] }];
  },
};

export const SHARD_SCENARIOS: readonly Scenario[] = [shardBetween, shardAndProxy];

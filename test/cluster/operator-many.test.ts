// One operator with twenty clusters: all get Ready, it stays small and alive, and nothing is asked or written again and again.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { waitFor } from './harness/kubectl.ts';
import { fleetCluster, fleetName, readyCount, startServers } from './operator/external-fleet.ts';
import { editSpec, OPERATOR_PODS, type OperatorGround } from './operator/ground.ts';
import { callsBetween, figuresOf, operatorPods, sum } from './operator/metrics.ts';
import { GROUND_TIMEOUT_MS, operatorGround } from './operator/open-ground.ts';
import { noCluster } from './test-cluster.ts';

const CLUSTERS = 20;
const READY_TIMEOUT_MS = 300_000;
/** Statuses settle: positions of logs are written within half a minute of a change. */
const SETTLING_MS = 35_000;
const IDLE_MS = 30_000;
const WINDOWS_MAX = 4;
const RESIDENT_MAX_MIB = 256;

const print = (line: object) => console.log(JSON.stringify(line));

describe.skipIf(noCluster)('twenty clusters of external shards', () => {
  let ground = {} as OperatorGround;
  let operator = '';
  /** Another one after each restart. */
  const containers = () =>
    ground.kubectl.value(`pods -l ${OPERATOR_PODS}`, '.items[*].status.containerStatuses[*].containerID');
  beforeAll(async () => {
    ground = await operatorGround('op-many');
    await startServers(ground.kubectl, ground.images['postgres-18'], CLUSTERS);
    operator = await containers();
  }, GROUND_TIMEOUT_MS);
  // Counters begin anew with a process: an operator that died meanwhile would look silent and small.
  afterEach(async () => expect(await containers()).toBe(operator));
  afterAll(() => ground[Symbol.asyncDispose]?.(), 240_000);

  const figures = async () => {
    const [pod = ''] = await operatorPods(ground.kubectl);
    return figuresOf(ground.kubectl, ground.namespace, pod);
  };

  it('are made Ready by one operator that stays small', async () => {
    const { kubectl } = ground;
    const before = await figures();
    const began = performance.now();
    await kubectl.apply(Array.from({ length: CLUSTERS }, (_, index) => fleetCluster(index)));
    let ready = 0;
    await waitFor('all to be Ready', READY_TIMEOUT_MS, async () => {
      ready = await readyCount(kubectl);
      return ready === CLUSTERS ? true : undefined;
    }).catch((error: unknown) => {
      throw new Error(`${ready} of ${CLUSTERS} are Ready`, { cause: error });
    });
    const seconds = Math.round((performance.now() - began) / 1_000);
    const after = await figures();
    const calls = callsBetween(before, after);
    print({
      test: 'operator-many',
      clusters: CLUSTERS,
      readySeconds: seconds,
      residentMib: after.residentMib,
      residentMibBefore: before.residentMib,
      cpuSeconds: Number((after.cpuSeconds - before.cpuSeconds).toFixed(1)),
      apiCalls: sum(calls.values()),
      apiCallsByKind: Object.fromEntries([...calls].toSorted(([, one], [, other]) => other - one)),
    });
    expect(after.residentMib).toBeLessThan(RESIDENT_MAX_MIB);
    // Making one takes about forty writes; an operator that fights with itself needs many more.
    expect(sum(calls.values()) / CLUSTERS).toBeLessThan(120);
  });

  it('cost nothing that is called again and again: of four half minutes without an edit, one has no call to the API server', async () => {
    await systemClock.sleep(SETTLING_MS);
    const windows: object[] = [];
    // A probe that times out on a busy machine is a change that is told; whatever is done again and again hits every window.
    for (let attempt = 0; attempt < WINDOWS_MAX; attempt++) {
      const before = await figures();
      await systemClock.sleep(IDLE_MS);
      const calls = callsBetween(before, await figures());
      // Watches are opened anew every few minutes.
      const asked = Object.fromEntries([...calls].filter(([key]) => !key.startsWith('watch ')));
      windows.push(asked);
      if (Object.keys(asked).length === 0) break;
    }
    print({ test: 'operator-idle', idleSeconds: IDLE_MS / 1_000, calls: windows });
    expect(windows.at(-1)).toEqual({});
  });

  it('do not disturb each other: a change of one is one for that one', async () => {
    const { kubectl } = ground;
    const versions = async () => {
      const text = await kubectl.run(['get', 'shcl', '-o', 'json']);
      const { items } = JSON.parse(text) as {
        items: readonly { readonly metadata: { readonly name: string; readonly resourceVersion: string } }[];
      };
      return new Map(items.map(({ metadata }) => [metadata.name, metadata.resourceVersion]));
    };
    const before = await versions();
    await editSpec(kubectl, fleetName(3), { proxy: { service: { annotations: { seen: 'yes' } } } });
    await kubectl.waitForValue(`service ${fleetName(3)}`, '.metadata.annotations.seen', (seen) => seen === 'yes');
    await waitFor('all to be Ready', 60_000, async () => ((await readyCount(kubectl)) === CLUSTERS ? true : undefined));
    const after = await versions();
    expect([...after].filter(([name, version]) => before.get(name) !== version).map(([name]) => name)).toEqual([
      fleetName(3),
    ]);
  });
});

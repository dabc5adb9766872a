// The operator dies at random while a cluster is made, changed, scaled and deleted, and comes to the same end as if it had not.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { Random } from '../support/random.ts';
import { waitFor } from './harness/kubectl.ts';
import { ask, psqlOnShard, seenCluster, smallCluster, waitForReady } from './operator/deploy.ts';
import { editSpec, OPERATOR_PODS, type OperatorGround } from './operator/ground.ts';
import { operatorPods } from './operator/metrics.ts';
import { GROUND_TIMEOUT_MS, operatorGround } from './operator/open-ground.ts';
import { noCluster } from './test-cluster.ts';

const CLUSTER = 'bank';
const KILLS_EACH = 5;
/** From the start of the new process to the next kill: it has just begun, or is in the middle of it. */
const LIFE_MS = [0, 2_500] as const;
const READY_MS = 180_000;

const seed = Number(process.env.ATOMSHARD_SEED ?? Random.freshSeed());
const random = new Random(seed);

describe.skipIf(noCluster)(`an operator killed again and again, without election (ATOMSHARD_SEED=${seed})`, () => {
  let ground = {} as OperatorGround;
  beforeAll(async () => {
    // Without election a new process begins where the last one fell; that one of several leads is tried elsewhere.
    ground = await operatorGround('op-chaos', { args: ['--no-leader-election'] });
  }, GROUND_TIMEOUT_MS);
  afterAll(() => ground[Symbol.asyncDispose]?.());

  /** SIGKILL at random moments of its life, each time after a new process was started. */
  async function killOperator(times: number): Promise<void> {
    const { kubectl } = ground;
    for (let kill = 0; kill < times; kill++) {
      await systemClock.sleep(random.between(...LIFE_MS));
      const [name = ''] = await operatorPods(kubectl);
      await kubectl.run(['delete', 'pod', name, '--force', '--grace-period=0']);
      await waitFor('a new operator', 60_000, async () => {
        const text = await kubectl.run(['get', 'pods', '-l', OPERATOR_PODS, '-o', 'json']);
        const { items } = JSON.parse(text) as {
          items: readonly {
            readonly metadata: { readonly name: string };
            readonly status: { readonly phase: string };
          }[];
        };
        return items.some(({ metadata, status }) => metadata.name !== name && status.phase === 'Running')
          ? true
          : undefined;
      });
    }
  }

  /** `kind/name` of all that carries the cluster's label. */
  async function objectNames(): Promise<string[]> {
    const kinds = 'statefulset,service,configmap,secret,pdb,networkpolicy,serviceaccount,pvc,pod,job';
    const out = await ground.kubectl.run(['get', kinds, '-l', `atomshard.dev/cluster=${CLUSTER}`, '-o', 'name']);
    return out.split('\n').filter(Boolean).toSorted();
  }

  const claimIds = async (): Promise<string[]> => {
    const path = '.items[*].metadata.annotations.atomshard\\.dev/cluster-id';
    return (await ground.kubectl.value(`pvc -l atomshard.dev/cluster=${CLUSTER}`, path)).split(' ');
  };

  let made: readonly string[] = [];

  it('in a creation: every object is there once, under one id, and the Service serves', async () => {
    const { kubectl, images } = ground;
    await kubectl.apply([smallCluster(CLUSTER, images['postgres-18'], { proxy: { replicas: 1 } })]);
    await killOperator(KILLS_EACH);
    await waitForReady(kubectl, CLUSTER, READY_MS);
    made = await objectNames();
    expect(made.filter((name) => name.startsWith('pod/'))).toEqual([
      'pod/bank-proxy-0',
      'pod/bank-shard-0-0',
      'pod/bank-shard-1-0',
    ]);
    expect(made.filter((name) => name.startsWith('persistentvolumeclaim/'))).toHaveLength(3);
    const { status } = await seenCluster(kubectl, CLUSTER);
    expect(new Set(await claimIds())).toEqual(new Set([status?.clusterId]));
    await ask(kubectl, CLUSTER, 'CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)');
    await ask(kubectl, CLUSTER, 'INSERT INTO accounts (id, balance) VALUES (1, 100), (2, 100), (3, 100), (4, 100)');
  });

  it('in an update that restarts shards: each has the new setting, each was restarted once', async () => {
    const { kubectl } = ground;
    const uids = async () => (await kubectl.value('pod -l atomshard.dev/shard', '.items[*].metadata.uid')).split(' ');
    const before = await uids();
    const watching = new AbortController();
    const seen = new Set(before);
    const watch = (async () => {
      while (!watching.signal.aborted) {
        for (const uid of await uids()) if (uid !== '') seen.add(uid);
        await systemClock.sleep(200, watching.signal);
      }
    })();
    await editSpec(kubectl, CLUSTER, {
      postgres: { parameters: { max_connections: 350, work_mem: '7MB' } },
      proxy: { pool: { size: 17 } },
    });
    await killOperator(KILLS_EACH);
    await waitForReady(kubectl, CLUSTER, READY_MS);
    watching.abort();
    await watch;
    expect(seen.size).toBe(2 * before.length);
    for (const shard of ['bank-shard-0-0', 'bank-shard-1-0']) {
      const sql = `SELECT current_setting('max_connections') || ' ' || current_setting('work_mem')`;
      expect((await kubectl.run(psqlOnShard(shard, sql))).trim()).toBe('350 7MB');
    }
    expect(await ask(kubectl, CLUSTER, 'SELECT balance FROM accounts WHERE id = 2')).toBe('100');
  });

  it('in a scaling up and down: the proxies that are wanted are there, and no other', async () => {
    const { kubectl } = ground;
    await kubectl.run(['scale', 'shcl', CLUSTER, '--replicas=3']);
    await killOperator(2);
    await waitForReady(kubectl, CLUSTER, READY_MS);
    await kubectl.run(['scale', 'shcl', CLUSTER, '--replicas=1']);
    await killOperator(KILLS_EACH - 2);
    await waitFor('two proxies to leave', READY_MS, async () =>
      (await objectNames()).filter((name) => name.startsWith('pod/bank-proxy')).length === 1 ? true : undefined,
    );
    await waitForReady(kubectl, CLUSTER, READY_MS);
    const claims = ['persistentvolumeclaim/wal-bank-proxy-1', 'persistentvolumeclaim/wal-bank-proxy-2'];
    expect(await objectNames()).toEqual([...made, ...claims].toSorted());
    expect(await ask(kubectl, CLUSTER, 'SELECT balance FROM accounts WHERE id = 2')).toBe('100');
  });

  it('in a deletion with its volumes: nothing is left', async () => {
    const { kubectl } = ground;
    await editSpec(kubectl, CLUSTER, { pvcRetentionPolicy: { whenDeleted: 'Delete' } });
    await waitForReady(kubectl, CLUSTER, READY_MS);
    await kubectl.run(['delete', 'shcl', CLUSTER, '--wait=false']);
    await killOperator(KILLS_EACH);
    await kubectl.waitUntilGone(`shcl ${CLUSTER}`, READY_MS);
    let left: readonly string[] = [];
    const gone = waitFor('all objects to go', 90_000, async () => {
      left = await objectNames();
      return left.length === 0 ? true : undefined;
    });
    await gone.catch((error: unknown) => {
      throw new Error(`still there: ${left.join(', ')}`, { cause: error });
    });
  });
});

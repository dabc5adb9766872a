// Two operators: one leads and works, and when it dies the other one goes on.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from './harness/kubectl.ts';
import { editSpec, type OperatorGround } from './operator/ground.ts';
import { figuresOf, operatorPods } from './operator/metrics.ts';
import { GROUND_TIMEOUT_MS, operatorGround } from './operator/open-ground.ts';
import { noCluster } from './test-cluster.ts';

const CLUSTER = 'bank';
/** A Lease lasts 15 s. */
const TAKEOVER_MS = 45_000;

describe.skipIf(noCluster)('two operators', () => {
  let ground = {} as OperatorGround;
  beforeAll(async () => {
    ground = await operatorGround('op-two', { replicas: 2 });
  }, GROUND_TIMEOUT_MS);
  afterAll(() => ground[Symbol.asyncDispose]?.());

  /** By their own word. */
  async function leaders(): Promise<string[]> {
    const { kubectl, namespace } = ground;
    const pods = await operatorPods(kubectl);
    const figures = await Promise.all(
      pods.map(async (pod) => ({ pod, ...(await figuresOf(kubectl, namespace, pod)) })),
    );
    return figures.filter(({ leading }) => leading).map(({ pod }) => pod);
  }

  const holder = () => ground.kubectl.value('lease atomshard-operator', '.spec.holderIdentity');

  /** The pool size in the configuration that proxies get, which only a leader writes. */
  async function untilApplied(size: number, timeoutMs: number): Promise<void> {
    const { kubectl } = ground;
    await editSpec(kubectl, CLUSTER, { proxy: { pool: { size } } });
    await waitFor(`the pool size ${size} to be applied`, timeoutMs, async () => {
      const encoded = await kubectl.value(`secret ${CLUSTER}-proxy-config`, '.data.proxy\\.yaml');
      return new RegExp(`size: ${size}\\b|"size": ?${size}\\b`).test(Buffer.from(encoded, 'base64').toString('utf8'))
        ? true
        : undefined;
    });
  }

  it('one leads by the Lease, and works', async () => {
    const { kubectl } = ground;
    // External shards that nobody runs: objects are all that this is about.
    const external = [{ name: 'east', host: 'east.invalid', credentialsSecretRef: { name: 'east' } }];
    await kubectl.run([
      'create',
      'secret',
      'generic',
      'east',
      '--from-literal=username=u',
      '--from-literal=password=p',
    ]);
    await kubectl.apply([
      {
        apiVersion: 'atomshard.dev/v1alpha1',
        kind: 'ShardedCluster',
        metadata: { name: CLUSTER },
        spec: { shards: { external }, proxy: { replicas: 1, wal: { size: '64Mi', segmentSize: '1Mi' } } },
      },
    ]);
    await untilApplied(7, 30_000);
    expect(await leaders()).toHaveLength(1);
    expect(await holder()).toContain((await leaders())[0] ?? 'nobody');
  });

  it('the other one goes on when the leader is killed, and no look finds two that lead', async () => {
    const { kubectl } = ground;
    const [first = ''] = await leaders();
    await kubectl.run(['delete', 'pod', first, '--force', '--grace-period=0']);
    let most = 0;
    await waitFor('another leader', TAKEOVER_MS, async () => {
      const now = await leaders();
      most = Math.max(most, now.length);
      return now.length === 1 && !now.includes(first) ? true : undefined;
    });
    expect(most).toBe(1);
    await untilApplied(8, 30_000);
  });

  it('a leader that is asked to go hands the lead over, and the other one works', async () => {
    const { kubectl } = ground;
    const [second = ''] = await leaders();
    const began = performance.now();
    await kubectl.run(['delete', 'pod', second, '--wait=false']);
    await waitFor('another holder of the Lease', TAKEOVER_MS, async () => {
      const name = await holder();
      return name !== '' && !name.includes(second) ? true : undefined;
    });
    // For people: less than the 15 s of a Lease where it was given back and not waited for.
    console.log(JSON.stringify({ test: 'handover', ms: Math.round(performance.now() - began) }));
    expect(await kubectl.value('lease atomshard-operator', '.spec.leaseTransitions')).toBe('2');
    await untilApplied(9, 30_000);
  });
});

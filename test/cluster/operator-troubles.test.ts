// What goes wrong around a cluster that serves is told in a condition and an event, and heals when its cause is gone.
//
// Issue 5's 30 s begin here when Kubernetes itself shows the fault, where the trouble says by what: before that a running cluster
// restarts one pod after the other, in its own time. From the edit on they are counted in operator-faults.test.ts.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seenCluster, smallCluster, waitForReady } from './operator/deploy.ts';
import { editSpec, type OperatorGround, untilTold, waitForCondition } from './operator/ground.ts';
import { GROUND_TIMEOUT_MS, operatorGround } from './operator/open-ground.ts';
import { noCluster } from './test-cluster.ts';

const CLUSTER = 'bank';

interface Trouble {
  readonly what: string;
  readonly reason: string;
  /** Words that the message has, so that a person knows what to do. */
  readonly says: RegExp;
  readonly cause: (ground: OperatorGround) => Promise<unknown>;
  /** By what Kubernetes itself shows the fault, as a JSONPath over the cluster's pods; where only SQL does, the edit counts. */
  readonly shownAt?: { readonly path: string; readonly value: RegExp };
  readonly cure: (ground: OperatorGround) => Promise<unknown>;
}

const nowhere = { disk: 'of-another-world' };
const edit =
  (spec: (ground: OperatorGround) => object) =>
  (ground: OperatorGround): Promise<unknown> =>
    editSpec(ground.kubectl, CLUSTER, spec(ground));

const WAITING = '.items[*].status.containerStatuses[*].state.waiting.reason';
const ENDED = '.items[*].status.containerStatuses[*].lastState.terminated.reason';
/** Where nothing answers: refused at once, without a look-up of names. */
const UNPULLABLE = 'localhost:1/postgres:18';

const TROUBLES: readonly Trouble[] = [
  {
    what: 'an image that cannot be pulled',
    reason: 'ImageCannotBePulled',
    says: /localhost:1\/postgres:18/,
    shownAt: { path: WAITING, value: /ErrImagePull|ImagePullBackOff/ },
    cause: edit(() => ({ postgres: { image: UNPULLABLE } })),
    cure: edit(({ images }) => ({ postgres: { image: images['postgres-18'] } })),
  },
  {
    what: 'a pod for which there is no node',
    reason: 'Unschedulable',
    says: /node/,
    shownAt: { path: '.items[*].status.conditions[?(@.type=="PodScheduled")].reason', value: /Unschedulable/ },
    cause: edit(() => ({ shards: { nodeSelector: nowhere } })),
    cure: edit(() => ({ shards: { nodeSelector: null } })),
  },
  {
    what: 'a library that PostgreSQL cannot start with',
    reason: 'ParametersRefused',
    says: /not_there/,
    shownAt: { path: ENDED, value: /Error/ },
    cause: edit(() => ({ postgres: { parameters: { shared_preload_libraries: 'not_there' } } })),
    cure: edit(() => ({ postgres: { parameters: { shared_preload_libraries: null } } })),
  },
  {
    what: 'a value that the server does not take',
    reason: 'ParametersRefused',
    says: /goes on with its former settings: shared_buffers/,
    cause: edit(() => ({ postgres: { parameters: { shared_buffers: '1000 bananas' } } })),
    cure: edit(() => ({ postgres: { parameters: { shared_buffers: null } } })),
  },
  {
    what: 'too little memory to start in',
    reason: 'OutOfMemory',
    shownAt: { path: ENDED, value: /OOMKilled|Error/ },
    says: /resources\.limits\.memory|memory/,
    cause: edit(() => ({ proxy: { resources: { limits: { memory: '24Mi' } } } })),
    cure: edit(() => ({ proxy: { resources: { limits: null } } })),
  },
];

describe.skipIf(noCluster)('what goes wrong around a cluster', () => {
  let ground = {} as OperatorGround;
  beforeAll(async () => {
    ground = await operatorGround('op-trouble');
  }, GROUND_TIMEOUT_MS);
  afterAll(() => ground[Symbol.asyncDispose]?.());

  const told = (reason: string, says: RegExp) => untilTold(ground.kubectl, CLUSTER, reason, says);

  it('a Secret that is missing, and then lacks its keys, is told by name; with them the cluster comes up', async () => {
    const { kubectl, images } = ground;
    const users = [{ name: 'app', passwordSecretRef: { name: 'login', key: 'secret-word' } }];
    // One StorageClass that does not exist at the same time: the one must not hide the other.
    const storage = { size: '256Mi', storageClassName: 'not-there' };
    await kubectl.apply([
      smallCluster(CLUSTER, images['postgres-18'], {
        shards: { count: 1, storage },
        proxy: { replicas: 1, wal: { size: '64Mi', segmentSize: '1Mi' } },
        credentials: { users },
      }),
    ]);
    await told('SecretMissing', /Secret login .*secret-word/);
    await kubectl.run(['create', 'secret', 'generic', 'login', '--from-literal=password=x']);
    await told('SecretIncomplete', /Secret login .*has no secret-word/);
    const word = Buffer.from('open sesame').toString('base64');
    await kubectl.run(['patch', 'secret', 'login', '--type=merge', '-p', `{"data":{"secret-word":"${word}"}}`]);
    await told('StorageClassMissing', /StorageClass .*not-there|not-there/);
  });

  it('a StorageClass that does not exist is told by name, and made by its administrator it heals the cluster', async () => {
    const { kubectl, namespace } = ground;
    const text = await kubectl.run(['get', 'storageclass', '-o', 'json']);
    const { items } = JSON.parse(text) as {
      items: readonly { readonly provisioner: string; readonly volumeBindingMode: string }[];
    };
    const { provisioner, volumeBindingMode } = items[0] ?? {};
    const name = 'not-there';
    // One of all: the name is gone with this test.
    const labels = { 'atomshard.dev/made-by': 'cluster-tests', 'atomshard.dev/for': namespace };
    await kubectl.apply([
      {
        apiVersion: 'storage.k8s.io/v1',
        kind: 'StorageClass',
        metadata: { name, labels },
        provisioner,
        volumeBindingMode,
      },
    ]);
    try {
      await waitForReady(kubectl, CLUSTER, 120_000);
    } finally {
      await kubectl.run(['delete', 'storageclass', name]);
    }
    await waitForCondition(kubectl, CLUSTER, 'Degraded', ({ status }) => status === 'False');
    expect(await pg('SELECT 1', 'open sesame')).toBe('1');
  });

  it.each(TROUBLES)('$what: told within 30 s of being seen, healed with its cause', async (trouble) => {
    const { reason, says, shownAt, cause, cure } = trouble;
    const { kubectl } = ground;
    const before = await seenCluster(kubectl, CLUSTER);
    try {
      await cause(ground);
      if (shownAt !== undefined) {
        const pods = `pod -l atomshard.dev/cluster=${CLUSTER}`;
        await kubectl.waitForValue(pods, shownAt.path, (value) => shownAt.value.test(value), 120_000);
      }
      await told(reason, says);
    } finally {
      await cure(ground);
    }
    await waitForReady(kubectl, CLUSTER, 180_000);
    await waitForCondition(kubectl, CLUSTER, 'Degraded', ({ status }) => status === 'False');
    const { status } = await seenCluster(kubectl, CLUSTER);
    expect(status?.clusterId).toBe(before.status?.clusterId);
    expect(await pg('SELECT 1', 'open sesame')).toBe('1');
  });

  /** Through the Service, with a password of the user's own. */
  async function pg(sql: string, password: string): Promise<string> {
    const uri = `postgres://app:${encodeURIComponent(password)}@${CLUSTER}/app`;
    return (await ground.kubectl.run(['exec', 'client', '--', 'psql', uri, '-XAtqc', sql])).trim();
  }
});

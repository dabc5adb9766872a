// A shard whose volume is full, on a file system that ends where its size says: told in a condition and an event, healed with room.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from './harness/kubectl.ts';
import { OWN_LABEL } from './harness/namespaces.ts';
import { ask, psqlOnShard, smallCluster, waitForReady } from './operator/deploy.ts';
import { type OperatorGround, untilTold, waitForCondition } from './operator/ground.ts';
import { GROUND_TIMEOUT_MS, operatorGround } from './operator/open-ground.ts';
import { noCluster } from './test-cluster.ts';

const CLUSTER = 'bank';
const SHARD = `${CLUSTER}-shard-0-0`;
/** The server, its databases and a few segments of its log. */
const VOLUME_MIB = 192;

interface SizedVolume extends AsyncDisposable {
  readonly storageClassName: string;
  /** Leaves less room than a segment of PostgreSQL's log needs. */
  fill(): Promise<unknown>;
  empty(): Promise<unknown>;
}

/** A volume of its own, since those of test clusters are folders without a limit; on the node on which the client runs. */
async function sizedVolume({ cluster, kubectl, namespace: name }: OperatorGround): Promise<SizedVolume> {
  const node = await kubectl.value('pod client', '.spec.nodeName');
  const folder = `/run/${name}`;
  const filler = `${folder}/filler`;
  const onNode = (script: string) => cluster.inNode(node, ['sh', '-c', script]);
  const [key = '', value = ''] = OWN_LABEL.split('=');
  const metadata = { name, labels: { [key]: value } };
  await onNode(`set -e; mkdir -p ${folder}; mount -t tmpfs -o size=${VOLUME_MIB}m,mode=0777 ${name} ${folder}`);
  const here = { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }] };
  await cluster.kubectl.apply([
    {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata,
      provisioner: 'kubernetes.io/no-provisioner',
      volumeBindingMode: 'WaitForFirstConsumer',
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata,
      spec: {
        storageClassName: name,
        capacity: { storage: `${VOLUME_MIB}Mi` },
        accessModes: ['ReadWriteOnce'],
        persistentVolumeReclaimPolicy: 'Retain',
        hostPath: { path: folder },
        nodeAffinity: { required: { nodeSelectorTerms: [here] } },
      },
    },
  ]);
  return {
    storageClassName: name,
    fill: () => onNode(`cat /dev/zero > ${filler} 2>/dev/null; truncate -s -1M ${filler}`),
    empty: () => onNode(`rm -f ${filler}`),
    [Symbol.asyncDispose]: async () => {
      await cluster.kubectl.try(['delete', `pv/${name}`, `storageclass/${name}`, '--wait=false']);
      await onNode(`umount -l ${folder} && rmdir ${folder}`);
    },
  };
}

describe.skipIf(noCluster)('a shard whose volume is full', () => {
  let ground = {} as OperatorGround;
  let volume: SizedVolume | undefined;
  beforeAll(async () => {
    ground = await operatorGround('op-full');
    if (ground.cluster.canBreak) volume = await sizedVolume(ground);
  }, GROUND_TIMEOUT_MS);
  afterAll(async () => {
    await using _after = volume;
    await ground[Symbol.asyncDispose]?.();
  }, 180_000);

  it('is told within 30 s of its end, with what to do, and has its rows when there is room again', async (context) => {
    if (volume === undefined) return context.skip('the cluster was given by its kubeconfig; its nodes are not ours');
    const { kubectl, images } = ground;
    const { storageClassName } = volume;
    const shards = { count: 1, storage: { size: `${VOLUME_MIB}Mi`, storageClassName } };
    await kubectl.apply([smallCluster(CLUSTER, images['postgres-18'], { shards, proxy: { replicas: 1 } })]);
    await waitForReady(kubectl, CLUSTER);
    await ask(kubectl, CLUSTER, 'CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)');
    await ask(kubectl, CLUSTER, 'INSERT INTO accounts (id, balance) VALUES (7, 70)');
    const restarts = () => kubectl.value(`pod ${SHARD}`, '.status.containerStatuses[0].restartCount');
    const before = await restarts();
    try {
      await volume.fill();
      // PostgreSQL ends when it needs another segment of its log: each switch takes one.
      const more = "SELECT pg_logical_emit_message(false, '', ''); SELECT pg_switch_wal()";
      await waitFor('the server to end for want of room', 60_000, async () => {
        const { stderr } = await kubectl.try(psqlOnShard(SHARD, more));
        // It may as well have needed one while nobody asked.
        return stderr.includes('No space left on device') || (await restarts()) !== before ? true : undefined;
      });
      await untilTold(kubectl, CLUSTER, 'VolumeFull', /No space left on device; enlarge spec\.shards\.storage\.size/);
    } finally {
      await volume.empty();
    }
    await waitForReady(kubectl, CLUSTER, 180_000);
    await waitForCondition(kubectl, CLUSTER, 'Degraded', ({ status }) => status === 'False');
    expect(await ask(kubectl, CLUSTER, 'SELECT balance FROM accounts WHERE id = 7')).toBe('70');
  });
});

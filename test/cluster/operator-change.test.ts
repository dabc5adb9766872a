// Changes that a running cluster goes through, and accidents that happen to what the operator made, as a user sees them.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Kubectl, waitFor } from './harness/kubectl.ts';
import { ask, seenCluster, smallCluster, waitForReady } from './operator/deploy.ts';
import { editSpec, type OperatorGround } from './operator/ground.ts';
import { GROUND_TIMEOUT_MS, operatorGround } from './operator/open-ground.ts';
import { noCluster } from './test-cluster.ts';

const CLUSTER = 'bank';

describe.skipIf(noCluster)('a cluster in service', () => {
  let ground = {} as OperatorGround;
  let kubectl = {} as Kubectl;
  let storageClass = '';
  const merge = (spec: object) => editSpec(kubectl, CLUSTER, spec);
  const uids = async (component: string) => {
    const selector = `app.kubernetes.io/component=${component}`;
    return (await kubectl.run(['get', 'pods', '-l', selector, '-o', 'jsonpath={.items[*].metadata.uid}'])).split(' ');
  };
  const balance = () => ask(kubectl, CLUSTER, 'SELECT balance FROM accounts WHERE id = 7');

  beforeAll(async () => {
    ground = await operatorGround('op-change');
    ({ kubectl } = ground);
    const { cluster, namespace, images } = ground;
    storageClass = `${namespace}-grows`;
    const provisioner = await kubectl.value('storageclass standard', '.provisioner');
    await cluster.kubectl.apply([
      {
        apiVersion: 'storage.k8s.io/v1',
        kind: 'StorageClass',
        metadata: { name: storageClass },
        provisioner,
        volumeBindingMode: 'WaitForFirstConsumer',
        allowVolumeExpansion: true,
      },
    ]);
    const shards = { storage: { size: '256Mi', storageClassName: storageClass } };
    await kubectl.apply([smallCluster(CLUSTER, images['postgres-18'], { shards })]);
    await waitForReady(kubectl, CLUSTER);
    await ask(kubectl, CLUSTER, 'CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)');
    await ask(kubectl, CLUSTER, 'INSERT INTO accounts (id, balance) VALUES (7, 70), (8, 80)');
  }, GROUND_TIMEOUT_MS + 180_000);
  afterAll(async () => {
    await ground[Symbol.asyncDispose]?.();
    await ground.cluster?.kubectl.try(['delete', 'storageclass', storageClass]);
  });

  it('is left on its feet by an image that does not exist, and goes on when it is corrected', async () => {
    const before = await uids('proxy');
    await merge({ proxy: { image: 'localhost/atomshard:no-such-tag', imagePullPolicy: 'Never' } });
    await kubectl.waitForValue(`shcl ${CLUSTER}`, '.status.phase', (phase) => phase === 'Degraded', 60_000);
    expect((await seenCluster(kubectl, CLUSTER)).status?.message).toContain('no-such-tag');
    expect((await uids('proxy')).filter((uid) => before.includes(uid))).toHaveLength(1);
    expect(await balance()).toBe('70');
    await merge({ proxy: { image: null, imagePullPolicy: 'IfNotPresent' } });
    await waitForReady(kubectl, CLUSTER);
  });

  it('gets larger volumes: the claims grow, the Pods run on', async () => {
    const before = await uids('shard');
    await merge({ shards: { storage: { size: '512Mi', storageClassName: storageClass } } });
    await kubectl.waitForValue(
      'pvc data-bank-shard-1-0',
      '.spec.resources.requests.storage',
      (size) => size === '512Mi',
    );
    const template = '.spec.volumeClaimTemplates[0].spec.resources.requests.storage';
    await kubectl.waitForValue('sts bank-shard-1', template, (size) => size === '512Mi');
    expect(await uids('shard')).toEqual(before);
    expect(await balance()).toBe('70');
  });

  it('takes a new password from its Secret', async () => {
    const secret = 'secret bank-user-app';
    const uri = Buffer.from(await kubectl.value(secret, '.data.uri'), 'base64').toString('utf8');
    const old = Buffer.from(await kubectl.value(secret, '.data.password'), 'base64').toString('utf8');
    const stringData = { password: 'another-one', uri: uri.replace(old, 'another-one') };
    await kubectl.run(['patch', ...secret.split(' '), '--type=merge', '-p', JSON.stringify({ stringData })]);
    await waitFor('the new password is taken', 60_000, balance);
    // Each proxy reads the Secret when its own kubelet has brought it, and the Service may lead to either.
    let refusals = 0;
    await waitFor('both proxies refuse the old password', 60_000, async () => {
      const { stderr } = await kubectl.try(['exec', 'client', '--', 'psql', uri, '-c', 'SELECT 1']);
      refusals = stderr.includes('password authentication failed') ? refusals + 1 : 0;
      return refusals >= 8 ? true : undefined;
    });
  });

  it('has its sets back when somebody deletes them, and its Pods with them', async () => {
    await kubectl.run(['delete', 'sts', 'bank-shard-0', '--cascade=orphan']);
    await kubectl.run(['delete', 'sts', 'bank-proxy']);
    await kubectl.waitForValue('sts bank-proxy', '.status.readyReplicas', (count) => count === '2', 120_000);
    await kubectl.waitForValue('sts bank-shard-0', '.status.readyReplicas', (count) => count === '1', 60_000);
    await waitForReady(kubectl, CLUSTER);
    expect(await balance()).toBe('70');
  });

  it('has new certificates when theirs are lost, and no Pod is restarted for them', async () => {
    const before = [...(await uids('shard')), ...(await uids('proxy'))];
    const certificate = await kubectl.value('secret bank-shard-tls', '.data.tls\\.crt');
    await kubectl.run(['delete', 'secret', 'bank-shard-tls']);
    await kubectl.waitForValue('secret bank-shard-tls', '.data.tls\\.crt', (now) => now !== '' && now !== certificate);
    await waitForReady(kubectl, CLUSTER);
    expect([...(await uids('shard')), ...(await uids('proxy'))]).toEqual(before);
    expect(await balance()).toBe('70');
  });

  it('never looks for rows elsewhere: another number of shards is made, told of, and not used', async () => {
    await merge({ shards: { count: 3 } });
    await kubectl.waitForValue(
      'pod bank-shard-2-0',
      '.status.containerStatuses[0].ready',
      (is) => is === 'true',
      90_000,
    );
    await kubectl.waitForValue(`shcl ${CLUSTER}`, '.status.message', (said) => said.includes('cannot move'), 60_000);
    expect(await kubectl.value(`shcl ${CLUSTER}`, '.status.placement')).toBe('["shard-0","shard-1"]');
    // More shards need more connections, for which each shard is restarted: a statement may meet one that is away.
    expect(await waitFor('the row is read', 60_000, balance)).toBe('70');
    await merge({ shards: { count: 2, turndown: 'Immediate' } });
    await waitForReady(kubectl, CLUSTER);
    await kubectl.waitForValue('sts bank-shard-2', '.spec.replicas', (count) => count === '0');
    expect(await kubectl.value('pvc data-bank-shard-2-0', '.status.phase')).toBe('Bound');
  });
});

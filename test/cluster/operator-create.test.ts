// What a user sees who makes a cluster with the operator, changes it, and deletes it again.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Kubectl, waitFor } from './harness/kubectl.ts';
import { ask, psqlOnShard, seenCluster, smallCluster, waitForReady } from './operator/deploy.ts';
import { editSpec, type OperatorGround } from './operator/ground.ts';
import { GROUND_TIMEOUT_MS, operatorGround } from './operator/open-ground.ts';
import { noCluster } from './test-cluster.ts';

const CLUSTER = 'bank';

describe.skipIf(noCluster)('a cluster made by the operator', () => {
  let ground = {} as OperatorGround;
  let images = {} as OperatorGround['images'];
  let kubectl = {} as Kubectl;
  const merge = (spec: object) => editSpec(kubectl, CLUSTER, spec);
  const podNames = async (component: string) => {
    const selector = `atomshard.dev/cluster=${CLUSTER},app.kubernetes.io/component=${component}`;
    return (await kubectl.run(['get', 'pods', '-l', selector, '-o', 'name'])).trim().split('\n').filter(Boolean);
  };
  const eventReasons = async () =>
    new Set(
      (
        await kubectl.run([
          'get',
          'events',
          '-o',
          'jsonpath={range .items[*]}{.involvedObject.kind}/{.reason}{"\\n"}{end}',
        ])
      ).split('\n'),
    );

  beforeAll(async () => {
    ground = await operatorGround('op-create');
    ({ kubectl, images } = ground);
  }, GROUND_TIMEOUT_MS);
  afterAll(() => ground[Symbol.asyncDispose]?.());

  it('is Ready after five lines of spec, and its Service takes a transaction over two shards', async () => {
    await kubectl.apply([smallCluster(CLUSTER, images['postgres-18'])]);
    await waitForReady(kubectl, CLUSTER);
    await ask(kubectl, CLUSTER, 'CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)');
    const values = Array.from({ length: 20 }, (_, id) => `(${id}, 100)`).join(', ');
    await ask(kubectl, CLUSTER, `INSERT INTO accounts (id, balance) VALUES ${values}`);
    const moved =
      'BEGIN; UPDATE accounts SET balance = 90 WHERE id = 1; UPDATE accounts SET balance = 110 WHERE id = 2; COMMIT';
    await ask(kubectl, CLUSTER, moved);
    expect(await ask(kubectl, CLUSTER, 'SELECT balance FROM accounts WHERE id = 2')).toBe('110');
    const table = await kubectl.run(['get', 'shcl', CLUSTER]);
    expect(table).toMatch(/READY +SHARDS +PROXIES +IN-DOUBT +PHASE/);
    expect(table).toMatch(/bank +True +2\/2 +2\/2 +0 +Ready/);
  });

  it('writes nothing while nothing happens', async () => {
    const versions = () =>
      kubectl.run([
        'get',
        'shcl,sts,svc,cm,secret,pdb,netpol,pods',
        '-o',
        'jsonpath={range .items[*]}{.kind}/{.metadata.name}={.metadata.resourceVersion}{"\\n"}{end}',
      ]);
    // The last transactions' positions are written within half a minute.
    await new Promise((resolve) => setTimeout(resolve, 35_000));
    const before = await versions();
    await new Promise((resolve) => setTimeout(resolve, 20_000));
    expect(await versions()).toBe(before);
  });

  it('puts back what is edited or deleted by hand', async () => {
    await kubectl.run(['delete', 'service', CLUSTER, '--wait=false']);
    await kubectl.run(['patch', 'pdb', 'bank-proxy', '--type=merge', '-p', '{"spec":{"maxUnavailable":2}}']);
    await kubectl.run([
      'patch',
      'cm',
      'bank-shard-0',
      '--type=merge',
      '-p',
      '{"data":{"pg_hba.conf":"local all all trust"}}',
    ]);
    await waitFor(
      'the Service is back',
      20_000,
      async () => (await kubectl.value(`service ${CLUSTER}`, '.spec.clusterIP')) || undefined,
    );
    await kubectl.waitForValue('pdb bank-proxy', '.spec.maxUnavailable', (value) => value === '1');
    await kubectl.waitForValue('cm bank-shard-0', '.data.pg_hba\\.conf', (value) => value.includes('scram-sha-256'));
  });

  it('takes a reloadable setting over without a restart, and a new limit of the pool too', async () => {
    const before = await kubectl.run(['get', 'pods', '-o', 'jsonpath={.items[*].metadata.uid}']);
    await merge({ postgres: { parameters: { work_mem: '7MB' } }, proxy: { pool: { queueMax: 5_000 } } });
    await waitForReady(kubectl, CLUSTER);
    const shown = await kubectl.run(psqlOnShard('bank-shard-0-0', 'SHOW work_mem'));
    expect(shown.trim()).toBe('7MB');
    expect(await kubectl.run(['get', 'pods', '-o', 'jsonpath={.items[*].metadata.uid}'])).toBe(before);
  });

  it('restarts one shard at a time for a setting that needs it', async () => {
    await merge({ postgres: { parameters: { max_connections: 350 } } });
    let unreadyAtOnce = 0;
    await waitFor('both shards were restarted', 120_000, async () => {
      const text = await kubectl.run(['get', 'pods', '-l', 'app.kubernetes.io/component=shard', '-o', 'json']);
      const pods = (JSON.parse(text) as { items: { status: { conditions?: { type: string; status: string }[] } }[] })
        .items;
      const ready = pods.filter(({ status }) =>
        status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
      );
      unreadyAtOnce = Math.max(unreadyAtOnce, 2 - ready.length);
      const shown = await Promise.all(
        [0, 1].map((index) => kubectl.run(psqlOnShard(`bank-shard-${index}-0`, 'SHOW max_connections'))),
      );
      return shown.every((value) => value.trim() === '350') ? true : undefined;
    });
    await waitForReady(kubectl, CLUSTER);
    expect(unreadyAtOnce).toBe(1);
    expect(await ask(kubectl, CLUSTER, 'SELECT balance FROM accounts WHERE id = 2')).toBe('110');
  });

  it('scales proxies up and down; the one that leaves drains first', async () => {
    await kubectl.run(['scale', 'shcl', CLUSTER, '--replicas=3']);
    await waitForReady(kubectl, CLUSTER);
    expect(await podNames('proxy')).toHaveLength(3);
    await kubectl.run(['scale', 'shcl', CLUSTER, '--replicas=1']);
    await waitFor('one proxy is left', 90_000, async () => ((await podNames('proxy')).length === 1 ? true : undefined));
    await waitForReady(kubectl, CLUSTER);
    expect(await podNames('proxy')).toEqual(['pod/bank-proxy-0']);
    expect(await eventReasons()).toContain('ShardedCluster/Draining');
    expect(await kubectl.value('pvc wal-bank-proxy-2', '.metadata.name')).toBe('wal-bank-proxy-2');
  });

  it('changes nothing while it is paused, and says so', async () => {
    await merge({ paused: true });
    await kubectl.waitForValue(`shcl ${CLUSTER}`, '.status.phase', (phase) => phase === 'Paused');
    await kubectl.run(['delete', 'pdb', 'bank-proxy']);
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    expect((await kubectl.try(['get', 'pdb', 'bank-proxy'])).code).not.toBe(0);
    await merge({ paused: false });
    await kubectl.waitForValue('pdb bank-proxy', '.metadata.name', (name) => name === 'bank-proxy');
    await waitForReady(kubectl, CLUSTER);
  });

  it('stands still when it is shut down and serves its rows again afterwards', async () => {
    await merge({ shutdown: true });
    await kubectl.waitForValue(`shcl ${CLUSTER}`, '.status.phase', (phase) => phase === 'Stopped', 90_000);
    await waitFor('no pod is left', 60_000, async () =>
      [...(await podNames('proxy')), ...(await podNames('shard'))].length === 0 ? true : undefined,
    );
    await merge({ shutdown: false });
    await waitForReady(kubectl, CLUSTER);
    expect(await ask(kubectl, CLUSTER, 'SELECT balance FROM accounts WHERE id = 2')).toBe('110');
  });

  it('is adopted with its id and rows when it is made again after deletion', async () => {
    const { status } = await seenCluster(kubectl, CLUSTER);
    await kubectl.run(['delete', 'shcl', CLUSTER, '--timeout=90s']);
    await waitFor('no pod is left', 60_000, async () =>
      [...(await podNames('proxy')), ...(await podNames('shard'))].length === 0 ? true : undefined,
    );
    await kubectl.apply([smallCluster(CLUSTER, images['postgres-18'])]);
    await waitForReady(kubectl, CLUSTER);
    const again = await seenCluster(kubectl, CLUSTER);
    expect(again.status?.clusterId).toBe(status?.clusterId);
    expect(again.status?.proxies?.[0]?.walId).toBe(status?.proxies?.[0]?.walId);
    expect(await ask(kubectl, CLUSTER, 'SELECT balance FROM accounts WHERE id = 2')).toBe('110');
  });

  it('leaves nothing behind when volumes are to be deleted with it', async () => {
    await merge({ pvcRetentionPolicy: { whenDeleted: 'Delete' } });
    await waitForReady(kubectl, CLUSTER);
    await kubectl.run(['delete', 'shcl', CLUSTER, '--timeout=90s']);
    await waitFor('everything is gone', 90_000, async () => {
      const left = await kubectl.run([
        'get',
        'all,pvc,cm,secret,pdb,netpol,sa',
        '-l',
        `atomshard.dev/cluster=${CLUSTER}`,
        '-o',
        'name',
      ]);
      return left.trim() === '' ? true : undefined;
    });
  });
});

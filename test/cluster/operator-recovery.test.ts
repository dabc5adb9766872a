// A proxy that does not come back on a real cluster: the operator ends its transactions by its log, and what nobody can prove is told
// to a person, who ends it with kubectl atomshard.
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CommandOutcome, tryRun } from './harness/command.ts';
import { type Kubectl, waitFor } from './harness/kubectl.ts';
import { PROJECT_ROOT } from './images/names.ts';
import { ask, psqlOnShard, seenCluster, smallCluster, waitForReady } from './operator/deploy.ts';
import { editSpec, type OperatorGround, type SeenCondition, waitForCondition } from './operator/ground.ts';
import { GROUND_TIMEOUT_MS, operatorGround } from './operator/open-ground.ts';
import { pod } from './platform/objects.ts';
import { noCluster } from './test-cluster.ts';

const CLUSTER = 'bank';
const GRACE_SECONDS = 5;
/** Where the proxies of the end-to-end image take orders. */
const ORDERS = '/var/lib/atomshard/orders';

describe.skipIf(noCluster)('a proxy that does not come back', () => {
  let ground = {} as OperatorGround;
  let kubectl = {} as Kubectl;
  let clusterId = '';

  beforeAll(async () => {
    ground = await operatorGround('op-recovery', { images: ['atomshard-e2e', 'busybox'] });
    ({ kubectl } = ground);
    const spec = {
      proxy: { image: ground.images['atomshard-e2e'] },
      twoPhaseCommit: { recoveryGracePeriod: `${GRACE_SECONDS}s` },
    };
    await kubectl.apply([smallCluster(CLUSTER, ground.images['postgres-18'], spec)]);
    await waitForReady(kubectl, CLUSTER, 300_000);
    clusterId = (await seenCluster(kubectl, CLUSTER)).status?.clusterId ?? '';
    await ask(kubectl, CLUSTER, 'CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)');
  }, GROUND_TIMEOUT_MS);
  afterAll(async () => {
    await ground[Symbol.asyncDispose]?.();
  });

  /** In the container of a proxy, which is there even when the program refuses to run for a moment. */
  const inProxy = (proxy: number, script: string) =>
    kubectl.run(['exec', `${CLUSTER}-proxy-${proxy}`, '-c', 'proxy', '--', 'sh', '-c', script]);

  const onShard = async (shard: number, sql: string) =>
    (await kubectl.run(psqlOnShard(`${CLUSTER}-shard-${shard}-0`, sql, 'app'))).trim();
  const rowsWhere = async (condition: string) => {
    const counts = await Promise.all(
      [0, 1].map((shard) => onShard(shard, `SELECT count(*) FROM accounts WHERE ${condition}`)),
    );
    return counts.reduce((sum, count) => sum + Number(count), 0);
  };
  const preparedOn = async (shard: number) =>
    (await onShard(shard, 'SELECT gid FROM pg_prepared_xacts')).split('\n').filter(Boolean);

  /** A transaction over both shards through proxy 1 alone, which dies at `point` and then refuses to start. */
  async function dieAt(point: string, ids: readonly number[]): Promise<void> {
    const order = JSON.stringify({ point, skip: 0, signal: 'SIGKILL' });
    await inProxy(
      1,
      `echo ${Date.now() + 3_600_000} > ${ORDERS}/refuse-start && rm -f ${ORDERS}/reached.json && echo '${order}' > ${ORDERS}/order.new && mv ${ORDERS}/order.new ${ORDERS}/order.json`,
    );
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const uri = Buffer.from(await kubectl.value(`secret ${CLUSTER}-user-app`, '.data.uri'), 'base64').toString('utf8');
    const direct = uri.replace(/@[^/]+/, `@${CLUSTER}-proxy-1.${CLUSTER}-proxy-pods.${ground.namespace}.svc:5432`);
    const inserts = ids.map((id) => `INSERT INTO accounts (id, balance) VALUES (${id}, 1)`).join('; ');
    const outcome = await kubectl.try([
      'exec',
      'client',
      '--',
      'psql',
      direct,
      '-XAtq',
      '-c',
      `BEGIN; ${inserts}; COMMIT`,
    ]);
    expect(outcome.code).not.toBe(0);
  }

  const lastRecovery = async () => {
    const text = await kubectl.value(`shcl ${CLUSTER}`, '.status.lastRecovery');
    return JSON.parse(text || '{}') as { time?: string; committed?: number; rolledBack?: number; held?: number };
  };
  const eventNotes = async (reason: string) =>
    (
      await kubectl.run([
        'get',
        'events.events.k8s.io',
        '-o',
        `jsonpath={range .items[?(@.reason=="${reason}")]}{.note}{"\\n"}{end}`,
      ])
    )
      .split('\n')
      .filter(Boolean);

  /** The plugin as kubectl would run it. */
  const atomshard = (args: readonly string[]): Promise<CommandOutcome> => {
    const [program = '', ...flags] = kubectl.argv([]);
    const kubeconfig = flags[flags.indexOf('--kubeconfig') + 1] ?? '';
    const plugin = path.join(PROJECT_ROOT, 'src/plugin/kubectl-atomshard.ts');
    const env = { PATH: `${path.dirname(program)}:${process.env.PATH}`, KUBECONFIG: kubeconfig };
    return tryRun([process.execPath, plugin, '-n', ground.namespace, ...args], { env });
  };

  /** Lets proxy 1 start again: its container does not stand long enough to enter, so a pod beside it takes the order back. */
  async function letBack(): Promise<void> {
    const nodeName = await kubectl.value(`pod ${CLUSTER}-proxy-1`, '.spec.nodeName');
    const options = { nodeName, claim: `wal-${CLUSTER}-proxy-1`, command: ['rm', '-f', '/data/orders/refuse-start'] };
    const sweeper = pod('sweeper', ground.images.busybox, options);
    const user = { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: 'RuntimeDefault' } };
    await kubectl.apply([{ ...sweeper, spec: { ...(sweeper as { spec: object }).spec, securityContext: user } }]);
    await kubectl.waitForValue('pod sweeper', '.status.phase', (phase) => phase === 'Succeeded');
    await kubectl.run(['delete', 'pod', 'sweeper', '--wait=false']);
    await kubectl.run(['delete', 'pod', `${CLUSTER}-proxy-1`, '--wait=false']);
    await waitForReady(kubectl, CLUSTER, 180_000);
  }

  const untilNothingPrepared = () =>
    waitFor('nothing is prepared', 180_000, async () => {
      const left = await Promise.all([0, 1].map(preparedOn));
      return left.flat().length === 0 || undefined;
    });

  /** As a proxy leaves one that tells success before its decision is durable, and loses its log: no evidence decides. */
  async function leaveUndecidable(seq: number): Promise<string> {
    const xids = await Promise.all(
      [0, 1].map((shard) => onShard(shard, 'SELECT pg_snapshot_xmax(pg_current_snapshot())')),
    );
    const list = xids.map((xid, shard) => `shard-${shard}=${xid}@1`).join(',');
    const id = `${clusterId}:proxy-9.1700000000.${seq}`;
    for (const [shard] of xids.entries()) {
      const gid = `as1:${id}:e:${shard}/2:${list}`;
      const key = 900 + 10 * seq + shard;
      await onShard(shard, `BEGIN; INSERT INTO accounts VALUES (${key}, 1); PREPARE TRANSACTION '${gid}'`);
    }
    return id;
  }

  it('has what it decided committed for it, told with the ids, and no Job stays', async () => {
    await dieAt('commit.before', [1, 2, 3, 4]);
    await untilNothingPrepared();
    expect(await rowsWhere('id <= 4')).toBe(4);
    const recovery = await waitFor('status.lastRecovery', 30_000, async () => {
      const seen = await lastRecovery();
      return seen.committed === 1 ? seen : undefined;
    });
    expect(recovery).toMatchObject({ committed: 1, rolledBack: 0, held: 0 });
    const notes = await eventNotes('Recovered');
    expect(notes.join()).toMatch(
      new RegExp(`proxy-1, by its log: committed 1 \\[${clusterId}:proxy-1\\.\\d+\\.\\d+\\], rolled back 0, held 0`),
    );
    await kubectl.waitForValue('jobs', '.items[*].metadata.name', (names) => names === '');
    const condition = await waitForCondition(
      kubectl,
      CLUSTER,
      'InDoubtTransactions',
      ({ status }) => status === 'False',
    );
    expect(condition.reason).toBe('AllEnded');
  });

  it('has a log that kubectl atomshard reads, and is told about by its status', async () => {
    const verified = await atomshard(['wal', 'verify', 'proxy-1']);
    expect([verified.code, verified.stderr, verified.stdout]).toEqual([0, '', expect.stringMatching(/whole|torn/)]);
    const dumped = await atomshard(['wal', 'dump', 'proxy-1', '--json']);
    expect(dumped.stdout).toContain(`"transaction":"${clusterId}:proxy-1.`);
    const status = await atomshard(['status']);
    expect(status.code).toBe(1);
    expect(status.stdout).toMatch(/bank-proxy-1 +away/);
    expect(status.stdout).toContain('committed 1, rolled back 0, held 0');
  });

  it('finds its decisions done when it is back, and closes them', async () => {
    await letBack();
    const target = `${CLUSTER}-proxy-1.${CLUSTER}-proxy-pods.${ground.namespace}.svc`;
    const password = Buffer.from(await kubectl.value(`secret ${CLUSTER}-internal`, '.data.admin'), 'base64').toString();
    const uri = `postgresql://atomshard_admin:${password}@${target}:5432/atomshard`;
    await waitFor('no decision is open', 60_000, async () => {
      const rows = await kubectl.run(['exec', 'client', '--', 'psql', uri, '-XAtq', '-c', 'SHOW DECISIONS']);
      return rows.trim() === '' || undefined;
    });
    const verified = await atomshard(['wal', 'verify', 'proxy-1']);
    expect([verified.code, verified.stdout]).toEqual([0, expect.stringContaining('in use by atomshard proxy proxy-1')]);
    expect((await atomshard(['fence', 'proxy-1', '--yes'])).stderr).toContain('proxy-1 answers');
  });

  it('is not waited for when somebody says that it will not come back; what it never decided is rolled back', async () => {
    await editSpec(kubectl, CLUSTER, { twoPhaseCommit: { recoveryGracePeriod: '1h' } });
    await dieAt('prepare.after', [11, 12, 13, 14]);
    const away = await waitForCondition(kubectl, CLUSTER, 'InDoubtTransactions', ({ status }) => status === 'True');
    expect(away.message).toContain('proxy-1 has 1');
    await waitFor('proxy-1 is away', 60_000, async () => {
      const fenced = await atomshard(['fence', 'proxy-1', '--yes']);
      return fenced.stderr.includes('answers') ? undefined : fenced;
    }).then((fenced) => expect([fenced.code, fenced.stderr]).toEqual([0, '']));
    await untilNothingPrepared();
    await letBack();
    expect(await rowsWhere('id > 10')).toBe(0);
    expect(await kubectl.value(`shcl ${CLUSTER}`, '.metadata.annotations')).not.toContain('recover-now');
  });

  it('leaves to a person what nobody can prove, who ends it by kubectl atomshard with a reason', async () => {
    const id = await leaveUndecidable(1);
    const held = await waitForCondition(
      kubectl,
      CLUSTER,
      'InDoubtTransactions',
      ({ reason }) => reason === 'NeedsDecision',
      90_000,
    );
    expect(held.message).toContain(id);
    const listed = await atomshard(['transactions']);
    expect(listed.stdout).toMatch(new RegExp(`${id} +\\d+\\w +shard-0, shard-1 +for you to decide: lost-the-rest`));
    const refused = await atomshard(['resolve', id, '--abort', '--reason', 'ticket 7']);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('nobody to ask')]);
    const resolved = await atomshard(['resolve', id, '--abort', '--reason', 'ticket 7', '--yes']);
    expect([resolved.code, resolved.stdout]).toEqual([0, expect.stringContaining('rolled back on shard-0, shard-1')]);
    await untilNothingPrepared();
    await waitForCondition(kubectl, CLUSTER, 'InDoubtTransactions', ({ status }) => status === 'False', 60_000);
    const notes = await waitFor('the Event', 30_000, async () => {
      const found = await eventNotes('ResolvedByHand');
      return found.length > 0 ? found : undefined;
    });
    expect(notes.join()).toContain(`${id}: abort by `);
    expect(notes.join()).toContain('(ticket 7)');
  });

  it('is scaled away with a transaction in doubt only by an annotation, and then its log still decides', async () => {
    await dieAt('commit.before', [21, 22, 23, 24]);
    await editSpec(kubectl, CLUSTER, { proxy: { replicas: 1 } });
    const inDoubt = ({ reason, message }: SeenCondition) =>
      reason === 'InDoubtTransactions' && message.includes('proxy-1 has 1 in-doubt transaction;');
    const { message } = await waitForCondition(kubectl, CLUSTER, 'Progressing', inDoubt);
    expect(message).toContain('annotation atomshard.dev/ignore-in-doubt=proxy-1');
    expect(await kubectl.value(`statefulset ${CLUSTER}-proxy`, '.spec.replicas')).toBe('2');
    await kubectl.run(['annotate', 'shcl', CLUSTER, 'atomshard.dev/ignore-in-doubt=proxy-1']);
    await kubectl.waitUntilGone(`pod ${CLUSTER}-proxy-1`);
    await untilNothingPrepared();
    expect(await rowsWhere('id BETWEEN 21 AND 24')).toBe(4);
    expect(await kubectl.value(`pvc wal-${CLUSTER}-proxy-1`, '.status.phase')).toBe('Bound');
    await waitForCondition(kubectl, CLUSTER, 'InDoubtTransactions', ({ status }) => status === 'False', 60_000);
    // Fewer proxies need fewer places on the shards, which are restarted for that.
    await waitForCondition(kubectl, CLUSTER, 'Progressing', ({ reason }) => reason === 'Settled', 120_000);
  });

  it('holds up the deletion of its cluster, with the way out, for the grace period and no longer', async () => {
    await editSpec(kubectl, CLUSTER, { twoPhaseCommit: { recoveryGracePeriod: '20s' } });
    await leaveUndecidable(2);
    await waitForCondition(kubectl, CLUSTER, 'InDoubtTransactions', ({ reason }) => reason === 'NeedsDecision', 90_000);
    await kubectl.run(['delete', 'shcl', CLUSTER, '--wait=false']);
    const says = /^1 in-doubt transaction would be left on the shards; .* at \S+Z at the latest\. .*force-delete=true/;
    await waitForCondition(kubectl, CLUSTER, 'DeletionBlocked', ({ message }) => says.test(message));
    await kubectl.waitUntilGone(`shcl ${CLUSTER}`, 90_000);
  });
});

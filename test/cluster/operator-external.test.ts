// A cluster whose shards are somebody else's servers (here those of another cluster): what is wrong with them is told with what to do,
// two clusters on one server do not disturb each other, and in the end it serves.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Kubectl, waitFor } from './harness/kubectl.ts';
import { ask, psqlOnShard, seenCluster, smallCluster, waitForReady } from './operator/deploy.ts';
import type { OperatorGround } from './operator/ground.ts';
import { GROUND_TIMEOUT_MS, operatorGround } from './operator/open-ground.ts';
import { noCluster } from './test-cluster.ts';

const TOLD_MS = 30_000;

describe.skipIf(noCluster)('external shards', () => {
  let ground = {} as OperatorGround;
  let kubectl = {} as Kubectl;

  beforeAll(async () => {
    ground = await operatorGround('external');
    ({ kubectl } = ground);
    const host = { networkPolicy: { enabled: false }, proxy: { replicas: 1 } };
    await kubectl.apply([smallCluster('host', ground.images['postgres-18'], host)]);
    await waitForReady(kubectl, 'host');
  }, GROUND_TIMEOUT_MS);
  afterAll(() => ground[Symbol.asyncDispose]?.());

  const guest = (): object => ({
    apiVersion: 'atomshard.dev/v1alpha1',
    kind: 'ShardedCluster',
    metadata: { name: 'guest' },
    spec: {
      shards: {
        external: ['a', 'b'].map((name, index) => ({
          name,
          host: `host-shard-${index}.${ground.namespace}.svc`,
          database: 'guest',
          credentialsSecretRef: { name: 'login' },
          tlsMode: 'VerifyFull',
          caSecretRef: { name: 'host-shard-tls' },
        })),
      },
      proxy: { replicas: 1, pool: { size: 5 }, wal: { size: '128Mi', segmentSize: '4Mi' } },
      sharding: { tables: [{ name: 'accounts', key: 'id', type: 'bigint' }] },
    },
  });
  const edit = (spec: object) =>
    kubectl.run(['patch', 'shcl', 'guest', '--type=merge', '-p', JSON.stringify({ spec })]);
  const login = (password: string) =>
    kubectl.apply([
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'login' }, stringData: { username: 'postgres', password } },
    ]);
  /** The sentence of ShardsReady, once it is False for this reason. */
  const told = (reason: string): Promise<string> =>
    waitFor(`guest tells ${reason}`, TOLD_MS, async () => {
      const { status } = await seenCluster(kubectl, 'guest');
      const found = status?.conditions?.find(({ type }) => type === 'ShardsReady');
      return found?.status === 'False' && found.reason === reason ? found.message : undefined;
    });
  const onHost = (sql: string) => kubectl.run(psqlOnShard('host-shard-0-0', sql));

  it('a wrong password is told', async () => {
    await login('wrong');
    await kubectl.apply([guest()]);
    expect(await told('LoginRefused')).toContain('password authentication failed for user "postgres"');
  });

  it('a role that is another cluster’s is left alone, and told with whose it is', async () => {
    const encoded = await kubectl.value('secret host-superuser', '.data.password');
    await login(Buffer.from(encoded, 'base64').toString('utf8'));
    const { status } = await seenCluster(kubectl, 'host');
    const message = await told('SetupIncomplete');
    expect(message).toContain(`role app exists already (atomshard: made for cluster ${status?.clusterId})`);
    expect(await ask(kubectl, 'host', 'SELECT 1')).toBe('1');
  });

  it('with a role of its own it serves, over databases that the operator made there', async () => {
    await edit({ credentials: { users: [{ name: 'guest' }] } });
    await waitForReady(kubectl, 'guest');
    await ask(kubectl, 'guest', 'CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)', 'guest');
    const values = Array.from({ length: 20 }, (_, id) => `(${id}, 100)`).join(', ');
    await ask(kubectl, 'guest', `INSERT INTO accounts (id, balance) VALUES ${values}`, 'guest');
    expect(await ask(kubectl, 'guest', 'SELECT balance FROM accounts WHERE id = 7', 'guest')).toBe('100');
    const { status } = await seenCluster(kubectl, 'guest');
    const roles = await onHost(`SELECT rolname FROM pg_roles WHERE rolname LIKE 'atomshard%' ORDER BY rolname`);
    expect(roles.trim().split('\n')).toEqual([
      'atomshard_metrics',
      `atomshard_metrics_${status?.clusterId}`,
      'atomshard_resolver',
      `atomshard_resolver_${status?.clusterId}`,
    ]);
  });

  it('too few prepared transactions for larger pools: told with the statement that mends it', async () => {
    await edit({ proxy: { pool: { size: 500 } } });
    expect(await told('TooFewPreparedTransactions')).toContain('ALTER SYSTEM SET max_prepared_transactions = 1000');
    await edit({ proxy: { pool: { size: 5 } } });
    await waitForReady(kubectl, 'guest');
  });

  it('an extension that the server does not have is told, and left out the cluster is Ready again', async () => {
    await edit({ postgres: { extensions: ['no_such_extension'] } });
    expect(await told('SetupIncomplete')).toContain('extension no_such_extension is not installed on that server');
    await edit({ postgres: { extensions: [] } });
    await waitForReady(kubectl, 'guest');
  });
});

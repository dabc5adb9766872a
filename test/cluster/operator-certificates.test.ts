// TLS from one end to the other with the operator's own certificates, and what happens when one of them is exchanged.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Kubectl, waitFor } from './harness/kubectl.ts';
import { ask, psqlOnShard, smallCluster, waitForReady } from './operator/deploy.ts';
import type { OperatorGround } from './operator/ground.ts';
import { GROUND_TIMEOUT_MS, operatorGround } from './operator/open-ground.ts';
import { noCluster } from './test-cluster.ts';

const CLUSTER = 'sealed';
const SHARD = `${CLUSTER}-shard-0-0`;
/** The kubelet exchanges mounted files when it next looks at the pod, within about a minute and a half. */
const MOUNTED_MS = 150_000;

describe.skipIf(noCluster)('a cluster with certificates of the operator', () => {
  let ground = {} as OperatorGround;
  let kubectl = {} as Kubectl;

  beforeAll(async () => {
    ground = await operatorGround('op-tls');
    ({ kubectl } = ground);
    const spec = { shards: { count: 1 }, proxy: { replicas: 1, tls: { mode: 'Require' } } };
    await kubectl.apply([smallCluster(CLUSTER, ground.images['postgres-18'], spec)]);
    await waitForReady(kubectl, CLUSTER);
  }, GROUND_TIMEOUT_MS);
  afterAll(() => ground[Symbol.asyncDispose]?.());

  const secret = async (name: string, key: string) =>
    Buffer.from(await kubectl.value(`secret ${name}`, `.data.${key.replace('.', '\\.')}`), 'base64').toString('utf8');
  const podIds = () => kubectl.run(['get', 'pods', '-o', 'jsonpath={.items[*].metadata.uid}']);

  /** psql through the Service, with what it knows of the CA in a file. */
  const psql = async (settings: string) => {
    const [password, ca] = [
      await secret(`${CLUSTER}-user-app`, 'password'),
      await secret(`${CLUSTER}-proxy-tls`, 'ca.crt'),
    ];
    const host = `${CLUSTER}.${ground.namespace}.svc`;
    const conninfo = `host=${host} user=app dbname=app password=${password} sslrootcert=/dev/shm/ca.crt ${settings}`;
    const script = `printf %s "$1" > /dev/shm/ca.crt; shift; exec psql "$@"`;
    const command = [
      'exec',
      'client',
      '--',
      '/bin/busybox',
      'sh',
      '-c',
      script,
      'sh',
      ca,
      conninfo,
      '-XAtqc',
      'SELECT 1',
    ];
    return kubectl.try(command);
  };

  const onShard = async (sql: string) => (await kubectl.run(psqlOnShard(SHARD, sql))).trim();

  it('serves a client that verifies the name of the Service, and none in clear', async () => {
    expect(await psql('sslmode=verify-full channel_binding=require')).toMatchObject({ code: 0, stdout: '1\n' });
    const inClear = await psql('sslmode=disable');
    expect(inClear.code).not.toBe(0);
    expect(inClear.stderr).toContain('encrypted connections only');
  });

  it('has nobody on a shard in clear: neither proxies nor the operator', async () => {
    const inClear = `SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL AND NOT ssl`;
    expect(await onShard(inClear)).toBe('0');
    const names = `SELECT DISTINCT split_part(application_name, ':', 1) FROM pg_stat_activity WHERE client_addr IS NOT NULL ORDER BY 1`;
    expect((await onShard(names)).split('\n')).toEqual(['as1', 'atomshard-operator']);
  });

  it('exchanges a certificate of the shards without a restart: made anew, mounted, read by PostgreSQL', async () => {
    const before = await secret(`${CLUSTER}-shard-tls`, 'tls.crt');
    const pods = await podIds();
    await kubectl.run(['delete', 'secret', `${CLUSTER}-shard-tls`]);
    const after = await waitFor('the new certificate', 30_000, async () => {
      const found = await kubectl.try(['get', 'secret', `${CLUSTER}-shard-tls`]);
      return found.code === 0 ? secret(`${CLUSTER}-shard-tls`, 'tls.crt') : undefined;
    });
    expect(after).not.toBe(before);
    const read = `SELECT pg_read_file(name) = $pem$${after}$pem$ AND modification < pg_conf_load_time()
                    FROM current_setting('ssl_cert_file') AS name, pg_stat_file(name)`;
    await waitFor('PostgreSQL has read it', MOUNTED_MS, async () => ((await onShard(read)) === 't' ? true : undefined));
    const ends = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'as1:%'`;
    await onShard(ends);
    await waitFor('new connections', 30_000, async () =>
      (await kubectl.try(['get', 'shcl', CLUSTER])).code === 0 &&
      (await ask(kubectl, CLUSTER, 'SELECT 2').catch(() => '')) === '2'
        ? true
        : undefined,
    );
    await waitForReady(kubectl, CLUSTER, 60_000);
    expect(await podIds()).toBe(pods);
  });

  it('exchanges the certificate of the proxies without a restart', async () => {
    const before = await secret(`${CLUSTER}-proxy-tls`, 'tls.crt');
    const pods = await podIds();
    await kubectl.run(['delete', 'secret', `${CLUSTER}-proxy-tls`]);
    await waitFor('the new certificate', 30_000, async () => {
      const found = await kubectl.try(['get', 'secret', `${CLUSTER}-proxy-tls`]);
      return found.code === 0 && (await secret(`${CLUSTER}-proxy-tls`, 'tls.crt')) !== before ? true : undefined;
    });
    await waitFor('the proxy says that it has it', MOUNTED_MS, async () => {
      await psql('sslmode=verify-full');
      const log = await kubectl.run(['logs', `${CLUSTER}-proxy-0`, '--tail=200']);
      return log.includes('the certificate for clients was exchanged') ? true : undefined;
    });
    expect(await psql('sslmode=verify-full')).toMatchObject({ code: 0, stdout: '1\n' });
    expect(await podIds()).toBe(pods);
  });
});

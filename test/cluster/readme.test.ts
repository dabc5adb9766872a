// The README's way to a first cluster, line by line as it stands there. Only names are replaced: the image (built and loaded
// here, where there is no registry), the namespaces, the local port, and the sample's PostgreSQL image and sizes.
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { foldersFrom } from './harness/folders.ts';
import { ensureHelm } from './harness/helm.ts';
import { type TestNamespace, testNamespace } from './harness/namespaces.ts';
import { silentReport } from './harness/report.ts';
import { PROJECT_ROOT } from './images/names.ts';
import { HELM_BUILD_MS, imageSettings, settings, temporaryFolder } from './shipping/charts.ts';
import { noCluster, openTestCluster, type TestCluster } from './test-cluster.ts';

/** What the psql line does, with the password from the environment: the machine may have no psql. */
const LOGIN = `
import pg from 'pg';
for (let left = 50; ; left--) {
  const client = new pg.Client({ host: '127.0.0.1', port: Number(process.argv[1]), user: 'app', database: 'app' });
  try {
    await client.connect();
    const { rows } = await client.query('SELECT current_user AS who, current_database() AS what, 1 AS one');
    console.log('logged in as', rows[0].who, 'to', rows[0].what + ':', rows[0].one);
    await client.end();
    break;
  } catch (error) {
    if (left === 0 || error.code !== 'ECONNREFUSED') throw error;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}`;

const SAMPLE = 'manifests/samples/minimal.yaml';

/** The lines of the shell block below "## On Kubernetes". */
function readmeLines(): string[] {
  const readme = readFileSync(path.join(PROJECT_ROOT, 'README.md'), 'utf8');
  const block = /## On Kubernetes\n[\s\S]*?```sh\n([\s\S]*?)```/.exec(readme)?.[1];
  if (block === undefined) throw new Error('README.md has no shell block below "## On Kubernetes"');
  return block.trim().split('\n');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

describe.skipIf(noCluster)('README', () => {
  let { cluster, images }: TestCluster = {} as TestCluster;
  let helm: string;
  let ops: TestNamespace;
  let home: TestNamespace;
  beforeAll(async () => {
    ({ cluster, images } = await openTestCluster(['atomshard', 'postgres-18']));
    helm = await ensureHelm(foldersFrom(process.env), silentReport);
    ops = await testNamespace(cluster.kubectl, 'readme-ops');
    home = await testNamespace(cluster.kubectl, 'readme');
  }, HELM_BUILD_MS);
  afterAll(async () => {
    await home.kubectl.try(['delete', 'shcl', 'bank', '--wait', '--timeout=90s']);
    const inOps = [helm, '--kubeconfig', cluster.record.kubeconfig, '-n', ops.name];
    await promisify(execFile)(inOps[0] ?? '', [...inOps.slice(1), 'uninstall', 'atomshard', '--wait']).catch(
      () => null,
    );
    await home[Symbol.asyncDispose]();
    await ops[Symbol.asyncDispose]();
  });

  it('its lines lead from nothing to psql through the Service', async () => {
    using folder = temporaryFolder();
    const sample = path.join(folder.path, 'minimal.yaml');
    const document = parse(readFileSync(path.join(PROJECT_ROOT, SAMPLE), 'utf8'));
    document.spec.postgres = { image: images['postgres-18'] };
    document.spec.shards.storage.size = '256Mi';
    document.spec.proxy = { wal: { size: '64Mi', segmentSize: '1Mi' } };
    writeFileSync(sample, stringify(document));
    const port = await freePort();
    const replaced = (line: string): string =>
      line
        .replace('-n atomshard-system --create-namespace', `-n ${ops.name}`)
        .replace(
          /--set image\.repository=\S+/,
          [
            ...settings({
              ...imageSettings(images.atomshard),
              'watchNamespaces[0]': home.name,
              'rbac.aggregate': false,
            }),
            '--take-ownership',
          ].join(' '),
        )
        .replace(SAMPLE, sample)
        .replace('svc/bank 5432 &', `svc/bank ${port}:5432 >/dev/null & FORWARD=$!`);
    const lines = readmeLines();
    const [build = '', ...rest] = lines;
    const psql = rest.pop() ?? '';
    // The premise: these two are what is done otherwise here.
    expect(build).toMatch(/^docker build -t \S+ \. && docker push \S+$/);
    expect(psql).toBe('psql -h 127.0.0.1 -U app app');
    expect(lines.length).toBeLessThanOrEqual(10);
    const kubeconfig = path.join(folder.path, 'kubeconfig');
    writeFileSync(kubeconfig, readFileSync(cluster.record.kubeconfig), { mode: 0o600 });
    const script = [
      'set -eux',
      `kubectl config set-context --current --namespace=${home.name}`,
      ...rest.map(replaced),
      'trap "kill $FORWARD" EXIT',
      `node --input-type=module -e "$LOGIN" ${port}`,
    ].join('\n');
    const { stdout } = await promisify(execFile)('bash', ['-c', script], {
      cwd: PROJECT_ROOT,
      timeout: 400_000,
      env: {
        ...process.env,
        KUBECONFIG: kubeconfig,
        LOGIN,
        PATH: [
          path.dirname(helm),
          path.dirname(cluster.kubectl.program),
          path.dirname(process.execPath),
          process.env.PATH,
        ].join(':'),
      },
    });
    expect(stdout).toMatch(/bank\s+True\s+3\/3\s+2\/2/);
    expect(stdout).toContain('logged in as app to app: 1');
  });
});

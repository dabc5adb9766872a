// Writes manifests/install.yaml from charts/atomshard-operator with its default values, and the chart's copy of the CRD, so that
// kubectl and Helm install the same thing.
// Use: node scripts/generate-install.mjs [--check] [--helm FILE]
//   --check  writes nothing and needs no Helm: the file carries the hash of what it was made from; exit 1 says what is out of date
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';

const ROOT = path.resolve(import.meta.dirname, '..');
const CHART = 'charts/atomshard-operator';
const CRD = 'crds/shardedclusters.atomshard.dev.yaml';
const CRD_IN_CHART = `${CHART}/files/shardedclusters.atomshard.dev.yaml`;
const INSTALL = 'manifests/install.yaml';
const NAMESPACE = 'atomshard-system';

const read = (file) => readFileSync(path.join(ROOT, file), 'utf8');
const checking = process.argv.includes('--check');

/** Everything that could change a line of the result. */
function sourcesHash() {
  const hash = createHash('sha256');
  const below = readdirSync(path.join(ROOT, CHART), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)));
  const self = path.relative(ROOT, import.meta.filename);
  for (const file of [...below, CRD, self].toSorted()) hash.update(`${file}\0${read(file)}\0`);
  return hash.digest('hex');
}

async function helmProgram() {
  const flag = process.argv.indexOf('--helm');
  if (flag > 0) return process.argv[flag + 1];
  const { ensureHelm } = await import('../test/cluster/harness/helm.ts');
  const { foldersFrom } = await import('../test/cluster/harness/folders.ts');
  const { stderrReport } = await import('../test/cluster/harness/report.ts');
  return ensureHelm(foldersFrom(process.env), stderrReport());
}

/** kubectl is not Helm: what says otherwise is left out. */
function withoutHelm(object) {
  for (const at of [object.metadata, object.spec?.template?.metadata]) {
    delete at?.labels?.['helm.sh/chart'];
    delete at?.labels?.['app.kubernetes.io/managed-by'];
  }
  return object;
}

// What others need comes first.
const ORDER = ['Namespace', 'CustomResourceDefinition', 'ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'Role'];
const rank = ({ kind }) => (ORDER.includes(kind) ? ORDER.indexOf(kind) : ORDER.length);

async function install() {
  const args = ['template', 'atomshard-operator', path.join(ROOT, CHART), '--namespace', NAMESPACE];
  const flags = ['--set', 'crds.create=false', '--set', 'test.enabled=false'];
  const rendered = execFileSync(await helmProgram(), [...args, ...flags], { encoding: 'utf8' });
  const objects = parseAllDocuments(rendered)
    .map((document) => document.toJS())
    .filter(Boolean)
    .map(withoutHelm)
    .toSorted((a, b) => rank(a) - rank(b));
  const namespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: NAMESPACE, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  };
  const written = (object) => stringify(object, { lineWidth: 0 });
  return [
    `# The operator of AtomShard: kubectl apply --server-side -f install.yaml
# Another image than atomshard:0.1.0: kustomize's images, or the chart. Generated from ${CHART} by
# scripts/generate-install.mjs; a test compares them.
# sources: ${sourcesHash()}
${written(namespace)}`,
    read(CRD),
    ...objects.map(written),
  ].join('---\n');
}

function compare(file, current, wanted) {
  if (current === wanted) return;
  process.stderr.write(`${file} is out of date: run node scripts/generate-install.mjs\n`);
  process.exitCode = 1;
}

if (checking) {
  compare(CRD_IN_CHART, existsSync(path.join(ROOT, CRD_IN_CHART)) && read(CRD_IN_CHART), read(CRD));
  const said = existsSync(path.join(ROOT, INSTALL)) ? /^# sources: (\w+)$/m.exec(read(INSTALL))?.[1] : undefined;
  compare(INSTALL, said, sourcesHash());
} else {
  writeFileSync(path.join(ROOT, CRD_IN_CHART), read(CRD));
  writeFileSync(path.join(ROOT, INSTALL), await install());
}

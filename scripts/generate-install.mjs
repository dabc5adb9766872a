// Writes manifests/install.yaml from charts/atomshard-operator with its default values, and the chart's copy of the CRD, so that
// kubectl and Helm install the same thing.
// Use: node scripts/generate-install.mjs [--check] [--helm FILE]
//   --check  writes nothing; exit 1 says what is out of date
// Helm is needed only where the chart changed: the file carries the hash of what it was made from.
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
const SEPARATOR = '---\n';

const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
const IMAGE = `atomshard:${version}`;

const read = (file) => readFileSync(path.join(ROOT, file), 'utf8');

/** Everything that could change a line besides the CRD's own. */
function sourcesHash() {
  const hash = createHash('sha256');
  const below = readdirSync(path.join(ROOT, CHART), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)));
  const self = path.relative(ROOT, import.meta.filename);
  const files = [...below, self].filter((file) => file !== CRD_IN_CHART);
  for (const file of files.toSorted()) hash.update(`${file}\0${read(file)}\0`);
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

/** The objects of the chart but the CRD, each as text. */
async function rendered() {
  const args = ['template', 'atomshard-operator', path.join(ROOT, CHART), '--namespace', NAMESPACE];
  const flags = ['--set', 'crds.create=false', '--set', 'test.enabled=false'];
  return parseAllDocuments(execFileSync(await helmProgram(), [...args, ...flags], { encoding: 'utf8' }))
    .map((document) => document.toJS())
    .filter(Boolean)
    .map(withoutHelm)
    .toSorted((a, b) => rank(a) - rank(b))
    .map((object) => stringify(object, { lineWidth: 0 }));
}

const namespace = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: NAMESPACE, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
};

const head = () => `# The operator of AtomShard: kubectl apply --server-side -f install.yaml
# Another image than ${IMAGE}: kustomize's images, or the chart. Generated from ${CHART} by
# scripts/generate-install.mjs; a test compares them.
# sources: ${sourcesHash()}
${stringify(namespace)}`;

/** The file as it is, or undefined where the chart is another by now. */
function current() {
  const text = existsSync(path.join(ROOT, INSTALL)) ? read(INSTALL) : '';
  const [first, , ...objects] = text.split(SEPARATOR);
  return first === head() ? objects : undefined;
}

const install = (objects) => [head(), read(CRD), ...objects].join(SEPARATOR);

function written(file, wanted) {
  if (existsSync(path.join(ROOT, file)) && read(file) === wanted) return;
  if (!process.argv.includes('--check')) return writeFileSync(path.join(ROOT, file), wanted);
  process.stderr.write(`${file} is out of date: run npm run generate\n`);
  process.exitCode = 1;
}

const objects = current() ?? (process.argv.includes('--check') ? [] : await rendered());
written(CRD_IN_CHART, read(CRD));
written(INSTALL, install(objects));

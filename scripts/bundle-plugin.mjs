// Writes kubectl-atomshard, the plugin with all that it imports as one file that runs wherever Node 24 and kubectl are.
// Use: node scripts/bundle-plugin.mjs [FILE]     FILE: dist/kubectl-atomshard unless said otherwise
import { chmodSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'rolldown';

const ROOT = path.resolve(import.meta.dirname, '..');
const file = path.resolve(process.argv[2] ?? path.join(ROOT, 'dist/kubectl-atomshard'));
const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
const NOTICE =
  '// Contains commander and pg with what they need: MIT licence, see node_modules of the package or of the image.';

await build({
  input: path.join(ROOT, 'src/plugin/kubectl-atomshard.ts'),
  platform: 'node',
  // `pg` asks for it if it is there.
  external: ['pg-native'],
  transform: { define: { BUNDLED_VERSION: JSON.stringify(version) } },
  output: { file, format: 'esm', codeSplitting: false, banner: NOTICE },
  logLevel: 'warn',
});
chmodSync(file, 0o755);

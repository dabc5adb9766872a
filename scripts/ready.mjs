// Makes a fresh clone ready: installs the locked packages when node_modules is missing or of another lock file.
// Plain JavaScript for the machine's own Node (>= 20), because it runs before the pinned Node 24 is there.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const root = new URL('../', import.meta.url).pathname;
const stamp = `${root}node_modules/.atomshard-lock`;
const wanted = createHash('sha256')
  .update(readFileSync(`${root}package-lock.json`))
  .digest('hex');
const present = existsSync(stamp) ? readFileSync(stamp, 'utf8') : '';

if (present !== wanted) {
  console.error('atomshard: installing the locked npm packages (npm ci); the first time takes about 20 seconds');
  const npm = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root, stdio: 'inherit' });
  if (npm.status !== 0) {
    console.error(
      `atomshard: npm ci failed (exit ${npm.status ?? npm.signal}). It needs npm 11 and a reachable npm registry; ` +
        'run `npm ci` by hand to see the whole error.',
    );
    process.exit(1);
  }
  writeFileSync(stamp, wanted);
}

// The programs of the npm package as they are built and linked (docs/RECOVERY.md, On Kubernetes): each starts under its own name.
import { execFile } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempDisposableSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const ROOT = path.resolve(import.meta.dirname, '../../..');
const BUNDLE = path.join(ROOT, 'scripts/bundle-plugin.mjs');
const { version, bin } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
};

/** A package beside this one, so that nobody's `dist` is touched. */
const place = mkdtempSync(path.join(os.tmpdir(), 'atomshard-built-'));
const programs = path.join(place, 'on-the-path');

beforeAll(async () => {
  cpSync(path.join(ROOT, 'package.json'), path.join(place, 'package.json'));
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(place, 'node_modules'));
  const tsc = path.join(ROOT, 'node_modules/.bin/tsc');
  await run(tsc, ['-p', path.join(ROOT, 'tsconfig.build.json'), '--outDir', path.join(place, 'dist')]);
  await run(process.execPath, [BUNDLE, path.join(place, 'dist/kubectl-atomshard')]);
  mkdirSync(programs);
  for (const [name, file] of Object.entries(bin)) {
    chmodSync(path.join(place, file), 0o755);
    symlinkSync(path.join(place, file), path.join(programs, name));
  }
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

const PATH = `${programs}:${path.dirname(process.execPath)}:/usr/bin:/bin`;

describe('the built package', () => {
  it.each(Object.keys(bin))('%s runs through a link and knows its version', async (name) => {
    const { stdout } = await run(name, ['--version'], { env: { PATH } });
    expect(stdout.trim()).toBe(version);
  });

  it('kubectl-atomshard is one file that needs nothing beside it', async () => {
    using folder = mkdtempDisposableSync(path.join(os.tmpdir(), 'atomshard-alone-'));
    const alone = path.join(folder.path, 'kubectl-atomshard');
    cpSync(path.join(place, 'dist/kubectl-atomshard'), alone);
    const { stdout } = await run(alone, ['--version'], { env: { PATH } });
    expect(stdout.trim()).toBe(version);
  });

  it('kubectl atomshard without a kubectl says so and ends with 1, not with a stack', async () => {
    const env = { PATH: `${programs}:${path.dirname(process.execPath)}` };
    const failed = (await run('kubectl-atomshard', ['status'], { env }).catch((error: unknown) => error)) as {
      readonly code: number;
      readonly stderr: string;
    };
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(/^kubectl atomshard: .*kubectl/);
    expect(failed.stderr).not.toContain('    at ');
  });
});

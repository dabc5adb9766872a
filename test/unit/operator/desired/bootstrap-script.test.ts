// The shell scripts of a shard, run by real shells with programs that only pretend to be PostgreSQL's.
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bootstrapScript, probeScript, type ScriptPaths } from '../../../../src/operator/desired/bootstrap-script.ts';

const SHELLS = [['sh'], ['busybox', 'sh'], ['bash', '--posix']].filter(
  ([program = '']) => spawnSync(program, ['-c', 'true']).error === undefined,
);
const EXIT_BY_SIGNAL = 143;

const INITDB = `#!/bin/sh
printf '%s\\n' "$@" > "$FAKE/initdb.args"
while [ $# -gt 0 ]; do if [ "$1" = -D ]; then data=$2; fi; shift; done
mkdir "$data" && echo half > "$data/base"
if [ -e "$FAKE/initdb.waits" ]; then echo waiting; exec sleep 100; fi
if [ -e "$FAKE/initdb.fails" ]; then echo "initdb: error: no space" >&2; exit 1; fi
echo 18 > "$data/PG_VERSION"
`;
const POSTGRES = `#!/bin/sh
if [ "$1" = --version ]; then cat "$FAKE/version"; exit; fi
printf '%s\\n' "$@" > "$FAKE/postgres.args"
`;
const PG_ISREADY = `#!/bin/sh
printf '%s\\n' "$@" > "$FAKE/pg_isready.args"
exit "$(cat "$FAKE/answer")"
`;

describe.each(SHELLS)('the scripts of a shard, in %s', (shell, ...options) => {
  let root = '';
  let paths = {} as ScriptPaths;
  const file = (name: string) => path.join(root, name);
  const put = (name: string, text: string): void => {
    mkdirSync(path.dirname(file(name)), { recursive: true });
    writeFileSync(file(name), text);
  };
  const environment = () => ({ PATH: `${file('bin')}:/usr/bin:/bin`, FAKE: root });
  const argv = (script: string, more: readonly string[] = []): string[] => {
    put('script.sh', script);
    return [...options, file('script.sh'), ...more];
  };
  const run = (script: string, more: readonly string[] = []) => {
    const { status, stderr } = spawnSync(shell, argv(script, more), { env: environment(), encoding: 'utf8' });
    return { status, stderr };
  };
  const start = () => run(bootstrapScript(paths));
  const lines = (name: string) => readFileSync(file(name), 'utf8').trimEnd().split('\n');
  const started = () => existsSync(file('postgres.args'));

  beforeEach(() => {
    root = mkdtempSync(path.join(tmpdir(), 'bootstrap-'));
    paths = {
      volume: file('volume'),
      data: file('volume/pgdata'),
      configuration: file('configuration'),
      superuser: file('superuser'),
      sockets: file('run'),
    };
    mkdirSync(paths.volume);
    put('configuration/initdb.args', '');
    put('superuser/username', 'the boss');
    put('superuser/password', 'secret');
    put('version', 'postgres (PostgreSQL) 18.4 (Debian 18.4-1.pgdg13+1)\n');
    for (const [name, text] of Object.entries({ initdb: INITDB, postgres: POSTGRES, pg_isready: PG_ISREADY })) {
      put(`bin/${name}`, text);
      chmodSync(file(`bin/${name}`), 0o755);
    }
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('make the data directory of an empty volume, then become the server', () => {
    mkdirSync(file('volume/lost+found'));
    expect(start()).toEqual({ status: 0, stderr: '' });
    expect(readdirSync(paths.volume).toSorted()).toEqual(['lost+found', 'pgdata']);
    expect(lines('postgres.args')).toEqual([
      '-D',
      paths.data,
      '-c',
      `config_file=${paths.configuration}/postgresql.conf`,
    ]);
    expect(lines('initdb.args')).toEqual([
      '-D',
      `${paths.data}.new`,
      '--username=the boss',
      `--pwfile=${paths.superuser}/password`,
      '--auth-local=peer',
      '--auth-host=scram-sha-256',
      '--encoding=UTF8',
      '--data-checksums',
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
    ]);
  });

  it('never call initdb where there are data', () => {
    put('volume/pgdata/PG_VERSION', '18\n');
    put('volume/pgdata/base', 'rows');
    put('volume/a-file-of-mine', 'x');
    expect(start()).toEqual({ status: 0, stderr: '' });
    expect(existsSync(file('initdb.args'))).toBe(false);
    expect(lines('volume/pgdata/base')).toEqual(['rows']);
    expect(started()).toBe(true);
  });

  it('give initdb the options of the spec, whose locale replaces ours', () => {
    put('configuration/initdb.args', '--encoding=LATIN1\n--lc-collate=de_DE and more\n');
    start();
    expect(lines('initdb.args').slice(6)).toEqual([
      '--encoding=UTF8',
      '--data-checksums',
      '--encoding=LATIN1',
      '--lc-collate=de_DE and more',
    ]);
  });

  it('keep the locale where the spec has only other options, by means that the version has', () => {
    put('configuration/initdb.args', '--wal-segsize=64\n');
    put('version', 'postgres (PostgreSQL) 15.8\n');
    start();
    expect(lines('initdb.args').slice(8)).toEqual(['--locale=C', '--lc-ctype=C.UTF-8', '--wal-segsize=64']);
  });

  it('begin anew what a crash left unfinished', () => {
    put('volume/pgdata.new/PG_VERSION', '18\n');
    put('volume/pgdata.new/rest', 'half');
    mkdirSync(paths.data);
    expect(start()).toEqual({ status: 0, stderr: '' });
    expect(readdirSync(paths.volume)).toEqual(['pgdata']);
    expect(readdirSync(paths.data).toSorted()).toEqual(['PG_VERSION', 'base']);
  });

  it('leave no data directory when initdb fails, and say so in the last line', () => {
    put('initdb.fails', '');
    const { status, stderr } = start();
    expect(status).toBe(1);
    expect(stderr).toMatch(/no space\nFATAL: {2}initdb failed; .*\n$/);
    expect(existsSync(paths.data)).toBe(false);
    expect(started()).toBe(false);
    rmSync(file('initdb.fails'));
    expect(start().status).toBe(0);
  });

  it('stop at once when told to in the middle of initdb', async () => {
    put('initdb.waits', '');
    const child = spawn(shell, argv(bootstrapScript(paths)), {
      env: environment(),
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGTERM');
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect(code).toBe(EXIT_BY_SIGNAL);
    expect(started()).toBe(false);
    expect(readdirSync(paths.volume)).toEqual(['pgdata.new']);
  });

  it.each([
    ['a volume of something else', 'volume/18/docker/PG_VERSION', 'it holds 18. Nothing was changed'],
    ['hidden files too', 'volume/.config', 'it holds .config. Nothing was changed'],
    ['a folder that is no data directory', 'volume/pgdata/base', 'has no PG_VERSION) and is not empty: it holds base'],
  ])('refuse %s and change nothing', (_what, foreign, words) => {
    put(foreign, 'precious');
    const { status, stderr } = start();
    expect(status).toBe(1);
    expect(stderr).toContain(words);
    expect(stderr).toMatch(/^FATAL: {2}[^\n]*\n$/);
    expect(lines(foreign)).toEqual(['precious']);
    expect(existsSync(file('initdb.args'))).toBe(false);
    expect(started()).toBe(false);
  });

  it('refuse data of another major version by naming both', () => {
    put('volume/pgdata/PG_VERSION', '17\n');
    const { status, stderr } = start();
    expect(status).toBe(1);
    expect(stderr).toContain('data of PostgreSQL 17 and the image is PostgreSQL 18.4');
    expect(started()).toBe(false);
  });

  it('refuse an image whose PostgreSQL cannot run, e.g. of another processor', () => {
    put('bin/postgres', '#!/no/such/loader\n');
    const { status, stderr } = start();
    expect(status).toBe(1);
    expect(stderr).toMatch(/^FATAL: {2}the image's postgres cannot run here\n$/m);
  });

  it('a server that recovers is alive and not ready, a silent one is neither', () => {
    const ask = (question: string) => run(probeScript(paths), [question]).status;
    put('answer', '0');
    expect([ask('alive'), ask('ready')]).toEqual([0, 0]);
    put('answer', '1');
    expect([ask('alive'), ask('ready')]).toEqual([0, 1]);
    put('answer', '2');
    expect([ask('alive'), ask('ready')]).toEqual([2, 2]);
    expect(lines('pg_isready.args')).toContain('--username=the boss');
  });
});

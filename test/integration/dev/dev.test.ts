// `atomshard dev` as a user runs it: started, used, stopped with Ctrl-C, killed, started again on the same directory.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { childrenOf, findProcess } from '../../../src/dev/process-table.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const SAMPLE = path.join(ROOT, 'manifests/samples/minimal.yaml');
const HAS_PSQL = spawnSync('psql', ['--version']).status === 0;

interface Started {
  readonly child: ChildProcess;
  readonly said: () => string;
  readonly url: string;
}

describe('atomshard dev', { timeout: 180_000 }, () => {
  let directory: string;
  const running: ChildProcess[] = [];

  beforeEach(async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'atomshard-dev-'));
    await chmod(directory, 0o755);
  });
  afterEach(async () => {
    for (const child of running.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
    await rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });

  /** Runs the command and waits for its psql line, or for its end. */
  async function dev(...flags: string[]): Promise<Started> {
    const args = ['src/main.ts', 'dev', '--directory', path.join(directory, 'kept'), '--port', '0', ...flags];
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    running.push(child);
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    for (let i = 0; i < 3_000 && !/psql postgres/.test(said) && child.exitCode === null; i++) await sleep(10);
    return { child, said: () => said, url: /psql (postgres:\S+)/.exec(said)?.[1] ?? '' };
  }

  const ended = async (child: ChildProcess) => {
    for (let i = 0; i < 3_000 && child.exitCode === null && child.signalCode === null; i++) await sleep(10);
    return child.exitCode ?? child.signalCode;
  };

  async function ask(url: string, ...statements: string[]): Promise<pg.QueryResult> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      let last: pg.QueryResult | undefined;
      for (const statement of statements) last = await client.query(statement);
      if (last === undefined) throw new Error('nothing was asked');
      return last;
    } finally {
      await client.end();
    }
  }

  it('runs the sample, moves money across shards, keeps it, and stops cleanly on Ctrl-C with nothing left running', async () => {
    const first = await dev('-f', SAMPLE);
    expect(first.url, first.said()).not.toBe('');
    await ask(
      first.url,
      'CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)',
      'INSERT INTO accounts (id, balance) VALUES (1, 100), (2, 100), (3, 100), (4, 100), (5, 100), (6, 100)',
      'BEGIN',
      'UPDATE accounts SET balance = balance - 7 WHERE id = 1',
      'UPDATE accounts SET balance = balance + 7 WHERE id = 2',
      'UPDATE accounts SET balance = balance + 1 WHERE id = 3',
      'COMMIT',
    );
    const servers = await childrenOf(first.child.pid ?? 0);
    expect(servers.length).toBeGreaterThanOrEqual(3);
    first.child.kill('SIGINT');
    expect(await ended(first.child), first.said()).toBe(0);
    for (const pid of servers) expect(await findProcess(pid)).toBeUndefined();

    const second = await dev('-f', SAMPLE);
    const balance = async (id: number) => (await ask(second.url, `SELECT balance FROM accounts WHERE id = ${id}`)).rows;
    expect([await balance(1), await balance(2), await balance(3)]).toEqual([
      [{ balance: '93' }],
      [{ balance: '107' }],
      [{ balance: '101' }],
    ]);
    if (HAS_PSQL) {
      const psql = spawnSync('psql', [second.url, '-Atc', 'SELECT balance FROM accounts WHERE id = 2'], {
        encoding: 'utf8',
      });
      expect(psql.stdout.trim(), psql.stderr).toBe('107');
    }
  });

  it('spreads the rows over all shards, so that the sample shards something', async () => {
    const { said, url } = await dev('-f', SAMPLE);
    await ask(url, 'CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)');
    const rows = Array.from({ length: 60 }, (_, i) => `(${i}, 0)`).join(', ');
    await ask(url, `INSERT INTO accounts (id, balance) VALUES ${rows}`);
    const shards = [...said().matchAll(/shard-\d: PostgreSQL \d+, (postgres:\S+)/g)].map((match) => match[1] ?? '');
    expect(shards).toHaveLength(3);
    const counts = await Promise.all(
      shards.map(async (shard) => Number((await ask(shard, 'SELECT count(*) FROM accounts')).rows[0].count)),
    );
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(60);
    expect(Math.min(...counts)).toBeGreaterThan(5);
  });

  it('leaves no server behind when it is killed with SIGKILL, and the next run goes on', async () => {
    const first = await dev('--shards', '2');
    await ask(first.url, 'CREATE TABLE notes (a int)', 'INSERT INTO notes VALUES (42)');
    const servers = await childrenOf(first.child.pid ?? 0);
    first.child.kill('SIGKILL');
    for (let i = 0; i < 500 && (await Promise.all(servers.map(findProcess))).some((found) => found !== undefined); i++)
      await sleep(20);
    expect(await Promise.all(servers.map(findProcess))).toEqual(servers.map(() => undefined));
    const second = await dev('--shards', '2');
    expect((await ask(second.url, 'SELECT a FROM notes')).rows, second.said()).toEqual([{ a: 42 }]);
  });

  it('refuses with exit code 2 and one sentence what it cannot run, and a second run on the same directory', async () => {
    const first = await dev('--shards', '2');
    const beside = await dev('--shards', '2');
    expect(await ended(beside.child)).not.toBe(0);
    expect(beside.said()).toMatch(/in use by process \d+/);
    expect((await ask(first.url, 'SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    first.child.kill('SIGINT');
    expect(await ended(first.child)).toBe(0);

    const more = await dev('--shards', '3');
    expect(await ended(more.child)).toBe(2);
    expect(more.said()).toContain('was made with shards: 2');
    const missing = await dev('-f', '/nowhere.yaml');
    expect(await ended(missing.child)).toBe(2);
    expect(missing.said()).toContain('/nowhere.yaml cannot be read');
  });
});

// Embedded servers with the real binaries: started, killed, frozen, kept, refused, and never left behind.
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/dev/embedded-postgres.ts';
import { readPostmasterFile, type ServerExit } from '../../../src/dev/postmaster.ts';
import { childrenOf, findProcess, signalProcess } from '../../../src/dev/process-table.ts';
import { startShards } from '../../support/postgres.ts';

async function ask(server: EmbeddedPostgres, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1_000 && !(await condition()); i++) await sleep(10);
  expect(await condition()).toBe(true);
}

describe('embedded shards', () => {
  it('are different servers that keep prepared transactions through kill -9 and restart with other settings', async () => {
    await using shards = await startShards(3);
    const sql = 'SELECT system_identifier::text AS id FROM pg_control_system()';
    const identifiers = await Promise.all([0, 1, 2].map((index) => shards.query<{ id: string }>(index, sql)));
    expect(new Set(identifiers.flat().map((row) => row.id)).size).toBe(3);

    await shards.exec('CREATE TABLE t (a int)');
    const client = await shards.client(1);
    await client.query('BEGIN; INSERT INTO t VALUES (1)');
    await client.query("PREPARE TRANSACTION 'x'");
    await shards.shard(1).kill9();
    await shards.shard(1).start();
    expect(await shards.query(1, 'SELECT gid FROM pg_prepared_xacts')).toEqual([{ gid: 'x' }]);

    const { port } = shards.shard(2);
    await shards.shard(2).restart({ max_prepared_transactions: '0' });
    expect(shards.shard(2).port).toBe(port);
    expect(await shards.query(2, 'SHOW max_prepared_transactions')).toEqual([{ max_prepared_transactions: '0' }]);
  });

  it('answer nothing while paused, also on connections that were open, and go on afterwards', async () => {
    await using shards = await startShards(1);
    const client = await shards.client(0);
    await shards.shard(0).pause();
    const answer = client.query('SELECT 1 AS one');
    expect(await Promise.race([answer, sleep(200, 'nothing')])).toBe('nothing');
    await shards.shard(0).resume();
    expect((await answer).rows).toEqual([{ one: 1 }]);
    await client.end();
  });
});

describe('an embedded server', () => {
  let directory: string;
  const start = (more: Partial<Parameters<typeof startEmbeddedPostgres>[0]> = {}) =>
    startEmbeddedPostgres({
      dataDirectory: path.join(directory, 'data'),
      name: 'shard-0',
      parameters: { fsync: 'off' },
      ...more,
    });

  beforeEach(async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'atomshard-embedded-'));
    await chmod(directory, 0o755);
  });
  afterEach(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));

  it('keeps its data and its identity between runs', async () => {
    const identity = 'SELECT system_identifier::text AS id FROM pg_control_system()';
    let first: unknown[];
    {
      await using server = await start();
      await ask(server, 'CREATE TABLE kept (a int); INSERT INTO kept VALUES (42)');
      first = await ask(server, identity);
    }
    await using server = await start();
    expect(await ask(server, 'SELECT a FROM kept')).toEqual([{ a: 42 }]);
    expect(await ask(server, identity)).toEqual(first);
  });

  it('asks for a password with SCRAM where it was made with one', async () => {
    await using server = await start({ password: "sec'ret /@" });
    expect(await ask(server, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    const { host, port, user } = server;
    const wrong = new pg.Client({ host, port, user, password: 'other' });
    await expect(wrong.connect()).rejects.toMatchObject({ code: '28P01' });
  });

  it('refuses a directory that is not ours, one of another major and one on a used port, and says what to do', async () => {
    await mkdir(path.join(directory, 'data'));
    await writeFile(path.join(directory, 'data', 'letter.txt'), 'dear');
    await expect(start()).rejects.toMatchObject({
      code: 'foreign-directory',
      message: expect.stringContaining('nothing was changed'),
    });

    const other = path.join(directory, 'other');
    await mkdir(other);
    await writeFile(path.join(other, 'atomshard.json'), '{}');
    await writeFile(path.join(other, 'PG_VERSION'), '13\n');
    await expect(start({ dataDirectory: other })).rejects.toMatchObject({
      code: 'other-major',
      message: expect.stringContaining('--postgres 13'),
    });

    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const address = taken.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const onTakenPort = start({ dataDirectory: path.join(directory, 'third'), port });
    await expect(onTakenPort).rejects.toMatchObject({
      code: 'start-failed',
      message: expect.stringContaining('in use'),
    });
    taken.close();
  });

  it.runIf(process.getuid?.() === 0)('names the directory that PostgreSQL cannot pass when we are root', async () => {
    const closed = path.join(directory, 'closed');
    await mkdir(closed, { mode: 0o700 });
    const attempt = start({ dataDirectory: path.join(closed, 'data') });
    await expect(attempt).rejects.toMatchObject({
      code: 'closed-directory',
      message: expect.stringContaining(`chmod o+x ${closed}`),
    });
  });

  it('throws away what a killed run left half made', async () => {
    await mkdir(path.join(directory, 'data.new'));
    await writeFile(path.join(directory, 'data.new', 'PG_VERSION'), '18\n');
    await using server = await start();
    expect(await ask(server, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('tells of a death that nobody asked for, with the end of the log, and can be started again', async () => {
    const deaths: [string, ServerExit][] = [];
    await using server = await start({ onDeath: (name, exit) => deaths.push([name, exit]) });
    signalProcess(server.pid ?? 0, 'SIGKILL');
    await until(async () => deaths.length > 0 && server.pid === undefined);
    expect(deaths).toMatchObject([
      ['shard-0', { signal: 'SIGKILL', logTail: expect.stringContaining('ready to accept connections') }],
    ]);
    await until(() =>
      server.start().then(
        () => true,
        () => false,
      ),
    );
    await server.stop();
    expect(deaths).toHaveLength(1);
  });

  /** Another process of ours, which runs a server until it is killed. */
  async function startElsewhere(): Promise<{ owner: ChildProcess; postmaster: number }> {
    const module = path.resolve(import.meta.dirname, '../../../src/dev/embedded-postgres.ts');
    const options = { dataDirectory: path.join(directory, 'data'), name: 'x', parameters: { fsync: 'off' } };
    const script = `const { startEmbeddedPostgres } = await import(${JSON.stringify(module)});
      const server = await startEmbeddedPostgres(${JSON.stringify(options)}); console.log(server.pid); setInterval(() => {}, 1e6);`;
    const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const line = await new Promise<string>((resolve) =>
      owner.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString())),
    );
    return { owner, postmaster: Number(line) };
  }

  it('ends with the process that started it, also when that one is killed with SIGKILL', async () => {
    const { owner, postmaster } = await startElsewhere();
    expect(await findProcess(postmaster)).toBeDefined();
    owner.kill('SIGKILL');
    await until(async () => (await findProcess(postmaster)) === undefined);
    await using server = await start();
    expect(await ask(server, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('is refused on a directory whose server belongs to a living process, which is left alone', async () => {
    const { owner, postmaster } = await startElsewhere();
    await expect(start()).rejects.toMatchObject({
      code: 'in-use',
      message: expect.stringContaining(String(postmaster)),
    });
    expect(await findProcess(postmaster)).toBeDefined();
    owner.kill('SIGKILL');
    await until(async () => (await findProcess(postmaster)) === undefined);
  });

  it('takes the place of a server whose process is gone but which has not ended yet', async () => {
    const { owner, postmaster } = await startElsewhere();
    // The watcher is a child of the owner too; without it the server lives on, as after a kill of both.
    for (const child of await childrenOf(owner.pid ?? 0)) if (child !== postmaster) signalProcess(child, 'SIGKILL');
    owner.kill('SIGKILL');
    await until(async () => (await findProcess(owner.pid ?? 0)) === undefined);
    expect(await findProcess(postmaster)).toBeDefined();
    const said: string[] = [];
    await using server = await start({ onLine: (line) => said.push(line) });
    expect(said.join()).toContain(`pid ${postmaster}`);
    expect(server.pid).not.toBe(postmaster);
    expect(readPostmasterFile(path.join(directory, 'data'))?.pid).toBe(server.pid);
  });
});

// SIGTERM as people expect it: running transactions finish, idle clients are told, the log is closed clean, exit code 0.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Shards, startShards } from '../../support/postgres.ts';
import { testProxyConfig } from '../../support/proxy-in-process.ts';
import { ProxyProcess } from '../../support/proxy-process.ts';

let shards: Shards;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'atomshard-stop-'));
  shards = await startShards(2);
});

afterAll(async () => {
  await shards[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

const connect = async (proxy: ProxyProcess) => {
  const client = new pg.Client(proxy.url('postgres'));
  const ended: string[] = [];
  client.on('error', (error: Error & { code?: string }) => ended.push(error.code ?? error.message));
  await client.connect();
  return { client, ended };
};

describe('SIGTERM', () => {
  it('PgDog 12: an open transaction may still commit across shards, idle clients get 57P01, exit code 0', async () => {
    const proxy = await ProxyProcess.start({
      directory,
      config: { ...testProxyConfig(shards, path.join(directory, 'wal')), shutdown: { graceMs: 20_000 } },
    });
    const idle = await connect(proxy);
    const busy = await connect(proxy);
    await busy.client.query('CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint)');
    for (let id = 1; id <= 8; id++) await busy.client.query(`INSERT INTO accounts (id, balance) VALUES (${id}, 0)`);
    await busy.client.query('BEGIN');
    await busy.client.query('UPDATE accounts SET balance = 1');
    const exited = proxy.terminate();
    await expect.poll(() => idle.ended[0]).toBe('57P01');
    await expect(new pg.Client(proxy.url('postgres')).connect()).rejects.toThrow();
    await busy.client.query('COMMIT');
    expect(await exited).toEqual({ code: 0, signal: null });
    for (const shard of [0, 1]) {
      expect(await shards.query(shard, 'SELECT DISTINCT balance FROM accounts')).toEqual([{ balance: '1' }]);
      expect(await shards.query(shard, 'SELECT gid FROM pg_prepared_xacts')).toEqual([]);
    }
  });

  it('a client that never ends its transaction is rolled back after the grace period', async () => {
    const proxy = await ProxyProcess.start({
      directory,
      config: { ...testProxyConfig(shards, path.join(directory, 'wal2')), shutdown: { graceMs: 300 } },
    });
    const { client, ended } = await connect(proxy);
    await client.query('BEGIN');
    await client.query('UPDATE accounts SET balance = 2');
    expect(await proxy.terminate()).toEqual({ code: 0, signal: null });
    expect(ended[0]).toBe('57P01');
    expect(await shards.query(0, 'SELECT DISTINCT balance FROM accounts')).toEqual([{ balance: '1' }]);
  });
});

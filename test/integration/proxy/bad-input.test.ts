// What the proxy does with what it cannot use: a clear error with a code and a way out, its own connection or process at
// most, and nothing lost.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, query, startupMessage } from '../../../src/protocol/client-message-writer.ts';
import type { ProxyConfigInput } from '../../../src/proxy/config.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, type TestProxy, testProxyConfig } from '../../support/proxy-in-process.ts';
import { ProxyProcess } from '../../support/proxy-process.ts';
import { WireClient } from '../../support/wire-client.ts';

let shards: Shards;
let proxy: TestProxy;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'atomshard-bad-'));
  shards = await startShards(2);
  proxy = await startTestProxy(shards, {
    authentication: { method: 'scram-sha-256', users: [{ name: 'postgres', password: 'right' }] },
    serverUser: { name: 'postgres' },
    limits: { frameBytesMax: 100_000, clientsMax: 5 },
  });
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await shards[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

const rightLogin = () => ({
  connectionString: '',
  host: '127.0.0.1',
  port: proxy.port,
  user: 'postgres',
  password: 'right',
  database: 'app',
});

const failure = (config: pg.ClientConfig) => {
  const client = new pg.Client({ ...rightLogin(), ...config });
  return client.connect().then(
    async () => void (await client.end()),
    (error: { code?: string; message: string }) => ({ code: error.code, message: error.message }),
  );
};

const works = async () => {
  const client = await proxy.client(rightLogin());
  expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  await client.end();
};

describe('logging in', () => {
  it('a wrong password and an unknown user get the same answer', async () => {
    const wrong = await failure({ password: 'wrong' });
    expect(wrong).toEqual({ code: '28P01', message: 'password authentication failed for user "postgres"' });
    expect(await failure({ user: 'nobody' })).toEqual({
      code: '28P01',
      message: 'password authentication failed for user "nobody"',
    });
    await works();
  });

  it('an unknown database is 3D000', async () => {
    expect(await failure({ database: 'nowhere' })).toEqual({
      code: '3D000',
      message: 'database "nowhere" does not exist',
    });
  });

  it('too many clients are refused with 53300, and room is made when one leaves', async () => {
    const clients = await Promise.all(Array.from({ length: 5 }, () => proxy.client(rightLogin())));
    expect((await failure({}))?.code).toBe('53300');
    await clients[0]?.end();
    await expect.poll(() => failure({})).toBeUndefined();
    await Promise.all(clients.map((client) => client.end()));
  });
});

describe('bytes that are no protocol', () => {
  const scram = async () => {
    const client = WireClient.bare(proxy.port);
    client.send(
      startupMessage([
        ['user', 'postgres'],
        ['database', 'app'],
      ]),
    );
    await client.until((replies) => replies.includes('R'));
    client.take();
    return client;
  };

  it.each([
    ['garbage at the start', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['a startup packet of an absurd length', Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0])],
    ['protocol 2', Buffer.from([0, 0, 0, 9, 0, 2, 0, 0, 0])],
  ])('%s costs its own connection only', async (_name, bytes) => {
    const client = WireClient.bare(proxy.port);
    client.send(bytes);
    await client.until(() => false);
    expect(client.closed).toBe(true);
    await works();
  });

  it('a message of a negative length during login is 08P01', async () => {
    const client = await scram();
    client.send(Buffer.from([0x70, 0xff, 0xff, 0xff, 0xff]));
    await client.until(() => false);
    expect(client.errors[0]?.code).toBe('08P01');
    await works();
  });

  it('after login too: an oversize message, a bad type and a cut message are 08P01, FATAL', async () => {
    await using open = await startTestProxy(shards, { limits: { frameBytesMax: 100_000 } });
    for (const bytes of [
      query('x'.repeat(100_001)),
      Buffer.from([0x01, 0, 0, 0, 4]),
      Buffer.from([0x51, 0, 0, 0, 8, 65, 66, 67, 68]),
      parse('', 'SELECT 1')
        .subarray(0, 5 + 4)
        .fill(0x41, 5),
      Buffer.from([0x42, 0, 0, 0, 6, 0, 0]),
    ]) {
      const client = await WireClient.login(open.port);
      client.send(bytes, Buffer.from([0x53, 0, 0, 0, 4]));
      client.socket.end();
      await client.until(() => false);
      if (client.errors.length > 0) expect(client.errors[0]).toMatchObject({ code: '08P01', severity: 'FATAL' });
    }
    // Alone, on a session that does nothing and whose client stays: the error comes, and the proxy hangs up by itself.
    for (const length of [0, -1, 3, 100_001]) {
      const client = await WireClient.login(open.port);
      const frame = Buffer.from([0x51, 0, 0, 0, 0]);
      frame.writeInt32BE(length, 1);
      client.send(frame);
      await client.until(() => false);
      expect(client.errors).toMatchObject([{ code: '08P01', severity: 'FATAL' }]);
    }
    const client = await open.client();
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });
});

describe('starting', () => {
  const config = (name: string, overrides: Partial<ProxyConfigInput> = {}) =>
    testProxyConfig(shards, path.join(directory, name), overrides);
  const spawn = (name: string, settings: object) => {
    const home = mkdtempSync(path.join(directory, `${name}-`));
    return ProxyProcess.spawn({ directory: home, config: settings as ProxyConfigInput });
  };
  const said = (ended: ProxyProcess) => ended.log.join('\n');

  it('an unknown key is refused whole, with its path', async () => {
    const ended = spawn('key', { ...config('key'), pool: { sise: 3 } });
    expect(await ended.exited).toEqual({ code: 2, signal: null });
    expect(said(ended)).toContain('pool.sise: unknown key');
  });

  it('a second proxy on the same log is refused and told who has it', async () => {
    await using first = await ProxyProcess.start({
      directory: mkdtempSync(path.join(directory, 'lock-')),
      config: config('lock'),
    });
    const second = spawn('lock', config('lock'));
    expect(await second.exited).toEqual({ code: 3, signal: null });
    expect(said(second)).toContain('is in use by');
    expect(said(second)).toContain(String(first.pid));
  });

  it('a damaged log is refused, naming file and offset, and not changed', async () => {
    const first = await ProxyProcess.start({
      directory: mkdtempSync(path.join(directory, 'damage-')),
      config: config('damage'),
    });
    const client = new pg.Client(first.url('postgres'));
    await client.connect();
    await client.query('CREATE TABLE IF NOT EXISTS accounts (id bigint PRIMARY KEY, balance bigint)');
    await client.query('INSERT INTO accounts SELECT 1, 1 WHERE false').catch(() => undefined);
    for (let id = 1; id <= 8; id++)
      await client.query(`INSERT INTO accounts (id, balance) VALUES (${id}, 0) ON CONFLICT DO NOTHING`);
    for (let i = 0; i < 5; i++) await client.query('UPDATE accounts SET balance = balance + 1');
    await client.end();
    await first.terminate();
    const wal = path.join(directory, 'damage');
    const name =
      readdirSync(wal)
        .filter((file) => file.endsWith('.wal'))
        .toSorted()[0] ?? '';
    const bytes = readFileSync(path.join(wal, name));
    bytes.writeUInt8(bytes.readUInt8(200) ^ 0xff, 200);
    writeFileSync(path.join(wal, name), bytes);
    const second = spawn('damage', config('damage'));
    expect(await second.exited).toEqual({ code: 3, signal: null });
    expect(said(second)).toMatch(new RegExp(`the log is damaged: .*${name} at byte \\d+`));
    expect(readFileSync(path.join(wal, name)).equals(bytes)).toBe(true);
  });

  it('a shard that is down does not stop the start; its statements fail with its name, others work', async () => {
    const settings = config('down');
    const dead = settings.shards.map((shard, index) => (index === 1 ? { ...shard, port: 1 } : shard));
    await using running = await ProxyProcess.start({
      directory: mkdtempSync(path.join(directory, 'down-')),
      config: { ...settings, shards: dead },
    });
    const client = new pg.Client(running.url('postgres'));
    client.on('error', () => undefined);
    await client.connect();
    expect((await client.query('/* atomshard: shard=0 */ SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await expect(client.query('/* atomshard: shard=1 */ SELECT 1')).rejects.toMatchObject({
      code: '08001',
      message: expect.stringContaining('shard-1'),
    });
    for (let turn = 0; turn < 4; turn++) expect((await client.query('SELECT 3 AS three')).rows).toEqual([{ three: 3 }]);
    expect((await client.query('/* atomshard: shard=0 */ SELECT 2 AS two')).rows).toEqual([{ two: 2 }]);
    await client.end();
  });

  it('a shard without prepared transactions refuses cross-shard commits, definitely and in its own words', async () => {
    await using small = await startShards(2, { maxPreparedTransactions: 0 });
    await using running = await startTestProxy(small, {});
    const client = await running.client();
    await client.query('/* atomshard: shard=0 */ CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint)');
    await client.query('/* atomshard: shard=1 */ CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint)');
    for (let id = 1; id <= 8; id++) await client.query(`INSERT INTO accounts (id, balance) VALUES (${id}, 0)`);
    await expect(client.query('UPDATE accounts SET balance = 1')).rejects.toMatchObject({
      code: '55000',
      message: 'prepared transactions are disabled',
    });
    expect(new Set((await client.query('SELECT balance FROM accounts')).rows.map((row) => row.balance))).toEqual(
      new Set(['0']),
    );
  });

  it.skipIf(process.getuid?.() !== 0)(
    'a full disk refuses cross-shard commits with 53100 before PREPARE; one-shard ones go on',
    async () => {
      const disk = mkdtempSync(path.join(directory, 'disk-'));
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk]);
      try {
        const settings = config('disk', {
          wal: {
            directory: path.join(disk, 'wal'),
            segmentBytes: 1 << 20,
            reserveBytes: 1 << 20,
            retentionBytesMax: 1 << 20,
          },
        });
        await using running = await ProxyProcess.start({
          directory: mkdtempSync(path.join(directory, 'full-')),
          config: settings,
        });
        const client = new pg.Client(running.url('postgres'));
        await client.connect();
        await client.query('CREATE TABLE IF NOT EXISTS accounts (id bigint PRIMARY KEY, balance bigint)');
        for (let id = 1; id <= 8; id++)
          await client.query(`INSERT INTO accounts (id, balance) VALUES (${id}, 0) ON CONFLICT DO NOTHING`);
        execFileSync('sh', ['-c', `dd if=/dev/zero of=${disk}/filler bs=64k 2>/dev/null || true`]);
        // What is reserved is used first; then new ones are refused, and all of them are whole.
        let refused: { code?: string } | undefined;
        let acknowledged = 0;
        for (let i = 0; i < 20_000 && refused === undefined; i++) {
          await client.query('UPDATE accounts SET balance = balance + 1').then(
            () => acknowledged++,
            (error: { code?: string }) => {
              refused = error;
            },
          );
        }
        expect(refused?.code).toBe('53100');
        await client.query('UPDATE accounts SET balance = balance WHERE id = 1');
        for (const shard of [0, 1]) expect(await shards.query(shard, 'SELECT gid FROM pg_prepared_xacts')).toEqual([]);
        const balances = (await client.query('SELECT balance FROM accounts WHERE id <= 8')).rows.map((row) =>
          Number(row.balance),
        );
        expect(Math.max(...balances) - Math.min(...balances)).toBe(0);
        rmSync(path.join(disk, 'filler'));
        await expect
          .poll(
            () =>
              client.query('UPDATE accounts SET balance = balance + 1').then(
                () => 'works',
                (error) => error.code,
              ),
            { timeout: 20_000 },
          )
          .toBe('works');
        expect(acknowledged).toBeGreaterThan(0);
        await client.end();
      } finally {
        execFileSync('umount', ['-l', disk]);
      }
    },
  );
});

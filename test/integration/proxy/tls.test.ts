// Clients that connect by TLS: the drivers' own ways of asking for it, what is refused, and certificates that change.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { connect as netConnect, type Socket } from 'node:net';
import path from 'node:path';
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { promisify } from 'node:util';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import * as message from '../../../src/protocol/client-message-writer.ts';
import { ConfigError, type ProxyConfigInput } from '../../../src/proxy/config.ts';
import { ConfigFile } from '../../../src/proxy/config-file.ts';
import { startProxy } from '../../../src/proxy/proxy.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { type CertificateFiles, encryptShard, prependAccess, TestAuthority } from '../../support/certificates.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, type TestProxy, testProxyConfig } from '../../support/proxy-in-process.ts';

const run = promisify(execFile);
const SSL_REQUEST = message.SSL_REQUEST;
const STARTUP = message.startupMessage([
  ['user', 'postgres'],
  ['database', 'app'],
]);

let shards: Shards;
let authority: TestAuthority;
let files: CertificateFiles;
/** Clients may come either way, and need a password. */
let allowing: TestProxy;
/** Clients must come by TLS, and are trusted. */
let requiring: TestProxy;

const USERS = { method: 'scram-sha-256', users: [{ name: 'postgres', password: 'secret' }] } as const;
const overrides = (tls: ProxyConfigInput['tls']): Partial<ProxyConfigInput> => ({ tls });

beforeAll(async () => {
  authority = new TestAuthority();
  shards = await startShards(2);
  for (const index of [0, 1]) {
    await encryptShard(shards, index, authority.server(['127.0.0.1']));
    await shards.query(index, 'CREATE TABLE accounts (id bigint PRIMARY KEY, balance int NOT NULL)');
  }
  files = authority.files('proxy');
  allowing = await startTestProxy(shards, {
    ...overrides({ mode: 'allow', ...files }),
    authentication: { method: USERS.method, users: [...USERS.users] },
  });
  requiring = await startTestProxy(shards, overrides({ mode: 'require', ...files }));
});
afterAll(async () => {
  await allowing[Symbol.asyncDispose]();
  await requiring[Symbol.asyncDispose]();
  authority[Symbol.dispose]();
  await shards[Symbol.asyncDispose]();
});

const verified = () => ({ ca: authority.ca });
const url = (proxy: TestProxy, password = 'secret') => `postgres://postgres:${password}@127.0.0.1:${proxy.port}/app`;

async function answerOf(config: pg.ClientConfig, proxy = allowing): Promise<unknown> {
  const client = new pg.Client({ connectionString: url(proxy), ...config });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ sum: string }>('SELECT 40 + 2 AS sum');
    return rows[0]?.sum;
  } finally {
    await client.end();
  }
}

describe('a driver', () => {
  it.each([
    ['pg in clear', { ssl: false }],
    ['pg with a verified certificate', { ssl: 'verified' }],
    ['pg without looking at the certificate', { ssl: { rejectUnauthorized: false } }],
    ['pg with channel binding', { ssl: 'verified', enableChannelBinding: true }],
    ['pg that begins with TLS at once', { ssl: 'verified', sslnegotiation: 'direct' }],
  ] as const)('is served: %s', async (_, { ssl, ...config }) => {
    expect(await answerOf({ ...config, ssl: ssl === 'verified' ? verified() : ssl })).toBe(42);
  });

  it('that does not know our CA hangs up and says so', async () => {
    using other = new TestAuthority('other CA');
    await expect(answerOf({ ssl: { ca: other.ca } })).rejects.toThrow(/unable to verify|certificate/);
    expect(await answerOf({ ssl: verified() })).toBe(42);
  });

  it('with a wrong password is refused by TLS as in clear', async () => {
    await expect(answerOf({ ssl: verified(), connectionString: url(allowing, 'wrong') })).rejects.toMatchObject({
      code: '28P01',
    });
  });

  it('is served: postgres.js', async () => {
    const sql = postgres(url(allowing), { ssl: verified(), max: 2, onnotice: () => undefined });
    expect(await sql`SELECT 40 + 2 AS sum`).toEqual([{ sum: 42 }]);
    await sql.end();
  });

  it('in clear is refused where TLS is required, with a hint; the others are not', async () => {
    await expect(answerOf({ ssl: false }, requiring)).rejects.toMatchObject({
      code: '28000',
      message: expect.stringMatching(
        /encrypted connections only \(host "127\.0\.0\.1", user "postgres", database "app", no encryption\)/,
      ),
      hint: 'Connect with sslmode=require or stronger.',
    });
    expect(await answerOf({ ssl: verified() }, requiring)).toBe(42);
    expect(await answerOf({ ssl: verified(), sslnegotiation: 'direct' }, requiring)).toBe(42);
  });

  it('cancels over TLS, and in clear as older ones do, also where TLS is required', async () => {
    for (const encrypted of [true, false]) {
      const client = new pg.Client({ connectionString: url(requiring), ssl: verified() });
      await client.connect();
      const slow = client.query('SELECT pg_sleep(60)').catch((error: unknown) => error);
      const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
      const key = Buffer.alloc(4);
      key.writeInt32BE(secretKey);
      while ((await running('SELECT pg_sleep(60)')) === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      const socket = encrypted ? await encryptedSocket(requiring.port) : netConnect(requiring.port, '127.0.0.1');
      socket.end(message.cancelRequest(processID, key));
      expect(await slow).toMatchObject({ code: '57014' });
      await client.end();
      socket.destroy();
    }
  });

  it('gets large results and copies large inputs in', async () => {
    const client = new pg.Client({ connectionString: url(requiring), ssl: verified() });
    await client.connect();
    const { rows } = await client.query<{ n: number; t: string }>(
      `/* atomshard: shard=0 */ SELECT n, repeat('x', 500) AS t FROM generate_series(1, 20000) AS n`,
    );
    expect(rows.length).toBe(20_000);
    expect(rows.every(({ n, t }, index) => n === index + 1 && t.length === 500)).toBe(true);
    const text = 'y'.repeat(3_000_000);
    const { rows: back } = await client.query<{ length: number }>('SELECT length($1::text)', [text]);
    expect(back).toEqual([{ length: text.length }]);
    await client.end();
  });
});

async function running(query: string): Promise<number> {
  const counts = [0, 1].map((index) =>
    shards.query<{ n: number }>(
      index,
      'SELECT count(*)::int AS n FROM pg_stat_activity WHERE query = $1 AND state = $2',
      [query, 'active'],
    ),
  );
  return (await Promise.all(counts)).reduce((sum, rows) => sum + (rows[0]?.n ?? 0), 0);
}

/** TLS in PostgreSQL's way; the handshake is done. */
async function encryptedSocket(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const plain = netConnect(port, '127.0.0.1');
  plain.write(SSL_REQUEST);
  const answer = await new Promise<Buffer>((resolve) => plain.once('data', resolve));
  expect(answer.toString()).toBe('S');
  return handshake({ socket: plain, ...options });
}

function handshake(options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({ ...verified(), host: '127.0.0.1', ...options }, () => resolve(socket));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed')));
  });
}

/** Everything that comes until the other end hangs up. */
async function allOf(socket: Socket): Promise<string> {
  const parts: Buffer[] = [];
  socket.on('data', (chunk) => parts.push(chunk));
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return Buffer.concat(parts).toString('latin1');
}

describe.skipIf(!(await has('psql')))('psql', () => {
  const psql = async (proxy: TestProxy, settings: string): Promise<string> => {
    const conninfo = `host=127.0.0.1 port=${proxy.port} user=postgres password=secret dbname=app ${settings}`;
    const env = { ...process.env, PGSSLROOTCERT: authority.caFile };
    const { stdout } = await run('psql', ['-X', '-At', conninfo, '-c', 'SELECT 40 + 2'], { env });
    return stdout.trim();
  };

  it.each(['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'])(
    'is served with sslmode=%s',
    async (mode) => {
      expect(await psql(allowing, `sslmode=${mode}`)).toBe('42');
      if (mode !== 'disable') expect(await psql(requiring, `sslmode=${mode}`)).toBe('42');
    },
  );

  it('can insist on channel binding', async () => {
    expect(await psql(allowing, 'sslmode=require channel_binding=require')).toBe('42');
    await expect(psql(allowing, 'sslmode=disable channel_binding=require')).rejects.toThrow(/channel binding/);
  });

  it('is told what to do where TLS is required', async () => {
    await expect(psql(requiring, 'sslmode=disable')).rejects.toThrow(
      /no encryption\)\nHINT: {2}Connect with sslmode=require/,
    );
  });

  it('does not connect to a proxy of another name', async () => {
    const other = authority.files('other-name', ['proxy.example.org']);
    await using proxy = await startTestProxy(shards, overrides({ mode: 'allow', ...other }));
    await expect(psql(proxy, 'sslmode=verify-full')).rejects.toThrow(/does not match host name/);
  });
});

async function has(program: string): Promise<boolean> {
  return run(program, ['--version']).then(
    () => true,
    () => false,
  );
}

describe('the beginning of a connection', () => {
  it('by TLS at once needs the name of the protocol', async () => {
    const { port } = allowing;
    const socket = await handshake({ port });
    const said = allOf(socket);
    socket.write(STARTUP);
    expect(await said).toMatch(/C08P01.*without ALPN protocol negotiation extension/);
    const named = await handshake({ port, ALPNProtocols: ['postgresql'] });
    expect(named.alpnProtocol).toBe('postgresql');
    named.destroy();
    await expect(handshake({ port, ALPNProtocols: ['h2'] })).rejects.toThrow(/no application protocol/i);
  });

  it('is refused below TLS 1.2', async () => {
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    await expect(encryptedSocket(allowing.port, old)).rejects.toThrow(/protocol version/i);
    const tls12 = await encryptedSocket(allowing.port, { maxVersion: 'TLSv1.2' });
    expect(tls12.getProtocol()).toBe('TLSv1.2');
    tls12.destroy();
  });

  it('in clear behind the request for TLS is refused, before it can be taken for encrypted', async () => {
    const socket = netConnect(allowing.port, '127.0.0.1');
    const said = allOf(socket);
    socket.write(Buffer.concat([SSL_REQUEST, STARTUP]));
    expect(await said).toMatch(/^E.*C08P01.*received unencrypted data after SSL request/);
  });

  it('may ask for GSS encryption first, and hears no', async () => {
    const plain = netConnect(allowing.port, '127.0.0.1');
    const answer = () => new Promise<Buffer>((resolve) => plain.once('data', resolve));
    const gssRequest = Buffer.from(SSL_REQUEST);
    gssRequest.writeInt32BE(80_877_104, 4);
    plain.write(gssRequest);
    expect((await answer()).toString()).toBe('N');
    plain.write(SSL_REQUEST);
    expect((await answer()).toString()).toBe('S');
    const socket = await handshake({ socket: plain });
    socket.destroy();
  });

  it('inside TLS does not ask for TLS again', async () => {
    const socket = await encryptedSocket(allowing.port);
    const said = allOf(socket);
    socket.write(SSL_REQUEST);
    expect(await said).toMatch(/C0A000.*encrypted already/);
  });

  it('that is no handshake, or breaks off, costs only itself', async () => {
    for (const bytes of [Buffer.from('16030100ff00', 'hex'), Buffer.from([0x16]), Buffer.alloc(5_000, 0x16)]) {
      const direct = netConnect(allowing.port, '127.0.0.1');
      direct.end(bytes);
      await allOf(direct);
      const asked = netConnect(allowing.port, '127.0.0.1');
      asked.write(SSL_REQUEST);
      await new Promise((resolve) => asked.once('data', resolve));
      asked.end(bytes);
      await allOf(asked);
    }
    expect(await answerOf({ ssl: verified() })).toBe(42);
  });

  it('has the time for a login and no more: a handshake that stands still is cut off', async () => {
    await using proxy = await startTestProxy(shards, {
      ...overrides({ mode: 'allow', ...files }),
      limits: { startupTimeoutMs: 100 },
    });
    const asked = netConnect(proxy.port, '127.0.0.1');
    asked.write(SSL_REQUEST);
    expect(await allOf(asked)).toBe('S');
    const direct = netConnect(proxy.port, '127.0.0.1');
    direct.write(Buffer.from('1603010200', 'hex'));
    expect(await allOf(direct)).toBe('');
    const shaken = await encryptedSocket(proxy.port);
    expect(await allOf(shaken)).toBe('');
  });

  it('is answered N where TLS is off, and a handshake at once is refused', async () => {
    await using proxy = await startTestProxy(shards);
    const plain = netConnect(proxy.port, '127.0.0.1');
    const answer = new Promise<Buffer>((resolve) => plain.once('data', resolve));
    plain.write(SSL_REQUEST);
    expect((await answer).toString()).toBe('N');
    plain.destroy();
    await expect(handshake({ port: proxy.port })).rejects.toThrow();
  });
});

describe('a certificate that changes', () => {
  const fingerprintOf = async (port: number) => {
    const socket = await encryptedSocket(port);
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  };

  it('is shown to new connections, and those that are there go on', async () => {
    const own = authority.files('changing');
    await using proxy = await startTestProxy(shards, overrides({ mode: 'require', ...own }));
    const client = new pg.Client({ connectionString: url(proxy), ssl: verified() });
    await client.connect();
    const busy = { running: true, done: 0 };
    const load = (async () => {
      while (busy.running) {
        await client.query('SELECT 1');
        busy.done++;
      }
    })();
    const before = await fingerprintOf(proxy.port);
    authority.files('changing');
    await until(async () => (await fingerprintOf(proxy.port)) !== before);
    // A key that does not fit: what was in force stays in force.
    const current = await fingerprintOf(proxy.port);
    writeFileSync(own.keyFile, authority.server(['localhost']).privateKey);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(await fingerprintOf(proxy.port)).toBe(current);
    authority.files('changing');
    await until(async () => (await fingerprintOf(proxy.port)) !== current);
    busy.running = false;
    await load;
    expect(busy.done).toBeGreaterThan(0);
    await client.end();
  });

  it('comes and goes by a reload, refused whole where it cannot be used', async () => {
    const file = path.join(authority.directory, 'proxy.yaml');
    const wal = path.join(authority.directory, 'wal');
    const write = (tls: ProxyConfigInput['tls']) =>
      writeFileSync(file, stringify(testProxyConfig(shards, wal, { tls, instance: 'reloading' })));
    write({ mode: 'disable' });
    const source = new ConfigFile(file);
    const loaded = source.load();
    const running = await startProxy(loaded.config, { log: createLog('error'), from: { file: source, loaded } });
    const encrypted = () =>
      new Promise<boolean>((resolve) => {
        const plain = netConnect(running.port, '127.0.0.1');
        plain.once('data', (answer) => {
          plain.destroy();
          resolve(answer.toString() === 'S');
        });
        plain.write(SSL_REQUEST);
      });
    try {
      expect(await encrypted()).toBe(false);
      write({ mode: 'allow', ...files });
      expect(await running.reload()).toMatchObject({ kind: 'reloaded', restartNeeded: [] });
      expect(await encrypted()).toBe(true);
      write({ mode: 'require', ...files, keyFile: '/nowhere.key' });
      expect(await running.reload()).toMatchObject({ kind: 'refused', error: expect.stringContaining('/nowhere.key') });
      expect(await encrypted()).toBe(true);
      write({ mode: 'disable' });
      await running.reload();
      expect(await encrypted()).toBe(false);
    } finally {
      await running.stop();
    }
  });

  it('cannot be used from the start: the proxy does not start and says which file', async () => {
    const missing = { ...files, certFile: '/nowhere/tls.crt' };
    await expect(startTestProxy(shards, overrides({ mode: 'allow', ...missing }))).rejects.toThrow(ConfigError);
    await expect(startTestProxy(shards, overrides({ mode: 'allow', ...missing }))).rejects.toThrow(
      /\/nowhere\/tls\.crt/,
    );
    const other = authority.files('another');
    const mixed = { certFile: files.certFile, keyFile: other.keyFile };
    await expect(startTestProxy(shards, overrides({ mode: 'allow', ...mixed }))).rejects.toThrow(/key values mismatch/);
  });
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
}

describe('from the client to the shards', () => {
  it('everything is encrypted, a commit over two shards and what recovery asks too', async () => {
    await using proxy = await startTestProxy(shards, {
      ...overrides({ mode: 'require', ...files }),
      shards: shards.shards.map(({ name, host, port }) => ({
        ...{ name, host, port },
        tls: { mode: 'verify-full', caFile: authority.caFile },
      })),
    });
    const client = new pg.Client({ connectionString: url(proxy), ssl: verified() });
    await client.connect();
    await client.query('BEGIN');
    for (let id = 1; id <= 20; id++) await client.query('INSERT INTO accounts VALUES ($1, 100)', [id]);
    await client.query('COMMIT');
    for (const index of [0, 1]) {
      const [rows] = await shards.query<{ n: number }>(index, 'SELECT count(*)::int AS n FROM accounts');
      expect(rows?.n).toBeGreaterThan(0);
      const names = await shards.query(
        index,
        `SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE starts_with(application_name, $1)`,
        [`as1:test1:${proxy.running.instance}.`],
      );
      expect(names).toEqual([{ ssl: true }]);
    }
    await client.end();
  });

  it('a shard whose certificate is not trusted is told to the client, by name', async () => {
    using other = new TestAuthority('other CA');
    await using proxy = await startTestProxy(shards, {
      log: { level: 'error' },
      shards: shards.shards.map(({ name, host, port }) => ({
        ...{ name, host, port },
        tls: { mode: 'verify-full', caFile: other.caFile },
      })),
    });
    await expect(answerOf({}, proxy)).rejects.toMatchObject({
      code: '08001',
      message: expect.stringMatching(/^cannot connect to shard "shard-\d" at .*: its certificate is not trusted by /),
    });
  });

  it('shards that take nothing in clear are enough for a proxy that asks for TLS', async () => {
    for (const index of [0, 1]) {
      await shards.query(index, `CREATE ROLE sealed SUPERUSER LOGIN PASSWORD 'secret'`);
      await prependAccess(shards, index, [
        'hostnossl all sealed 127.0.0.1/32 reject',
        'hostssl all sealed 127.0.0.1/32 scram-sha-256',
      ]);
    }
    await using proxy = await startTestProxy(shards, {
      serverUser: { name: 'sealed', password: 'secret' },
      resolver: { user: 'sealed', password: 'secret' },
      shards: shards.shards.map(({ name, host, port }) => ({ name, host, port, tls: { mode: 'require' } })),
    });
    expect(await answerOf({}, proxy)).toBe(42);
  });
});

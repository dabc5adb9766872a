// Connections to real servers by TLS: who is let through, who is not, and what is said about it.
import { execFile } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { createSecureContext, TLSSocket, connect as tlsConnect } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { PgShardProbe } from '../../../src/recovery/pg-shard-probe.ts';
import { ServerConnection } from '../../../src/shard/connection.ts';
import { ConnectFailure, type ShardTarget } from '../../../src/shard/target.ts';
import type { ShardTls } from '../../../src/shard/tls.ts';
import { ByteRelay } from '../../support/byte-relay.ts';
import { EXPIRED, encryptShard, prependAccess, TestAuthority } from '../../support/certificates.ts';
import { type Shards, startShards } from '../../support/postgres.ts';

const NAMES = ['shard-0.ns.svc', '127.0.0.1'];
const run = promisify(execFile);
const hasOpenssl = await run('openssl', ['version']).then(
  () => true,
  () => false,
);
let shards: Shards;
let authority: TestAuthority;

beforeAll(async () => {
  authority = new TestAuthority();
  shards = await startShards(2);
  await encryptShard(shards, 0, authority.server(NAMES));
  await shards.query(0, `CREATE ROLE closed SUPERUSER LOGIN PASSWORD 'secret'`);
  await prependAccess(shards, 0, [
    'hostnossl all closed 127.0.0.1/32 reject',
    'hostssl all closed 127.0.0.1/32 scram-sha-256',
  ]);
});
afterAll(async () => {
  authority[Symbol.dispose]();
  await shards[Symbol.asyncDispose]();
});

const options = { clock: systemClock, connectTimeoutMs: 5_000 };

function target(tls: ShardTls, changes: Partial<ShardTarget> = {}): ShardTarget {
  const { host, port } = shards.shard(0);
  return {
    ...{ shard: 'shard-0', host, port, database: 'postgres', user: 'closed', password: 'secret' },
    ...{ applicationName: 'as1:t:tls.1', tls, ...changes },
  };
}

const verified = (caFile = authority.caFile): ShardTls => ({ mode: 'verify-full', caFile });

async function encryptionOf(to: ShardTarget): Promise<unknown> {
  const connection = await ServerConnection.connect(to, options);
  const reply = await connection.command('SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
  await connection.close();
  return reply.kind === 'complete' ? reply.rows[0] : reply;
}

async function failureOf(to: ShardTarget): Promise<ConnectFailure> {
  const failure: unknown = await ServerConnection.connect(to, options).then(
    (connection) => connection.close(),
    (error: unknown) => error,
  );
  if (!(failure instanceof ConnectFailure)) throw new Error(`expected a ConnectFailure, got ${String(failure)}`);
  return failure;
}

describe('a connection to a shard', () => {
  it('is encrypted and verified, by address or by name', async () => {
    expect(await encryptionOf(target(verified()))).toEqual(['t', expect.stringMatching(/^TLSv1\.[23]$/)]);
    const named: ShardTls = { mode: 'verify-full', caFile: authority.caFile, serverName: 'shard-0.ns.svc' };
    expect(await encryptionOf(target(named))).toEqual(['t', expect.anything()]);
  });

  it('is encrypted with mode require whoever signed the certificate', async () => {
    expect(await encryptionOf(target({ mode: 'require' }))).toEqual(['t', expect.anything()]);
  });

  it('in clear is refused by a server that wants TLS, in the words of the server', async () => {
    const { kind, message } = await failureOf(target({ mode: 'disable' }));
    expect(kind).toBe('authentication');
    expect(message).toContain('pg_hba.conf rejects connection');
  });

  it('is not made with a certificate of another CA', async () => {
    using other = new TestAuthority('other CA');
    const { kind, sqlError } = await failureOf(target(verified(other.caFile)));
    expect(kind).toBe('tls');
    expect(sqlError).toMatchObject({ code: '08001' });
    expect(sqlError.message).toMatch(
      /^cannot connect to shard "shard-0" at 127\.0\.0\.1:\d+: its certificate is not trusted by /,
    );
    expect(sqlError.message).toContain(other.caFile);
  });

  it('is not made with a certificate for another name', async () => {
    const tls: ShardTls = { mode: 'verify-full', caFile: authority.caFile, serverName: 'shard-1.ns.svc' };
    const { kind, message } = await failureOf(target(tls));
    expect(kind).toBe('tls');
    expect(message).toContain('its certificate is for another name');
    expect(message).toContain('shard-1.ns.svc');
  });

  it('is not made with a certificate that has expired', async () => {
    await encryptShard(shards, 1, authority.server(NAMES, EXPIRED));
    const { port } = shards.shard(1);
    const { kind, message } = await failureOf(target(verified(), { port, user: 'postgres' }));
    expect(kind).toBe('tls');
    expect(message).toMatch(/certificate has expired \(CERT_HAS_EXPIRED\)/);
  });

  it('says which CA file cannot be used, and reads it again when it has changed', async () => {
    using other = new TestAuthority('other CA');
    const caFile = path.join(authority.directory, 'changing.crt');
    expect((await failureOf(target(verified(caFile)))).message).toMatch(/changing\.crt cannot be used: ENOENT/);
    writeFileSync(caFile, 'no certificate');
    expect((await failureOf(target(verified(caFile)))).message).toContain('changing.crt holds no PEM certificate');
    copyFileSync(other.caFile, caFile);
    expect((await failureOf(target(verified(caFile)))).kind).toBe('tls');
    writeFileSync(caFile, other.ca + authority.ca);
    expect(await encryptionOf(target(verified(caFile)))).toEqual(['t', expect.anything()]);
  });

  it('sends nothing in clear but the request for TLS, cancel requests included', async () => {
    await using relay = await ByteRelay.to(shards.shard(0).port);
    const connection = await ServerConnection.connect(target(verified(), { port: relay.port }), options);
    const slow = connection.command('SELECT pg_sleep(60)');
    await shards.untilAsleep(0);
    await connection.cancel();
    expect(await slow).toMatchObject({ kind: 'error', error: { code: '57014' } });
    expect(connection.reusable).toBe(true);
    await connection.close();
    expect(relay.connections.length).toBe(2);
    for (const { fromClient } of relay.connections) {
      expect(fromClient.subarray(0, 8).toString('hex')).toBe('0000000804d2162f');
      expect(fromClient[8]).toBe(0x16);
    }
  });

  it('carries replies of many TLS records', async () => {
    const connection = await ServerConnection.connect(target(verified()), options);
    const reply = await connection.command(`SELECT repeat('x', 1000) FROM generate_series(1, 500)`);
    expect(reply.kind === 'complete' && reply.rows.length).toBe(500);
    await connection.close();
  });
});

describe('a connection to a shard through somebody else', () => {
  it('is refused with mode require: the password proof is bound to the certificate of the server', async () => {
    using impostor = new TestAuthority('impostor');
    const { certificate, privateKey } = impostor.server(NAMES);
    const context = createSecureContext({ cert: certificate, key: privateKey });
    await using between = await pretend((socket) => {
      socket.once('data', () => {
        socket.write('S');
        const client = new TLSSocket(socket, { isServer: true, secureContext: context });
        const server = tlsToShard();
        client.pipe(server).pipe(client);
        for (const each of [client, server]) each.on('error', () => undefined);
      });
    });
    const { kind, message } = await failureOf(target({ mode: 'require' }, { port: between.port }));
    expect([kind, message]).toEqual(['authentication', expect.stringContaining('SCRAM channel binding check failed')]);
  });

  it.each([
    ['no', 'N', 'the server does not take TLS connections (its setting ssl is off)'],
    [
      'an error that nobody has signed',
      'EFATAL: send your password to example.org',
      'the server answered the request for TLS with something else',
    ],
    ['yes, and bytes in clear behind it', 'SR\0\0\0\x08\0\0\0\0', 'received unencrypted data after the answer'],
  ])('is not made when the answer is %s', async (_, answer, reason) => {
    await using between = await pretend((socket) => socket.once('data', () => socket.write(answer)));
    const { kind, message } = await failureOf(target(verified(), { port: between.port }));
    expect(kind).toBe('tls');
    expect(message).toContain(reason);
    expect(message).not.toContain('password');
  });

  it('is not made when the handshake breaks off, or never begins', async () => {
    await using hasty = await pretend((socket) => socket.once('data', () => socket.end('S')));
    expect((await failureOf(target(verified(), { port: hasty.port }))).kind).toMatch(/^(tls|unreachable)$/);
    await using silent = await pretend(() => undefined);
    const late = ServerConnection.connect(target(verified(), { port: silent.port }), {
      ...options,
      connectTimeoutMs: 50,
    });
    await expect(late).rejects.toMatchObject({ kind: 'timeout' });
  });
});

/** TLS to the real shard, whoever it says it is. */
function tlsToShard(): TLSSocket {
  const { port } = shards.shard(0);
  // PostgreSQL 17 and later begin at once when the client says what it speaks.
  return tlsConnect({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['postgresql'] });
}

async function pretend(onConnection: (socket: Socket) => void): Promise<AsyncDisposable & { port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

describe("recovery's connection to a shard", () => {
  const probe = (tls: ShardTls) => {
    const { shard, host, port, database, user, password } = target(tls);
    const ownerName = 'as1:t:tls.1';
    return new PgShardProbe({ shard, host, port, database, user, password, tls, ownerName, clock: systemClock });
  };

  it.each(['require', 'verify-full'] as const)('is encrypted with mode %s', async (mode) => {
    const open = probe(mode === 'require' ? { mode } : verified());
    expect(await open.scan()).toMatchObject({ kind: 'answer' });
    const rows = await shards.query(
      0,
      `SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'as1:t:tls.1'`,
    );
    expect(rows).toEqual([{ ssl: true }]);
    await open.close();
  });

  it.skipIf(!hasOpenssl)('works with a certificate that SCRAM cannot bind to', async () => {
    const [keyFile, certFile] = [path.join(authority.directory, 'ed.key'), path.join(authority.directory, 'ed.crt')];
    const names = ['-subj', '/CN=ed', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const make = ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-keyout', keyFile, '-out', certFile, ...names];
    await run('openssl', make);
    const texts = { certificate: readFileSync(certFile, 'utf8'), privateKey: readFileSync(keyFile, 'utf8') };
    await encryptShard(shards, 0, texts);
    try {
      expect(await encryptionOf(target({ mode: 'require' }))).toEqual(['t', expect.anything()]);
      expect(await encryptionOf(target(verified(certFile)))).toEqual(['t', expect.anything()]);
      const open = probe({ mode: 'require' });
      while ((await open.scan()).kind !== 'answer') await new Promise((resolve) => setTimeout(resolve, 50));
      await open.close();
    } finally {
      await encryptShard(shards, 0, authority.server(NAMES));
    }
  });

  it('says what is wrong with a certificate', async () => {
    using other = new TestAuthority('other CA');
    for (const [tls, why] of [
      [verified(other.caFile), /^shard-0: its certificate is not trusted by \//],
      [verified('/nowhere.crt'), /the CA of \/nowhere\.crt cannot be used: ENOENT/],
      [{ mode: 'verify-full', caFile: authority.caFile, serverName: 'a.b' }, /its certificate is for another name/],
      [{ mode: 'disable' }, /pg_hba\.conf rejects connection/],
    ] as [ShardTls, RegExp][]) {
      const open = probe(tls);
      expect(await open.scan()).toMatchObject({
        kind: 'absent',
        cause: 'unreachable',
        why: expect.stringMatching(why),
      });
      await open.close();
    }
  });
});

// The operator's own connections by TLS: an address that is a pod's, a certificate that names a Service.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { SqlTls } from '../../../src/operator/sql/facts.ts';
import { SqlSession } from '../../../src/operator/sql/sql-session.ts';
import { EXPIRED, encryptShard, prependAccess, TestAuthority } from '../../support/certificates.ts';
import { type Shards, startShards } from '../../support/postgres.ts';

const SERVICE = 'bank-shard-0.ns.svc';
let shards: Shards;
let authority: TestAuthority;

beforeAll(async () => {
  authority = new TestAuthority();
  shards = await startShards(3);
  await encryptShard(shards, 0, authority.server([SERVICE]));
  await encryptShard(shards, 1, authority.server([SERVICE], EXPIRED));
  await shards.query(0, `CREATE ROLE closed SUPERUSER LOGIN PASSWORD 'secret'`);
  await prependAccess(shards, 0, ['hostnossl all closed 127.0.0.1/32 reject']);
});
afterAll(async () => {
  authority[Symbol.dispose]();
  await shards[Symbol.asyncDispose]();
});

/** `t` where the connection is encrypted, else the kind of the failure and its sentence. */
async function asked(index: number, tls: SqlTls, user = 'postgres') {
  const { host, port } = shards.shard(index);
  const name = `shard-${index}`;
  const target = { name, host, port, database: 'postgres', user, password: 'secret', tls };
  const session = new SqlSession(target, systemClock);
  const reply = await session.run('SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
  session.close();
  return reply.kind === 'answer' ? reply.value.rows[0]?.[0] : reply.failure;
}

const verified = (serverName?: string, ca = authority.ca): SqlTls => ({
  kind: 'verify-full',
  ca,
  ...(serverName === undefined ? {} : { serverName }),
});

describe('a connection of the operator', () => {
  it('is encrypted where asked for, and in clear where not', async () => {
    expect(await asked(0, { kind: 'disable' })).toBe('false');
    expect(await asked(0, { kind: 'require' })).toBe('true');
    expect(await asked(0, verified(SERVICE))).toBe('true');
  });

  it('to an address is checked against the Service’s name, and refused under another', async () => {
    expect(await asked(0, verified('bank-shard-1.ns.svc'))).toMatchObject({
      kind: 'tls',
      message: expect.stringContaining(SERVICE),
    });
    expect(await asked(0, verified())).toMatchObject({ kind: 'tls' });
  });

  it('trusts no other CA, no expired certificate, and no server without TLS', async () => {
    using other = new TestAuthority('another CA');
    expect(await asked(0, verified(SERVICE, other.ca))).toMatchObject({ kind: 'tls' });
    expect(await asked(0, verified(SERVICE, `${other.ca}\n${authority.ca}`))).toBe('true');
    expect(await asked(1, verified(SERVICE))).toMatchObject({
      kind: 'tls',
      message: expect.stringContaining('expired'),
    });
    expect(await asked(2, { kind: 'require' })).toMatchObject({
      kind: 'tls',
      message: 'shard-2: no trusted TLS connection: The server does not support SSL connections',
    });
  });

  it('in clear to a server that wants TLS is refused with the server’s words', async () => {
    expect(await asked(0, { kind: 'disable' }, 'closed')).toMatchObject({ kind: 'authentication', code: '28000' });
    expect(await asked(0, { kind: 'require' }, 'closed')).toBe('true');
  });
});

// Logging in to real servers by every method they ask for, and what a refusal says.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { ScramKeyCache } from '../../../src/protocol/scram.ts';
import { deriveVerifier, renderVerifier } from '../../../src/protocol/scram-keys.ts';
import { ServerConnection } from '../../../src/shard/connection.ts';
import { ConnectFailure, type ShardTarget } from '../../../src/shard/target.ts';
import { prependAccess } from '../../support/certificates.ts';
import { type Shards, startShards } from '../../support/postgres.ts';

let shards: Shards;

// A character that SASLprep changes and one that it leaves alone.
const ODD_PASSWORD = 'pa\u00A0ss wörd\u00AD😀';

beforeAll(async () => {
  shards = await startShards(1);
  const methods = {
    scram: 'scram-sha-256',
    odd: 'scram-sha-256',
    verified: 'scram-sha-256',
    old: 'md5',
    plain: 'password',
  };
  const lines = Object.entries(methods).map(([user, method]) => `host all ${user}_user 127.0.0.1/32 ${method}`);
  lines.push('host all barred_user 127.0.0.1/32 reject');
  await prependAccess(shards, 0, lines);
  const verifier = renderVerifier(await deriveVerifier('verified', { iterations: 5000 }));
  await shards.query(0, `CREATE ROLE scram_user LOGIN PASSWORD 'scram'`);
  await shards.query(0, `CREATE ROLE odd_user LOGIN PASSWORD '${ODD_PASSWORD}'`);
  await shards.query(0, `CREATE ROLE verified_user LOGIN PASSWORD '${verifier}'`);
  await shards.query(0, `CREATE ROLE plain_user LOGIN PASSWORD 'plain'`);
  await shards.query(0, 'CREATE ROLE trust_user LOGIN');
  await shards.query(0, 'CREATE ROLE sample LOGIN');
  await shards.query(0, 'CREATE ROLE barred_user LOGIN');
  const client = await shards.client(0);
  await client.query("SET password_encryption = 'md5'");
  await client.query("CREATE ROLE old_user LOGIN PASSWORD 'old'");
  await client.end();
});
afterAll(async () => {
  await shards[Symbol.asyncDispose]();
});

function target(user: string, password?: string, database = 'postgres'): ShardTarget {
  const { host, port } = shards.shard(0);
  return { shard: 'shard-0', host, port, database, user, password, applicationName: 'as1:t:auth.1' };
}

const options = { clock: systemClock, connectTimeoutMs: 5_000 };

async function userAfterLogin(to: ShardTarget): Promise<unknown> {
  const connection = await ServerConnection.connect(to, options);
  const reply = await connection.command('SELECT current_user');
  await connection.close();
  return reply.kind === 'complete' ? reply.rows[0]?.[0] : reply;
}

async function failure(to: ShardTarget): Promise<ConnectFailure> {
  try {
    await ServerConnection.connect(to, options);
  } catch (error) {
    if (error instanceof ConnectFailure) return error;
    throw error;
  }
  throw new Error('it connected');
}

describe('logging in to PostgreSQL', () => {
  it.each([
    ['scram_user', 'scram'],
    ['odd_user', ODD_PASSWORD],
    ['verified_user', 'verified'],
    ['old_user', 'old'],
    ['plain_user', 'plain'],
    ['trust_user', undefined],
    ['postgres', 'not asked for'],
  ])('%s gets in', async (user, password) => {
    expect(await userAfterLogin(target(user, password))).toBe(user);
  });

  it.each([
    ODD_PASSWORD,
    'plain',
    ' ',
    'I\u00ADX',
    '\u00AA\u2168',
    'a\u00A0b\u2003c\u200Bd',
    'e\u0301 and \u00E9',
    '\uFF21\uFF22',
    'a\u0007\u00AA',
    'x\u0085\u00AA',
    'x\uFFFD\u00AA',
    'x\uE000\u00AA',
    '\u06271\u00AA',
    '\u0627\u0628\u00A0\u0627',
    '\u0627x\u0628\u00AA',
    '\u05D0\u00AD\u05D1',
    '𝐀\u00AD',
    '𠀀\u00A0',
    '\u00AD',
    '\u2126\u212B\uFB01',
  ])('keys derived from "%s" are those that PostgreSQL derives', async (text) => {
    const sql = `ALTER ROLE sample PASSWORD '${text}'`;
    await shards.query(0, sql);
    const stored = await shards.query<{ rolpassword: string }>(
      0,
      "SELECT rolpassword FROM pg_authid WHERE rolname = 'sample'",
    );
    const theirs = stored[0]?.rolpassword ?? '';
    const salt = /:([^$]+)\$/.exec(theirs)?.[1] ?? '';
    expect(renderVerifier(await deriveVerifier(text, { salt: Buffer.from(salt, 'base64') }))).toBe(theirs);
  });

  it.each(['scram_user', 'old_user', 'plain_user'])(
    '%s with a wrong password is refused, and the error says by whom',
    async (user) => {
      const refused = await failure(target(user, 'wrong'));
      expect(refused.kind).toBe('authentication');
      expect(refused.sqlError).toMatchObject({
        code: '08001',
        message: expect.stringContaining('cannot connect to shard "shard-0" at 127.0.0.1:') as string,
        detail: `The server said 28P01: password authentication failed for user "${user}"`,
      });
    },
  );

  it('says that no password is configured instead of sending an empty one', async () => {
    expect((await failure(target('scram_user'))).message).toContain('no password is configured for user "scram_user"');
  });

  it('passes on what a server says to unknown databases and barred users', async () => {
    expect((await failure(target('postgres', undefined, 'nowhere'))).sqlError.code).toBe('3D000');
    expect(await failure(target('barred_user'))).toMatchObject({ kind: 'authentication' });
  });

  it('a role without any privilege can be used: the facts need none', async () => {
    const connection = await ServerConnection.connect(target('trust_user'), options);
    expect(connection.facts.identity.backendPid).toBeGreaterThan(0);
    await connection.close();
  });

  it('derives the keys once for a pool, however many connections it makes', async () => {
    const scramKeys = new ScramKeyCache();
    const connections = await Promise.all(
      Array.from({ length: 8 }, () =>
        ServerConnection.connect(target('scram_user', 'scram'), { ...options, scramKeys }),
      ),
    );
    expect(new Set(connections.map((connection) => connection.identity.backendPid)).size).toBe(8);
    await Promise.all(connections.map((connection) => connection.close()));
  });
});

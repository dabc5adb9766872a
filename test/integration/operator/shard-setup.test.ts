// Setting a shard up on real servers: what is made, that nothing is made twice, and that each role may do its work and no more.
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { SetupOutcome, ShardSetup, SqlTarget } from '../../../src/operator/sql/facts.ts';
import { roleNames } from '../../../src/operator/sql/role-names.ts';
import { setUpShard } from '../../../src/operator/sql/shard-setup.ts';
import { PgShardProbe } from '../../../src/recovery/pg-shard-probe.ts';
import { renderGid, renderOwnerName } from '../../../src/transaction/gid.ts';
import { type Shards, startShards } from '../../support/postgres.ts';

const CLUSTER = 'k3x9q';
const PASSWORD = 'postgres-password';
const ROLES = roleNames(CLUSTER, false);

const WANTED: ShardSetup = {
  clusterId: CLUSTER,
  database: 'bank',
  extensions: [],
  users: [
    { name: 'app', password: 'app-1' },
    { name: 'Odd "name"', password: 'pässwörd' },
  ],
  resolver: { name: ROLES.resolver, password: 'resolver-1' },
  metrics: { name: ROLES.metrics, password: 'metrics-1' },
  serverIsOurs: true,
};

/** A server of its own for each test file's part. */
async function ground(major: number) {
  const shards = await startShards(1, { password: PASSWORD, major });
  const { host, port } = shards.shard(0);
  const target: SqlTarget = {
    name: 'shard-0',
    host,
    port,
    database: 'postgres',
    user: 'postgres',
    password: PASSWORD,
    tls: { kind: 'disable' },
  };
  return { shards, target };
}

async function setUp(target: SqlTarget, wanted: Partial<ShardSetup> = {}): Promise<SetupOutcome> {
  const outcome = await setUpShard(target, { ...WANTED, ...wanted }, systemClock);
  if (outcome.kind === 'failed') throw new Error(outcome.failure.message);
  return outcome.value;
}

/** Logs in and runs one statement; rejects with the server's error. */
async function as(target: SqlTarget, user: string, password: string, sql: string, database = 'bank') {
  const client = new pg.Client({ host: target.host, port: target.port, user, password, database });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

describe.each([18, 15])('a shard with PostgreSQL %i', (major) => {
  let shards: Shards;
  let target: SqlTarget;
  beforeAll(async () => {
    ({ shards, target } = await ground(major));
    expect((await setUp(target)).problems).toEqual([]);
  });
  afterAll(() => shards[Symbol.asyncDispose]());

  it('is set up once: the second time nothing is changed', async () => {
    expect(await setUp(target)).toEqual({ changed: [], problems: [] });
  });

  it('lets each user log in with its password, create tables, and the first own the database', async () => {
    await as(target, 'app', 'app-1', 'CREATE TABLE IF NOT EXISTS accounts (id int); CREATE SCHEMA IF NOT EXISTS more');
    await as(target, 'Odd "name"', 'pässwörd', 'CREATE TABLE IF NOT EXISTS odd (id int)');
    const owner = 'SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = current_database()';
    expect(await as(target, 'app', 'app-1', owner)).toEqual([{ owner: 'app' }]);
    await expect(as(target, 'app', 'wrong', 'SELECT 1')).rejects.toThrow('password authentication failed');
  });

  it('stores a SCRAM verifier, changes it only when the password did, and then at once', async () => {
    const stored = () => shards.query<{ p: string }>(0, "SELECT rolpassword AS p FROM pg_authid WHERE rolname = 'app'");
    const before = await stored();
    expect(before[0]?.p).toMatch(/^SCRAM-SHA-256\$4096:/);
    await setUp(target);
    expect(await stored()).toEqual(before);
    const users = WANTED.users.map((user) => (user.name === 'app' ? { ...user, password: 'app-2' } : user));
    expect((await setUp(target, { users })).changed).toEqual(['set the password of role app']);
    expect(await as(target, 'app', 'app-2', 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await setUp(target);
  });

  it('heals what was taken away by hand', async () => {
    await shards.exec(
      `REVOKE app FROM ${ROLES.resolver}; ALTER ROLE app NOLOGIN; REVOKE pg_monitor FROM ${ROLES.metrics}`,
    );
    const { changed, problems } = await setUp(target);
    expect(problems).toEqual([]);
    expect(changed.toSorted()).toEqual([
      'allowed role app to log in',
      `granted app to ${ROLES.resolver}`,
      `granted pg_monitor to ${ROLES.metrics}`,
    ]);
  });

  it('the resolver finishes the users’ prepared transactions, in both directions, and stays able to do its own', async () => {
    await as(target, 'app', 'app-1', 'CREATE TABLE IF NOT EXISTS kept (id int)');
    await as(target, 'Odd "name"', 'pässwörd', 'CREATE TABLE IF NOT EXISTS odd_kept (id int)');
    const probe = resolverProbe(target);
    const gids = [1, 2, 3].map((seq) => gidOf(seq));
    const insert = (table: string, gid: string) =>
      `BEGIN; INSERT INTO ${table} VALUES (1); PREPARE TRANSACTION '${gid}'`;
    await as(target, 'app', 'app-1', insert('kept', gids[0] ?? ''));
    await as(target, 'Odd "name"', 'pässwörd', insert('odd_kept', gids[1] ?? ''));
    await as(target, 'app', 'app-1', insert('kept', gids[2] ?? ''));
    const replies = await Promise.all([
      probe.resolve(gids[0] ?? '', 'commit'),
      probe.resolve(gids[1] ?? '', 'commit'),
      probe.resolve(gids[2] ?? '', 'abort'),
    ]);
    expect(replies.map((reply) => (reply.kind === 'complete' ? reply.tag : reply))).toEqual([
      'COMMIT PREPARED',
      'COMMIT PREPARED',
      'ROLLBACK PREPARED',
    ]);
    expect(await as(target, 'app', 'app-1', 'SELECT count(*)::int AS n FROM kept')).toEqual([{ n: 1 }]);
    // What is gone is said to be gone, also in the owner's role.
    expect(await probe.resolve(gids[0] ?? '', 'commit')).toMatchObject({ kind: 'error', error: { code: '42704' } });
    await probe.close();
  });

  it('a stranger’s prepared transaction stays: the resolver is not its owner and cannot become it', async () => {
    await shards.exec("DO $$ BEGIN CREATE ROLE stranger LOGIN PASSWORD 's'; EXCEPTION WHEN OTHERS THEN NULL; END $$");
    const gid = gidOf(9);
    await as(target, 'stranger', 's', `BEGIN; CREATE TEMP TABLE x (a int); ROLLBACK`);
    await as(target, 'stranger', 's', `BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION '${gid}'`);
    const probe = resolverProbe(target);
    expect(await probe.resolve(gid, 'abort')).toMatchObject({ kind: 'error', error: { code: '42501' } });
    await probe.close();
    await as(target, 'postgres', PASSWORD, `ROLLBACK PREPARED '${gid}'`);
  });

  it('the resolver sees what a pass reads, and fences the users’ connections of an earlier run', async () => {
    const old = new pg.Client({
      host: target.host,
      port: target.port,
      user: 'app',
      password: 'app-1',
      database: 'bank',
      application_name: renderOwnerName(CLUSTER, 'proxy-0', 7),
    });
    const ended = new Promise((resolve) => old.on('error', resolve));
    await old.connect();
    const probe = resolverProbe(target);
    expect(await probe.fence(CLUSTER, 'proxy-0', 8)).toEqual({
      kind: 'answer',
      value: { terminated: 1, remaining: 0 },
    });
    await ended;
    const scan = await probe.scan();
    expect(scan).toMatchObject({ kind: 'answer', value: { timeline: 1, prepared: [] } });
    expect(scan.kind === 'answer' && scan.value.livingSinceMs).toBeGreaterThan(0);
    expect(await probe.xidStatus('3')).toMatchObject({ kind: 'answer' });
    expect(await probe.lockWaits([1])).toEqual({ kind: 'answer', value: [] });
    await probe.close();
  });

  it('resolver and metrics read no table, and neither writes', async () => {
    await as(target, 'app', 'app-1', 'CREATE TABLE IF NOT EXISTS secrets (id int)');
    for (const { name, password } of [WANTED.resolver, WANTED.metrics]) {
      await expect(as(target, name, password, 'SELECT * FROM secrets')).rejects.toThrow('permission denied');
      await expect(as(target, name, password, 'INSERT INTO secrets VALUES (1)')).rejects.toThrow('permission denied');
      await expect(as(target, name, password, "SELECT pg_read_file('PG_VERSION')")).rejects.toThrow(
        'permission denied',
      );
    }
    const seen = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
    expect(await as(target, ROLES.metrics, 'metrics-1', seen)).toEqual([{ n: 1 }]);
  });

  it('an extension that the server does not have is told with what to do, and the rest is done', async () => {
    const { changed, problems } = await setUp(target, { extensions: ['plpgsql', 'no_such_thing'] });
    expect(changed).toEqual([]);
    expect(problems).toMatchObject([{ kind: 'missing-extension', subject: 'no_such_thing' }]);
    expect(problems[0]?.message).toContain('use an image');
  });

  it('wrong password, no server, and a second operator at the same time are failures, each with its kind', async () => {
    const failed = async (other: Partial<SqlTarget>) => setUpShard({ ...target, ...other }, WANTED, systemClock);
    expect(await failed({ password: 'wrong' })).toMatchObject({ failure: { kind: 'authentication', code: '28P01' } });
    expect(await failed({ port: 1 })).toMatchObject({ failure: { kind: 'unreachable' } });
    expect(await failed({ tls: { kind: 'require' } })).toMatchObject({ failure: { kind: 'tls' } });
    const both = await Promise.all([failed({}), failed({})]);
    const kinds = both.map((one) => (one.kind === 'failed' ? one.failure.message : 'answer'));
    expect(kinds.filter((kind) => kind !== 'answer' && !kind.includes('another operator'))).toEqual([]);
    expect(kinds).toContain('answer');
  });
});

describe('somebody else’s server, as a role that is no superuser', () => {
  let shards: Shards;
  let target: SqlTarget;
  const names = roleNames(CLUSTER, true);
  const wanted: ShardSetup = {
    ...WANTED,
    database: 'postgres',
    users: [{ name: 'guest', password: 'guest-1' }],
    resolver: { name: names.resolver, password: 'resolver-1' },
    metrics: { name: names.metrics, password: 'metrics-1' },
    serverIsOurs: false,
  };
  beforeAll(async () => {
    ({ shards, target } = await ground(18));
    await shards.exec(
      "CREATE ROLE dba LOGIN CREATEROLE PASSWORD 'dba'; GRANT pg_monitor, pg_signal_backend TO dba WITH ADMIN OPTION",
    );
    await shards.exec('GRANT USAGE, CREATE ON SCHEMA public TO dba WITH GRANT OPTION');
    target = { ...target, user: 'dba', password: 'dba' };
  });
  afterAll(() => shards[Symbol.asyncDispose]());

  it('everything is made by a role with CREATEROLE that may pass on what the roles need', async () => {
    const first = await setUp(target, wanted);
    // The database is not its own: user and resolver get all but the right to create schemas.
    expect(first.problems).toMatchObject([
      { kind: 'not-allowed', subject: 'guest' },
      { kind: 'not-allowed', subject: names.resolver },
    ]);
    await shards.exec(`GRANT CREATE ON DATABASE postgres TO guest, ${names.resolver}`);
    expect(await setUp(target, wanted)).toEqual({ changed: [], problems: [] });
    await as(target, 'guest', 'guest-1', 'CREATE TABLE IF NOT EXISTS g (a int)', 'postgres');
    const gid = gidOf(1);
    await as(target, 'guest', 'guest-1', `BEGIN; INSERT INTO g VALUES (1); PREPARE TRANSACTION '${gid}'`, 'postgres');
    const probe = resolverProbe(target, names.resolver, 'postgres');
    expect(await probe.resolve(gid, 'commit')).toMatchObject({ kind: 'complete', tag: 'COMMIT PREPARED' });
    await probe.close();
  });

  it('a password that changed is seen by logging in, and set', async () => {
    const users = [{ name: 'guest', password: 'guest-2' }];
    expect((await setUp(target, { ...wanted, users })).changed).toEqual(['set the password of role guest']);
    expect(await as(target, 'guest', 'guest-2', 'SELECT 1 AS one', 'postgres')).toEqual([{ one: 1 }]);
  });

  it('a role of somebody else keeps its password: two clusters on one server do not fight over it', async () => {
    const users = [{ name: 'guest', password: 'guest-3' }];
    const { changed, problems } = await setUp(target, { ...wanted, clusterId: 'other', users });
    expect(changed).toEqual([]);
    expect(problems[0]).toMatchObject({ kind: 'foreign-role', subject: 'guest' });
    expect(problems[0]?.message).toContain(`made for cluster ${CLUSTER}`);
    expect(await as(target, 'guest', 'guest-2', 'SELECT 1 AS one', 'postgres')).toEqual([{ one: 1 }]);
  });

  it('what the role may not do is said with the statement that a superuser runs', async () => {
    await shards.exec("CREATE ROLE clerk LOGIN PASSWORD 'clerk'");
    const { problems } = await setUp(
      { ...target, user: 'clerk', password: 'clerk' },
      { ...wanted, users: [{ name: 'newcomer', password: 'n' }] },
    );
    const about = problems.find(({ subject }) => subject === 'newcomer');
    expect(about).toMatchObject({ kind: 'not-allowed' });
    expect(about?.message).toContain(`role clerk may not do it: as superuser run CREATE ROLE "newcomer" LOGIN`);
  });

  it('a database that is missing is said, not made by a role that may not', async () => {
    const { problems } = await setUp(target, { ...wanted, database: 'nowhere' });
    expect(problems.find(({ subject }) => subject === 'nowhere')).toMatchObject({ kind: 'not-allowed' });
  });
});

function resolverProbe(target: SqlTarget, user = ROLES.resolver, database = 'bank'): PgShardProbe {
  const { host, port } = target;
  const ownerName = renderOwnerName(CLUSTER, 'proxy-0', 8);
  const login = { user, password: 'resolver-1', database, ownerName };
  return new PgShardProbe({ shard: 'shard-0', host, port, ...login, clock: systemClock });
}

function gidOf(seq: number): string {
  const transaction = { cluster: CLUSTER, instance: 'proxy-0', epoch: 7, seq };
  return renderGid({ transaction, index: 0, count: 1, participants: [{ shard: 'shard-0', xid: '99', timeline: 1 }] });
}

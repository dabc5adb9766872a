// Makes a shard what the cluster needs of it in SQL: roles, passwords, memberships, database, extensions and rights.
// The rule: every step looks first and changes only what is missing, so it may be killed anywhere and run again at any time;
// nothing is ever dropped or revoked.
import type { Clock } from '../../kernel/clock.ts';
import type { Asked, SetupOutcome, ShardSetup, SqlTarget } from './facts.ts';
import { createDatabase, setUpExtensions, setUpMarkSchema, setUpRights } from './setup-database.ts';
import { setUpMemberships } from './setup-grants.ts';
import { setUpRoles } from './setup-roles.ts';
import { ask, type OwnRole, type SetupRun, SetupStopped } from './setup-run.ts';
import { type SqlDeadlines, SqlSession } from './sql-session.ts';

/** CREATE DATABASE copies files, CREATE EXTENSION may run long scripts. */
const SETUP_DEADLINES: Partial<SqlDeadlines> = { statementTimeoutMs: 60_000 };

/** Databases to log in to while the shard's own does not exist. */
const MAINTENANCE_DATABASES: readonly string[] = ['postgres', 'template1'];

/** Waits for nobody's locks for long, and is not bent by what roles or databases have as their defaults. */
const SESSION = `
  SET lock_timeout = '5s'; SET statement_timeout = '50s'; SET default_transaction_read_only = off;
  SET search_path = pg_catalog, public`;

/** Two operators at once (one that lost its lease is the other) would trip over each other's CREATE. */
const LOCK = `SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtext('atomshard setup')::int8)`;
/** A backend whose client is gone may take a while to notice. */
const UNLOCK = 'SELECT pg_catalog.pg_advisory_unlock_all()';
const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Sets a shard up as `target`'s role, in `wanted.database` (`target.database` is not used). `failed` means that nothing is
 * known to be complete and it should be tried again; problems are what only a person can change.
 */
export async function setUpShard(target: SqlTarget, wanted: ShardSetup, clock: Clock): Promise<Asked<SetupOutcome>> {
  const sessions: SqlSession[] = [];
  const open = (database: string): SqlSession => {
    const session = new SqlSession({ ...target, database }, clock, { ...SETUP_DEADLINES, stateful: true });
    sessions.push(session);
    return session;
  };
  try {
    return { kind: 'answer', value: await setUp(target, wanted, open, clock) };
  } catch (error) {
    if (error instanceof SetupStopped) return { kind: 'failed', failure: error.failure };
    throw error;
  } finally {
    // After a failure the advisory locks go with their connections.
    for (const session of sessions) session.close();
  }
}

async function setUp(
  target: SqlTarget,
  wanted: ShardSetup,
  open: (database: string) => SqlSession,
  clock: Clock,
): Promise<SetupOutcome> {
  const first = await enter([wanted.database, ...MAINTENANCE_DATABASES], open);
  const me = await lookAtMyself(first.session, target.name);
  const run: SetupRun = { target: { ...target, database: wanted.database }, wanted, me, changed: [], problems: [] };
  await setUpRoles(run, first.session, clock);
  await setUpMemberships(run, first.session);
  const here = first.database === wanted.database || (await createDatabase(run, first.session));
  if (here) {
    const inside = first.database === wanted.database ? first : await enter([wanted.database], open);
    await setUpExtensions(run, inside.session);
    await setUpRights(run, inside.session);
    await setUpMarkSchema(run, inside.session);
    if (inside !== first) await ask(inside.session, UNLOCK);
  }
  await ask(first.session, UNLOCK);
  return { changed: run.changed, problems: run.problems };
}

/** Logs in to the first of the databases that exists, and takes the lock there. */
async function enter(databases: readonly string[], open: (database: string) => SqlSession) {
  let missing: SetupStopped | undefined;
  for (const database of databases) {
    const session = open(database);
    const reply = await session.run(SESSION);
    if (reply.kind === 'answer') {
      const locked = await session.run(LOCK);
      if (locked.kind === 'answer') return { session, database };
      const { name } = session.target;
      const busy = locked.failure.code === LOCK_NOT_AVAILABLE;
      const message = busy ? `${name}: another operator is setting it up` : locked.failure.message;
      throw new SetupStopped({ ...locked.failure, message });
    }
    missing ??= new SetupStopped(reply.failure);
    if (reply.failure.kind !== 'missing-database') throw new SetupStopped(reply.failure);
  }
  throw missing ?? new SetupStopped({ kind: 'refused', message: 'no database to log in to' });
}

async function lookAtMyself(session: SqlSession, server: string): Promise<OwnRole> {
  const rows = await ask(
    session,
    `SELECT current_user::text, rolsuper, current_setting('server_version_num'), pg_catalog.pg_is_in_recovery()
       FROM pg_catalog.pg_roles WHERE rolname = current_user`,
  );
  const [name, superuser, version, standby] = rows[0] ?? [];
  if (standby === 't') throw new SetupStopped({ kind: 'refused', message: `${server} is a standby, not a primary` });
  return { name: name ?? '', superuser: superuser === 't', version: Number(version) };
}

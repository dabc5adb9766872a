// Who is member of whom, so that the resolver may do its work and nothing else.
//
//   from 16 on                                          14 and 15: a role inherits all or nothing
//   resolver ──inherits──▶ pg_monitor                   resolver ──logs in as──▶ resolver_watch ──▶ pg_monitor
//            ──inherits──▶ pg_signal_backend                     (NOINHERIT)                    ──▶ pg_signal_backend
//            ──may SET ROLE──▶ app                               ──may SET ROLE──▶ app
//
// PostgreSQL lets only the owner of a prepared transaction (or a superuser) finish it: so the resolver becomes the owner for
// that one command. It reads no table, because it never inherits the owner's rights.
import pg from 'pg';
import { ask, attempt, type SetupRun } from './setup-run.ts';
import type { SqlSession } from './sql-session.ts';

const { escapeIdentifier } = pg;

const VERSION_WITH_GRANT_OPTIONS = 160_000;

interface Membership {
  readonly role: string;
  readonly member: string;
  /** inherit: it has the role's rights always; become: it may SET ROLE. */
  readonly how: 'inherit' | 'become';
}

const MEMBERS = (options: boolean) => `
  SELECT role.rolname, member.rolname, ${options ? 'inherit_option, set_option' : 'NULL, NULL'}
    FROM pg_catalog.pg_auth_members
    JOIN pg_catalog.pg_roles AS role ON role.oid = roleid
    JOIN pg_catalog.pg_roles AS member ON member.oid = pg_auth_members.member
   WHERE member.rolname = ANY ($1)`;

/** Makes the memberships that are missing. Roles that could not be made are problems already and are left out. */
export async function setUpMemberships(run: SetupRun, session: SqlSession): Promise<void> {
  const { resolver, metrics, users } = run.wanted;
  const perGrant = run.me.version >= VERSION_WITH_GRANT_OPTIONS;
  const watch = perGrant ? resolver.name : `${resolver.name}_watch`;
  if (!perGrant) await setUpWatchRole(run, session, watch);
  const wanted: Membership[] = [
    { role: 'pg_monitor', member: metrics.name, how: 'inherit' },
    { role: 'pg_monitor', member: watch, how: 'inherit' },
    { role: 'pg_signal_backend', member: watch, how: 'inherit' },
    ...(perGrant ? [] : [{ role: watch, member: resolver.name, how: 'become' } as const]),
    ...users.map(({ name }) => ({ role: name, member: resolver.name, how: 'become' }) as const),
  ];
  const names = [...new Set(wanted.flatMap(({ role, member }) => [role, member]))];
  const found = await ask(session, 'SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY ($1)', [names]);
  const exists = new Set(found.map(([name]) => name));
  const rows = await ask(session, MEMBERS(perGrant), [names]);
  for (const one of wanted) {
    const has = rows.some(([role, member, inherits, sets]) => {
      if (role !== one.role || member !== one.member) return false;
      return !perGrant || (one.how === 'inherit' ? inherits === 't' : sets === 't' && inherits === 'f');
    });
    if (!has && exists.has(one.role) && exists.has(one.member)) await grant(run, session, one, perGrant);
  }
}

async function grant(run: SetupRun, session: SqlSession, one: Membership, perGrant: boolean): Promise<void> {
  const how = one.how === 'inherit' ? 'INHERIT TRUE' : 'INHERIT FALSE, SET TRUE';
  const options = perGrant ? ` WITH ${how}` : '';
  const sql = `GRANT ${escapeIdentifier(one.role)} TO ${escapeIdentifier(one.member)}${options}`;
  const done = `granted ${one.role} to ${one.member}`;
  await attempt(run, session, sql, { done, subject: one.member, remedy: sql });
}

/** The role that the resolver is while it looks, where inheritance is all or nothing. */
async function setUpWatchRole(run: SetupRun, session: SqlSession, watch: string): Promise<void> {
  const resolver = run.wanted.resolver.name;
  const rows = await ask(
    session,
    `SELECT (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1),
            (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $2 AND $3 = ANY (rolconfig))`,
    [watch, resolver, `role=${watch}`],
  );
  const [made, becomes] = rows[0] ?? [];
  if (made == null) {
    const sql = `CREATE ROLE ${escapeIdentifier(watch)} NOLOGIN`;
    await attempt(run, session, sql, { done: `created role ${watch}`, subject: watch, remedy: sql });
  }
  if (becomes == null) {
    const sql = `ALTER ROLE ${escapeIdentifier(resolver)} SET role = ${escapeIdentifier(watch)}`;
    await attempt(run, session, sql, { done: `${resolver} logs in as ${watch}`, subject: resolver, remedy: sql });
  }
}

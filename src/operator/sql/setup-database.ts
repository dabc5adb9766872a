// The database of a shard, its extensions, and what users may do in it: what is there already stays as it is.
import pg from 'pg';
import { ask, attempt, type SetupRun } from './setup-run.ts';
import type { SqlSession } from './sql-session.ts';

const { escapeIdentifier } = pg;

/** Makes the database, owned by the first user. True when it is there now. */
export async function createDatabase(run: SetupRun, session: SqlSession): Promise<boolean> {
  const { database, users } = run.wanted;
  const owner = users[0] === undefined ? '' : ` OWNER ${escapeIdentifier(users[0].name)}`;
  const sql = `CREATE DATABASE ${escapeIdentifier(database)}${owner}`;
  return attempt(run, session, sql, { done: `created database ${database}`, subject: database, remedy: sql });
}

/** Extensions that are available and not there yet. */
export async function setUpExtensions(run: SetupRun, session: SqlSession): Promise<void> {
  const { extensions } = run.wanted;
  if (extensions.length === 0) return;
  const rows = await ask(
    session,
    'SELECT name, installed_version FROM pg_catalog.pg_available_extensions WHERE name = ANY ($1)',
    [extensions],
  );
  const installed = new Map(rows.map(([name, version]) => [name, version]));
  for (const name of extensions) {
    const version = installed.get(name);
    if (version === undefined) {
      const message = `${run.target.name}: extension ${name} is not installed on that server; use an image (or install a package) that has it, or leave it out`;
      run.problems.push({ kind: 'missing-extension', subject: name, message });
    } else if (version === null) {
      const sql = `CREATE EXTENSION IF NOT EXISTS ${escapeIdentifier(name)} CASCADE`;
      await attempt(run, session, sql, { done: `created extension ${name}`, subject: name, remedy: sql });
    }
  }
}

/** One row per role: has it what it shall have? NULL where there is no schema public. */
const RIGHTS = `
  SELECT rolname, has_database_privilege(oid, d, 'CONNECT'), has_database_privilege(oid, d, 'CREATE'),
         has_schema_privilege(oid, (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'public'), 'USAGE'),
         has_schema_privilege(oid, (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'public'), 'CREATE')
    FROM pg_catalog.pg_roles, current_database() AS d WHERE rolname = ANY ($1)`;

/** All roles may connect; all users may use and create in schema public, and the first may create schemas. */
export async function setUpRights(run: SetupRun, session: SqlSession): Promise<void> {
  const { database, users, resolver, metrics } = run.wanted;
  const userNames = users.map(({ name }) => name);
  const rows = await ask(session, RIGHTS, [[...userNames, resolver.name, metrics.name]]);
  for (const [role, connects, createsSchemas, uses, creates] of rows) {
    if (role == null) continue;
    const missing: [right: string, on: string][] = [];
    if (connects === 'f') missing.push(['CONNECT', `DATABASE ${escapeIdentifier(database)}`]);
    if (createsSchemas === 'f' && role === userNames[0])
      missing.push(['CREATE', `DATABASE ${escapeIdentifier(database)}`]);
    if (userNames.includes(role) && (uses === 'f' || creates === 'f'))
      missing.push(['USAGE, CREATE', 'SCHEMA "public"']);
    for (const [right, on] of missing) {
      const sql = `GRANT ${right} ON ${on} TO ${escapeIdentifier(role)}`;
      const done = `granted ${right} on ${on.toLowerCase().replaceAll('"', '')} to ${role}`;
      await attempt(run, session, sql, { done, subject: role, remedy: sql });
    }
  }
}

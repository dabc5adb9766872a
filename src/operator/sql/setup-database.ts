// The database of a shard, its extensions, and what users may do in it: what is there already stays as it is.
import pg from 'pg';
import { MARK_SCHEMA } from '../../shard/placement-mark.ts';
import { ask, attempt, notAllowed, type SetupRun, SetupStopped } from './setup-run.ts';
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
         has_schema_privilege(oid, (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'public'), 'CREATE'),
         pg_catalog.to_regnamespace('${MARK_SCHEMA}') IS NOT NULL
    FROM pg_catalog.pg_roles, current_database() AS d WHERE rolname = ANY ($1)`;

interface Right {
  readonly role: string;
  readonly right: string;
  /** As in GRANT … ON. */
  readonly on: string;
}

const grantOf = ({ role, right, on }: Right) => `GRANT ${right} ON ${on} TO ${escapeIdentifier(role)}`;

/** All roles may connect; all users may use and create in schema public, and the first may create schemas. */
export async function setUpRights(run: SetupRun, session: SqlSession): Promise<void> {
  for (const right of await missingRights(run, session)) {
    const { role } = right;
    const sql = grantOf(right);
    // A GRANT by somebody who may not grant is often only a warning, so a look afterwards tells what was done.
    const reply = await session.run(sql);
    if (reply.kind === 'failed' && reply.failure.kind !== 'refused') throw new SetupStopped(reply.failure);
    const refused = (await missingRights(run, session)).some((left) => grantOf(left) === sql);
    const words = `${right.right} on ${right.on.toLowerCase().replaceAll('"', '')} to ${role}`;
    if (!refused) run.changed.push(`granted ${words}`);
    else run.problems.push(notAllowed(run, role, `cannot grant ${words}`, sql));
  }
}

/** Where the proxies record which shard this is: they write it as the resolver, which needs no other right to create. */
export async function setUpMarkSchema(run: SetupRun, session: SqlSession): Promise<void> {
  const rows = await ask(session, `SELECT pg_catalog.to_regnamespace('${MARK_SCHEMA}') IS NULL`);
  // A guest's role may not give a schema away; there the resolver makes it itself (missingRights).
  if (rows[0]?.[0] !== 't' || !run.me.superuser) return;
  const sql = `CREATE SCHEMA IF NOT EXISTS ${MARK_SCHEMA} AUTHORIZATION ${escapeIdentifier(run.wanted.resolver.name)}`;
  await attempt(run, session, sql, { done: `created schema ${MARK_SCHEMA}`, subject: MARK_SCHEMA, remedy: sql });
}

async function missingRights(run: SetupRun, session: SqlSession): Promise<Right[]> {
  const { database, users, resolver, metrics } = run.wanted;
  const userNames = users.map(({ name }) => name);
  const rows = await ask(session, RIGHTS, [[...userNames, resolver.name, metrics.name]]);
  const onDatabase = `DATABASE ${escapeIdentifier(database)}`;
  const missing: Right[] = [];
  for (const [role, connects, createsSchemas, uses, creates, hasSchema] of rows) {
    if (role == null) continue;
    if (connects === 'f') missing.push({ role, right: 'CONNECT', on: onDatabase });
    const marks = role === resolver.name && !run.me.superuser && hasSchema === 'f';
    if (createsSchemas === 'f' && marks) missing.push({ role, right: 'CREATE', on: onDatabase });
    if (!userNames.includes(role)) continue;
    if (createsSchemas === 'f' && role === userNames[0]) missing.push({ role, right: 'CREATE', on: onDatabase });
    if (uses === 'f' || creates === 'f') missing.push({ role, right: 'USAGE, CREATE', on: 'SCHEMA "public"' });
  }
  return missing;
}

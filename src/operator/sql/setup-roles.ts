// Roles and their passwords: made where they are missing, given the password where it differs, dropped never.
import pg from 'pg';
import type { Clock } from '../../kernel/clock.ts';
import { deriveVerifier, renderVerifier } from '../../protocol/scram-keys.ts';
import type { RoleWithPassword } from './facts.ts';
import { passwordFits, tryLogin } from './role-password.ts';
import { askByName, attempt, type SetupRun } from './setup-run.ts';
import type { SqlSession } from './sql-session.ts';

const { escapeIdentifier, escapeLiteral } = pg;

/** pg_authid shows what is stored of passwords, to superusers only. */
const ROLES = (superuser: boolean) => `
  SELECT rolname, rolcanlogin, ${superuser ? 'rolpassword' : 'NULL'} AS rolpassword,
         pg_catalog.shobj_description(oid, 'pg_authid') AS comment
    FROM pg_catalog.${superuser ? 'pg_authid' : 'pg_roles'} WHERE rolname = ANY ($1)`;

interface FoundRole {
  readonly mayLogIn: boolean;
  readonly stored: string | null;
  readonly comment: string | null;
}

/** The comment by which a cluster knows the roles that were made for it. */
export const markOf = (clusterId: string): string => `atomshard: made for cluster ${clusterId}`;

/** Makes users, resolver and metrics role able to log in with their passwords; in that order, as the first owns the database. */
export async function setUpRoles(run: SetupRun, session: SqlSession, clock: Clock): Promise<void> {
  const { users, resolver, metrics } = run.wanted;
  const roles = [...users, resolver, metrics];
  const rows = await askByName(session, ROLES(run.me.superuser), [roles.map(({ name }) => name)]);
  const found = new Map(
    rows.map((row): [string, FoundRole] => [
      row.get('rolname') ?? '',
      {
        mayLogIn: row.get('rolcanlogin') === 't',
        stored: row.get('rolpassword') ?? null,
        comment: row.get('comment') ?? null,
      },
    ]),
  );
  for (const role of roles) {
    const before = found.get(role.name);
    // Before 16 inheritance is a property of the role: the resolver then takes each right by SET ROLE (setup-grants.ts).
    const options = role === resolver ? 'LOGIN NOINHERIT' : 'LOGIN';
    if (before === undefined) await createRole(run, session, role, options);
    else await keepRole(run, session, role, before, clock);
  }
}

async function createRole(run: SetupRun, session: SqlSession, role: RoleWithPassword, options: string): Promise<void> {
  const name = escapeIdentifier(role.name);
  const verifier = renderVerifier(await deriveVerifier(role.password));
  const mark = escapeLiteral(markOf(run.wanted.clusterId));
  // One text is one transaction: there is never a role of ours without its mark. The password itself is never sent.
  const sql = `CREATE ROLE ${name} ${options} PASSWORD ${escapeLiteral(verifier)}; COMMENT ON ROLE ${name} IS ${mark}`;
  const remedy = `CREATE ROLE ${name} ${options} PASSWORD '…'`;
  await attempt(run, session, sql, { done: `created role ${role.name}`, subject: role.name, remedy });
}

async function keepRole(
  run: SetupRun,
  session: SqlSession,
  role: RoleWithPassword,
  found: FoundRole,
  clock: Clock,
): Promise<void> {
  const name = escapeIdentifier(role.name);
  const ours = run.wanted.serverIsOurs || found.comment === markOf(run.wanted.clusterId);
  if (!found.mayLogIn) {
    if (!ours) return foreign(run, role.name, 'may not log in', `ALTER ROLE ${name} LOGIN, or name another role`);
    const what = { done: `allowed role ${role.name} to log in`, subject: role.name };
    await attempt(run, session, `ALTER ROLE ${name} LOGIN`, { ...what, remedy: `ALTER ROLE ${name} LOGIN` });
  }
  if (await hasPassword(run, role, found, clock)) return;
  if (!ours || role.name === run.me.name) {
    const belongs = found.comment?.startsWith('atomshard: ') === true ? ` (${found.comment})` : '';
    const remedy = 'write the password that it has into the Secret, or name another role';
    return foreign(run, role.name, `exists already${belongs} and has another password`, remedy);
  }
  const verifier = renderVerifier(await deriveVerifier(role.password));
  const sql = `ALTER ROLE ${name} PASSWORD ${escapeLiteral(verifier)}`;
  const remedy = `ALTER ROLE ${name} PASSWORD '…'`;
  await attempt(run, session, sql, { done: `set the password of role ${role.name}`, subject: role.name, remedy });
}

function foreign(run: SetupRun, subject: string, fault: string, remedy: string): void {
  const message = `${run.target.name}: role ${subject} ${fault}; ${remedy}`;
  run.problems.push({ kind: 'foreign-role', subject, message });
}

async function hasPassword(run: SetupRun, role: RoleWithPassword, found: FoundRole, clock: Clock): Promise<boolean> {
  if (run.me.superuser) return passwordFits(role.password, found.stored);
  const login = await tryLogin(run.target, role, clock);
  if (login.kind !== 'unknown') return login.kind === 'fits';
  // Nothing is known of its password, so nothing is changed.
  const message = `${run.target.name}: role ${role.name} cannot log in there: ${login.failure.message}`;
  run.problems.push({ kind: 'refused', subject: role.name, message });
  return true;
}

// Whether a role has a password already: by what the server stores, or, where nobody may read that, by logging in with it.
import { timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../kernel/clock.ts';
import { deriveClientKeys, ITERATIONS_MAX, parseVerifier } from '../../protocol/scram-keys.ts';
import type { RoleWithPassword, SqlFailure, SqlTarget } from './facts.ts';
import { SqlSession } from './sql-session.ts';

/** True when the stored text (pg_authid.rolpassword) is a SCRAM verifier of this password. */
export async function passwordFits(password: string, stored: string | null): Promise<boolean> {
  const verifier = stored === null ? undefined : parseVerifier(stored);
  if (verifier === undefined || verifier.iterations > ITERATIONS_MAX) return false;
  const { storedKey } = await deriveClientKeys(password, verifier.salt, verifier.iterations);
  return timingSafeEqual(storedKey, verifier.storedKey);
}

/** fits · differs: 28P01 · unknown: another reason keeps the role out, so nothing is known of its password. */
export type LoginTry =
  | { readonly kind: 'fits' }
  | { readonly kind: 'differs' }
  | { readonly kind: 'unknown'; readonly failure: SqlFailure };

/** Logs in as the role and out again. */
export async function tryLogin(target: SqlTarget, role: RoleWithPassword, clock: Clock): Promise<LoginTry> {
  const session = new SqlSession({ ...target, user: role.name, password: role.password }, clock);
  try {
    const reply = await session.run('SELECT 1');
    if (reply.kind === 'answer') return { kind: 'fits' };
    return reply.failure.code === '28P01' ? { kind: 'differs' } : { kind: 'unknown', failure: reply.failure };
  } finally {
    session.close();
  }
}

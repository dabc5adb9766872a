// The answer to PostgreSQL's old md5 password request; only towards shards, never offered to clients.
import { createHash } from 'node:crypto';

const md5 = (...parts: readonly (string | Uint8Array)[]) => {
  const hash = createHash('md5');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

/** `md5` + md5(md5(password + user) + salt). */
export function md5Response(user: string, password: string, salt: Buffer): string {
  return `md5${md5(md5(password, user), salt)}`;
}

// What an error of the driver means: which kind of failure it is and how to say it to a person. Pure.
import pg from 'pg';
import { DeadlineError } from '../../kernel/deadline.ts';
import type { SqlFailure, SqlFailureKind } from './facts.ts';

/** SQLSTATEs (or their classes) that say more than "refused". */
const KIND_OF_CODE: readonly (readonly [prefix: string, kind: SqlFailureKind])[] = [
  ['57P03', 'starting'],
  ['57P01', 'lost'],
  ['57P02', 'lost'],
  ['57P05', 'lost'],
  ['08', 'lost'],
  ['28', 'authentication'],
  ['3D000', 'missing-database'],
  ['53300', 'full'],
];

/** Errors of node:tls and of OpenSSL; the driver's own two are told by their text. */
const TLS_CODE = /^(?:ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|EPROTO)/;
const TLS_TEXT = /SSL connection/;
const UNREACHABLE_CODE = /^(?:ECONNREFUSED|ENOTFOUND|EAI_|EHOST|ENET|ETIMEDOUT|EADDRNOTAVAIL)/;

/** The failure that `error` is on the server called `name`. */
export function failureOf(name: string, error: unknown): SqlFailure {
  if (error instanceof AggregateError && error.errors.length > 0) return failureOf(name, error.errors[0]);
  const code = codeOf(error);
  const kind = kindOf(error, code);
  const text = error instanceof Error ? error.message : String(error);
  const message = `${name}: ${SAYING[kind](text)}`;
  return error instanceof pg.DatabaseError && code !== undefined ? { kind, code, message } : { kind, message };
}

function codeOf(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

function kindOf(error: unknown, code = ''): SqlFailureKind {
  if (error instanceof DeadlineError) return 'timeout';
  if (error instanceof pg.DatabaseError) {
    return KIND_OF_CODE.find(([prefix]) => code.startsWith(prefix))?.[1] ?? 'refused';
  }
  if (TLS_CODE.test(code) || (error instanceof Error && TLS_TEXT.test(error.message))) return 'tls';
  return UNREACHABLE_CODE.test(code) ? 'unreachable' : 'lost';
}

const SAYING: Readonly<Record<SqlFailureKind, (text: string) => string>> = {
  unreachable: (text) => `cannot be reached: ${text}`,
  timeout: (text) => text,
  starting: (text) => text,
  authentication: (text) => text,
  'missing-database': (text) => text,
  tls: (text) => `no trusted TLS connection: ${text}`,
  full: (text) => text,
  refused: (text) => text,
  lost: (text) => `the connection ended: ${text}`,
};

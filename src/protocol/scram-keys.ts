// The keys of SCRAM-SHA-256 (RFC 5802, 7677) and PostgreSQL's way of storing them.
//
//   SaltedPassword = PBKDF2(password, salt, iterations)        slow on purpose: never on the event loop
//   ClientKey = HMAC(SaltedPassword, "Client Key")  StoredKey = SHA256(ClientKey)  ServerKey = HMAC(SaltedPassword, "Server Key")
import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { saslPrep } from './sasl-prep.ts';

const derive = promisify(pbkdf2);

export const KEY_BYTES = 32;
const SALT_BYTES = 16;
const ITERATIONS_DEFAULT = 4096;
/** A server could ask for so many that a login occupies a thread for hours. */
export const ITERATIONS_MAX = 1_000_000;

export const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
export const hmac = (key: Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest();

export function xor(a: Uint8Array, b: Uint8Array): Buffer {
  const result = Buffer.alloc(a.length);
  for (let i = 0; i < a.length; i += 1) result[i] = (a[i] ?? 0) ^ (b[i] ?? 0);
  return result;
}

/** What a server keeps about a password: enough to check it, not enough to log in elsewhere. */
export interface ScramVerifier {
  readonly iterations: number;
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** What a client needs to prove a password to one server; cached, because deriving it is the slow part. */
export interface ScramClientKeys {
  readonly clientKey: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

export async function deriveClientKeys(password: string, salt: Buffer, iterations: number): Promise<ScramClientKeys> {
  const salted = await derive(saslPrep(password), salt, iterations, KEY_BYTES, 'sha256');
  const clientKey = hmac(salted, 'Client Key');
  return { clientKey, storedKey: sha256(clientKey), serverKey: hmac(salted, 'Server Key') };
}

/** The verifier of a password in clear, with a random salt unless one is given. */
export async function deriveVerifier(
  password: string,
  { salt = randomBytes(SALT_BYTES), iterations = ITERATIONS_DEFAULT }: { salt?: Buffer; iterations?: number } = {},
): Promise<ScramVerifier> {
  const { storedKey, serverKey } = await deriveClientKeys(password, salt, iterations);
  return { iterations, salt, storedKey, serverKey };
}

/** Bytes of strict base64, undefined for anything else (Node alone would skip what it does not understand). */
export function readBase64(text: string): Buffer | undefined {
  return /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)
    ? Buffer.from(text, 'base64')
    : undefined;
}

/** Reads `SCRAM-SHA-256$4096:salt$stored:server`, as in pg_authid.rolpassword; undefined when it is not that. */
export function parseVerifier(secret: string): ScramVerifier | undefined {
  const match = /^SCRAM-SHA-256\$(\d{1,9}):([^$:]+)\$([^$:]+):([^$:]+)$/.exec(secret);
  if (match === null) return undefined;
  const iterations = Number(match[1]);
  const salt = readBase64(match[2] ?? '');
  const storedKey = readBase64(match[3] ?? '');
  const serverKey = readBase64(match[4] ?? '');
  if (iterations < 1 || !salt || storedKey?.length !== KEY_BYTES || serverKey?.length !== KEY_BYTES) return undefined;
  return { iterations, salt, storedKey, serverKey };
}

/** The text PostgreSQL stores. */
export function renderVerifier(verifier: ScramVerifier): string {
  const text = (bytes: Buffer) => bytes.toString('base64');
  return `SCRAM-SHA-256$${verifier.iterations}:${text(verifier.salt)}$${text(verifier.storedKey)}:${text(verifier.serverKey)}`;
}

/** A stored password, in clear or as a verifier, made ready for logins; done when a configuration is read, not per login. */
export async function verifierFor(secret: string): Promise<ScramVerifier> {
  return parseVerifier(secret) ?? (await deriveVerifier(secret));
}

/**
 * The verifier of a user who does not exist: the same salt for the same name as long as `secret` (random, one per
 * process or cluster) lives, so that nobody can tell it from a real one; no password fits it.
 */
export function mockVerifier(user: string, secret: Buffer): ScramVerifier {
  return {
    iterations: ITERATIONS_DEFAULT,
    salt: hmac(secret, user).subarray(0, SALT_BYTES),
    storedKey: randomBytes(KEY_BYTES),
    serverKey: randomBytes(KEY_BYTES),
  };
}

// TLS towards a shard: what to ask of its certificate, and the certificates of the CAs it is checked with.
// The rule: a CA file is looked at for every new connection, so a changed one counts from the next connection on.
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { type ConnectionOptions, checkServerIdentity, createSecureContext, type SecureContext } from 'node:tls';
import { fileFingerprint } from '../kernel/file-fingerprint.ts';

/** `require` encrypts and does not look at the certificate, as in libpq; `verify-full` checks chain and name. */
export type ShardTls =
  | { readonly mode: 'disable' }
  | { readonly mode: 'require' }
  | {
      readonly mode: 'verify-full';
      /** PEM, one or several CA certificates. */
      readonly caFile: string;
      /** The name that the certificate must carry; the shard's host when left out. */
      readonly serverName?: string | undefined;
    }
  /** The same with the CA certificates themselves, for who has them from elsewhere than a file. */
  | { readonly mode: 'verify-full'; readonly caPem: string; readonly serverName?: string | undefined };

export type EncryptedTls = Exclude<ShardTls, { readonly mode: 'disable' }>;

const MIN_VERSION = 'TLSv1.2';

/** A CA file that cannot be used; the message names it. */
export class CaFileError extends Error {
  override readonly name = 'CaFileError';
}

/** The settings when this connection is to be encrypted. */
export function encryptedTls(tls: ShardTls | undefined): EncryptedTls | undefined {
  return tls === undefined || tls.mode === 'disable' ? undefined : tls;
}

/** Options of tls.connect for the server at `host`, all but the socket. Throws {@link CaFileError}. */
export function tlsOptionsOf(host: string, tls: EncryptedTls): ConnectionOptions {
  if (tls.mode === 'require') return { ...sniOf(host), rejectUnauthorized: false, minVersion: MIN_VERSION };
  const name = tls.serverName ?? host;
  return {
    ...sniOf(name),
    secureContext: 'caPem' in tls ? contextFor(tls.caPem, 'the given CA') : contextOf(tls.caFile),
    rejectUnauthorized: true,
    // Node would check the name that it sent, which is none for an address.
    checkServerIdentity: (_sent, certificate) => checkServerIdentity(name, certificate),
  };
}

/** Why a handshake failed, as a sentence's end; `tls` tells which file to look at. */
export function tlsFailure(error: Error, tls: EncryptedTls): string {
  const { code = '' } = error as NodeJS.ErrnoException;
  // Node adds advice for whoever wrote the program.
  const message = error.message.replace(/; if the root CA is installed locally.*$/s, '');
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `its certificate is for another name: ${message}`;
  if (tls.mode === 'verify-full' && CERTIFICATE_FAULT.test(code)) {
    return `its certificate is not trusted by ${'caPem' in tls ? 'the given CA' : tls.caFile}: ${message} (${code})`;
  }
  return `the TLS handshake failed: ${message}`;
}

/** OpenSSL's names for what is wrong with a chain, as Node gives them. */
const CERTIFICATE_FAULT = /CERT|UNABLE_TO|INVALID_CA|PATH_LENGTH|SIGNATURE|CRL/;

/** Server Name Indication is for names only (RFC 6066). */
function sniOf(name: string): { servername?: string } {
  return isIP(name) === 0 ? { servername: name } : {};
}

interface Known {
  readonly seen: string;
  readonly context: SecureContext;
}

/** As many as there are CA files in the configuration. Making a context costs more than a look at the file. */
const known = new Map<string, Known>();

function contextOf(caFile: string): SecureContext {
  // Looked at before it is read: when it changes in between, the next connection reads it again.
  const seen = reading(caFile, () => fileFingerprint(caFile));
  const before = known.get(caFile);
  if (before?.seen === seen) return before.context;
  const context = contextFor(
    reading(caFile, () => readFileSync(caFile, 'utf8')),
    caFile,
  );
  known.set(caFile, { seen, context });
  return context;
}

/** `from` names the CA in errors. */
function contextFor(ca: string, from: string): SecureContext {
  if (!ca.includes('-----BEGIN CERTIFICATE-----')) throw new CaFileError(`${from} holds no PEM certificate`);
  return reading(from, () => createSecureContext({ ca, minVersion: MIN_VERSION }));
}

function reading<T>(from: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CaFileError(`the CA of ${from} cannot be used: ${reason}`, { cause: error });
  }
}

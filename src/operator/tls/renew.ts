// Makes what certificatesNeeded() asks for: the texts of Secrets go in, the texts to write come out.
import { type KeyedCertificate, makeAuthority, makeServerCertificate } from './certificate.ts';
import {
  AUTHORITY_LIFE_MS,
  BACKDATED_MS,
  bundle,
  type CertificateNeeds,
  certificatesNeeded,
  SERVER_LIFE_MS,
  type StoredCertificates,
  type WantedCertificate,
} from './needs.ts';
import { readAuthority, readServer, type TlsSecretTexts } from './stored.ts';

export interface CertificateSecrets {
  /** The Secret of the CA; undefined while there is none. */
  readonly authority: TlsSecretTexts | undefined;
  /** By name; those that do not exist are left out. */
  readonly servers: ReadonlyMap<string, TlsSecretTexts>;
}

/** Whole content of a Secret: tls.crt, tls.key and, but for the CA's own, ca.crt. */
export interface CertificateContent {
  readonly certificate: string;
  readonly key: string;
  readonly ca?: string;
}

export interface CertificateWrites {
  /** Of the CA's Secret; undefined: nothing to write. Write it before the servers'. */
  readonly authority: CertificateContent | undefined;
  /** By name of the Secret. */
  readonly servers: ReadonlyMap<string, CertificateContent>;
  /** What was made and why, for events; `secret` undefined is the CA. */
  readonly reasons: readonly { readonly secret: string | undefined; readonly why: string }[];
  /** Wall time, milliseconds since the Unix epoch. */
  readonly lookAgainAtMs: number;
}

/**
 * Everything to be written now so that `wanted` holds. With nothing to do it costs some signature checks and makes
 * nothing. `cluster` goes into the names that people see in certificates.
 */
export function renewCertificates(
  nowMs: number,
  cluster: string,
  secrets: CertificateSecrets,
  wanted: readonly WantedCertificate[],
): CertificateWrites {
  const stored: StoredCertificates = {
    authority: secrets.authority === undefined ? undefined : readAuthority(secrets.authority),
    servers: new Map([...secrets.servers].map(([name, texts]) => [name, readServer(texts)])),
  };
  const needs = certificatesNeeded(nowMs, stored, wanted);
  const made = needs.newAuthority === undefined ? undefined : newAuthority(nowMs, cluster);
  const authority = made ?? stored.authority;
  if (authority === undefined) {
    return { authority: undefined, servers: new Map(), reasons: [], lookAgainAtMs: needs.lookAgainAtMs };
  }
  return {
    authority: authorityWrite(stored, made, needs),
    servers: serverWrites(nowMs, cluster, authority, stored, needs),
    reasons: [
      ...(needs.newAuthority === undefined ? [] : [{ secret: undefined, why: needs.newAuthority }]),
      ...needs.servers.map(({ wanted: { secret }, why }) => ({ secret, why })),
    ],
    lookAgainAtMs: needs.lookAgainAtMs,
  };
}

function newAuthority(nowMs: number, cluster: string): KeyedCertificate {
  const validity = { notBeforeMs: nowMs - BACKDATED_MS, notAfterMs: nowMs + AUTHORITY_LIFE_MS };
  // The day tells two CAs of one cluster apart in error messages.
  return makeAuthority(`${cluster} CA ${new Date(nowMs).toISOString().slice(0, 10)}`, validity);
}

function authorityWrite(
  { authority }: StoredCertificates,
  made: KeyedCertificate | undefined,
  { earlier }: CertificateNeeds,
): CertificateWrites['authority'] {
  const current = made ?? authority;
  if (current === undefined) return undefined;
  const unchanged = made === undefined && authority?.earlier.map(({ pem }) => pem).join('') === earlier.join('');
  return unchanged ? undefined : { certificate: bundle(current.certificate, earlier), key: current.privateKey };
}

function serverWrites(
  nowMs: number,
  cluster: string,
  authority: KeyedCertificate,
  stored: StoredCertificates,
  { servers, earlier }: CertificateNeeds,
): CertificateWrites['servers'] {
  const validity = { notBeforeMs: nowMs - BACKDATED_MS, notAfterMs: nowMs + SERVER_LIFE_MS };
  const writes = servers.map(({ wanted: { secret, names }, kind }) => {
    const before = stored.servers.get(secret);
    const own =
      kind === 'publish' && before !== undefined ? before : makeServerCertificate(authority, names, cluster, validity);
    const ca = bundle(authority.certificate, earlier);
    return [secret, { certificate: own.certificate, key: own.privateKey, ca }] as const;
  });
  return new Map(writes);
}

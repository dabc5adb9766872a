// Reads the certificates that Secrets hold. What cannot be read, or does not fit together, is as good as not there.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { KeyedCertificate } from './certificate.ts';

/** What is in force of one certificate, as far as decisions need it. */
export interface CertificateFacts {
  /** Wall time, milliseconds since the Unix epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly pem: string;
}

export interface StoredAuthority extends CertificateFacts, KeyedCertificate {
  /** Earlier CAs that are still trusted, PEM each. */
  readonly earlier: readonly CertificateFacts[];
}

export interface StoredServer extends CertificateFacts, KeyedCertificate {
  /** What ca.crt holds: those who check this certificate trust these. */
  readonly trusted: readonly CertificateFacts[];
  /** True when the signature is the given CA's. */
  signedBy(authorityPem: string): boolean;
  /** True when it is for this host name or address. */
  covers(name: string): boolean;
}

/** Keys of a Secret of type kubernetes.io/tls. */
export interface TlsSecretTexts {
  readonly 'tls.crt'?: string | undefined;
  readonly 'tls.key'?: string | undefined;
  readonly 'ca.crt'?: string | undefined;
}

/** The CA of a Secret whose tls.crt holds the CA in force and behind it those before; undefined when it cannot sign. */
export function readAuthority(texts: TlsSecretTexts): StoredAuthority | undefined {
  const [current, ...earlier] = certificatesOf(texts['tls.crt']);
  const privateKey = texts['tls.key'];
  if (current === undefined || privateKey === undefined || !current.ca || !fits(current, privateKey)) return undefined;
  const facts = factsOf(current);
  return { ...facts, certificate: facts.pem, privateKey, earlier: earlier.map(factsOf) };
}

export function readServer(texts: TlsSecretTexts): StoredServer | undefined {
  const [own] = certificatesOf(texts['tls.crt']);
  const privateKey = texts['tls.key'];
  if (own === undefined || privateKey === undefined || !fits(own, privateKey)) return undefined;
  const facts = factsOf(own);
  const names = namesOf(own);
  return {
    ...facts,
    certificate: texts['tls.crt'] ?? '',
    privateKey,
    trusted: certificatesOf(texts['ca.crt']).map(factsOf),
    signedBy: (authorityPem) => own.verify(new X509Certificate(authorityPem).publicKey),
    covers: (name) => (isIP(name) === 0 ? names.has(name.toLowerCase()) : own.checkIP(name) !== undefined),
  };
}

/** Every certificate of a PEM text, in order; none when one of them cannot be read. */
function certificatesOf(text: string | undefined): X509Certificate[] {
  const blocks = text?.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    return [];
  }
}

function fits(certificate: X509Certificate, privateKey: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(privateKey));
  } catch {
    return false;
  }
}

function factsOf(certificate: X509Certificate): CertificateFacts {
  return {
    notBeforeMs: Date.parse(certificate.validFrom),
    notAfterMs: Date.parse(certificate.validTo),
    pem: certificate.toString(),
  };
}

/** Host names exactly as written, wildcards too, in lower case. */
function namesOf({ subjectAltName = '' }: X509Certificate): Set<string> {
  const names = subjectAltName.split(', ').filter((name) => name.startsWith('DNS:'));
  return new Set(names.map((name) => name.slice('DNS:'.length).toLowerCase()));
}

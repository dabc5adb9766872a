// Channel binding of type tls-server-end-point (RFC 5929): both ends put a hash of the server's certificate into the SCRAM
// exchange, so that a password proof cannot be passed on through somebody else's TLS.
// The rule: the hash is the one of the certificate's own signature; where that is not certain there is no binding.
import { createHash, type X509Certificate } from 'node:crypto';

export const SCRAM_SHA_256 = 'SCRAM-SHA-256';
export const SCRAM_SHA_256_PLUS = 'SCRAM-SHA-256-PLUS';
export const BOUND_HEADER = 'p=tls-server-end-point,,';

/** What a client says about binding: the mechanism it picks and the GS2 header of its first message. */
export interface ClientBinding {
  readonly mechanism: string;
  readonly header: string;
  /** What attribute `c` of its last message says: the header and the end point, in base64. */
  readonly proof: string;
}

export const UNBOUND: ClientBinding = { mechanism: SCRAM_SHA_256, header: 'n,,', proof: bindingProof('n,,') };

/** `y` tells a server that does offer binding that somebody in between has struck it off the list. */
const UNOFFERED: ClientBinding = { mechanism: SCRAM_SHA_256, header: 'y,,', proof: bindingProof('y,,') };

/** What a client that may bind to `endPoint` answers to a server's list; undefined when nothing on it will do. */
export function chooseBinding(mechanisms: readonly string[], endPoint: Buffer | undefined): ClientBinding | undefined {
  if (endPoint !== undefined && mechanisms.includes(SCRAM_SHA_256_PLUS)) {
    return { mechanism: SCRAM_SHA_256_PLUS, header: BOUND_HEADER, proof: bindingProof(BOUND_HEADER, endPoint) };
  }
  if (!mechanisms.includes(SCRAM_SHA_256)) return undefined;
  return endPoint === undefined ? UNBOUND : UNOFFERED;
}

/** Attribute `c` for a GS2 header, with the end point when the header binds. */
export function bindingProof(header: string, endPoint: Buffer = Buffer.alloc(0)): string {
  return Buffer.concat([Buffer.from(header), endPoint]).toString('base64');
}

/** Hash of each signature algorithm by its OID. MD5 and SHA-1 count as SHA-256, as RFC 5929 says. */
const HASH_OF_SIGNATURE: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.4': 'sha256', // md5WithRSAEncryption
  '1.2.840.113549.1.1.5': 'sha256', // sha1WithRSAEncryption
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.113549.1.1.14': 'sha224',
  '1.2.840.10045.4.1': 'sha256', // ecdsa-with-SHA1
  '1.2.840.10045.4.3.1': 'sha224',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
};

/**
 * What both ends bind to; undefined for signatures whose hash is not in their name (RSA-PSS, Ed25519): PostgreSQL's own
 * client gives up there, so binding must not be offered.
 */
export function tlsServerEndPoint(certificate: X509Certificate): Buffer | undefined {
  const hash = HASH_OF_SIGNATURE[certificate.signatureAlgorithmOid];
  return hash === undefined ? undefined : createHash(hash).update(certificate.raw).digest();
}

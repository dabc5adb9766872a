// Makes certificates: ECDSA P-256, signed by a CA of the cluster's own. One kind of CA and one kind of server certificate,
// so that there is nothing to choose and nothing to get wrong.
//
//   Certificate = tbs · ecdsa-with-SHA256 · signature
//   tbs         = [0] v3 · serial · ecdsa-with-SHA256 · issuer · validity · subject · public key · [3] extensions
import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { isIP } from 'node:net';
import { assert } from '../../kernel/assert.ts';
import * as der from './der.ts';

/** A certificate with its key, PEM. */
export interface KeyedCertificate {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface Validity {
  /** Wall time, milliseconds since the Unix epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const OID = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
} as const;

const SIGNATURE_ALGORITHM = der.sequence(der.objectIdentifier(OID.ecdsaWithSha256));
const SERIAL_BYTES = 16;
/** Longest common name (RFC 5280, ub-common-name). */
const COMMON_NAME_MAX = 64;

/** A CA that may sign server certificates and nothing below itself. */
export function makeAuthority(commonName: string, validity: Validity): KeyedCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subject = nameOf(commonName);
  const keyId = keyIdentifier(publicKey);
  const certificate = signed(privateKey, {
    issuer: subject,
    subject,
    validity,
    publicKey,
    extensions: [
      extension(OID.basicConstraints, der.sequence(der.boolean(true), der.integer(Buffer.of(0))), 'critical'),
      // keyCertSign and cRLSign: bits 5 and 6 of the first byte.
      extension(OID.keyUsage, der.bitString(Buffer.of(0b0000_0110), 1), 'critical'),
      extension(OID.subjectKeyIdentifier, der.octetString(keyId)),
    ],
  });
  return { certificate, privateKey: pemOf(privateKey) };
}

/** A server certificate for host names and addresses; a name may begin with `*.`. */
export function makeServerCertificate(
  authority: KeyedCertificate,
  names: readonly string[],
  commonName: string,
  validity: Validity,
): KeyedCertificate {
  assert(names.length > 0, 'a server certificate is for somebody');
  const issuer = new X509Certificate(authority.certificate);
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = signed(createPrivateKey(authority.privateKey), {
    issuer: nameOf(commonNameOf(issuer)),
    subject: nameOf(commonName),
    validity,
    publicKey,
    extensions: [
      extension(OID.basicConstraints, der.sequence(), 'critical'),
      // digitalSignature: all that TLS with ephemeral keys needs.
      extension(OID.keyUsage, der.bitString(Buffer.of(0b1000_0000), 7), 'critical'),
      extension(OID.extendedKeyUsage, der.sequence(der.objectIdentifier(OID.serverAuth))),
      extension(OID.subjectAltName, der.sequence(...names.map(alternativeName))),
      extension(OID.subjectKeyIdentifier, der.octetString(keyIdentifier(publicKey))),
      extension(OID.authorityKeyIdentifier, der.sequence(der.implicit(0, keyIdentifier(issuer.publicKey)))),
    ],
  });
  return { certificate, privateKey: pemOf(privateKey) };
}

interface ToBeSigned {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly validity: Validity;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Buffer[];
}

function signed(key: KeyObject, { issuer, subject, validity, publicKey, extensions }: ToBeSigned): string {
  const serial = randomBytes(SERIAL_BYTES);
  // Positive, and never zero or shorter than it looks.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const toBeSigned = der.sequence(
    der.explicit(0, der.integer(Buffer.of(2))),
    der.integer(serial),
    SIGNATURE_ALGORITHM,
    issuer,
    der.sequence(der.time(validity.notBeforeMs), der.time(validity.notAfterMs)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der.explicit(3, der.sequence(...extensions)),
  );
  const signature = sign('sha256', toBeSigned, key);
  const certificate = der.sequence(toBeSigned, SIGNATURE_ALGORITHM, der.bitString(signature));
  return new X509Certificate(certificate).toString();
}

function nameOf(commonName: string): Buffer {
  assert(commonName.length > 0 && commonName.length <= COMMON_NAME_MAX, 'a common name has 1 to 64 characters');
  const attribute = der.sequence(der.objectIdentifier(OID.commonName), der.utf8String(commonName));
  return der.sequence(der.set(attribute));
}

/** Authorities of ours have a common name and nothing else. */
function commonNameOf({ subject }: X509Certificate): string {
  assert(/^CN=[^\n]+$/.test(subject), 'the CA was made here');
  return subject.slice('CN='.length);
}

function extension(oid: string, content: Buffer, critical?: 'critical'): Buffer {
  const flag = critical === undefined ? [] : [der.boolean(true)];
  return der.sequence(der.objectIdentifier(oid), ...flag, der.octetString(content));
}

/** RFC 7093, method 1: the first 160 bits of the SHA-256 of the key's bits. */
function keyIdentifier(publicKey: KeyObject): Buffer {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  // An uncompressed P-256 point is the last 65 bytes.
  return createHash('sha256').update(spki.subarray(-65)).digest().subarray(0, 20);
}

function alternativeName(name: string): Buffer {
  const family = isIP(name);
  if (family === 0) {
    assert(/^[\x21-\x7e]+$/.test(name), 'a host name is ASCII');
    return der.implicit(2, Buffer.from(name, 'ascii'));
  }
  return der.implicit(7, addressBytes(name, family));
}

function addressBytes(address: string, family: number): Buffer {
  if (family === 4) return Buffer.from(address.split('.').map(Number));
  // The URL parser spells every address in its shortest form: eight groups once `::` is filled.
  const [head = '', tail = ''] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  const missing = 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array.from({ length: missing }, () => '0'), ...groups(tail)];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

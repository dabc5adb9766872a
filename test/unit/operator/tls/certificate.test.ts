// Certificates of the cluster's own CA: judged by node:crypto, by a TLS handshake, and by OpenSSL's strictest reading.
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeAuthority, makeServerCertificate } from '../../../../src/operator/tls/certificate.ts';
import * as der from '../../../../src/operator/tls/der.ts';

const NOW = Date.UTC(2026, 10, 21);
const YEAR = 365 * 86_400_000;
const VALID = { notBeforeMs: NOW, notAfterMs: NOW + YEAR };
const NAMES = ['bank-shard-0.ns.svc', '*.bank-proxy-pods.ns.svc', '10.0.0.1', '2001:db8::5:1', '::1'];

describe('a certificate', () => {
  it('is what was asked for, as node:crypto reads it', () => {
    const authority = makeAuthority('bank CA', { notBeforeMs: NOW, notAfterMs: NOW + 10 * YEAR });
    const ca = new X509Certificate(authority.certificate);
    const made = makeServerCertificate(authority, NAMES, 'bank', VALID);
    const server = new X509Certificate(made.certificate);
    expect([ca.ca, server.ca]).toEqual([true, false]);
    expect([ca.subject, server.subject, server.issuer]).toEqual(['CN=bank CA', 'CN=bank', 'CN=bank CA']);
    expect(server.checkIssued(ca)).toBe(true);
    expect(server.verify(ca.publicKey)).toBe(true);
    expect(Date.parse(server.validFrom)).toBe(VALID.notBeforeMs);
    expect(Date.parse(server.validTo)).toBe(VALID.notAfterMs);
    expect(server.checkHost('bank-shard-0.ns.svc')).toBeDefined();
    expect(server.checkHost('bank-proxy-1.bank-proxy-pods.ns.svc')).toBeDefined();
    expect(server.checkHost('bank-shard-1.ns.svc')).toBeUndefined();
    expect(['10.0.0.1', '2001:db8::5:1', '::1', '10.0.0.2'].map((ip) => server.checkIP(ip) !== undefined)).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(server.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  });

  it('has a serial number of its own, positive and as long as every other', () => {
    const authority = makeAuthority('bank CA', VALID);
    const serials = Array.from(
      { length: 20 },
      () => new X509Certificate(makeServerCertificate(authority, ['a'], 'bank', VALID).certificate).serialNumber,
    );
    expect(new Set(serials).size).toBe(20);
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/);
  });

  it.skipIf(!hasOpenssl())("is without fault in OpenSSL's strict reading, and refused for another name", () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'atomshard-cert-'));
    try {
      const [caFile, file] = [path.join(directory, 'ca.pem'), path.join(directory, 'server.pem')];
      const validity = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 40 * YEAR };
      const authority = makeAuthority('bank CA', validity);
      writeFileSync(caFile, authority.certificate);
      writeFileSync(file, makeServerCertificate(authority, NAMES, 'bank', validity).certificate);
      const verify = (...more: string[]) =>
        execFileSync('openssl', ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', caFile, ...more, file], {
          stdio: 'pipe',
        }).toString();
      expect(verify('-verify_hostname', 'bank-shard-0.ns.svc')).toContain('OK');
      expect(verify('-verify_ip', '2001:db8::5:1')).toContain('OK');
      expect(() => verify('-verify_hostname', 'bank-shard-1.ns.svc')).toThrow(/mismatch/i);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('DER', () => {
  const hex = (bytes: Buffer) => bytes.toString('hex');

  it('writes lengths in the shortest form', () => {
    const head = (length: number) => hex(der.octetString(Buffer.alloc(length)).subarray(0, 5));
    expect(hex(der.octetString(Buffer.alloc(1)))).toBe('040100');
    expect(head(127)).toBe('047f000000');
    expect(head(128)).toBe('0481800000');
    expect(head(255)).toBe('0481ff0000');
    expect(head(256)).toBe('0482010000');
    expect(hex(der.octetString(Buffer.alloc(65_536)).subarray(0, 6))).toBe('048301000000');
  });

  it('writes numbers positive and without needless zeros', () => {
    expect(hex(der.integer(Buffer.from('00', 'hex')))).toBe('020100');
    expect(hex(der.integer(Buffer.from('00007f', 'hex')))).toBe('02017f');
    expect(hex(der.integer(Buffer.from('80', 'hex')))).toBe('02020080');
  });

  it('writes object identifiers with arcs of any size', () => {
    expect(hex(der.objectIdentifier('1.2.840.10045.4.3.2'))).toBe('06082a8648ce3d040302');
    expect(hex(der.objectIdentifier('2.5.29.17'))).toBe('0603551d11');
  });

  it('writes years before 2050 with two digits and later ones with four', () => {
    expect(der.time(Date.UTC(2049, 11, 31, 23, 59, 59)).toString('latin1')).toBe('\x17\x0d491231235959Z');
    expect(der.time(Date.UTC(2050, 0, 1)).toString('latin1')).toBe('\x18\x0f20500101000000Z');
  });
});

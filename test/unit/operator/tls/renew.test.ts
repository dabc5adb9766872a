// When certificates of the cluster's own CA are made anew, and that nobody is ever shown one that he cannot check.
import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { makeAuthority } from '../../../../src/operator/tls/certificate.ts';
import { AUTHORITY_LIFE_MS, PUBLISHED_MS, SERVER_LIFE_MS } from '../../../../src/operator/tls/needs.ts';
import {
  type CertificateContent,
  type CertificateWrites,
  renewCertificates,
} from '../../../../src/operator/tls/renew.ts';
import type { TlsSecretTexts } from '../../../../src/operator/tls/stored.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const START = Date.UTC(2026, 10, 21);
const SHARDS = { secret: 'bank-shard-tls', names: ['bank-shard-0.ns.svc', 'bank-shard-1.ns.svc'] };
const PROXIES = { secret: 'bank-proxy-tls', names: ['bank.ns.svc', '10.1.2.3', '2001:db8::1'] };
const WANTED = [SHARDS, PROXIES];

/** The Secrets of a namespace, and an operator that looks at them whenever it said it would. */
class Namespace {
  nowMs = START;
  authority: TlsSecretTexts | undefined;
  servers = new Map<string, TlsSecretTexts>();
  wanted = WANTED;

  look(): CertificateWrites {
    const writes = renewCertificates(this.nowMs, 'bank', this, this.wanted);
    if (writes.authority !== undefined) this.authority = textsOf(writes.authority);
    for (const [name, content] of writes.servers) this.servers.set(name, textsOf(content));
    return writes;
  }

  /**
   * Looks until `untilMs`, each time when the last look said and a minute later, as a reconcile may; returns what was done.
   */
  live(untilMs: number, eachTime: () => void = () => undefined): string[] {
    const done: string[] = [];
    for (let next = this.nowMs; next <= untilMs; ) {
      this.nowMs = next;
      const { reasons, lookAgainAtMs } = this.look();
      for (const { secret, why } of reasons) done.push(`${secret ?? 'CA'}: ${why}`);
      eachTime();
      expect(lookAgainAtMs).toBeGreaterThan(next);
      this.nowMs = next + MINUTE_MS;
      for (const { secret, why } of this.look().reasons) done.push(`${secret ?? 'CA'}: ${why}`);
      eachTime();
      next = lookAgainAtMs;
    }
    this.nowMs = untilMs;
    return done;
  }

  server(name: string): X509Certificate {
    return new X509Certificate(this.servers.get(name)?.['tls.crt'] ?? '');
  }

  trusted(name: string): X509Certificate[] {
    const text = this.servers.get(name)?.['ca.crt'] ?? '';
    return (text.match(/-----BEGIN[^-]*-----[^-]*-----END[^-]*-----/g) ?? []).map((pem) => new X509Certificate(pem));
  }
}

function textsOf({ certificate, key, ca }: CertificateContent): TlsSecretTexts {
  return { 'tls.crt': certificate, 'tls.key': key, ...(ca === undefined ? {} : { 'ca.crt': ca }) };
}

function checks(certificate: X509Certificate, trusted: readonly X509Certificate[], nowMs: number): boolean {
  const alive = (each: X509Certificate) => Date.parse(each.validFrom) <= nowMs && nowMs < Date.parse(each.validTo);
  return alive(certificate) && trusted.some((ca) => alive(ca) && certificate.verify(ca.publicKey));
}

describe('the certificates of a cluster', () => {
  it('are a CA and one certificate for each side, and then nothing more to do', () => {
    const namespace = new Namespace();
    const { reasons } = namespace.look();
    expect(reasons.map(({ secret }) => secret)).toEqual([undefined, 'bank-shard-tls', 'bank-proxy-tls']);
    expect(namespace.server('bank-shard-tls').checkHost('bank-shard-1.ns.svc')).toBeDefined();
    expect(checks(namespace.server('bank-proxy-tls'), namespace.trusted('bank-shard-tls'), START)).toBe(true);
    expect(namespace.look()).toMatchObject({ authority: undefined, reasons: [], servers: new Map() });
  });

  it('are none where the user brings all of them', () => {
    const namespace = new Namespace();
    namespace.wanted = [];
    expect(namespace.look()).toMatchObject({ authority: undefined, reasons: [] });
  });

  it('are renewed at two thirds of their year, by the same CA', () => {
    const namespace = new Namespace();
    namespace.look();
    const before = namespace.trusted('bank-shard-tls');
    const done = namespace.live(START + (SERVER_LIFE_MS * 2) / 3 + DAY_MS);
    expect(done).toEqual([
      'bank-shard-tls: the certificate has lived two thirds of its life',
      'bank-proxy-tls: the certificate has lived two thirds of its life',
    ]);
    expect(namespace.trusted('bank-shard-tls').map(String)).toEqual(before.map(String));
  });

  it('get a name that is new, and keep one that is gone', () => {
    const namespace = new Namespace();
    namespace.look();
    namespace.wanted = [{ secret: SHARDS.secret, names: ['bank-shard-0.ns.svc', 'bank-shard-2.ns.svc'] }, PROXIES];
    expect(namespace.look().reasons).toEqual([
      { secret: 'bank-shard-tls', why: 'the certificate lacks the name bank-shard-2.ns.svc' },
    ]);
    namespace.wanted = [{ secret: SHARDS.secret, names: ['bank-shard-0.ns.svc'] }, PROXIES];
    expect(namespace.look().reasons).toEqual([]);
  });

  it('can be checked at every moment around a new CA, by who read ca.crt up to an hour ago or reads it before the server does', () => {
    const namespace = new Namespace();
    type Seen = { untilMs: number; certificate: X509Certificate; trusted: X509Certificate[] };
    let seen: Seen[] = [];
    namespace.look();
    // Made so that it is due for renewal just when the CA is.
    namespace.nowMs = START + (AUTHORITY_LIFE_MS * 2) / 3 - (SERVER_LIFE_MS * 2) / 3;
    namespace.look();
    namespace.nowMs = START + (AUTHORITY_LIFE_MS * 2) / 3 - 2 * DAY_MS;
    const done = namespace.live(START + (AUTHORITY_LIFE_MS * 2) / 3 + 5 * DAY_MS, () => {
      const { nowMs } = namespace;
      const last = seen.at(-1);
      if (last !== undefined) last.untilMs = nowMs;
      seen = seen.filter(({ untilMs }) => nowMs - untilMs < PUBLISHED_MS);
      const [certificate, trusted] = [namespace.server(SHARDS.secret), namespace.trusted(SHARDS.secret)];
      seen.push({ untilMs: nowMs, certificate, trusted });
      for (const before of seen) {
        expect(checks(certificate, before.trusted, nowMs)).toBe(true);
        expect(checks(before.certificate, trusted, nowMs)).toBe(true);
      }
    });
    expect(done.filter((line) => line.startsWith('CA: ')).length).toBe(1);
    expect(namespace.trusted(SHARDS.secret).length).toBe(1);
  });

  it('go over to a new CA in steps: publish, sign, forget', () => {
    const namespace = new Namespace();
    namespace.look();
    const old = namespace.trusted(SHARDS.secret)[0];
    namespace.nowMs = START + (AUTHORITY_LIFE_MS * 2) / 3 - DAY_MS;
    namespace.look();
    const steps: [string, number, boolean][] = [];
    namespace.live(START + (AUTHORITY_LIFE_MS * 2) / 3 + 2 * DAY_MS, () => {
      const byOld = old !== undefined && namespace.server(SHARDS.secret).verify(old.publicKey);
      steps.push([
        new X509Certificate(namespace.authority?.['tls.crt'] ?? '').subject,
        namespace.trusted(SHARDS.secret).length,
        byOld,
      ]);
    });
    expect(
      steps
        .map(([, trusted, byOld]) => `${trusted} ${byOld ? 'old' : 'new'}`)
        .filter((step, at, all) => step !== all[at - 1]),
    ).toEqual(['1 old', '2 old', '2 new', '1 new']);
  });

  it('are made anew where key and certificate do not fit, or a text is no certificate', () => {
    const namespace = new Namespace();
    namespace.look();
    const foreign = makeAuthority('other', { notBeforeMs: START, notAfterMs: START + DAY_MS });
    namespace.servers.set(SHARDS.secret, { ...namespace.servers.get(SHARDS.secret), 'tls.key': foreign.privateKey });
    namespace.servers.set(PROXIES.secret, { ...namespace.servers.get(PROXIES.secret), 'tls.crt': 'nonsense' });
    expect(namespace.look().reasons.map(({ secret }) => secret)).toEqual([SHARDS.secret, PROXIES.secret]);
    expect(checks(namespace.server(SHARDS.secret), namespace.trusted(PROXIES.secret), START)).toBe(true);
  });

  it('stay checkable when the Secret of the CA is deleted: a new one is published before it signs', () => {
    const namespace = new Namespace();
    namespace.look();
    const before = namespace.server(SHARDS.secret).toString();
    namespace.authority = undefined;
    const { reasons } = namespace.look();
    expect(reasons.map(({ why }) => why)).toEqual([
      'there is no CA yet, or its Secret cannot be used',
      'the CAs that are trusted changed',
      'the CAs that are trusted changed',
    ]);
    expect(namespace.server(SHARDS.secret).toString()).toBe(before);
    expect(checks(namespace.server(SHARDS.secret), namespace.trusted(SHARDS.secret), START)).toBe(true);
    expect(namespace.live(START + DAY_MS)).toContain('bank-shard-tls: the certificate is of an earlier CA');
    expect(namespace.trusted(SHARDS.secret).length).toBe(1);
  });

  it('do not trust the CA that somebody has put into the Secret without its key', () => {
    const namespace = new Namespace();
    namespace.look();
    const foreign = makeAuthority('other', { notBeforeMs: START, notAfterMs: START + 9 * DAY_MS });
    namespace.authority = { 'tls.crt': foreign.certificate, 'tls.key': namespace.authority?.['tls.key'] };
    namespace.look();
    expect(namespace.trusted(SHARDS.secret).map(({ subject }) => subject)).not.toContain('CN=other');
  });
});

// Decides which certificates are to be made, now and when to look again. Pure: the time and what Secrets hold go in.
//
//   CA: in force ──2/3 of ten years──▶ a new one before it, both trusted ──nobody carries the old one's signature──▶ old one dropped
//   server: in force ──2/3 of a year, another name, a CA that is not trusted──▶ made anew
//
// The rule: a certificate is signed by a CA only after those who check it had time to hear of that CA.
import type { CertificateFacts, StoredAuthority, StoredServer } from './stored.ts';

const DAY_MS = 86_400_000;
export const AUTHORITY_LIFE_MS = 3_650 * DAY_MS;
export const SERVER_LIFE_MS = 365 * DAY_MS;
/** Certificates begin a little in the past, because clocks differ. */
export const BACKDATED_MS = 300_000;
/** From publishing a new CA to the first signature by it: kubelets take about a minute to exchange mounted files. */
export const PUBLISHED_MS = 3_600_000;
/** Without anything to wait for, certificates are looked at this often. */
const LOOK_AGAIN_MS = DAY_MS;

/** A server certificate that is wanted. */
export interface WantedCertificate {
  /** Name of the Secret that holds it. */
  readonly secret: string;
  /** Host names and addresses; one at least. */
  readonly names: readonly string[];
}

export interface StoredCertificates {
  readonly authority: StoredAuthority | undefined;
  /** By name of the Secret. */
  readonly servers: ReadonlyMap<string, StoredServer | undefined>;
}

export interface CertificateNeeds {
  /** Why a new CA is needed; undefined: the one in force stays. */
  readonly newAuthority: string | undefined;
  /** Certificates of earlier CAs that stay trusted behind the CA in force (after `newAuthority` was made). */
  readonly earlier: readonly string[];
  readonly servers: readonly ServerNeed[];
  /** Wall time of the next look, milliseconds since the Unix epoch. */
  readonly lookAgainAtMs: number;
}

export interface ServerNeed {
  readonly wanted: WantedCertificate;
  /** `issue`: certificate, key and ca.crt. `publish`: only ca.crt is behind. */
  readonly kind: 'issue' | 'publish';
  readonly why: string;
}

/** What to do now. The caller makes the certificates, writes the Secrets, and asks again at `lookAgainAtMs`. */
export function certificatesNeeded(
  nowMs: number,
  stored: StoredCertificates,
  wanted: readonly WantedCertificate[],
): CertificateNeeds {
  const newAuthority = wanted.length === 0 ? undefined : authorityNeed(nowMs, stored.authority);
  const earlier = stillTrusted(nowMs, stored, newAuthority !== undefined, wanted);
  const servers = wanted.flatMap((each): ServerNeed[] => {
    const server = stored.servers.get(each.secret);
    const why = serverNeed(nowMs, server, each, { stored, newAuthority, earlier });
    if (why !== undefined) return [{ wanted: each, kind: 'issue', why }];
    const behind = newAuthority !== undefined || bundleOf(server) !== bundle(stored.authority?.pem, earlier);
    return behind ? [{ wanted: each, kind: 'publish', why: 'the CAs that are trusted changed' }] : [];
  });
  return { newAuthority, earlier, servers, lookAgainAtMs: lookAgain(nowMs, stored, newAuthority !== undefined) };
}

/** Text of ca.crt: the CA in force, then those before. */
export function bundle(current: string | undefined, earlier: readonly string[]): string {
  return [...(current === undefined ? [] : [current]), ...earlier].join('');
}

const bundleOf = (server: StoredServer | undefined) => (server?.trusted ?? []).map(({ pem }) => pem).join('');

/** A third of its life before the end of it. */
export function renewalAtMs({ notBeforeMs, notAfterMs }: Pick<CertificateFacts, 'notBeforeMs' | 'notAfterMs'>): number {
  return notBeforeMs + ((notAfterMs - notBeforeMs) * 2) / 3;
}

function authorityNeed(nowMs: number, authority: StoredAuthority | undefined): string | undefined {
  if (authority === undefined) return 'there is no CA yet, or its Secret cannot be used';
  return nowMs < renewalAtMs(authority) ? undefined : 'the CA has lived two thirds of its life';
}

/** An earlier CA is trusted while one of the servers may still show its signature. */
function stillTrusted(
  nowMs: number,
  { authority, servers }: StoredCertificates,
  replaced: boolean,
  wanted: readonly WantedCertificate[],
): string[] {
  // Of a CA that was lost the servers still hold the certificate.
  const lost =
    authority === undefined ? distinct([...servers.values()].flatMap((server) => server?.trusted ?? [])) : [];
  const own = authority === undefined ? [] : replaced ? [authority, ...authority.earlier] : authority.earlier;
  const candidates = [...own, ...lost];
  const used = ({ pem }: CertificateFacts) => wanted.some(({ secret }) => servers.get(secret)?.signedBy(pem) === true);
  // A server goes on showing what it read last for a while after its Secret has another certificate.
  const settled = !replaced && authority !== undefined && nowMs - bornAtMs(authority) >= 2 * PUBLISHED_MS;
  return candidates.filter((each) => each.notAfterMs > nowMs && (!settled || used(each))).map(({ pem }) => pem);
}

function distinct(certificates: readonly CertificateFacts[]): CertificateFacts[] {
  return [...new Map(certificates.map((each) => [each.pem, each])).values()];
}

interface AuthoritySituation {
  readonly stored: StoredCertificates;
  readonly newAuthority: string | undefined;
  readonly earlier: readonly string[];
}

function serverNeed(
  nowMs: number,
  server: StoredServer | undefined,
  { names }: WantedCertificate,
  { stored: { authority }, newAuthority, earlier }: AuthoritySituation,
): string | undefined {
  if (server === undefined) return 'there is no certificate yet, or its Secret cannot be used';
  const missing = names.filter((name) => !server.covers(name));
  if (missing.length > 0) return `the certificate lacks the name ${missing.join(', ')}`;
  const current = newAuthority === undefined ? authority : undefined;
  const ofCurrent = current !== undefined && server.signedBy(current.pem);
  if (!ofCurrent && !earlier.some((pem) => server.signedBy(pem)))
    return 'the certificate is of a CA that is not trusted';
  const published = current !== undefined && nowMs - bornAtMs(current) >= PUBLISHED_MS;
  const ends = server.notAfterMs - nowMs <= 2 * PUBLISHED_MS;
  if (nowMs >= renewalAtMs(server) && (published || ends)) return 'the certificate has lived two thirds of its life';
  return !ofCurrent && published ? 'the certificate is of an earlier CA' : undefined;
}

const bornAtMs = ({ notBeforeMs }: CertificateFacts) => notBeforeMs + BACKDATED_MS;

function lookAgain(nowMs: number, { authority, servers }: StoredCertificates, replaced: boolean): number {
  const rotating = replaced || (authority !== undefined && authority.earlier.length > 0);
  const born = replaced || authority === undefined ? nowMs : bornAtMs(authority);
  const steps = rotating ? [born + PUBLISHED_MS, born + 2 * PUBLISHED_MS] : [];
  const renewals = [...servers.values()].flatMap((server) => (server === undefined ? [] : [renewalAtMs(server)]));
  const coming = [...steps, ...renewals, nowMs + LOOK_AGAIN_MS].filter((atMs) => atMs > nowMs);
  return Math.min(...coming);
}

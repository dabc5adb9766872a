// TLS towards clients: the certificate in force, and sockets made encrypted with it.
//
//   files changed ──readable, key fits──▶ new connections get the new certificate; those that are there keep theirs
//                 └─anything wrong─────▶ the old one stays in force, and the log says why
import { constants, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import type { Clock } from '../kernel/clock.ts';
import { fileFingerprint } from '../kernel/file-fingerprint.ts';
import { tlsServerEndPoint } from '../protocol/channel-binding.ts';
import type { Logger } from '../telemetry/log.ts';
import { type ClientTls, ConfigError } from './config.ts';

/** How long a changed file may stay unnoticed. */
const LOOK_INTERVAL_MS = 1_000;
/** What PostgreSQL's protocol is called in TLS; a client that begins with TLS at once has to say it. */
export const ALPN_POSTGRESQL = 'postgresql';

type Encrypted = Exclude<ClientTls, { readonly mode: 'disable' }>;

interface Certificate {
  readonly seen: string;
  readonly context: SecureContext;
  /** What clients may bind their password proof to. */
  readonly endPoint: Buffer | undefined;
}

export interface EncryptionDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** A client's connection after it was encrypted; nothing has been read of it yet, and the handshake has not happened. */
export interface EncryptedClient {
  readonly socket: TLSSocket;
  readonly endPoint: Buffer | undefined;
}

export class ClientEncryption {
  readonly #tls: Encrypted;
  readonly #deps: EncryptionDeps;
  #certificate: Certificate;
  #lookedAtMs: number;
  #complaint = '';

  private constructor(tls: Encrypted, deps: EncryptionDeps) {
    this.#tls = tls;
    this.#deps = deps;
    this.#certificate = readCertificate(tls);
    this.#lookedAtMs = deps.clock.monotonicMs();
  }

  /** undefined when clients are served in clear. Throws ConfigError when certificate and key cannot be used. */
  static open(tls: ClientTls, deps: EncryptionDeps): ClientEncryption | undefined {
    if (tls.mode === 'disable') return undefined;
    try {
      return new ClientEncryption(tls, deps);
    } catch (error) {
      throw new ConfigError('tls', [reasonOf(error)]);
    }
  }

  /** Clients in clear are refused. */
  get required(): boolean {
    return this.#tls.mode === 'require';
  }

  /** Makes the server's end of TLS out of a client's socket, which nobody else may use from now on. */
  accept(plain: Socket, hello?: Buffer): EncryptedClient {
    const { context, endPoint } = this.#current();
    plain.pause();
    if (hello !== undefined) plain.unshift(hello);
    const socket = new TLSSocket(plain, {
      isServer: true,
      secureContext: context,
      ALPNProtocols: [ALPN_POSTGRESQL],
    });
    return { socket, endPoint };
  }

  /** Looked for when somebody connects: no timer, and nothing to forget when the configuration is exchanged. */
  #current(): Certificate {
    const { clock, log } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#lookedAtMs < LOOK_INTERVAL_MS) return this.#certificate;
    this.#lookedAtMs = nowMs;
    try {
      if (fingerprint(this.#tls) === this.#certificate.seen) return this.#certificate;
      this.#certificate = readCertificate(this.#tls);
      this.#complaint = '';
      log.info({ certFile: this.#tls.certFile }, 'the certificate for clients was exchanged');
    } catch (error) {
      const complaint = reasonOf(error);
      if (complaint !== this.#complaint) log.error(`${complaint}; the certificate before it stays in force`);
      this.#complaint = complaint;
    }
    return this.#certificate;
  }
}

/** Looked at before the files are read: one that is exchanged in between is read again at the next look. */
function readCertificate(tls: Encrypted): Certificate {
  const seen = fingerprint(tls);
  const cert = readFileSync(tls.certFile);
  const context = createSecureContext({
    cert,
    key: readFileSync(tls.keyFile),
    minVersion: 'TLSv1.2',
    // As PostgreSQL: nobody renegotiates, and no session is kept for later.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET,
  });
  return { seen, context, endPoint: tlsServerEndPoint(new X509Certificate(cert)) };
}

const fingerprint = ({ certFile, keyFile }: Encrypted) => `${fileFingerprint(certFile)} ${fileFingerprint(keyFile)}`;

function reasonOf(error: unknown): string {
  const reason = error instanceof Error ? error.message : String(error);
  return `certFile and keyFile cannot be used: ${reason}`;
}

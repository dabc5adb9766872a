// The transport over HTTPS: one agent keeps the connections of all calls; a new one is made only when certificates change.
import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import type { Access, AccessSource, TlsMaterial } from './access.ts';
import { type KubeAnswer, type KubeRequest, type Transport, TransportFailure } from './transport.ts';

/** Watches hold one each, eleven a namespace and one for each Secret of a user's; calls beyond would wait for ever. */
const SOCKETS_MAX = 2_048;
/** A peer that is gone without a word is noticed this long after it, plus ten probes of one second (libuv's constants). */
const TCP_KEEP_ALIVE_MS = 15_000;
const UNAUTHORIZED = 401;

/** Failures before the first byte of a request was written. */
const NEVER_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

export interface HttpsTransportOptions {
  readonly access: AccessSource;
  /** Seen by the API server in its audit log. */
  readonly userAgent: string;
}

export class HttpsTransport implements Transport {
  readonly #access: AccessSource;
  readonly #userAgent: string;
  #agent: { readonly tls: TlsMaterial; readonly agent: Agent } | undefined;

  constructor({ access, userAgent }: HttpsTransportOptions) {
    this.#access = access;
    this.#userAgent = userAgent;
  }

  async send(request: KubeRequest, signal: AbortSignal): Promise<KubeAnswer> {
    const access = await this.#currentAccess();
    const response = await this.#respond(request, access, signal);
    const status = response.statusCode ?? 0;
    if (status === UNAUTHORIZED) this.#access.refused();
    return { status, retryAfter: response.headers['retry-after'], body: response };
  }

  /** Breaks all connections, those of running watches too. */
  close(): void {
    this.#agent?.agent.destroy();
    this.#agent = undefined;
  }

  async #currentAccess(): Promise<Access> {
    try {
      return await this.#access.current();
    } catch (cause) {
      throw new TransportFailure('no credentials for the API server', false, cause);
    }
  }

  #agentFor(tls: TlsMaterial): Agent {
    if (this.#agent?.tls === tls) return this.#agent.agent;
    // Running calls keep their sockets of the old agent; its idle ones go away by the server's idle time-out.
    const agent = new Agent({
      keepAlive: true,
      keepAliveMsecs: TCP_KEEP_ALIVE_MS,
      maxSockets: SOCKETS_MAX,
      // The connection used last is the one most surely alive.
      scheduling: 'lifo',
      ca: tls.ca,
      cert: tls.cert,
      key: tls.key,
      ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
      rejectUnauthorized: tls.insecure !== true,
    });
    this.#agent = { tls, agent };
    return agent;
  }

  #respond(request: KubeRequest, access: Access, signal: AbortSignal): Promise<IncomingMessage> {
    const { method, path, contentType, body } = request;
    const base = access.server.pathname.replace(/\/$/, '');
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest(new URL(access.server.origin), {
        agent: this.#agentFor(access.tls),
        method,
        path: `${base}${path}`,
        signal,
        headers: {
          accept: 'application/json',
          'user-agent': this.#userAgent,
          ...(contentType === undefined ? {} : { 'content-type': contentType }),
          ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
          ...(access.token === undefined ? {} : { authorization: `Bearer ${access.token}` }),
        },
      });
      outgoing.once('response', resolve);
      outgoing.on('error', (cause: NodeJS.ErrnoException) => {
        const connected = outgoing.socket !== null && !outgoing.socket.connecting;
        const sent = connected && !NEVER_SENT.has(cause.code ?? '');
        reject(new TransportFailure(cause.message === '' ? (cause.code ?? cause.name) : cause.message, sent, cause));
      });
      outgoing.end(body);
    });
  }
}

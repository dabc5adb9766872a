// A small HTTP server for probes and metrics: GET and HEAD of a few fixed paths, nothing else, and bounded in every way.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

export interface HttpReply {
  readonly status: number;
  /** Plain text unless said otherwise. */
  readonly contentType?: string;
  readonly body: string;
}

/** By path, e.g. `/livez`. A route that throws is answered with 500 and the error's message. */
export type HttpRoutes = Readonly<Record<string, () => HttpReply | Promise<HttpReply>>>;

export interface HttpStatusServer {
  readonly port: number;
  /** Stops listening and ends what is open. */
  close(): Promise<void>;
}

export interface HttpStatusOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly routes: HttpRoutes;
  /** How long a request may take to come, and a connection may stand still; default 5 s. */
  readonly timeoutMs?: number;
}

const HEADER_BYTES_MAX = 8_192;
const TIMEOUT_MS = 5_000;
const CONNECTIONS_MAX = 64;

/** Resolves once it listens. Rejects when the address cannot be used. */
export function startHttpStatus(options: HttpStatusOptions): Promise<HttpStatusServer> {
  const { host, port, routes, timeoutMs = TIMEOUT_MS } = options;
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      requestTimeout: timeoutMs,
      headersTimeout: timeoutMs,
      connectionsCheckingInterval: timeoutMs / 5,
    },
    (request, response) => void answer(routes, request, response),
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.keepAliveTimeout = timeoutMs;
  // Who says nothing, or does not read, must not hold a place that a probe needs: an unanswered one restarts the process.
  server.timeout = timeoutMs;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      });
    });
  });
}

async function answer(routes: HttpRoutes, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // A request body is nobody's business here.
  request.resume();
  const { status, contentType = 'text/plain; charset=utf-8', body } = await replyTo(routes, request);
  const bytes = Buffer.from(body);
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': bytes.length,
    'cache-control': 'no-store',
  });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

async function replyTo(routes: HttpRoutes, { method, url = '/' }: IncomingMessage): Promise<HttpReply> {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'only GET and HEAD\n' };
  const path = url.split('?')[0] ?? '/';
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (route === undefined) return { status: 404, body: `try ${Object.keys(routes).join(', ')}\n` };
  try {
    return await route();
  } catch (error) {
    return { status: 500, body: `${error instanceof Error ? error.message : String(error)}\n` };
  }
}

// The port to the API server: one request, one answer whose body is a stream; no retries and no meaning here.

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query. */
  readonly path: string;
  readonly contentType?: string;
  readonly body?: string;
}

export interface KubeAnswer {
  readonly status: number;
  readonly retryAfter?: string | undefined;
  /** Must be read to its end or left by `break`/`return`, else the connection stays taken. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface Transport {
  /** Rejects with {@link TransportFailure}; after `signal` aborts, also the body's stream rejects. */
  send(request: KubeRequest, signal: AbortSignal): Promise<KubeAnswer>;
  close(): void;
}

export class TransportFailure extends Error {
  override readonly name = 'TransportFailure';
  /** False when it is certain that the server never saw the request. */
  readonly mayHaveHappened: boolean;

  constructor(message: string, mayHaveHappened: boolean, cause: unknown) {
    super(message, { cause });
    this.mayHaveHappened = mayHaveHappened;
  }
}

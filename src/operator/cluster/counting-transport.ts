// A transport that counts what goes through it, for metrics and for the test that an idle operator is silent.
import type { KubeAnswer, KubeRequest, Transport } from '../kube/transport.ts';

export type CountCall = (verb: string, code: string) => void;

export class CountingTransport implements Transport {
  readonly #inner: Transport;
  readonly #count: CountCall;

  constructor(inner: Transport, count: CountCall) {
    this.#inner = inner;
    this.#count = count;
  }

  async send(request: KubeRequest, signal: AbortSignal): Promise<KubeAnswer> {
    const verb = verbOf(request);
    try {
      const answer = await this.#inner.send(request, signal);
      this.#count(verb, String(answer.status));
      return answer;
    } catch (error) {
      this.#count(verb, signal.aborted ? 'aborted' : 'failed');
      throw error;
    }
  }

  close(): void {
    this.#inner.close();
  }
}

const VERBS = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' } as const;

/** In the words of Kubernetes' own metrics. */
function verbOf({ method, path }: KubeRequest): string {
  if (method !== 'GET') return VERBS[method];
  return path.includes('watch=true') ? 'watch' : 'read';
}

// A transport that counts what goes through it, for metrics, for the test that an idle operator is silent, and for the one that
// it has no right which it does not use.
import type { KubeAnswer, KubeRequest, Transport } from '../kube/transport.ts';

/** `resource` as kubectl writes it, e.g. `statefulsets.apps` or `pods/log`. */
export type CountCall = (verb: string, code: string, resource: string) => void;

export class CountingTransport implements Transport {
  readonly #inner: Transport;
  readonly #count: CountCall;

  constructor(inner: Transport, count: CountCall) {
    this.#inner = inner;
    this.#count = count;
  }

  async send(request: KubeRequest, signal: AbortSignal): Promise<KubeAnswer> {
    const { verb, resource } = callOf(request);
    try {
      const answer = await this.#inner.send(request, signal);
      this.#count(verb, String(answer.status), resource);
      return answer;
    } catch (error) {
      this.#count(verb, signal.aborted ? 'aborted' : 'failed', resource);
      throw error;
    }
  }

  close(): void {
    this.#inner.close();
  }
}

const VERBS = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' } as const;

/** `/api/v1/…` or `/apis/GROUP/VERSION/…`, then perhaps a namespace, a plural, a name and a subresource. */
const PLACE =
  /^\/(?:api|apis\/(?<group>[^/]+))\/[^/]+(?:\/namespaces\/[^/]+)?\/(?<plural>[^/]+)(?<name>\/[^/]+)?(?<below>\/[^/]+)?$/;

/** Verb and resource in the words of RBAC; the verb of a read is told from its path. */
export function callOf({ method, path }: Pick<KubeRequest, 'method' | 'path'>): { verb: string; resource: string } {
  const query = path.indexOf('?');
  const place = PLACE.exec(query < 0 ? path : path.slice(0, query))?.groups ?? {};
  const { group, plural = 'other', name, below = '' } = place;
  const resource = `${plural}${group === undefined ? '' : `.${group}`}${below}`;
  if (method !== 'GET') return { verb: VERBS[method], resource };
  if (path.includes('watch=true')) return { verb: 'watch', resource };
  return { verb: name === undefined ? 'list' : 'get', resource };
}

// A transport that answers from a script and notes what was asked: the API server of unit tests.
import type { KubeAnswer, KubeRequest, Transport } from '../../../../src/operator/kube/transport.ts';

export type Reply =
  | { readonly status?: number; readonly json: unknown; readonly retryAfter?: string }
  | { readonly fails: Error }
  /** Never answers, until given up. */
  | { readonly hangs: true };

export class FakeTransport implements Transport {
  readonly requests: KubeRequest[] = [];
  readonly #replies: Reply[];

  /** The last reply is given again and again. */
  constructor(...replies: Reply[]) {
    this.#replies = replies;
  }

  async send(request: KubeRequest, signal: AbortSignal): Promise<KubeAnswer> {
    this.requests.push(request);
    const reply = this.#replies.length > 1 ? this.#replies.shift() : this.#replies[0];
    if (reply === undefined) throw new Error('no reply in the script');
    if ('fails' in reply) throw reply.fails;
    if ('hangs' in reply) {
      return await new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted by its signal')));
      });
    }
    const text = typeof reply.json === 'string' ? reply.json : JSON.stringify(reply.json);
    return { status: reply.status ?? 200, retryAfter: reply.retryAfter, body: chunks(text) };
  }

  close(): void {}
}

async function* chunks(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

/** A Status object as the API server sends it. */
export function status(code: number, reason: string, message = reason, causes: readonly object[] = []): Reply {
  const details = causes.length === 0 ? undefined : { causes };
  return { status: code, json: { kind: 'Status', apiVersion: 'v1', code, reason, message, details } };
}

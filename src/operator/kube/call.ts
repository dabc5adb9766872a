// One call to the API server from request to parsed answer: deadline, write gate, retries within the budget, typed errors.
import type { Clock } from '../../kernel/clock.ts';
import { errorFromAnswer, isKubeError, KubeError } from './kube-error.ts';
import { RetryBudget, retryDelayMs } from './retry.ts';
import type { KubeAnswer, KubeRequest, Transport } from './transport.ts';
import { TransportFailure } from './transport.ts';

/** Lets writes pass while this process leads; see LeaderElection. */
export interface WriteGate {
  /** Milliseconds for which writes are still safe; none are sent at 0 or below, and none outlast it. */
  writableMs(): number;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** For the whole call with its retries; default 30 s. */
  readonly timeoutMs?: number | undefined;
}

export interface CallerOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  /** Numbers in [0, 1), for jitter. */
  readonly random: () => number;
  readonly gate?: WriteGate | undefined;
}

export interface CallRequest extends KubeRequest {
  /** For messages, e.g. `get StatefulSet a/b`. */
  readonly doing: string;
  /** True when the call has the same effect twice. */
  readonly repeatable: boolean;
}

const TIMEOUT_MS = 30_000;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

export class Caller {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #gate: WriteGate | undefined;
  readonly #budget = new RetryBudget();

  constructor({ transport, clock, random, gate }: CallerOptions) {
    this.#transport = transport;
    this.#clock = clock;
    this.#random = random;
    this.#gate = gate;
  }

  /** The parsed JSON of a 2xx answer. Rejects with {@link KubeError} only. */
  json(request: CallRequest, options: CallOptions = {}): Promise<unknown> {
    return this.#call(request, options, asJson);
  }

  /** A 2xx answer as it came, for what is no object (a log). Rejects with {@link KubeError} only. */
  text(request: CallRequest, options: CallOptions = {}): Promise<string> {
    return this.#call(request, options, (text) => text);
  }

  async #call<Body>(
    request: CallRequest,
    { signal, timeoutMs = TIMEOUT_MS }: CallOptions,
    read: ReadBody<Body>,
  ): Promise<Body> {
    const untilMs = this.#clock.monotonicMs() + timeoutMs;
    this.#budget.earn();
    for (let attempt = 1; ; attempt += 1) {
      const leftMs = untilMs - this.#clock.monotonicMs();
      try {
        return await this.#attempt(request, leftMs, signal, read);
      } catch (error) {
        if (!isKubeError(error)) throw error;
        const left = { attempt, repeatable: request.repeatable, leftMs: untilMs - this.#clock.monotonicMs() };
        const delayMs = retryDelayMs(error, left, this.#random);
        if (delayMs === undefined || !this.#budget.spend()) throw error;
        await this.#clock.sleep(delayMs, signal);
      }
    }
  }

  /** The answer with its body unread, 2xx only; for watches. No retry and no deadline: the caller has its own. */
  async stream(request: CallRequest, signal: AbortSignal): Promise<KubeAnswer> {
    try {
      const answer = await this.#transport.send(request, signal);
      if (answer.status < 300) return answer;
      throw errorFromAnswer(
        request.doing,
        answer.status,
        looseJson(await textOf(answer, request.doing)),
        answer.retryAfter,
      );
    } catch (error) {
      throw typed(error, request.doing, signal.aborted ? 'aborted' : undefined);
    }
  }

  async #attempt<Body>(
    request: CallRequest,
    leftMs: number,
    signal: AbortSignal | undefined,
    read: ReadBody<Body>,
  ): Promise<Body> {
    const { doing } = request;
    if (signal?.aborted) throw new KubeError('aborted', `${doing}: given up`, { mayHaveHappened: false });
    const allowedMs = Math.min(leftMs, this.#writableMs(request));
    const stop = new AbortController();
    const over = new AbortController();
    const abort = () => stop.abort();
    signal?.addEventListener('abort', abort);
    let late = false;
    void this.#clock.sleep(allowedMs, over.signal).then(() => {
      if (over.signal.aborted) return;
      late = true;
      stop.abort();
    });
    try {
      const answer = await this.#transport.send(request, stop.signal);
      const text = await textOf(answer, doing);
      if (answer.status >= 300) throw errorFromAnswer(doing, answer.status, looseJson(text), answer.retryAfter);
      return read(text, doing);
    } catch (error) {
      throw typed(error, doing, late ? 'timeout' : signal?.aborted ? 'aborted' : undefined);
    } finally {
      over.abort();
      signal?.removeEventListener('abort', abort);
    }
  }

  #writableMs({ method, doing }: CallRequest): number {
    if (method === 'GET' || this.#gate === undefined) return Number.POSITIVE_INFINITY;
    const writableMs = this.#gate.writableMs();
    if (writableMs > 0) return writableMs;
    throw new KubeError('notLeader', `${doing}: another instance may lead now`, { mayHaveHappened: false });
  }
}

type ReadBody<Body> = (text: string, doing: string) => Body;

async function textOf(answer: KubeAnswer, doing: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX)
      throw new KubeError('malformed', `${doing}: an answer of more than ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function asJson(text: string, doing: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new KubeError('malformed', `${doing}: the answer is not JSON`, { cause });
  }
}

/** What stands between us and the API server answers errors in its own words. */
function looseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Any failure as a {@link KubeError}; `known` is what our own deadline or the caller made of it. */
function typed(error: unknown, doing: string, known: 'timeout' | 'aborted' | undefined): KubeError {
  if (error instanceof KubeError) return error;
  const mayHaveHappened = error instanceof TransportFailure ? error.mayHaveHappened : true;
  if (known !== undefined) {
    const why = known === 'timeout' ? 'no answer in time' : 'given up';
    return new KubeError(known, `${doing}: ${why}`, { mayHaveHappened, cause: error });
  }
  const why = error instanceof Error ? error.message : String(error);
  return new KubeError('unavailable', `${doing}: ${why}`, { mayHaveHappened, cause: error });
}

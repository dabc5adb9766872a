// Cancel requests for one backend, each on a socket of its own; the server closes it once the backend has been signalled.
// The rule: while a signal may still arrive, the connection belongs to whoever asked for it.
import type { Socket } from 'node:net';
import type { Clock } from '../kernel/clock.ts';
import { cancelRequest } from '../protocol/client-message-writer.ts';
import type { BackendKey } from './handshake.ts';
import { openEncryptedSocket, openSocket } from './socket.ts';
import type { ShardTarget } from './target.ts';
import { encryptedTls } from './tls.ts';

const TIMEOUT_MS = 5_000;

export class Canceller {
  readonly #target: ShardTarget;
  readonly #clock: Clock;
  /** Set once the server told it; a pid of 0 means that it told none. */
  backend: BackendKey | undefined;
  #underWay: Promise<void> | undefined;
  #uncertain = false;

  constructor(target: ShardTarget, clock: Clock) {
    this.#target = target;
    this.#clock = clock;
  }

  /** Settles when the request that is under way has reached its end; undefined when there is none. */
  get underWay(): Promise<void> | undefined {
    return this.#underWay;
  }

  /** No signal can come any more: each request was delivered, none is on its way. */
  get quiet(): boolean {
    return this.#underWay === undefined && !this.#uncertain;
  }

  /** Sends a request unless one is on its way; never rejects. */
  cancel(): Promise<void> {
    const { backend } = this;
    if (backend === undefined || backend.pid === 0) return Promise.resolve();
    this.#underWay ??= sendCancel(this.#target, backend, this.#clock).then((outcome) => {
      this.#underWay = undefined;
      if (outcome === 'unknown') this.#uncertain = true;
    });
    return this.#underWay;
  }
}

/** `delivered`: the server hung up, so the signal was sent. `unknown`: it may still come and hit whatever runs then. */
type CancelOutcome = 'delivered' | 'unknown';

async function sendCancel(target: ShardTarget, backend: BackendKey, clock: Clock): Promise<CancelOutcome> {
  const over = new AbortController();
  const tooLate = clock.sleep(TIMEOUT_MS, over.signal).then(() => 'unknown' as const);
  // A crash here leaves a cancel request that ends one statement or nothing; no transaction depends on it.
  const outcome = await Promise.race([
    tooLate,
    delivered(target, cancelRequest(backend.pid, backend.key), over.signal),
  ]);
  over.abort();
  return outcome;
}

/** The request on a socket of its own, encrypted as the target's connections are; the socket goes when `over` aborts. */
async function delivered(target: ShardTarget, request: Buffer, over: AbortSignal): Promise<CancelOutcome> {
  const tls = encryptedTls(target.tls);
  let socket: Socket;
  try {
    socket = tls === undefined ? openSocket(target) : await openEncryptedSocket(target, tls, over);
  } catch {
    // Nothing was sent, but who asked for it cannot know what the server does now.
    return 'unknown';
  }
  over.addEventListener('abort', () => socket.destroy(), { once: true });
  return new Promise((resolve) => {
    let failed = false;
    socket.on('error', () => {
      failed = true;
    });
    socket.on('close', () => resolve(failed ? 'unknown' : 'delivered'));
    socket.resume();
    socket.end(request);
  });
}

// Sends a CancelRequest on a socket of its own; the server closes it once the backend has been signalled.
import type { Clock } from '../kernel/clock.ts';
import { cancelRequest } from '../protocol/client-message-writer.ts';
import type { BackendKey } from './handshake.ts';
import { openSocket } from './socket.ts';
import type { ShardTarget } from './target.ts';

/**
 * `delivered`: the server took the request and hung up, so no signal comes later. `unknown`: it may still come and hit
 * whatever the backend does then; the connection must not be given to anyone else.
 */
export type CancelOutcome = 'delivered' | 'unknown';

export async function sendCancel(
  target: ShardTarget,
  backend: BackendKey,
  clock: Clock,
  timeoutMs = 5_000,
): Promise<CancelOutcome> {
  const deadline = new AbortController();
  const socket = openSocket(target);
  const outcome = new Promise<CancelOutcome>((resolve) => {
    let failed = false;
    socket.on('error', () => {
      failed = true;
    });
    socket.on('close', () => resolve(failed ? 'unknown' : 'delivered'));
    socket.resume();
    socket.end(cancelRequest(backend.pid, backend.key));
    void clock.sleep(timeoutMs, deadline.signal).then(() => resolve('unknown'));
  });
  // A crash here leaves a cancel request that ends one statement or nothing; no transaction depends on it.
  const result = await outcome;
  deadline.abort();
  socket.destroy();
  return result;
}

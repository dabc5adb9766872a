// What a reflector does next after a list or a watch ended: a pure decision, so that no error can end it for good.
import type { KubeError } from './kube-error.ts';

/**
 *            listed              ended (server's time-out)
 *   list ──────────────▶ watch ─────────────────────────▶ watch from the last version
 *    ▲ ▲ failed: later     │ failed once: later, from the last version
 *    └─┴──────────────────┘ gone, or failed often from one version
 */
export type ReflectorStep = { readonly kind: 'list' | 'watch'; readonly after: 'atOnce' | 'backoff' };

export type ReflectorEnd =
  | { readonly kind: 'listed' }
  | { readonly kind: 'listFailed' }
  | {
      readonly kind: 'watchEnded';
      /** `undefined`: ended by the server in good order, or silent for too long. */
      readonly error: KubeError | undefined;
      /** Events and bookmarks together. */
      readonly events: number;
      /** Since the server took the watch; 0 when it did not. */
      readonly livedMs: number;
      /** Watches in a row, this one included, that failed before anything came. */
      readonly failuresInARow: number;
    };

/** A server that ends watches at once must not be asked in a tight loop. */
export const SHORT_WATCH_MS = 1_000;
/** The version itself may be what the server cannot serve (e.g. etcd restored from a backup knows only older ones). */
const FAILURES_BEFORE_LIST = 3;

export function nextStep(end: ReflectorEnd): ReflectorStep {
  switch (end.kind) {
    case 'listed':
      return { kind: 'watch', after: 'atOnce' };
    case 'listFailed':
      return { kind: 'list', after: 'backoff' };
    case 'watchEnded':
      return afterWatch(end);
  }
}

function afterWatch({ error, events, livedMs, failuresInARow }: ReflectorEnd & { kind: 'watchEnded' }): ReflectorStep {
  const lived = events > 0 || livedMs >= SHORT_WATCH_MS;
  if (error === undefined) return { kind: 'watch', after: lived ? 'atOnce' : 'backoff' };
  // The first list after a 410 is at once when the watch had worked; a server that says 410 to a fresh list is not hammered.
  if (error.kind === 'gone') return { kind: 'list', after: lived ? 'atOnce' : 'backoff' };
  return { kind: failuresInARow >= FAILURES_BEFORE_LIST ? 'list' : 'watch', after: 'backoff' };
}

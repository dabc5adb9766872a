// What the operator says over HTTP: alive, ready (and why not), metrics.
import type { HttpRoutes } from '../../telemetry/http-status.ts';
import type { Caches } from './caches.ts';
import type { OperatorMetrics } from './operator-metrics.ts';

/** Watches bring a bookmark each minute; without any word for this long something hangs that a restart may mend. */
const SILENCE_MAX_MS = 600_000;

/** What of the operator tells whether it works. */
export interface Observed {
  readonly caches: Pick<Caches, 'contactAgeMs'>;
  readonly problems: () => readonly string[];
}

/** `operator` is undefined while the process waits for the API server. */
export function operatorRoutes(
  operator: () => Observed | undefined,
  { registry }: Pick<OperatorMetrics, 'registry'>,
): HttpRoutes {
  return {
    '/livez': () => {
      const silentMs = operator()?.caches.contactAgeMs() ?? 0;
      if (silentMs <= SILENCE_MAX_MS) return { status: 200, body: 'ok\n' };
      return { status: 503, body: `no word from the API server for ${Math.round(silentMs / 1_000)} s\n` };
    },
    '/readyz': () => {
      const problems = operator()?.problems() ?? ['the API server has not answered yet'];
      if (problems.length === 0) return { status: 200, body: 'ok\n' };
      return { status: 503, body: `${[...new Set(problems)].join('\n')}\n` };
    },
    '/metrics': async () => ({ status: 200, contentType: registry.contentType, body: await registry.metrics() }),
  };
}

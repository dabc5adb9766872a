// The HTTP port of a proxy: is it alive, does it take clients (and why not), and what does it count.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type HttpRoutes, type HttpStatusServer, startHttpStatus } from '../telemetry/http-status.ts';
import { METRICS_CONTENT_TYPE, metricLines, renderMetrics } from '../telemetry/metrics.ts';
import { PROXY_METRICS } from '../telemetry/metrics-table.ts';
import type { AdminRow } from './admin/answer.ts';
import { type Inspected, stateFacts } from './admin/status-row.ts';
import { proxySamples } from './metric-samples.ts';
import { PreparedWatch } from './prepared-watch.ts';
import { notReadyReasons } from './proxy-state.ts';

/** Milliseconds between two looks at the event loop's delay. */
const DELAY_RESOLUTION_MS = 20;

export class Metrics {
  readonly #metered;

  constructor(inspected: Inspected) {
    const { probes, live, clock } = inspected.parts;
    const eventLoopDelay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
    eventLoopDelay.enable();
    this.#metered = { ...inspected, prepared: new PreparedWatch(probes, live.started, clock), eventLoopDelay };
  }

  async text(): Promise<string> {
    return renderMetrics(PROXY_METRICS, await proxySamples(this.#metered));
  }

  /** The columns of SHOW STATS. */
  async rows(): Promise<AdminRow[]> {
    const lines = metricLines(PROXY_METRICS, await proxySamples(this.#metered));
    return lines.map(({ name, labels, value }) => [name, labels, value]);
  }

  close(): void {
    this.#metered.eventLoopDelay.disable();
  }
}

/** Listens where the configuration says; undefined when it says nothing. Rejects when the address cannot be used. */
export async function startHttp(inspected: Inspected, metrics: Metrics): Promise<HttpStatusServer | undefined> {
  const { http } = inspected.parts.live.started;
  if (http === undefined) return undefined;
  const routes: HttpRoutes = {
    // That this is answered shows that the event loop turns; a log that has failed never comes back.
    '/livez': () => {
      const failed = inspected.parts.decisions.hasFailed;
      return failed ? { status: 500, body: 'the write-ahead log has failed\n' } : { status: 200, body: 'ok\n' };
    },
    '/readyz': () => {
      const reasons = notReadyReasons(stateFacts(inspected));
      if (reasons.length === 0) return { status: 200, body: 'ok\n' };
      return { status: 503, body: reasons.map((reason) => `${reason}\n`).join('') };
    },
    '/metrics': async () => ({ status: 200, contentType: METRICS_CONTENT_TYPE, body: await metrics.text() }),
  };
  return startHttpStatus({ ...http, routes });
}

// Tells people what happens to an object, as Kubernetes Events; best effort, never in the way of the work that it tells of.
import type { Clock } from '../../kernel/clock.ts';
import type { KubeClient } from './client.ts';
import { EventSeries, type KubeEvent, type Occurrence, SERIES_TOLD_EVERY_MS, type Series } from './event-series.ts';
import { isKubeError } from './kube-error.ts';
import { microTime } from './lease-record.ts';
import { resource } from './resource.ts';

export const EVENTS = resource<KubeEvent>('events.k8s.io/v1', 'Event', 'events');

export interface EventRecorderOptions {
  readonly client: Pick<KubeClient, 'create' | 'mergePatch'>;
  readonly clock: Clock;
  /** Who tells, e.g. `atomshard.dev/operator`. */
  readonly controller: string;
  /** Which process of that controller, e.g. the pod's name; also makes names of Events unique. */
  readonly instance: string;
  /** Told of Events that could not be written. */
  readonly onProblem?: (error: unknown) => void;
}

/** Objects of the whole cluster have their Events here. */
const CLUSTER_NAMESPACE = 'default';
const CALL_TIMEOUT_MS = 10_000;
/** After a fault that may pass; the name stays, so that it never makes two. */
const TRY_AGAIN_MS = 5_000;

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #series = new EventSeries();
  #wake = new AbortController();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  /** Notes what happened; returns at once. The first time is told at once, repetitions once a minute with their number. */
  record(occurrence: Occurrence): void {
    const { clock } = this.#options;
    const series = this.#series.add(occurrence, clock.monotonicMs(), clock.nowMs());
    if (series.count === series.toldCount + 1) this.#wake.abort();
  }

  /** Tells until `signal` aborts; never rejects. Call it once. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const { now } = this.#series.due(clock.monotonicMs());
      for (const series of now) if (!signal.aborted) await this.#tell(series, signal);
      if (this.#wake.signal.aborted) continue;
      const { nextMs } = this.#series.due(clock.monotonicMs());
      const woken = AbortSignal.any([this.#wake.signal, signal]);
      await clock.sleep(nextMs === undefined ? IDLE_MS : nextMs - clock.monotonicMs(), woken);
    }
  }

  async #tell(series: Series, signal: AbortSignal): Promise<void> {
    const { client, clock, onProblem } = this.#options;
    const event = this.#eventOf(series);
    const { namespace, name } = event.metadata;
    const { count, toldCount } = series;
    const options = { signal, timeoutMs: CALL_TIMEOUT_MS };
    // Noted before it is known to have worked: an Event that is refused must not be tried for ever.
    series.toldCount = count;
    series.notBeforeMs = clock.monotonicMs() + SERIES_TOLD_EVERY_MS;
    try {
      // The server forgets Events after an hour; a series that goes on then begins a new one.
      if (toldCount > 0 && (await this.#patched({ namespace, name }, event, options))) return;
      await client.create(EVENTS, event, options);
    } catch (error) {
      if (signal.aborted || isKubeError(error, 'alreadyExists')) return;
      onProblem?.(error);
      if (!isKubeError(error, 'unavailable', 'timeout', 'tooManyRequests')) return;
      series.toldCount = toldCount;
      series.notBeforeMs = clock.monotonicMs() + TRY_AGAIN_MS;
    }
  }

  async #patched(
    ref: { namespace: string | undefined; name: string },
    { series }: KubeEvent,
    options: { signal: AbortSignal; timeoutMs: number },
  ): Promise<boolean> {
    try {
      await this.#options.client.mergePatch(EVENTS, ref, { series }, options);
      return true;
    } catch (error) {
      if (isKubeError(error, 'notFound')) return false;
      throw error;
    }
  }

  #eventOf({ id, occurrence, count, firstWallMs, lastWallMs }: Series): KubeEvent {
    const { controller, instance } = this.#options;
    const { regarding, type, reason, action, note } = occurrence;
    // Start of the series and process make it unique; an answer that was lost leads to the same name, so to no second Event.
    const unique = `${firstWallMs.toString(16)}.${id.toString(16)}.${instance}`;
    return {
      apiVersion: EVENTS.apiVersion,
      kind: EVENTS.kind,
      metadata: {
        name: `${regarding.name}.${unique}`.slice(0, 253).replace(/[^a-z0-9]+$/, ''),
        namespace: regarding.namespace ?? CLUSTER_NAMESPACE,
      },
      eventTime: microTime(firstWallMs),
      reportingController: controller,
      reportingInstance: instance.slice(0, 128),
      action,
      reason,
      regarding,
      note,
      type,
      ...(count < 2 ? {} : { series: { count, lastObservedTime: microTime(lastWallMs) } }),
    };
  }
}

/** Nothing to tell: until somebody records something. Below what a timer can count. */
const IDLE_MS = 2 ** 30;

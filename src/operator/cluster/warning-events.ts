// Warning events of namespaces in which something does not come up: read now and then, never while all is well.
import type { Clock } from '../../kernel/clock.ts';
import type { EventObject } from '../diagnosis/children.ts';
import type { KubeClient } from '../kube/client.ts';
import { CORE_EVENTS } from './kinds.ts';

export interface WarningEventsOptions {
  readonly client: Pick<KubeClient, 'list'>;
  readonly clock: Clock;
  readonly onProblem: (error: unknown) => void;
  readonly onChange: (clusterKey: string) => void;
}

/** Between two reads of one cluster's namespace, at first and when the trouble lasts. */
const EVERY_MS = 5_000;
const LASTING_EVERY_MS = 20_000;
const LASTS_AFTER_MS = 120_000;
const CALL_TIMEOUT_MS = 5_000;

/** Of one namespace, however many clusters in it are in trouble. */
interface Read {
  events: readonly EventObject[];
  notBeforeMs: number;
  /** By cluster: since when it wants them. */
  readonly wantedSinceMs: Map<string, number>;
}

export class WarningEvents {
  readonly #options: WarningEventsOptions;
  readonly #reads = new Map<string, Read>();

  constructor(options: WarningEventsOptions) {
    this.#options = options;
  }

  /** Those read last; while `wanted`, a newer read is begun where the last one is old. */
  of(namespace: string, clusterKey: string, wanted: boolean): readonly EventObject[] {
    const { clock } = this.#options;
    if (!wanted) {
      this.forget(clusterKey);
      return [];
    }
    // The first read waits: most of what is not there yet is only on its way.
    const nowMs = clock.monotonicMs();
    const read = this.#reads.get(namespace) ?? { events: [], notBeforeMs: nowMs + EVERY_MS, wantedSinceMs: new Map() };
    this.#reads.set(namespace, read);
    if (!read.wantedSinceMs.has(clusterKey)) {
      read.wantedSinceMs.set(clusterKey, nowMs);
      // The pace of a trouble that lasts is not that of a new one.
      read.notBeforeMs = Math.min(read.notBeforeMs, nowMs + EVERY_MS);
    }
    if (read.notBeforeMs <= nowMs) {
      const newestMs = Math.max(...read.wantedSinceMs.values());
      read.notBeforeMs = nowMs + (nowMs - newestMs > LASTS_AFTER_MS ? LASTING_EVERY_MS : EVERY_MS);
      void this.#read(namespace, read);
    }
    return read.events;
  }

  forget(clusterKey: string): void {
    for (const [namespace, { wantedSinceMs }] of this.#reads) {
      wantedSinceMs.delete(clusterKey);
      if (wantedSinceMs.size === 0) this.#reads.delete(namespace);
    }
  }

  async #read(namespace: string, read: Read): Promise<void> {
    const { client, onProblem, onChange } = this.#options;
    try {
      const selection = { namespace, fieldSelector: 'type=Warning' };
      const { items } = await client.list(CORE_EVENTS, selection, { timeoutMs: CALL_TIMEOUT_MS });
      if (JSON.stringify(items) === JSON.stringify(read.events)) return;
      read.events = items;
      for (const clusterKey of read.wantedSinceMs.keys()) onChange(clusterKey);
    } catch (error) {
      onProblem(error);
    }
  }
}

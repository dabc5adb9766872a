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

interface Read {
  events: readonly EventObject[];
  notBeforeMs: number;
  readonly sinceMs: number;
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
      this.#reads.delete(clusterKey);
      return [];
    }
    // The first read waits: most of what is not there yet is only on its way.
    const nowMs = clock.monotonicMs();
    const read = this.#reads.get(clusterKey) ?? { events: [], notBeforeMs: nowMs + EVERY_MS, sinceMs: nowMs };
    this.#reads.set(clusterKey, read);
    if (read.notBeforeMs <= nowMs) {
      read.notBeforeMs = nowMs + (nowMs - read.sinceMs > LASTS_AFTER_MS ? LASTING_EVERY_MS : EVERY_MS);
      void this.#read(namespace, clusterKey, read);
    }
    return read.events;
  }

  forget(clusterKey: string): void {
    this.#reads.delete(clusterKey);
  }

  async #read(namespace: string, clusterKey: string, read: Read): Promise<void> {
    const { client, onProblem, onChange } = this.#options;
    try {
      const selection = { namespace, fieldSelector: 'type=Warning' };
      const { items } = await client.list(CORE_EVENTS, selection, { timeoutMs: CALL_TIMEOUT_MS });
      if (JSON.stringify(items) === JSON.stringify(read.events)) return;
      read.events = items;
      onChange(clusterKey);
    } catch (error) {
      onProblem(error);
    }
  }
}

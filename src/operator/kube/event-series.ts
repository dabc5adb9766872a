// Which Events stand for what was said: the same thing said again counts in a series, and a flood of variants becomes one Event.
import type { KubeObject } from './resource.ts';

/** The object that an Event is about. */
export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly uid?: string | undefined;
}

export interface Occurrence {
  readonly regarding: ObjectReference;
  readonly type: 'Normal' | 'Warning';
  /** Why, in one CamelCase word, e.g. `ShardNotReady`. */
  readonly reason: string;
  /** What was done or tried, in one CamelCase word, e.g. `Reconcile`. */
  readonly action: string;
  /** For people; cut at 1,024 bytes. */
  readonly note: string;
}

/** `events.k8s.io/v1`; everything but `series` can never change. */
export interface KubeEvent extends KubeObject {
  readonly eventTime: string;
  readonly reportingController: string;
  readonly reportingInstance: string;
  readonly action: string;
  readonly reason: string;
  readonly regarding: ObjectReference;
  readonly note: string;
  readonly type: 'Normal' | 'Warning';
  readonly series?: { readonly count: number; readonly lastObservedTime: string };
}

export interface Series {
  readonly id: number;
  readonly occurrence: Occurrence;
  count: number;
  /** How many the API server knows of; 0: no Event yet. */
  toldCount: number;
  /** Not told again before this monotonic time. */
  notBeforeMs: number;
  firstWallMs: number;
  lastWallMs: number;
  lastAtMs: number;
}

/** A series that is not said again for this long is over; the next time is a new Event. */
export const SERIES_ENDS_MS = 600_000;
/** Repetitions are told at most this often. */
export const SERIES_TOLD_EVERY_MS = 60_000;
/** Different notes for one object and reason, before the rest become one Event. */
export const VARIANTS_MAX = 10;
const SERIES_MAX = 1_000;
const NOTE_BYTES_MAX = 1_024;
const MANY = 'more of this kind, e.g.: ';

export class EventSeries {
  /** In the order in which they were last said. */
  readonly #series = new Map<string, Series>();
  readonly #variants = new Map<string, number>();
  #nextId = 1;

  get size(): number {
    return this.#series.size;
  }

  /** Counts what was said. */
  add(occurrence: Occurrence, nowMs: number, wallMs: number): Series {
    this.#forgetOld(nowMs);
    const kind = kindKey(occurrence);
    const exact = `${kind}\n${occurrence.note}`;
    const full = !this.#series.has(exact) && (this.#variants.get(kind) ?? 0) >= VARIANTS_MAX;
    const key = full ? `${kind}\n${MANY}` : exact;
    const known = this.#series.get(key);
    if (known === undefined) this.#variants.set(kind, (this.#variants.get(kind) ?? 0) + 1);
    const series = known ?? this.#begin(full ? { ...occurrence, note: MANY + occurrence.note } : occurrence, wallMs);
    series.count += 1;
    series.lastWallMs = wallMs;
    series.lastAtMs = nowMs;
    this.#series.delete(key);
    this.#series.set(key, series);
    if (this.#series.size > SERIES_MAX) this.#forgetFirst();
    return series;
  }

  /** What the API server does not know yet, and when it may be told: new series at once, repetitions rarely. */
  due(nowMs: number): { readonly now: readonly Series[]; readonly nextMs: number | undefined } {
    const untold = [...this.#series.values()].filter((series) => series.count > series.toldCount);
    const later = untold.map(({ notBeforeMs }) => notBeforeMs).filter((atMs) => atMs > nowMs);
    return {
      now: untold.filter(({ notBeforeMs }) => notBeforeMs <= nowMs),
      nextMs: later.length === 0 ? undefined : Math.min(...later),
    };
  }

  #begin(occurrence: Occurrence, wallMs: number): Series {
    const id = this.#nextId;
    this.#nextId += 1;
    const note = cut(occurrence.note);
    const times = { firstWallMs: wallMs, lastWallMs: wallMs, lastAtMs: 0, notBeforeMs: 0 };
    return { id, occurrence: { ...occurrence, note }, count: 0, toldCount: 0, ...times };
  }

  #forgetOld(nowMs: number): void {
    for (const series of this.#series.values()) {
      if (nowMs - series.lastAtMs < SERIES_ENDS_MS) return;
      this.#forgetFirst();
    }
  }

  #forgetFirst(): void {
    const [first] = this.#series;
    if (first === undefined) return;
    const [key, { occurrence }] = first;
    this.#series.delete(key);
    const kind = kindKey(occurrence);
    const left = (this.#variants.get(kind) ?? 1) - 1;
    if (left > 0) this.#variants.set(kind, left);
    else this.#variants.delete(kind);
  }
}

function kindKey({ regarding, type, reason, action }: Occurrence): string {
  const { kind, namespace = '', name, uid = '' } = regarding;
  return JSON.stringify([kind, namespace, name, uid, type, reason, action]);
}

/** At most 1,024 bytes, never half a character. */
function cut(note: string): string {
  if (Buffer.byteLength(note) <= NOTE_BYTES_MAX) return note;
  const kept = Buffer.from(note)
    .subarray(0, NOTE_BYTES_MAX - 3)
    .toString('utf8');
  return `${kept.replace(/\uFFFD+$/, '')}…`;
}

// Space that is really allocated before it is needed: the next segment, and a reserve for when the disk is full.
//
//   current segment ──full──► next.spare ──none──► reserve.spare ──none──► a file that grows as it can
//
// Both spares are whole files of synced zeros, so taking one is a rename and cannot fail for lack of space.

import type { Clock } from '../kernel/clock.ts';
import { isNoSpace } from './errors.ts';
import type { Admission } from './log.ts';
import { TEMPORARY_SUFFIX } from './log-files.ts';
import { SEGMENT_HEADER_BYTES } from './segment-header.ts';
import type { Storage } from './storage.ts';

export const NEXT_FILE = 'next.spare';
export const RESERVE_FILE = 'reserve.spare';

const RETRY_MS = 2_000;
/** With space short, new work is refused when not more than the reserve and this (or a quarter of a segment) is left. */
const FLOOR_BYTES_MAX = 4 * 1024 * 1024;

export interface Spare {
  readonly name: string;
  readonly bytes: number;
}

export interface ProvisionSizes {
  readonly segmentBytes: number;
  readonly reserveBytes: number;
}

export class Provision {
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #sizes: ProvisionSizes;
  readonly #ready = new Map<string, number>();
  readonly #stop = new AbortController();
  #wake = new AbortController();
  #working: Promise<void> | undefined;
  #shortage: string | undefined;

  constructor(storage: Storage, clock: Clock, sizes: ProvisionSizes) {
    this.#storage = storage;
    this.#clock = clock;
    this.#sizes = sizes;
  }

  /** Takes over spares that an earlier run left, and throws away what it left half made. */
  async adopt(): Promise<void> {
    for (const file of await this.#storage.list()) {
      const isSpare = file.name === NEXT_FILE || file.name === RESERVE_FILE;
      if (isSpare && file.bytes > SEGMENT_HEADER_BYTES) {
        const head = await this.#storage.read(file.name, 0, SEGMENT_HEADER_BYTES);
        if (head.every((byte) => byte === 0)) {
          this.#ready.set(file.name, file.bytes);
          continue;
        }
      }
      // A spare with something in it was about to become a segment when the process ended: it has no name, so no reader.
      if (isSpare || file.name.endsWith(TEMPORARY_SUFFIX)) await this.#storage.remove(file.name);
    }
  }

  /** Makes the next segment now if there is none; a full disk is no error here. */
  async ensureNext(): Promise<void> {
    if (!this.#ready.has(NEXT_FILE)) await this.#prepare(NEXT_FILE, this.#sizes.segmentBytes);
  }

  /** A spare to become the next segment, if there is one. */
  take(): Spare | undefined {
    for (const name of [NEXT_FILE, RESERVE_FILE]) {
      const bytes = this.#ready.get(name);
      if (bytes === undefined) continue;
      this.#ready.delete(name);
      return { name, bytes };
    }
    return undefined;
  }

  /** Makes what is missing, in the background, until it is there. */
  refill(): void {
    this.#wake.abort();
    this.#working ??= this.#fill().finally(() => {
      this.#working = undefined;
    });
  }

  /** Whether new work may begin, given the room left in the current segment. */
  admission(roomBytes: number): Admission {
    if (this.#shortage === undefined) return { ok: true };
    const { segmentBytes, reserveBytes } = this.#sizes;
    const left = roomBytes + [...this.#ready.values()].reduce((sum, bytes) => sum + bytes, 0);
    if (left >= reserveBytes + Math.min(FLOOR_BYTES_MAX, segmentBytes / 4)) return { ok: true };
    return { ok: false, reason: `${this.#shortage} in ${this.#storage.directory}` };
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#working;
  }

  async #fill(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      // The reserve first: it is what lets transactions under way end.
      const done =
        (this.#ready.has(RESERVE_FILE) || (await this.#prepare(RESERVE_FILE, this.#sizes.reserveBytes))) &&
        (this.#ready.has(NEXT_FILE) || (await this.#prepare(NEXT_FILE, this.#sizes.segmentBytes)));
      if (done) return;
      this.#wake = new AbortController();
      await this.#clock.sleep(RETRY_MS, AbortSignal.any([this.#wake.signal, this.#stop.signal]));
    }
  }

  async #prepare(name: string, bytes: number): Promise<boolean> {
    if (this.#stop.signal.aborted) return false;
    try {
      await this.#storage.prepare(name, bytes);
    } catch (error) {
      // Not the log's failure: nothing of it was touched. New work stops until this succeeds.
      const why = error instanceof Error ? error.message : String(error);
      this.#shortage = isNoSpace(error) ? 'no space left' : `space cannot be prepared: ${why}`;
      return false;
    }
    this.#ready.set(name, bytes);
    if (this.#ready.size === 2 || name === NEXT_FILE) this.#shortage = undefined;
    return true;
  }
}

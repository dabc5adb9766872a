// Space that is really allocated before it is needed: the next segment, and a reserve for when the disk is full.
//
//   current segment ──full──► next.<n>.spare ──none──► reserve.<n>.spare ──none──► a file that grows as it can
//
// Spares are whole files of synced zeros, so taking one is a rename and cannot fail for lack of space. A name is never used
// twice: a spare that was taken is still being turned into a segment when the one after it is made.

import type { Clock } from '../kernel/clock.ts';
import { isNoSpace } from './errors.ts';
import type { Admission } from './log.ts';
import { TEMPORARY_SUFFIX } from './log-files.ts';
import { SEGMENT_HEADER_BYTES } from './segment-header.ts';
import type { Storage } from './storage.ts';

type Role = 'next' | 'reserve';
const ROLES: readonly Role[] = ['next', 'reserve'];

/** The role and number of a spare's file name, or null. */
export function parseSpareName(name: string): { readonly role: Role; readonly number: number } | null {
  const match = /^(next|reserve)\.(\d+)\.spare$/.exec(name);
  return match === null ? null : { role: match[1] === 'next' ? 'next' : 'reserve', number: Number(match[2]) };
}

const RETRY_MS = 2_000;
/** With space short, new work is refused when not more than the reserve and this (or a quarter of a segment) is left. */
const FLOOR_BYTES_MAX = 4 * 1024 * 1024;

export interface Spare {
  readonly role: Role;
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
  #ready: Spare[] = [];
  #lastNumber = 0;
  readonly #stop = new AbortController();
  #wake = new AbortController();
  #working: Promise<void> | undefined;
  /** Settles when what is being made now is there, or cannot be made. */
  #attempt: Promise<boolean> | undefined;
  #shortage: string | undefined;

  constructor(storage: Storage, clock: Clock, sizes: ProvisionSizes) {
    this.#storage = storage;
    this.#clock = clock;
    this.#sizes = sizes;
  }

  /** Takes over spares that an earlier run left, and throws away what it left half made. */
  async adopt(): Promise<void> {
    for (const { name, bytes } of await this.#storage.list()) {
      const spare = parseSpareName(name);
      if (spare !== null) {
        this.#lastNumber = Math.max(this.#lastNumber, spare.number);
        const head = await this.#storage.read(name, 0, SEGMENT_HEADER_BYTES);
        if (head.length === SEGMENT_HEADER_BYTES && head.every((byte) => byte === 0)) {
          this.#ready.push({ role: spare.role, name, bytes });
          continue;
        }
      }
      // A spare with something in it was about to become a segment when the process ended: it has no name, so no reader.
      if (spare !== null || name.endsWith(TEMPORARY_SUFFIX)) await this.#storage.remove(name);
    }
  }

  /** Makes the next segment now if there is none; a full disk is no error here. */
  async ensureNext(): Promise<void> {
    await this.#ensure('next');
  }

  /**
   * A spare to become the next segment, if there is one; it is the caller's from now on. Waits for one that is being made:
   * new work is admitted as long as nobody knows that there is no space, so the reserve must outlast that time.
   */
  async take(): Promise<Spare | undefined> {
    if (!this.#has('next') && this.#shortage === undefined) await this.#attempt;
    const role = ROLES.find((one) => this.#has(one));
    const taken = this.#ready.find((spare) => spare.role === role);
    this.#ready = this.#ready.filter((spare) => spare !== taken);
    return taken;
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
    const left = roomBytes + this.#ready.reduce((sum, { bytes }) => sum + bytes, 0);
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
      this.#attempt = this.#provide();
      if (await this.#attempt) return;
      this.#wake = new AbortController();
      await this.#clock.sleep(RETRY_MS, AbortSignal.any([this.#wake.signal, this.#stop.signal]));
    }
  }

  /** The reserve first: it is what lets transactions under way end. */
  async #provide(): Promise<boolean> {
    return (await this.#ensure('reserve')) && (await this.#ensure('next'));
  }

  #has(role: Role): boolean {
    return this.#ready.some((spare) => spare.role === role);
  }

  /** True when there is a spare of this role, now or after it was made. */
  async #ensure(role: Role): Promise<boolean> {
    if (this.#has(role)) return true;
    if (this.#stop.signal.aborted) return false;
    this.#lastNumber += 1;
    const name = `${role}.${this.#lastNumber}.spare`;
    const bytes = role === 'next' ? this.#sizes.segmentBytes : this.#sizes.reserveBytes;
    try {
      await this.#storage.prepare(name, bytes);
    } catch (error) {
      // Not the log's failure: nothing of it was touched. New work stops until this succeeds.
      const why = error instanceof Error ? error.message : String(error);
      this.#shortage = isNoSpace(error) ? 'no space left' : `space cannot be prepared: ${why}`;
      return false;
    }
    this.#ready.push({ role, name, bytes });
    if (ROLES.every((one) => this.#has(one))) this.#shortage = undefined;
    return true;
  }
}

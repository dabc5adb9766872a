// A file in pieces, the next one being read while this one is looked at; memory is bounded by two pieces.

import type { ReadableStorage, StoredFile } from './storage.ts';

const PIECE_BYTES = 2 * 1024 * 1024;
/** The piece read ahead begins this much early, for the record that straddles the two. */
const OVERLAP_BYTES = 64 * 1024;

export class PieceReader {
  readonly #storage: ReadableStorage;
  readonly #file: StoredFile;
  #ahead: { readonly from: number; readonly bytes: Promise<Uint8Array> } | undefined;

  constructor(storage: ReadableStorage, file: StoredFile) {
    this.#storage = storage;
    this.#file = file;
  }

  /** The bytes from `offset` on: at least `atLeast` of them, or all there are. Offsets only grow from call to call. */
  async from(offset: number, atLeast: number): Promise<Uint8Array> {
    const piece = (await this.#readAhead(offset, atLeast)) ?? (await this.#read(offset, atLeast));
    const end = offset + piece.length;
    if (end < this.#file.bytes && piece.length > OVERLAP_BYTES) {
      const from = end - OVERLAP_BYTES;
      this.#ahead = { from, bytes: this.#read(from, PIECE_BYTES) };
      this.#ahead.bytes.catch(() => undefined); // whoever needs it hears of it
    }
    return piece;
  }

  async #readAhead(offset: number, atLeast: number): Promise<Uint8Array | undefined> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead === undefined || ahead.from > offset) return undefined;
    const piece = (await ahead.bytes).subarray(offset - ahead.from);
    return piece.length > 0 && piece.length >= atLeast ? piece : undefined;
  }

  #read(offset: number, atLeast: number): Promise<Uint8Array> {
    const left = Math.max(0, this.#file.bytes - offset);
    return this.#storage.read(this.#file.name, offset, Math.min(left, Math.max(PIECE_BYTES, atLeast)));
  }
}

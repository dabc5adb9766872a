// A map that forgets what was used least recently, bounded by entries and by the characters that its keys keep alive.

/** `charactersMax` bounds the sum of key lengths; a single key longer than a quarter of it is not kept. */
export class BoundedCache<Value> {
  readonly #entries = new Map<string, Value>();
  readonly #entriesMax: number;
  readonly #charactersMax: number;
  #characters = 0;

  constructor(entriesMax: number, charactersMax: number) {
    this.#entriesMax = entriesMax;
    this.#charactersMax = charactersMax;
  }

  get size(): number {
    return this.#entries.size;
  }

  get characters(): number {
    return this.#characters;
  }

  get(key: string): Value | undefined {
    return this.#entries.get(key);
  }

  clear(): void {
    this.#entries.clear();
    this.#characters = 0;
  }

  /** Moves an entry to the young end. Not done at each hit: a hit must cost one look-up; see `Router`. */
  touch(key: string, value: Value): void {
    if (!this.#entries.delete(key)) return;
    this.#entries.set(key, value);
  }

  set(key: string, value: Value): void {
    if (key.length > this.#charactersMax / 4) return;
    if (this.#entries.delete(key)) this.#characters -= key.length;
    this.#entries.set(key, value);
    this.#characters += key.length;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#entriesMax && this.#characters <= this.#charactersMax) break;
      this.#entries.delete(oldest);
      this.#characters -= oldest.length;
    }
  }
}

// What a shard that joins a running transaction late must be told: the BEGIN with its modes, then the savepoints and
// SETs that are in force, in order. Pure; the same journal says what the session's settings are after COMMIT.
import { quoteIdentifier, type Settings } from './settings.ts';

type Entry =
  | { readonly kind: 'savepoint'; readonly name: string }
  /** `after` is absent for SET LOCAL and SET TRANSACTION, which die with the transaction. */
  | { readonly kind: 'set'; readonly sql: string; readonly after?: (settings: Settings) => Settings };

export class TransactionJournal {
  #modes: string;
  #entries: Entry[] = [];

  /** `modes` is the text behind BEGIN, e.g. `ISOLATION LEVEL SERIALIZABLE`. */
  constructor(modes: string) {
    this.#modes = modes;
  }

  get modes(): string {
    return this.#modes;
  }

  /** Whether a SET (of either kind) is in force in this transaction. */
  get hasSettings(): boolean {
    return this.#entries.some((entry) => entry.kind === 'set');
  }

  get hasSavepoints(): boolean {
    return this.#entries.some((entry) => entry.kind === 'savepoint');
  }

  savepoint(name: string): void {
    this.#entries.push({ kind: 'savepoint', name });
  }

  hasSavepoint(name: string): boolean {
    return this.#entries.some((entry) => entry.kind === 'savepoint' && entry.name === name);
  }

  /** RELEASE: the savepoint and all later ones are gone, what was set stays. */
  release(name: string): void {
    const at = this.#indexOfSavepoint(name);
    this.#entries = this.#entries.filter((entry, index) => index < at || entry.kind !== 'savepoint');
  }

  /** ROLLBACK TO: everything after the savepoint is forgotten, the savepoint itself stays. */
  rollbackTo(name: string): void {
    this.#entries.length = this.#indexOfSavepoint(name) + 1;
  }

  set(sql: string, after?: ((settings: Settings) => Settings) | undefined): void {
    this.#entries.push(after === undefined ? { kind: 'set', sql } : { kind: 'set', sql, after });
  }

  /** The commands for a shard that joins now. */
  replay(): string[] {
    const begin = this.#modes === '' ? 'BEGIN' : `BEGIN ${this.#modes}`;
    if (this.#entries.length === 0) return [begin];
    return [
      begin,
      ...this.#entries.map((entry) =>
        entry.kind === 'savepoint' ? `SAVEPOINT ${quoteIdentifier(entry.name)}` : entry.sql,
      ),
    ];
  }

  /** The session's settings when this transaction commits. */
  settingsAfterCommit(before: Settings): Settings {
    let settings = before;
    for (const entry of this.#entries) if (entry.kind === 'set' && entry.after) settings = entry.after(settings);
    return settings;
  }

  #indexOfSavepoint(name: string): number {
    return this.#entries.findLastIndex((entry) => entry.kind === 'savepoint' && entry.name === name);
  }
}

// Names of prepared statements on the shards: the same text with the same parameter types has one name for all clients,
// so that a server connection parses it once, whoever asks.
import type { ClientStatement } from './session-state.ts';

/** How many distinct statements keep a name; the oldest is forgotten first and gets a new one if it comes back. */
const NAMES_MAX = 10_000;

/** What the shards are sent for a statement. */
export function sentText(statement: ClientStatement): string {
  return statement.planned?.rewritten?.text ?? statement.text;
}

export class StatementNames {
  readonly #names = new Map<string, string>();
  /** The name found last for a statement object, so that a Bind costs no text comparison. */
  #byStatement = new WeakMap<ClientStatement, string>();
  #next = 1;

  /** '' for a client's unnamed statement, which is parsed anew each time, as PostgreSQL plans it. */
  nameOf(statement: ClientStatement): string {
    if (statement.name === '') return '';
    const known = this.#byStatement.get(statement);
    if (known !== undefined) return known;
    const key = `${statement.parameterTypes.join()}:${sentText(statement)}`;
    let name = this.#names.get(key);
    if (name === undefined) {
      name = `atomshard_${this.#next++}`;
      this.#names.set(key, name);
      if (this.#names.size > NAMES_MAX) {
        const oldest = this.#names.keys().next().value;
        if (oldest !== undefined) this.#names.delete(oldest);
      }
    }
    this.#byStatement.set(statement, name);
    return name;
  }

  /** After DDL: every statement gets a new name, so it is prepared again everywhere. Old names are never reused. */
  forgetAll(): void {
    this.#names.clear();
    this.#byStatement = new WeakMap();
  }
}

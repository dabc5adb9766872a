// Cancel keys: which (pid, secret) belongs to which client. A wrong key does nothing and says nothing.
import { randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import type { ClientSession } from '../session/client-session.ts';

export interface ClientKey {
  readonly pid: number;
  readonly key: Buffer;
}

/** Key bytes of protocol 3.0, and of 3.2 and later. */
const KEY_BYTES = { short: 4, long: 32 } as const;

/** A client as administrators see it; its number is that of its cancel key. */
export interface ConnectedClient {
  readonly session: ClientSession;
  /** Where it comes from; empty for a Unix socket. */
  readonly address: string;
  readonly connectedAtMs: number;
}

export class ClientKeys {
  readonly #sessions = new Map<number, ConnectedClient & { readonly key: Buffer }>();

  /** A key that nobody else has; `minor` is the protocol's minor version. */
  issue(minor: number): ClientKey {
    let pid = randomInt(1, 0x7fff_ffff);
    while (this.#sessions.has(pid)) pid = randomInt(1, 0x7fff_ffff);
    return { pid, key: randomBytes(minor >= 2 ? KEY_BYTES.long : KEY_BYTES.short) };
  }

  register({ pid, key }: ClientKey, session: ClientSession, address: string): void {
    this.#sessions.set(pid, { key, session, address, connectedAtMs: Date.now() });
  }

  forget({ pid }: ClientKey): void {
    this.#sessions.delete(pid);
  }

  cancel({ pid, key }: ClientKey): void {
    const entry = this.#sessions.get(pid);
    if (entry !== undefined && entry.key.length === key.length && timingSafeEqual(entry.key, key))
      entry.session.cancel();
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** By number. */
  clients(): ReadonlyMap<number, ConnectedClient> {
    return this.#sessions;
  }

  sessions(): ClientSession[] {
    return [...this.#sessions.values()].map(({ session }) => session);
  }
}

// What the session layer knows about one server connection beyond its own life: the settings in force and the named
// statements present there.
import type { ServerConnection } from '../shard/connection.ts';
import type { Pool } from '../shard/pool.ts';
import { NO_SETTINGS, type Settings } from './settings.ts';

export interface ConnectionMemory {
  /** The pool that it was taken from, and goes back to. */
  home: Pool | undefined;
  settings: Settings;
  /** Names of statements that were parsed on this backend, oldest use first. */
  readonly prepared: Set<string>;
}

const memories = new WeakMap<ServerConnection, ConnectionMemory>();

/** The memory of a connection, made at its first use. */
export function connectionMemory(connection: ServerConnection): ConnectionMemory {
  let memory = memories.get(connection);
  if (memory === undefined) {
    memory = { home: undefined, settings: NO_SETTINGS, prepared: new Set() };
    memories.set(connection, memory);
  }
  return memory;
}

// Before anything is cut from a log, a copy of it is made durable beside it.

import { systemErrorCode } from './errors.ts';
import type { Storage } from './storage.ts';

const COPIES_MAX = 1000;

/** Keeps `bytes`, which stood at `offset` of `name`, in a file of its own and returns its name; never overwrites one. */
export async function keepCopy(storage: Storage, name: string, offset: number, bytes: Uint8Array): Promise<string> {
  for (let attempt = 0; attempt < COPIES_MAX; attempt += 1) {
    const copy = `${name}.${offset}${attempt === 0 ? '' : `.${attempt}`}.broken`;
    try {
      await storage.publish(copy, bytes);
      return copy;
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
    }
  }
  throw new Error(`${storage.directory} holds ${COPIES_MAX} copies of ${name} already; move them away`);
}

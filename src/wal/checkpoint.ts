// The wrapper of the log's own record: every segment begins with one, so that what comes before it may be deleted.

import { decode, encode } from '@msgpack/msgpack';

const WRAPPER_VERSION = 1;

export interface Checkpoint {
  /** First lsn still retained when this was written. */
  readonly oldest: number;
  /** At or below it everything had ended. */
  readonly applied: number;
  readonly committed: number;
  /** Epoch in which this log was made; transactions of earlier epochs were never in it. */
  readonly firstEpoch: number;
  readonly writtenAtMs: number;
  /** The owner's part: opaque here. */
  readonly owner: Uint8Array;
}

export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  const { oldest, applied, committed, firstEpoch, writtenAtMs, owner } = checkpoint;
  return encode([WRAPPER_VERSION, oldest, applied, committed, firstEpoch, writtenAtMs, owner]);
}

/** Reads a wrapper; null when the bytes are none of a version known here (a newer program wrote them). */
export function decodeCheckpoint(payload: Uint8Array): Checkpoint | null {
  let value: unknown;
  try {
    value = decode(payload);
  } catch {
    return null;
  }
  if (!Array.isArray(value) || value.length !== 7 || value[0] !== WRAPPER_VERSION) return null;
  const owner: unknown = value[6];
  const numbers = value.slice(1, 6).filter((item): item is number => typeof item === 'number');
  const [oldest, applied, committed, firstEpoch, writtenAtMs] = numbers;
  if (
    oldest === undefined ||
    applied === undefined ||
    committed === undefined ||
    firstEpoch === undefined ||
    writtenAtMs === undefined ||
    !(owner instanceof Uint8Array)
  ) {
    return null;
  }
  return { oldest, applied, committed, firstEpoch, writtenAtMs, owner };
}

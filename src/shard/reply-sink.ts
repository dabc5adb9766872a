// Who receives the replies of one unit: everything between the bytes that were sent and the one ReadyForQuery that ends them.
import type { ConnectionLost } from './branch-link.ts';

export interface ReplySink {
  /** Every frame of this unit except ReadyForQuery; chunk[start] is the type byte and the bytes stay valid for ever. */
  frame(type: number, chunk: Buffer, start: number, end: number): void;
  /** No more frames for this sink before the event loop turns: flush what was gathered. May come after ready(). */
  chunkEnd(): void;
  /** ReadyForQuery: the unit is over. `status` is a byte of STATUS. */
  ready(status: number): void;
  /** The connection is gone, the unit is over and nobody knows what the server did. */
  lost(lost: ConnectionLost): void;
}

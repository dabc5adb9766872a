// Copies of client frames with another statement name in them: one allocation and at most three copies each, for the hot path.
// The rule: the frame was decoded before (client-message.ts), so its strings end inside it; nothing else of it changes.
import { HEADER_BYTES } from './frame.ts';
import { MalformedMessage } from './malformed-message.ts';

function stringEnd(chunk: Buffer, from: number, end: number): number {
  const zero = chunk.indexOf(0, from);
  if (zero < 0 || zero >= end) throw new MalformedMessage('invalid string in message');
  return zero;
}

/** chunk[start, end) with chunk[from, to) replaced by `name` and the length word set right. */
function splice(chunk: Buffer, start: number, end: number, from: number, to: number, name: string): Buffer {
  const nameBytes = Buffer.byteLength(name);
  const copy = Buffer.allocUnsafe(end - start - (to - from) + nameBytes);
  const nameAt = from - start;
  chunk.copy(copy, 0, start, from);
  copy.write(name, nameAt, 'utf8');
  chunk.copy(copy, nameAt + nameBytes, to, end);
  copy.writeInt32BE(copy.length - 1, 1);
  return copy;
}

/** The same Bind on another statement. `name` must not hold a zero byte. */
export function renameBind(chunk: Buffer, start: number, end: number, name: string): Buffer {
  const from = stringEnd(chunk, start + HEADER_BYTES, end) + 1;
  return splice(chunk, start, end, from, stringEnd(chunk, from, end), name);
}

/** The same Bind with another portal name. */
export function renameBindPortal(chunk: Buffer, start: number, end: number, name: string): Buffer {
  const from = start + HEADER_BYTES;
  return splice(chunk, start, end, from, stringEnd(chunk, from, end), name);
}

/** The same Parse under another name. */
export function renameParse(chunk: Buffer, start: number, end: number, name: string): Buffer {
  const from = start + HEADER_BYTES;
  return splice(chunk, start, end, from, stringEnd(chunk, from, end), name);
}

/** The same Describe or Close (statement or portal) of another name. */
export function renameTarget(chunk: Buffer, start: number, end: number, name: string): Buffer {
  const from = start + HEADER_BYTES + 1;
  return splice(chunk, start, end, from, stringEnd(chunk, from, end), name);
}

// A watch's bytes cut into events: one JSON object per line, in any chunking, and no line longer than a bound.
import { errorFromAnswer, isRecord, KubeError, textOf } from './kube-error.ts';
import type { KubeObject } from './resource.ts';

export type WatchEvent<Shape extends KubeObject = KubeObject> =
  /** The server took the watch; comes first, and says nothing about objects. */
  | { readonly kind: 'opened' }
  | { readonly kind: 'added' | 'modified' | 'deleted'; readonly object: Shape }
  /** Nothing changed up to this version: a watch may start again from here. */
  | { readonly kind: 'bookmark'; readonly resourceVersion: string };

/** An object in etcd has at most 1.5 MiB; as JSON it may be longer. */
export const LINE_BYTES_MAX = 16 * 1024 * 1024;

const NEWLINE = 0x0a;

/** The lines of a stream; a last line without an end is dropped, as it is half an event. */
export async function* linesOf(body: AsyncIterable<Uint8Array>, bytesMax = LINE_BYTES_MAX): AsyncGenerator<string> {
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  for await (const chunk of body) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      held.push(chunk.subarray(from, end));
      yield Buffer.concat(held).toString('utf8');
      held = [];
      heldBytes = 0;
      from = end + 1;
    }
    heldBytes += chunk.length - from;
    if (heldBytes > bytesMax) throw new KubeError('malformed', `a watch event longer than ${bytesMax} bytes`);
    if (from < chunk.length) held.push(chunk.subarray(from));
  }
}

const KINDS = { ADDED: 'added', MODIFIED: 'modified', DELETED: 'deleted' } as const;

/** One line as an event; throws {@link KubeError}, also for the errors that the server sends inside a watch (410 is `gone`). */
export function decodeWatchEvent<Shape extends KubeObject>(line: string, doing: string): WatchEvent<Shape> {
  const event = parse(line, doing);
  const { type, object } = event;
  if (!isRecord(object)) throw new KubeError('malformed', `${doing}: an event without an object`);
  if (type === 'ERROR') {
    throw errorFromAnswer(doing, typeof object.code === 'number' ? object.code : 500, object);
  }
  const metadata = isRecord(object.metadata) ? object.metadata : {};
  if (type === 'BOOKMARK') return { kind: 'bookmark', resourceVersion: textOf(metadata.resourceVersion) ?? '' };
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') {
    throw new KubeError('malformed', `${doing}: an event of the unknown type ${String(type)}`);
  }
  if (textOf(metadata.name) === undefined) throw new KubeError('malformed', `${doing}: an object without a name`);
  // The API server validated the object; that it has the shape is its promise, not checked again here.
  return { kind: KINDS[type], object: object as unknown as Shape };
}

function parse(line: string, doing: string): Record<string, unknown> {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch (cause) {
    throw new KubeError('malformed', `${doing}: an event that is not JSON`, { cause });
  }
  if (!isRecord(event)) throw new KubeError('malformed', `${doing}: an event that is not an object`);
  return event;
}

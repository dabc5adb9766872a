// The Warning events of one object, newest first: Kubernetes says some faults nowhere else. Pure.
import type { KubeObject } from '../kube/resource.ts';
import type { EventObject } from './children.ts';

/** Events are repeated while their cause lasts, at most some minutes apart; older ones may be over. */
const RECENT_MS = 6 * 60_000;

/** Warnings about `object` that are recent; those of a former object of the same name are left out. */
export function warningsAbout(
  events: readonly EventObject[],
  kind: string,
  { metadata }: KubeObject,
  nowMs: number,
): EventObject[] {
  return events
    .filter(({ type, involvedObject }) => {
      if (type !== 'Warning' || involvedObject?.kind !== kind || involvedObject.name !== metadata.name) return false;
      return metadata.uid === undefined || involvedObject.uid === undefined || involvedObject.uid === metadata.uid;
    })
    .filter((event) => nowMs - eventTimeMs(event) < RECENT_MS)
    .toSorted((one, other) => eventTimeMs(other) - eventTimeMs(one));
}

/** When it was seen last. */
export function eventTimeMs({ lastTimestamp, eventTime, series, metadata }: EventObject): number {
  const text = series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? metadata.creationTimestamp;
  return text == null ? 0 : Date.parse(text);
}

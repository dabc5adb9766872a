// The reflector's copy of the objects: what a list or an event changes in it, told as changes; versions are compared only for equality.
import { type KubeObject, objectKey } from './resource.ts';
import type { WatchEvent } from './watch-stream.ts';

export type Change<Shape extends KubeObject> =
  | { readonly kind: 'added'; readonly key: string; readonly object: Shape }
  | { readonly kind: 'updated'; readonly key: string; readonly object: Shape; readonly before: Shape }
  /** `object` is the last state known, which may be older than the last state there was. */
  | { readonly kind: 'deleted'; readonly key: string; readonly object: Shape }
  /** Nothing changed: said again, so that work that was lost is found. */
  | { readonly kind: 'resync'; readonly key: string; readonly object: Shape };

export class ObjectCache<Shape extends KubeObject> {
  readonly #objects = new Map<string, Shape>();

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): Shape | undefined {
    return this.#objects.get(key);
  }

  values(): IterableIterator<Shape> {
    return this.#objects.values();
  }

  /** Takes the list for the whole truth: what is not in it was deleted meanwhile. An object that was made anew is two changes. */
  replace(items: readonly Shape[]): Change<Shape>[] {
    const listed = new Map(items.map((item) => [objectKey(item.metadata), item]));
    const gone = [...this.#objects].filter(([key]) => !listed.has(key));
    return [
      ...gone.map(([key, object]) => this.#delete(key, object)),
      ...[...listed].flatMap(([key, object]) => this.#put(key, object)),
    ];
  }

  apply(event: WatchEvent<Shape>): Change<Shape>[] {
    if (event.kind === 'opened' || event.kind === 'bookmark') return [];
    const key = objectKey(event.object.metadata);
    if (event.kind !== 'deleted') return this.#put(key, event.object);
    return this.#objects.has(key) ? [this.#delete(key, event.object)] : [];
  }

  resync(): Change<Shape>[] {
    return [...this.#objects].map(([key, object]) => ({ kind: 'resync', key, object }));
  }

  #put(key: string, object: Shape): Change<Shape>[] {
    const before = this.#objects.get(key);
    if (before === undefined) {
      this.#objects.set(key, object);
      return [{ kind: 'added', key, object }];
    }
    if (before.metadata.uid !== object.metadata.uid) return [this.#delete(key, before), ...this.#put(key, object)];
    if (before.metadata.resourceVersion === object.metadata.resourceVersion) return [];
    this.#objects.set(key, object);
    return [{ kind: 'updated', key, object, before }];
  }

  #delete(key: string, object: Shape): Change<Shape> {
    this.#objects.delete(key);
    return { kind: 'deleted', key, object };
  }
}

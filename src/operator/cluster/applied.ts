// What was applied and what the API server made of it, so that an object is applied again only when the wish or the object changed.
// The rule: an object that somebody else changed differs from the server's answer to our last apply; no field is compared one by
// one, as the server writes defaults and quantities in words of its own.
import { createHash } from 'node:crypto';
import type { KubeObject, ObjectRef, Resource } from '../kube/resource.ts';

interface AppliedRecord {
  readonly wished: string;
  readonly uid: string | undefined;
  readonly answered: string;
  readonly resourceVersion: string | undefined;
}

export class AppliedObjects {
  /** Empty after a start: then each object is applied once, which changes nothing where nothing differs. */
  readonly #records = new Map<string, AppliedRecord>();

  /** Whether `wish` must be sent. `live`: the cache's copy; `unwatched` kinds have none and count as unchanged. */
  isDue(type: Resource, wish: KubeObject, live: KubeObject | undefined | 'unwatched'): boolean {
    const record = this.#records.get(keyOf(type, wish));
    if (record === undefined || record.wished !== digest(wish)) return true;
    if (live === 'unwatched') return false;
    if (live === undefined || live.metadata.uid !== record.uid) return true;
    if (live.metadata.resourceVersion === record.resourceVersion) return false;
    // The cache may be older than the answer; then this costs one apply that changes nothing.
    return digest(essence(live)) !== record.answered;
  }

  noteApplied(type: Resource, wish: KubeObject, answer: KubeObject): void {
    const { uid, resourceVersion } = answer.metadata;
    this.#records.set(keyOf(type, wish), {
      wished: digest(wish),
      uid,
      resourceVersion,
      answered: digest(essence(answer)),
    });
  }

  /** For a cluster that is gone: its objects are called by its name, alone or with more behind a dash. */
  forget({ namespace = '', name }: ObjectRef): void {
    for (const key of this.#records.keys()) {
      const [, place, object = ''] = key.split('/');
      // Another cluster may begin like it; its objects are then applied once more, which changes nothing.
      if (place === namespace && (object === name || object.startsWith(`${name}-`))) this.#records.delete(key);
    }
  }

  get size(): number {
    return this.#records.size;
  }
}

function keyOf({ kind }: Resource, { metadata }: KubeObject): string {
  return `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
}

/** An object without what changes by itself. */
function essence(object: KubeObject): unknown {
  const { metadata, status: _status, ...rest } = object as KubeObject & { readonly status?: unknown };
  const { labels, annotations, ownerReferences, finalizers } = metadata;
  return { ...rest, apiVersion: '', kind: '', metadata: { labels, annotations, ownerReferences, finalizers } };
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64');
}

// Which path of the API an object has; objects are plain JSON, so that no field is ever lost on the way.
import { assert } from '../../kernel/assert.ts';

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
  readonly managedFields?: readonly unknown[];
}

/** What every object has; the rest is the business of who reads it. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

/** A kind and its place in the API. `Shape` is what its objects look like; it exists for the compiler only. */
export interface Resource<Shape extends KubeObject = KubeObject> {
  /** `v1` or `GROUP/VERSION`. */
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  readonly shape?: () => Shape;
}

/** Names a kind once, e.g. `resource<StatefulSet>('apps/v1', 'StatefulSet', 'statefulsets')`. */
export function resource<Shape extends KubeObject>(
  apiVersion: string,
  kind: string,
  plural: string,
  namespaced = true,
): Resource<Shape> {
  return { apiVersion, kind, plural, namespaced };
}

/** Where one object is; `namespace` is absent for objects of the whole cluster. */
export interface ObjectRef {
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** `namespace/name`, or `name` for objects of the whole cluster: the key of caches and queues. */
export function objectKey({ namespace, name }: ObjectRef): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** The inverse of {@link objectKey}. */
export function refOfKey(key: string): ObjectRef {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** `/api/v1/namespaces/NS/pods` and its like; without a namespace the objects of all namespaces. */
export function collectionPath(type: Resource, namespace?: string): string {
  assert(type.namespaced || namespace === undefined, `${type.kind} has no namespace`);
  const root = type.apiVersion.includes('/') ? `/apis/${type.apiVersion}` : `/api/${type.apiVersion}`;
  const place = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}${place}/${type.plural}`;
}

/** The path of one object, or of a subresource of it such as `status`. */
export function objectPath(type: Resource, ref: ObjectRef, subresource?: string): string {
  assert(ref.name !== '', `a ${type.kind} without a name`);
  assert(!type.namespaced || ref.namespace !== undefined, `${type.kind} ${ref.name} without a namespace`);
  const below = subresource === undefined ? '' : `/${subresource}`;
  return `${collectionPath(type, ref.namespace)}/${encodeURIComponent(ref.name)}${below}`;
}

/** `?a=b&c=d` of those parameters that have a value. */
export function queryOf(parameters: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== '') query.set(name, String(value));
  }
  return query.size === 0 ? '' : `?${query}`;
}

// The verbs of the Kubernetes API over plain objects: what goes in goes out unchanged, under one field manager.
import { Caller, type CallerOptions, type CallOptions } from './call.ts';
import { isRecord, KubeError, textOf } from './kube-error.ts';
import {
  collectionPath,
  type KubeObject,
  type ObjectRef,
  objectPath,
  queryOf,
  type Resource,
  resource,
} from './resource.ts';
import { decodeWatchEvent, linesOf, type WatchEvent } from './watch-stream.ts';

const JSON_TYPE = 'application/json';
/** JSON is YAML. */
const APPLY_TYPE = 'application/apply-patch+yaml';
const MERGE_TYPE = 'application/merge-patch+json';

const PAGE_SIZE = 500;

const PODS = resource('v1', 'Pod', 'pods');

export interface KubeClientOptions extends CallerOptions {
  /** The owner of the fields that we apply, e.g. `atomshard-operator`. */
  readonly fieldManager: string;
}

export interface Selection {
  /** Absent: all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface ObjectList<Shape extends KubeObject> {
  readonly items: readonly Shape[];
  /** Where a watch goes on. */
  readonly resourceVersion: string;
}

export interface ApplyOptions extends CallOptions {
  /** Takes fields over from other managers; default true, as a controller must win in the end. */
  readonly force?: boolean | undefined;
  readonly subresource?: 'status' | 'scale' | undefined;
  readonly dryRun?: boolean | undefined;
}

export interface DeleteOptions extends CallOptions {
  /** Only this very object, not a later one of the same name. */
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan' | undefined;
  readonly gracePeriodSeconds?: number | undefined;
}

export interface WatchOptions extends Selection {
  readonly resourceVersion: string;
  /** After this long the server ends the watch in good order. */
  readonly timeoutSeconds: number;
}

export class KubeClient {
  readonly #caller: Caller;
  readonly #fieldManager: string;

  constructor(options: KubeClientOptions) {
    this.#caller = new Caller(options);
    this.#fieldManager = options.fieldManager;
  }

  /** Reads one object. All verbs reject with {@link KubeError}. */
  async get<Shape extends KubeObject>(type: Resource<Shape>, ref: ObjectRef, options?: CallOptions): Promise<Shape> {
    const doing = describe('get', type, ref);
    const request = { method: 'GET', path: objectPath(type, ref), doing, repeatable: true } as const;
    return asObject(await this.#caller.json(request, options), doing);
  }

  /** Reads all selected objects, page by page, at one version. */
  async list<Shape extends KubeObject>(
    type: Resource<Shape>,
    selection: Selection = {},
    options?: CallOptions,
  ): Promise<ObjectList<Shape>> {
    const doing = describe('list', type, { namespace: selection.namespace, name: '' });
    const items: Shape[] = [];
    let next: string | undefined;
    for (;;) {
      const query = queryOf({ ...selectors(selection), limit: PAGE_SIZE, continue: next });
      const path = `${collectionPath(type, selection.namespace)}${query}`;
      const page = asPage(await this.#caller.json({ method: 'GET', path, doing, repeatable: true }, options), doing);
      for (const item of page.items) {
        // Items of built-in kinds come without these two.
        items.push(asObject({ apiVersion: type.apiVersion, kind: type.kind, ...item }, doing));
      }
      next = page.next;
      if (next === undefined) return { items, resourceVersion: page.resourceVersion };
    }
  }

  /** Creates `object`; never repeated by itself where it may have happened. */
  async create<Shape extends KubeObject>(type: Resource<Shape>, object: Shape, options?: CallOptions): Promise<Shape> {
    const doing = describe('create', type, object.metadata);
    const path = `${collectionPath(type, object.metadata.namespace)}${this.#writeQuery()}`;
    const body = JSON.stringify(object);
    const request = { method: 'POST', path, contentType: JSON_TYPE, body, doing, repeatable: false } as const;
    return asObject(await this.#caller.json(request, options), doing);
  }

  /** Server-side apply: afterwards we own exactly the fields in `object`, and those left out since the last time are gone. */
  async apply<Shape extends KubeObject>(
    type: Resource<Shape>,
    object: KubeObject,
    { force = true, subresource, dryRun = false, ...options }: ApplyOptions = {},
  ): Promise<Shape> {
    const doing = describe(subresource === undefined ? 'apply' : `apply the ${subresource} of`, type, object.metadata);
    const query = this.#writeQuery({ force, dryRun: dryRun ? 'All' : undefined });
    const path = `${objectPath(type, object.metadata, subresource)}${query}`;
    const { managedFields: _managedFields, ...metadata } = object.metadata;
    const body = JSON.stringify({ ...object, apiVersion: type.apiVersion, kind: type.kind, metadata });
    const request = { method: 'PATCH', path, contentType: APPLY_TYPE, body, doing, repeatable: true } as const;
    return asObject(await this.#caller.json(request, options), doing);
  }

  /** JSON merge patch, for what apply cannot say (e.g. one finalizer of many); with a resourceVersion in it, it may `conflict`. */
  async mergePatch<Shape extends KubeObject>(
    type: Resource<Shape>,
    ref: ObjectRef,
    patch: Readonly<Record<string, unknown>>,
    options?: CallOptions,
  ): Promise<Shape> {
    const doing = describe('patch', type, ref);
    const path = `${objectPath(type, ref)}${this.#writeQuery()}`;
    const body = JSON.stringify(patch);
    const request = { method: 'PATCH', path, contentType: MERGE_TYPE, body, doing, repeatable: true } as const;
    return asObject(await this.#caller.json(request, options), doing);
  }

  /** Replaces the whole object; rejects with `conflict` when its resourceVersion is not the newest. */
  async replace<Shape extends KubeObject>(type: Resource<Shape>, object: Shape, options?: CallOptions): Promise<Shape> {
    const doing = describe('replace', type, object.metadata);
    const path = `${objectPath(type, object.metadata)}${this.#writeQuery()}`;
    const body = JSON.stringify(object);
    const request = { method: 'PUT', path, contentType: JSON_TYPE, body, doing, repeatable: false } as const;
    return asObject(await this.#caller.json(request, options), doing);
  }

  /** Asks for deletion; resolves as soon as the server noted it. `notFound` also follows a first attempt whose answer was lost. */
  async delete(
    type: Resource,
    ref: ObjectRef,
    { uid, resourceVersion, propagationPolicy, gracePeriodSeconds, ...options }: DeleteOptions = {},
  ): Promise<void> {
    const doing = describe('delete', type, ref);
    const preconditions = uid === undefined && resourceVersion === undefined ? undefined : { uid, resourceVersion };
    const body = JSON.stringify({
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      propagationPolicy,
      gracePeriodSeconds,
      preconditions,
    });
    const path = objectPath(type, ref);
    const request = { method: 'DELETE', path, contentType: JSON_TYPE, body, doing, repeatable: true } as const;
    await this.#caller.json(request, options);
  }

  /** What a container of the pod has written; with several containers one must be named. */
  log(
    pod: ObjectRef,
    { container, limitBytes, ...options }: CallOptions & { container?: string; limitBytes?: number } = {},
  ): Promise<string> {
    const doing = `read the log of Pod ${pod.namespace}/${pod.name}`;
    const path = `${objectPath(PODS, pod, 'log')}${queryOf({ container, limitBytes })}`;
    return this.#caller.text({ method: 'GET', path, doing, repeatable: true }, options);
  }

  /**
   * Changes since a version, with bookmarks, until the server ends the watch or `signal` aborts (`aborted`). `gone`
   * says that the version is too old. Most callers want a Reflector.
   */
  async *watch<Shape extends KubeObject>(
    type: Resource<Shape>,
    { resourceVersion, timeoutSeconds, ...selection }: WatchOptions,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent<Shape>> {
    const doing = describe('watch', type, { namespace: selection.namespace, name: '' });
    const parameters = { watch: true, allowWatchBookmarks: true, resourceVersion, timeoutSeconds };
    const path = `${collectionPath(type, selection.namespace)}${queryOf({ ...selectors(selection), ...parameters })}`;
    const left = new AbortController();
    const either = AbortSignal.any([signal, left.signal]);
    const { body } = await this.#caller.stream({ method: 'GET', path, doing, repeatable: true }, either);
    let ended = false;
    try {
      yield { kind: 'opened' };
      for await (const line of linesOf(body)) {
        if (line !== '') yield decodeWatchEvent<Shape>(line, doing);
      }
      ended = true;
    } catch (error) {
      if (error instanceof KubeError) throw error;
      const why = error instanceof Error ? error.message : String(error);
      throw new KubeError(signal.aborted ? 'aborted' : 'unavailable', `${doing}: ${why}`, { cause: error });
    } finally {
      // Whoever leaves the loop early must not leave the connection taken; one that ended may serve another call by now.
      if (!ended) left.abort();
    }
  }

  /** A field that the API does not know is refused (`invalid`), not dropped. */
  #writeQuery(more: Readonly<Record<string, string | boolean | undefined>> = {}): string {
    return queryOf({ fieldManager: this.#fieldManager, fieldValidation: 'Strict', ...more });
  }
}

function selectors({ labelSelector, fieldSelector }: Selection): Record<string, string | undefined> {
  return { labelSelector, fieldSelector };
}

function describe(verb: string, { kind }: Resource, { namespace, name }: ObjectRef): string {
  if (name === '') return `${verb} ${kind}${namespace === undefined ? '' : ` in ${namespace}`}`;
  return `${verb} ${kind} ${namespace === undefined ? name : `${namespace}/${name}`}`;
}

function asObject<Shape extends KubeObject>(value: unknown, doing: string): Shape {
  const metadata = isRecord(value) ? value.metadata : undefined;
  if (!isRecord(metadata) || textOf(metadata.name) === undefined) {
    throw new KubeError('malformed', `${doing}: the answer is not an object with a name`);
  }
  // The API server validated the object against its schema; its shape is that promise.
  return value as Shape;
}

function asPage(value: unknown, doing: string): { items: object[]; resourceVersion: string; next: string | undefined } {
  const metadata = isRecord(value) && isRecord(value.metadata) ? value.metadata : undefined;
  const resourceVersion = textOf(metadata?.resourceVersion);
  if (!isRecord(value) || resourceVersion === undefined) {
    throw new KubeError('malformed', `${doing}: the answer is not a list with a version`);
  }
  // An empty list of some servers is null.
  const items: readonly unknown[] = Array.isArray(value.items) ? value.items : [];
  return { items: items.filter(isRecord), resourceVersion, next: textOf(metadata?.continue) };
}

// The operator's copy of the world: one reflector per kind and namespace, and which cluster an object belongs to.
// The rule: only objects with our label are followed (Secrets of others never get into memory), and nothing is polled.
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import type { Change } from '../kube/object-cache.ts';
import { Reflector, type ReflectorOptions } from '../kube/reflector.ts';
import { type KubeObject, type ObjectRef, objectKey, type Resource } from '../kube/resource.ts';
import {
  CLAIMS,
  CLUSTERS,
  CONFIG_MAPS,
  DISRUPTION_BUDGETS,
  JOBS,
  NETWORK_POLICIES,
  PODS,
  SECRETS,
  SERVICE_ACCOUNTS,
  SERVICES,
  STATEFUL_SETS,
} from './kinds.ts';

export const CLUSTER_LABEL = 'atomshard.dev/cluster';

/** Kinds whose objects are applied and then followed, so that a change by hand is seen. */
const FOLLOWED: readonly Resource[] = [
  STATEFUL_SETS,
  PODS,
  CLAIMS,
  SERVICES,
  CONFIG_MAPS,
  SECRETS,
  SERVICE_ACCOUNTS,
  DISRUPTION_BUDGETS,
  NETWORK_POLICIES,
  JOBS,
];

export interface CachesOptions extends Pick<ReflectorOptions<KubeObject>, 'client' | 'clock' | 'random' | 'onProblem'> {
  /** Empty: all of them. */
  readonly namespaces: readonly string[];
  readonly resyncMs: number;
  /** Told the key `namespace/name` of a cluster about which something changed. */
  readonly onChange: (clusterKey: string) => void;
}

export class Caches {
  readonly #options: CachesOptions;
  readonly #clusters: readonly Reflector<ShardedCluster>[];
  /** Kind → one reflector per namespace. */
  readonly #children = new Map<string, readonly Reflector<KubeObject>[]>();
  /** Cluster key → `Kind/name` → object. */
  readonly #byCluster = new Map<string, Map<string, KubeObject>>();

  constructor(options: CachesOptions) {
    this.#options = options;
    const { namespaces, onChange } = options;
    const places = namespaces.length === 0 ? [undefined] : namespaces;
    this.#clusters = places.map((namespace) => {
      const reflector = this.#reflector(CLUSTERS, namespace, undefined);
      reflector.subscribe(({ key }) => onChange(key));
      return reflector;
    });
    for (const type of FOLLOWED) {
      const reflectors = places.map((namespace) => this.#reflector(type, namespace, CLUSTER_LABEL));
      for (const reflector of reflectors) reflector.subscribe((change) => this.#follow(type, change));
      this.#children.set(type.kind, reflectors);
    }
  }

  /** Follows until `signal` aborts; never rejects. Call it once. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#all().map((reflector) => reflector.run(signal)));
  }

  /** Resolves when every kind was listed once: before that nothing may be concluded from an absence. */
  async synced(): Promise<void> {
    await Promise.all(this.#all().map((reflector) => reflector.synced));
  }

  /** What is wrong with the copies now, one sentence each; empty while all follow. */
  problems(): string[] {
    return this.#all().flatMap(({ hasSynced, problem }) =>
      problem === undefined ? (hasSynced ? [] : ['a first list is still under way']) : [problem.message],
    );
  }

  /** Milliseconds since the API server was last heard, the longest of all kinds; 0 before the first word. */
  contactAgeMs(): number {
    return Math.max(0, ...this.#all().map(({ contactAgeMs }) => contactAgeMs ?? 0));
  }

  cluster(ref: ObjectRef): ShardedCluster | undefined {
    for (const reflector of this.#clusters) {
      const found = reflector.get(ref);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  clusters(): ShardedCluster[] {
    return this.#clusters.flatMap((reflector) => [...reflector.values()]);
  }

  /** Everything that carries the cluster's label, by `Kind/name`. */
  childrenOf(clusterKey: string): ReadonlyMap<string, KubeObject> {
    return this.#byCluster.get(clusterKey) ?? NONE;
  }

  #all(): Reflector<KubeObject>[] {
    // A reflector only hands objects out, so that one of clusters is one of objects.
    const clusters = this.#clusters as unknown as readonly Reflector<KubeObject>[];
    return [...clusters, ...[...this.#children.values()].flat()];
  }

  #reflector<Shape extends KubeObject>(
    type: Resource<Shape>,
    namespace: string | undefined,
    labelSelector: string | undefined,
  ): Reflector<Shape> {
    const { client, clock, random, onProblem, resyncMs } = this.#options;
    const selection = { namespace, labelSelector };
    return new Reflector({
      client,
      type,
      selection,
      clock,
      random,
      resyncMs,
      ...(onProblem === undefined ? {} : { onProblem }),
    });
  }

  #follow(type: Resource, change: Change<KubeObject>): void {
    const { object } = change;
    const owner = ownerKey(object);
    const before = change.kind === 'updated' ? ownerKey(change.before) : owner;
    const slot = `${type.kind}/${object.metadata.name}`;
    if (before !== undefined && (before !== owner || change.kind === 'deleted')) {
      const objects = this.#byCluster.get(before);
      objects?.delete(slot);
      if (objects?.size === 0) this.#byCluster.delete(before);
      this.#options.onChange(before);
    }
    if (owner === undefined || change.kind === 'deleted') return;
    const objects = this.#byCluster.get(owner) ?? new Map<string, KubeObject>();
    objects.set(slot, object);
    this.#byCluster.set(owner, objects);
    // The ShardedCluster's own resync wakes it already.
    if (change.kind !== 'resync') this.#options.onChange(owner);
  }
}

const NONE: ReadonlyMap<string, KubeObject> = new Map();

function ownerKey({ metadata }: KubeObject): string | undefined {
  const name = metadata.labels?.[CLUSTER_LABEL];
  return name === undefined ? undefined : objectKey({ namespace: metadata.namespace, name });
}

/** The children of one kind; the kind in the key is the proof of the shape. */
export function ofKind<Shape extends KubeObject>(
  children: ReadonlyMap<string, KubeObject>,
  { kind }: Resource<Shape>,
): Shape[] {
  const prefix = `${kind}/`;
  return [...children].filter(([key]) => key.startsWith(prefix)).map(([, object]) => object as Shape);
}

/** One child by name. */
export function childOf<Shape extends KubeObject>(
  children: ReadonlyMap<string, KubeObject>,
  { kind }: Resource<Shape>,
  name: string,
): Shape | undefined {
  return children.get(`${kind}/${name}`) as Shape | undefined;
}

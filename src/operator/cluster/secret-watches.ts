// Follows the Secrets that users name in their specs, one by one by name, so that a new password is seen without ever asking again.
import type { Clock } from '../../kernel/clock.ts';
import type { KubeClient } from '../kube/client.ts';
import { Reflector } from '../kube/reflector.ts';
import { objectKey } from '../kube/resource.ts';
import { SECRETS, type Secret } from './kinds.ts';

export interface SecretWatchesOptions {
  readonly client: Pick<KubeClient, 'list' | 'watch'>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onProblem: (error: unknown) => void;
  /** Told the key of each cluster that names the Secret. */
  readonly onChange: (clusterKey: string) => void;
}

interface Followed {
  readonly reflector: Reflector<Secret>;
  readonly stop: AbortController;
  /** Clusters that name it. */
  readonly wantedBy: Set<string>;
}

export class SecretWatches {
  readonly #options: SecretWatchesOptions;
  readonly #followed = new Map<string, Followed>();

  constructor(options: SecretWatchesOptions) {
    this.#options = options;
  }

  /** The cluster names exactly these Secrets of its namespace from now on. */
  follow(clusterKey: string, namespace: string, names: readonly string[]): void {
    const keys = new Set(names.map((name) => objectKey({ namespace, name })));
    for (const [key, followed] of this.#followed) {
      if (keys.has(key) || !followed.wantedBy.delete(clusterKey) || followed.wantedBy.size > 0) continue;
      followed.stop.abort();
      this.#followed.delete(key);
    }
    for (const name of names) this.#want(clusterKey, namespace, name);
  }

  /** `unknown` until the API server was asked: nothing may be concluded from it. */
  get(namespace: string, name: string): Secret | 'missing' | 'unknown' {
    const reflector = this.#followed.get(objectKey({ namespace, name }))?.reflector;
    if (reflector === undefined) return 'unknown';
    return reflector.get({ namespace, name }) ?? (reflector.hasSynced ? 'missing' : 'unknown');
  }

  stop(): void {
    for (const { stop } of this.#followed.values()) stop.abort();
    this.#followed.clear();
  }

  #want(clusterKey: string, namespace: string, name: string): void {
    const key = objectKey({ namespace, name });
    const known = this.#followed.get(key);
    if (known !== undefined) {
      known.wantedBy.add(clusterKey);
      return;
    }
    const { client, clock, random, onProblem, onChange } = this.#options;
    const selection = { namespace, fieldSelector: `metadata.name=${name}` };
    const reflector = new Reflector({ client, type: SECRETS, selection, clock, random, onProblem });
    const followed: Followed = { reflector, stop: new AbortController(), wantedBy: new Set([clusterKey]) };
    this.#followed.set(key, followed);
    const tell = () => {
      for (const cluster of followed.wantedBy) onChange(cluster);
    };
    reflector.subscribe(tell);
    // A Secret that is not there is also an answer.
    void reflector.synced.then(tell);
    void reflector.run(followed.stop.signal);
  }
}

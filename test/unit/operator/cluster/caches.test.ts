// What the operator has in memory of the world: children by their cluster, and of other people's Secrets only those that are named.
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Caches, CLUSTER_LABEL } from '../../../../src/operator/cluster/caches.ts';
import { SecretWatches } from '../../../../src/operator/cluster/secret-watches.ts';
import type { KubeClient, Selection } from '../../../../src/operator/kube/client.ts';
import { KubeError } from '../../../../src/operator/kube/kube-error.ts';
import type { KubeObject, Resource } from '../../../../src/operator/kube/resource.ts';
import type { WatchEvent } from '../../../../src/operator/kube/watch-stream.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

/** Lists what it has, and tells each watch what a test says. */
class SmallServer {
  readonly objects = new Map<string, KubeObject[]>();
  readonly asked: string[] = [];
  readonly #watchers = new Map<string, ((event: WatchEvent) => void)[]>();

  readonly client = {
    list: async ({ kind }: Resource, { namespace, labelSelector, fieldSelector }: Selection = {}) => {
      this.asked.push([kind, namespace ?? '*', labelSelector ?? fieldSelector ?? ''].join(' '));
      return { items: this.objects.get(kind) ?? [], resourceVersion: '1' };
    },
    watch: ({ kind }: Resource, _: unknown, signal: AbortSignal) => this.#watch(kind, signal),
  } as unknown as Pick<KubeClient, 'list' | 'watch'>;

  tell(kind: string, event: WatchEvent): void {
    for (const hear of this.#watchers.get(kind) ?? []) hear(event);
  }

  async *#watch(kind: string, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    const queue: WatchEvent[] = [];
    let wake: () => void = () => undefined;
    const hear = (event: WatchEvent) => {
      queue.push(event);
      wake();
    };
    this.#watchers.set(kind, [...(this.#watchers.get(kind) ?? []), hear]);
    signal.addEventListener('abort', () => wake());
    for (;;) {
      if (signal.aborted) throw new KubeError('aborted', 'aborted');
      const event = queue.shift();
      if (event !== undefined) yield event;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  }
}

const turns = async () => {
  for (let turn = 0; turn < 30; turn += 1) await setImmediate();
};

const child = (name: string, cluster: string | undefined, resourceVersion = '1'): KubeObject => ({
  metadata: {
    namespace: 'shop',
    name,
    uid: name,
    resourceVersion,
    ...(cluster === undefined ? {} : { labels: { [CLUSTER_LABEL]: cluster } }),
  },
});

async function caches(server: SmallServer, namespaces: readonly string[] = []) {
  const told: string[] = [];
  const made = new Caches({
    client: server.client,
    clock: new ManualClock(),
    random: () => 0,
    namespaces,
    resyncMs: 0,
    onChange: (key) => told.push(key),
  });
  const stop = new AbortController();
  const run = made.run(stop.signal);
  await turns();
  const end = async () => {
    stop.abort();
    await run;
  };
  return { made, told, end };
}

describe('the caches', () => {
  it('follow only what carries the label, and all ShardedClusters', async () => {
    const server = new SmallServer();
    const { end } = await caches(server, ['shop']);
    expect(server.asked).toContain('ShardedCluster shop ');
    expect(server.asked).toContain(`Secret shop ${CLUSTER_LABEL}`);
    expect(server.asked.filter((asked) => asked.endsWith(' '))).toEqual(['ShardedCluster shop ']);
    await end();
  });

  it('wake the cluster that a child belongs to, and know the child by kind and name', async () => {
    const server = new SmallServer();
    const { made, told, end } = await caches(server);
    server.tell('Service', { kind: 'added', object: child('bank', 'bank') });
    await turns();
    expect(told).toEqual(['shop/bank']);
    expect([...made.childrenOf('shop/bank').keys()]).toEqual(['Service/bank']);
    await end();
  });

  it('wake both clusters when a child changes hands, and forget it with its label or itself', async () => {
    const server = new SmallServer();
    const { made, told, end } = await caches(server);
    server.tell('Service', { kind: 'added', object: child('it', 'bank') });
    server.tell('Service', { kind: 'modified', object: child('it', 'shop', '2') });
    await turns();
    expect(made.childrenOf('shop/bank').size).toBe(0);
    expect(made.childrenOf('shop/shop').size).toBe(1);
    server.tell('Service', { kind: 'deleted', object: child('it', 'shop', '3') });
    await turns();
    expect(made.childrenOf('shop/shop').size).toBe(0);
    expect(told).toEqual(['shop/bank', 'shop/bank', 'shop/shop', 'shop/shop']);
    await end();
  });

  it('say what is missing until every kind was listed', async () => {
    const server = new SmallServer();
    const { made, end } = await caches(server);
    expect(made.problems()).toEqual([]);
    await end();
    expect(
      new Caches({
        client: server.client,
        clock: new ManualClock(),
        random: () => 0,
        namespaces: [],
        resyncMs: 0,
        onChange: () => undefined,
      }).problems(),
    ).toContain('a first list is still under way');
  });
});

describe("a user's Secret", () => {
  const watches = (server: SmallServer) => {
    const told: string[] = [];
    const made = new SecretWatches({
      client: server.client,
      clock: new ManualClock(),
      random: () => 0,
      onProblem: () => undefined,
      onChange: (key) => told.push(key),
    });
    return { made, told };
  };

  it('is unknown until the API server was asked, then there or missing, by its name alone', async () => {
    const server = new SmallServer();
    const { made, told } = watches(server);
    made.follow('shop/bank', 'shop', ['login']);
    expect(made.get('shop', 'login')).toBe('unknown');
    await turns();
    expect(server.asked).toEqual(['Secret shop metadata.name=login']);
    expect(made.get('shop', 'login')).toBe('missing');
    server.tell('Secret', { kind: 'added', object: child('login', undefined) });
    await turns();
    expect(made.get('shop', 'login')).toMatchObject({ metadata: { name: 'login' } });
    expect(told.every((key) => key === 'shop/bank')).toBe(true);
    made.stop();
  });

  it('is followed once for all who name it, and no longer when nobody does', async () => {
    const server = new SmallServer();
    const { made } = watches(server);
    made.follow('shop/a', 'shop', ['login']);
    made.follow('shop/b', 'shop', ['login']);
    await turns();
    expect(server.asked).toHaveLength(1);
    made.follow('shop/a', 'shop', []);
    expect(made.get('shop', 'login')).toBe('missing');
    made.follow('shop/b', 'shop', []);
    expect(made.get('shop', 'login')).toBe('unknown');
    made.stop();
  });
});

// From nothing to a loaded cluster: images, a namespace, shards and proxies, the load; and away with it all again.
import type { Cluster } from '../../cluster/harness/cluster.ts';
import type { Folders } from '../../cluster/harness/folders.ts';
import { type TestNamespace, testNamespace } from '../../cluster/harness/namespaces.ts';
import type { Report } from '../../cluster/harness/report.ts';
import { provideImages } from '../../cluster/images/provide.ts';
import { Random } from '../../support/random.ts';
import { TRANSFER_SHARDING } from '../../support/transfer-load.ts';
import type { ShardUrl } from '../load/files.ts';
import type { Ground } from '../scenarios/scenario.ts';
import { connectKube, type KubeConnection } from './kube.ts';
import { Load } from './load.ts';
import { standInObjects } from './stand-in.ts';
import { System } from './system.ts';

const CLUSTER = 'shop';
const SHARDS = 3;
const PROXIES = 2;
const READY_TIMEOUT_MS = 240_000;

export interface GroundOptions {
  readonly cluster: Cluster;
  readonly folders: Folders;
  readonly seed: number;
  readonly report: Report;
  readonly imagesFrom?: string | undefined;
  /** Leaves the namespace, whatever happens. */
  readonly keep?: boolean;
}

export interface OpenGround extends Ground, AsyncDisposable {
  readonly namespace: TestNamespace;
}

const LOAD = { accounts: 300, initialBalance: 1_000, clients: 10, legsMax: 4, restMs: 60 } as const;

export async function openGround(options: GroundOptions): Promise<OpenGround> {
  const { cluster, folders, seed, report, imagesFrom, keep = false } = options;
  const images = await provideImages(
    cluster,
    ['atomshard-e2e', 'postgres-18', 'pg-client'],
    folders,
    report,
    imagesFrom,
  );
  report.step('images are on every node');
  const namespace = await testNamespace(cluster.kubectl, 'e2e', {
    'pod-security.kubernetes.io/enforce': 'restricted',
  });
  let kube: KubeConnection | undefined;
  try {
    kube = connectKube(cluster.record.kubeconfig);
    const { kubectl, name } = namespace;
    const system = new System({
      kubectl,
      kube: kube.client,
      namespace: name,
      cluster: CLUSTER,
      shards: SHARDS,
      proxies: PROXIES,
    });
    await kubectl.apply(
      standInObjects({
        cluster: CLUSTER,
        shards: SHARDS,
        proxies: PROXIES,
        postgresImage: images['postgres-18'],
        proxyImage: images['atomshard-e2e'],
        sharding: TRANSFER_SHARDING,
      }),
    );
    await system.untilHealthy(READY_TIMEOUT_MS);
    report.step(`${SHARDS} shards and ${PROXIES} proxies are ready in namespace ${name}`);
    const load = new Load(system);
    const shardUrls: ShardUrl[] = Array.from({ length: SHARDS }, (_, index) => ({
      name: `shard-${index}`,
      url: `postgres://postgres@${CLUSTER}-shard-${index}:5432/postgres`,
    }));
    await load.start({
      clientImage: images['pg-client'],
      loadUrl: `postgres://postgres@${CLUSTER}:5432/app`,
      shardUrls,
      order: { ...LOAD, seed },
    });
    report.step(`${LOAD.clients} clients move money between ${LOAD.accounts} accounts`);
    const closeKube = kube;
    return {
      cluster,
      system,
      load,
      namespace,
      random: new Random(seed).fork(1_000),
      say: (text) => report.step(text),
      [Symbol.asyncDispose]: async () => {
        closeKube.close();
        if (!keep) await namespace[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    kube?.close();
    if (!keep) await namespace[Symbol.asyncDispose]();
    throw error;
  }
}

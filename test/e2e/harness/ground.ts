// From nothing to a loaded cluster: images, a namespace, an operator, a ShardedCluster, the load; and away with it all again.
import type { Cluster } from '../../cluster/harness/cluster.ts';
import type { Folders } from '../../cluster/harness/folders.ts';
import { type Kubectl, waitFor } from '../../cluster/harness/kubectl.ts';
import { type TestNamespace, testNamespace } from '../../cluster/harness/namespaces.ts';
import type { Report } from '../../cluster/harness/report.ts';
import { provideImages } from '../../cluster/images/provide.ts';
import { RESTRICTED } from '../../cluster/operator/deploy.ts';
import { Random } from '../../support/random.ts';
import type { Ground } from '../scenarios/scenario.ts';
import { connectKube, type KubeConnection } from './kube.ts';
import { Load } from './load.ts';
import { deployUnderOrders } from './operator.ts';
import { connectionUrls, missingIn, SHARDED_CLUSTERS, shardedCluster } from './sharded-cluster.ts';
import { System } from './system.ts';

const SHAPE = { name: 'shop', shards: 3, proxies: 2, gracePeriod: '15s' } as const;
const READY_TIMEOUT_MS = 300_000;
const CLOSE_TIMEOUT_MS = 60_000;

const LOAD = {
  accounts: 1_000,
  initialBalance: 1_000,
  clients: 10,
  legsMax: 4,
  restMs: 60,
  leaveChance: 0.05,
  answerTimeoutMs: 120_000,
} as const;

export interface GroundOptions {
  readonly cluster: Cluster;
  readonly folders: Folders;
  readonly seed: number;
  readonly report: Report;
  readonly imagesFrom?: string | undefined;
  /** What has to be removed in the end is put here as soon as it is made. */
  readonly closing: AsyncDisposableStack;
  /** Leaves the namespace, whatever happens. */
  readonly keep?: boolean;
  /** Begins the namespace's name. */
  readonly purpose?: string;
  /** Called when the operator runs, and there is no ShardedCluster yet. */
  readonly onOperator?: (kubectl: Kubectl) => void;
}

export interface OpenGround extends Ground {
  readonly namespace: TestNamespace;
}

/** Rejects when the cluster does not get healthy. */
export async function openGround(options: GroundOptions): Promise<OpenGround> {
  const { cluster, folders, seed, report, imagesFrom, closing, keep = false, purpose = 'e2e', onOperator } = options;
  const wanted = ['atomshard-e2e', 'postgres-18', 'pg-client'] as const;
  const images = await provideImages(cluster, wanted, folders, report, imagesFrom);
  report.step('images are on every node');
  const namespace = await testNamespace(cluster.kubectl, purpose, RESTRICTED);
  const { kubectl, name } = namespace;
  const kube: KubeConnection = connectKube(cluster.record.kubeconfig);
  closing.defer(async () => {
    kube.close();
    if (keep) return;
    // The operator goes with the namespace, and nobody would take the finalizer off: what is in there is of no more use.
    await waitFor(`namespace ${name} to be deleted`, CLOSE_TIMEOUT_MS, async () => {
      await kubectl.try(['delete', 'shcl', SHAPE.name, '--wait=false']);
      await kubectl.try(['patch', 'shcl', SHAPE.name, '--type=merge', '--patch', '{"metadata":{"finalizers":null}}']);
      await namespace[Symbol.asyncDispose]();
      const phase = await kubectl.try([
        'get',
        'namespace',
        name,
        '--ignore-not-found',
        '-o',
        'jsonpath={.status.phase}',
      ]);
      return phase.code === 0 && phase.stdout !== 'Active' ? true : undefined;
    });
  });
  await deployUnderOrders(kubectl, name, images['atomshard-e2e']);
  report.step(`the operator runs in namespace ${name}`);
  onOperator?.(kubectl);
  await kubectl.apply([shardedCluster({ ...SHAPE, postgresImage: images['postgres-18'] })]);
  const seen = () => kube.client.get(SHARDED_CLUSTERS, { namespace: name, name: SHAPE.name });
  const system = new System({
    kubectl,
    kube: kube.client,
    namespace: name,
    cluster: SHAPE.name,
    shards: SHAPE.shards,
    proxies: SHAPE.proxies,
    unhealthy: async () => missingIn(await seen()),
  });
  await system.untilHealthy(READY_TIMEOUT_MS);
  report.step(`${SHAPE.shards} shards and ${SHAPE.proxies} proxies are ready`);
  const load = new Load(system);
  const urls = await connectionUrls(kube, kubectl, name, SHAPE);
  await load.start({ clientImage: images['pg-client'], ...urls, order: { ...LOAD, seed } });
  report.step(`${LOAD.clients} clients move money between ${LOAD.accounts} accounts`);
  const random = new Random(seed).fork(1_000);
  return { cluster, system, load, namespace, random, say: report.step, closing };
}

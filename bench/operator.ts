// The operator on a real Kubernetes: how long a cluster takes beside the same objects without an operator, how soon an edit is
// applied, what an idle operator asks of the API server, and its memory with one cluster and with twenty.
import { systemClock } from '../src/kernel/clock.ts';
import { resource } from '../src/operator/kube/resource.ts';
import type { Cluster } from '../test/cluster/harness/cluster.ts';
import { foldersFrom } from '../test/cluster/harness/folders.ts';
import { type Kubectl, waitFor } from '../test/cluster/harness/kubectl.ts';
import { testNamespace } from '../test/cluster/harness/namespaces.ts';
import { DEFAULT_NAME, openOrCreate, wayFor } from '../test/cluster/harness/open.ts';
import { stderrReport } from '../test/cluster/harness/report.ts';
import { provideImages } from '../test/cluster/images/provide.ts';
import { psqlOnShard, RESTRICTED, smallCluster, waitForReady } from '../test/cluster/operator/deploy.ts';
import { fleetCluster, readyCount, startServers } from '../test/cluster/operator/external-fleet.ts';
import { groundOn, type OperatorGround } from '../test/cluster/operator/ground.ts';
import { callsBetween, figuresOf, operatorPods, sum } from '../test/cluster/operator/metrics.ts';
import { connectKube } from '../test/e2e/harness/kube.ts';
import { SHARDED_CLUSTERS } from '../test/e2e/harness/sharded-cluster.ts';
import { median, print, round } from './rig.ts';

const CLUSTER = 'bank';
const SHARDS = 3;
const FLEET = 20;
const READY_MS = 300_000;
/** The kubelet brings a changed ConfigMap to a pod within its sync period and the life of its cache. */
const IN_FORCE_MS = 150_000;
/** After a change positions of logs are written within half a minute, and events that were repeated are counted within one. */
const SETTLING_MS = 70_000;
const IDLE_MS = 60_000;
const EDIT_GOAL_MS = 1_000;
const RESIDENT_GOAL_MIB = 256;

const folders = foldersFrom(process.env);

async function openCluster(): Promise<Cluster> {
  const name = process.env.ATOMSHARD_CLUSTER ?? DEFAULT_NAME;
  const report = stderrReport();
  const way = await wayFor(folders, name, process.env.KUBECONFIG);
  const cluster = await openOrCreate(folders, name, way, report);
  await cluster.up(SHARDS, report);
  return cluster;
}

export async function benchOperator({ quick }: { quick: boolean }): Promise<void> {
  const cluster = await openCluster();
  const wanted = ['atomshard', 'postgres-18', 'pg-client'] as const;
  const images = await provideImages(cluster, wanted, folders, stderrReport(), process.env.ATOMSHARD_IMAGES_FROM);
  {
    await using ground = await groundOn(cluster, images, 'bench');
    await benchCreate(ground, quick ? 1 : 3);
    await benchEdit(ground, quick ? 5 : 20);
    await benchIdle(ground);
  }
  await using ground = await groundOn(cluster, images, 'bench-many');
  await benchFleet(ground, quick ? 5 : FLEET);
}

const figures = async ({ kubectl, namespace }: OperatorGround) => {
  const [pod = ''] = await operatorPods(kubectl);
  return figuresOf(kubectl, namespace, pod);
};

async function msOf(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return Math.round(performance.now() - began);
}

/** Alternating, as both need the same machine; the last cluster stays. */
async function benchCreate(ground: OperatorGround, rounds: number): Promise<void> {
  const { kubectl, images, cluster } = ground;
  const spec = { shards: { count: SHARDS }, pvcRetentionPolicy: { whenDeleted: 'Delete' } };
  const ready: number[] = [];
  const bare: number[] = [];
  for (let turn = 0; turn < rounds; turn++) {
    if (turn > 0) {
      await kubectl.run(['delete', 'shcl', CLUSTER, '--timeout=120s']);
      await kubectl.waitUntilGone(`pod,pvc -l atomshard.dev/cluster=${CLUSTER}`, READY_MS);
    }
    ready.push(
      await msOf(async () => {
        await kubectl.apply([smallCluster(CLUSTER, images['postgres-18'], spec)]);
        await waitForReady(kubectl, CLUSTER, READY_MS);
      }),
    );
    const objects = await bareObjects(kubectl);
    await using space = await testNamespace(cluster.kubectl, 'bench-bare', RESTRICTED);
    bare.push(
      await msOf(async () => {
        await space.kubectl.apply(objects);
        await allShardsReady(space.kubectl);
      }),
    );
  }
  print({
    bench: 'operator-create',
    ratio: round(median(ready) / median(bare)),
    readyMs: median(ready),
    bareStatefulSetsReadyMs: median(bare),
    shards: SHARDS,
    proxies: 2,
    rounds,
  });
}

interface LiveObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: object; readonly annotations?: object };
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** What the shards consist of, as it is, without its owner: the same pods, made by nobody but kubectl. */
async function bareObjects(kubectl: Kubectl): Promise<object[]> {
  const kinds = 'serviceaccount,secret,configmap,service,statefulset';
  const text = await kubectl.run(['get', kinds, '-l', `atomshard.dev/cluster=${CLUSTER}`, '-o', 'json']);
  const { items } = JSON.parse(text) as { items: readonly LiveObject[] };
  return items
    .filter(({ kind, metadata }) => kind !== 'StatefulSet' || metadata.name.includes('-shard-'))
    .map(({ metadata: { name, labels }, spec, ...rest }) => {
      const { status: _, ...object } = rest as typeof rest & { readonly status?: unknown };
      const { clusterIP, clusterIPs: _ips, ...others } = spec ?? {};
      const kept = clusterIP === 'None' ? { ...others, clusterIP } : others;
      return { ...object, metadata: { name, labels }, ...(spec === undefined ? {} : { spec: kept }) };
    });
}

async function allShardsReady(kubectl: Kubectl): Promise<void> {
  const path = '.items[*].status.readyReplicas';
  await kubectl.waitForValue('statefulset', path, (value) => value.split(' ').length === SHARDS, READY_MS);
}

interface Child {
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly data?: Readonly<Record<string, string>>;
}

/** From sending the edit until a Service and every ConfigMap of a shard have it; ends when the last is in force everywhere. */
async function benchEdit({ kubectl, namespace }: OperatorGround, edits: number): Promise<void> {
  const kube = connectKube(kubectl.kubeconfig);
  const services = resource<Child & { metadata: { name: string } }>('v1', 'Service', 'services');
  const maps = resource<Child & { metadata: { name: string } }>('v1', 'ConfigMap', 'configmaps');
  const workMemOf = (edit: number) => `${4_096 + edit}kB`;
  const tookMs: number[] = [];
  try {
    for (let edit = 1; edit <= edits; edit++) {
      await waitForReady(kubectl, CLUSTER);
      const seen = `edit-${edit}`;
      const workMem = workMemOf(edit);
      const spec = {
        proxy: { service: { annotations: { seen } } },
        postgres: { parameters: { work_mem: workMem } },
      };
      const isApplied = async (): Promise<boolean> => {
        const service = await kube.client.get(services, { namespace, name: CLUSTER });
        if (service.metadata.annotations?.seen !== seen) return false;
        for (let shard = 0; shard < SHARDS; shard++) {
          const map = await kube.client.get(maps, { namespace, name: `${CLUSTER}-shard-${shard}` });
          if (map.data?.['postgresql.conf']?.includes(workMem) !== true) return false;
        }
        return true;
      };
      tookMs.push(
        await msOf(async () => {
          await kube.client.mergePatch(SHARDED_CLUSTERS, { namespace, name: CLUSTER }, { spec });
          while (!(await isApplied())) await systemClock.sleep(5);
        }),
      );
    }
  } finally {
    kube.close();
  }
  const inForceMs = await msOf(() => untilInForce(kubectl, workMemOf(edits)));
  const p50Ms = median(tookMs);
  print({
    bench: 'operator-edit',
    ratio: round(p50Ms / EDIT_GOAL_MS),
    p50Ms,
    maxMs: Math.max(...tookMs),
    goalMs: EDIT_GOAL_MS,
    // The kubelet's time, nearly all of it.
    lastInForceAfterMs: inForceMs,
    children: 1 + SHARDS,
    edits,
  });
}

/** Until every shard works with it: before that an operator is not idle, it waits for the kubelet and then reloads. */
async function untilInForce(kubectl: Kubectl, workMem: string): Promise<void> {
  for (let shard = 0; shard < SHARDS; shard++) {
    await waitFor(`work_mem of shard ${shard} to be ${workMem}`, IN_FORCE_MS, async () => {
      const { stdout } = await kubectl.try(psqlOnShard(`${CLUSTER}-shard-${shard}-0`, 'show work_mem'));
      return stdout.trim() === workMem ? true : undefined;
    });
  }
}

async function benchIdle(ground: OperatorGround): Promise<void> {
  await waitForReady(ground.kubectl, CLUSTER);
  await systemClock.sleep(SETTLING_MS);
  const before = await figures(ground);
  await systemClock.sleep(IDLE_MS);
  const after = await figures(ground);
  const perMinute = (calls: readonly (readonly [string, number])[]) =>
    round((sum(calls.map(([, count]) => count)) * 60_000) / IDLE_MS);
  const calls = [...callsBetween(before, after)];
  const reads = calls.filter(([key]) => /^(get|list) /.test(key));
  const watches = calls.filter(([key]) => key.startsWith('watch '));
  print({
    bench: 'operator-idle',
    // The goal is none.
    ratio: perMinute(calls.filter((call) => !reads.includes(call) && !watches.includes(call))),
    readsPerMinute: perMinute(reads),
    watchesOpenedPerMinute: perMinute(watches),
    calls: Object.fromEntries(calls),
    cpuPercent: round(((after.cpuSeconds - before.cpuSeconds) * 100_000) / IDLE_MS),
    residentMib: after.residentMib,
    idleSeconds: IDLE_MS / 1_000,
  });
}

async function benchFleet(ground: OperatorGround, count: number): Promise<void> {
  const { kubectl, images } = ground;
  await startServers(kubectl, images['postgres-18'], count);
  const untilReady = (wanted: number) =>
    waitFor(`${wanted} clusters to be Ready`, READY_MS, async () =>
      (await readyCount(kubectl)) === wanted ? true : undefined,
    );
  await kubectl.apply([fleetCluster(0)]);
  await untilReady(1);
  const one = await figures(ground);
  const readyMs = await msOf(async () => {
    await kubectl.apply(Array.from({ length: count - 1 }, (_, index) => fleetCluster(index + 1)));
    await untilReady(count);
  });
  const all = await figures(ground);
  const calls = callsBetween(one, all);
  print({
    bench: 'operator-many',
    ratio: round(all.residentMib / RESIDENT_GOAL_MIB),
    residentMibWithOne: one.residentMib,
    residentMibWithAll: all.residentMib,
    goalMib: RESIDENT_GOAL_MIB,
    clusters: count,
    readyMs,
    apiCallsPerCluster: round(sum(calls.values()) / (count - 1), 1),
    cpuSeconds: round(all.cpuSeconds - one.cpuSeconds, 1),
  });
}

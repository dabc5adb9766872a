// `kubectl atomshard wal dump|verify PROXY`: reads a proxy's log where it is, in the proxy's pod while that runs, else in a Job beside it.
import { randomBytes } from 'node:crypto';
import { systemClock } from '../kernel/clock.ts';
import type { ShardedCluster } from '../operator/api/sharded-cluster.ts';
import type { Pod } from '../operator/cluster/kinds.ts';
import { PROXY_PATHS, proxyNames } from '../operator/desired/names.ts';
import { READ_DEADLINE_SECONDS, READER_CONTAINER, walJob } from '../operator/recovery/log-job.ts';
import { instanceOf } from './fence.ts';
import type { Kubectl } from './kubectl.ts';
import { PluginError } from './plugin-error.ts';

const PROGRAM = ['/usr/local/bin/node', '/app/dist/main.js', 'wal'] as const;

const POLL_MS = 500;

interface ProxyPod extends Pod {
  readonly spec?: NonNullable<Pod['spec']> & { readonly containers?: readonly { name: string; image?: string }[] };
}

/** Resolves with the exit code of the reading: of verify 0 whole, 1 damaged, 2 empty. */
export async function readWal(
  kubectl: Kubectl,
  cluster: ShardedCluster,
  proxy: string,
  command: 'dump' | 'verify',
  options: { readonly json?: boolean; readonly image?: string },
): Promise<number> {
  const instance = instanceOf(cluster, proxy);
  const names = proxyNames(cluster.metadata.name, Number(instance.slice('proxy-'.length)));
  const args = [command, PROXY_PATHS.wal, ...(options.json === true ? ['--json'] : [])];
  const pod = await podOrNone(kubectl, names.pod);
  // One that starts and ends over and over may be gone before it is entered; a Job reads its log as well.
  const serves = pod?.status?.containerStatuses?.some(({ name, ready }) => name === 'proxy' && ready === true);
  if (serves === true) return kubectl.attached(['exec', names.pod, '--container', 'proxy', '--', ...PROGRAM, ...args]);
  const image =
    options.image ?? pod?.spec?.containers?.find(({ name }) => name === 'proxy')?.image ?? cluster.spec.proxy.image;
  if (image === undefined)
    throw new PluginError(`pod ${names.pod} does not exist; say which image to read with: --image`);
  const job = walJob(
    { cluster, instance, claim: names.claim, nodeName: pod?.spec?.nodeName, image },
    `${cluster.metadata.name}-wal-${instance}-${randomBytes(3).toString('hex')}`,
    args,
  );
  return readByJob(kubectl, job);
}

async function podOrNone(kubectl: Kubectl, name: string): Promise<ProxyPod | undefined> {
  const text = await kubectl.output(['get', 'pod', name, '--ignore-not-found', '--output', 'json']);
  return text.trim() === '' ? undefined : (JSON.parse(text) as ProxyPod);
}

async function readByJob(
  kubectl: Kubectl,
  job: object & { readonly metadata: { readonly name: string } },
): Promise<number> {
  const { name } = job.metadata;
  await kubectl.output(['create', '--filename', '-'], JSON.stringify(job));
  try {
    const exitCode = await untilEnded(kubectl, name);
    process.stdout.write(await kubectl.output(['logs', `job/${name}`, '--container', READER_CONTAINER]));
    return exitCode;
  } finally {
    await kubectl.run(['delete', 'job', name, '--wait=false', '--cascade=background']);
  }
}

/** The exit code of the reading; a log that is damaged makes the Job fail, and is an answer. */
async function untilEnded(kubectl: Kubectl, job: string): Promise<number> {
  const selector = `batch.kubernetes.io/job-name=${job}`;
  const deadlineMs = systemClock.monotonicMs() + READ_DEADLINE_SECONDS * 1_000;
  let waiting = 'no pod was made';
  while (systemClock.monotonicMs() < deadlineMs) {
    const { items } = await kubectl.json<{ items: readonly Pod[] }>(['get', 'pods', '--selector', selector]);
    for (const { status } of items) {
      const [container] = status?.containerStatuses ?? [];
      if (container?.state?.terminated !== undefined) return container.state.terminated.exitCode;
      const unscheduled = status?.conditions?.find(({ type, status: is }) => type === 'PodScheduled' && is === 'False');
      waiting = container?.state?.waiting?.reason ?? unscheduled?.message ?? status?.phase ?? waiting;
    }
    await systemClock.sleep(POLL_MS);
  }
  throw new PluginError(`the Job ${job} did not read it in ${READ_DEADLINE_SECONDS} s: ${waiting}`);
}

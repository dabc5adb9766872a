// `kubectl atomshard fence PROXY`: says that a proxy will not come back, so that the operator need not wait for its grace period. The
// operator still proves that it is dead (its log's lock) before anything of it is touched.
import { systemClock } from '../kernel/clock.ts';
import type { ShardedCluster } from '../operator/api/sharded-cluster.ts';
import { RECOVER_NOW } from '../operator/recovery/judge.ts';
import { ask } from './ask.ts';
import { findCluster, KIND } from './find-cluster.ts';
import type { Kubectl } from './kubectl.ts';
import { EXIT, PluginError } from './plugin-error.ts';

export interface FenceOptions {
  readonly yes?: boolean;
  readonly timeout: number;
}

const POLL_MS = 500;

/** `proxy-1`, also as the pod is called. */
export function instanceOf({ metadata }: ShardedCluster, proxy: string): string {
  const instance = proxy.startsWith(`${metadata.name}-`) ? proxy.slice(metadata.name.length + 1) : proxy;
  if (!/^proxy-(?:0|[1-9]\d{0,3})$/.test(instance))
    throw new PluginError(`"${proxy}" is not a proxy, such as proxy-0`, EXIT.usage);
  return instance;
}

export async function fence(
  kubectl: Kubectl,
  cluster: ShardedCluster,
  proxy: string,
  options: FenceOptions,
  say: (line: string) => void,
): Promise<number> {
  const { name } = cluster.metadata;
  const instance = instanceOf(cluster, proxy);
  const row = cluster.status?.proxies?.find((one) => one.name === `${name}-${instance}`);
  if (row?.state !== undefined) {
    throw new PluginError(
      `${instance} answers (${row.state}) and recovers itself. To be rid of it: kubectl delete pod ${row.name}, or scale down`,
      EXIT.refused,
    );
  }
  await ask(`${instance} will not come back: end its connections and its transactions now?`, options.yes === true);
  const before = cluster.metadata.annotations?.[RECOVER_NOW];
  const names = new Set([...(before === undefined ? [] : before.split(',')), instance]);
  await kubectl.output(['annotate', KIND, name, `${RECOVER_NOW}=${[...names].join(',')}`, '--overwrite']);
  return await untilOver(kubectl, name, instance, options.timeout * 1_000, say);
}

/** The operator removes the name when it has nothing more to do. */
async function untilOver(
  kubectl: Kubectl,
  name: string,
  instance: string,
  timeoutMs: number,
  say: (line: string) => void,
): Promise<number> {
  const deadlineMs = systemClock.monotonicMs() + timeoutMs;
  let told = '';
  while (systemClock.monotonicMs() < deadlineMs) {
    const { metadata, status } = await findCluster(kubectl, name);
    const condition = status?.conditions?.find(({ type }) => type === 'InDoubtTransactions');
    if (metadata.annotations?.[RECOVER_NOW]?.split(',').includes(instance) !== true) {
      say(`done: ${condition?.message ?? 'the operator has nothing more to do for it'}`);
      return EXIT.ok;
    }
    const message = condition?.message ?? '';
    if (message !== told) say(message);
    told = message;
    await systemClock.sleep(POLL_MS);
  }
  throw new PluginError(`it is not over yet: ${told}`);
}

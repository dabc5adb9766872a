// The sharded cluster under test as a person with kubectl has it: its pods, its health, and the hands that break it.
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeClient } from '../../../src/operator/kube/client.ts';
import { isKubeError } from '../../../src/operator/kube/kube-error.ts';
import type { CommandOutcome } from '../../cluster/harness/command.ts';
import { type Kubectl, waitFor } from '../../cluster/harness/kubectl.ts';
import type { Armed } from '../../crash/trigger.ts';
import { CLAIMS, isReady, PODS, type Pod } from './kube.ts';
import { OPERATOR, OPERATOR_ORDERS } from './operator.ts';

/** Where a proxy's orders are, in its container (test/e2e/program/orders.ts). */
const ORDERS = '/var/lib/atomshard/orders';
/** Finds the program under orders (and, by the brackets, not itself) where a full volume takes no file with a process id. */
const KILL =
  'n=1; for p in /proc/[0-9]*; do grep -q "under-order[s]" $p/cmdline 2>&- && kill -9 $(basename $p) && n=0; done; exit $n';
const KILL_TIMEOUT_MS = 60_000;
const ORDER_TIMEOUT_MS = 20_000;
const OPERATOR_TIMEOUT_MS = 60_000;

export interface SystemOptions {
  /** In the namespace of the cluster under test. */
  readonly kubectl: Kubectl;
  readonly kube: KubeClient;
  readonly namespace: string;
  /** metadata.name of the ShardedCluster. */
  readonly cluster: string;
  readonly shards: number;
  readonly proxies: number;
  /** What besides Ready pods makes it healthy; undefined when it is, else what is still missing. */
  readonly unhealthy?: () => Promise<string | undefined>;
}

/** What a process left when it ended. */
export interface Death {
  readonly atMs: number;
  readonly code: number | null;
  readonly signal: string | null;
}

export class System {
  readonly kubectl: Kubectl;
  readonly kube: KubeClient;
  readonly namespace: string;
  readonly cluster: string;
  readonly shards: number;
  /** As many as the spec wants now. */
  proxies: number;
  readonly #unhealthy: () => Promise<string | undefined>;

  constructor(options: SystemOptions) {
    this.kubectl = options.kubectl;
    this.kube = options.kube;
    this.namespace = options.namespace;
    this.cluster = options.cluster;
    this.shards = options.shards;
    this.proxies = options.proxies;
    this.#unhealthy = options.unhealthy ?? (async () => undefined);
  }

  readonly instance = (proxy: number): string => `proxy-${proxy}`;
  readonly proxyPod = (proxy: number): string => `${this.cluster}-proxy-${proxy}`;
  readonly shardPod = (shard: number): string => `${this.cluster}-shard-${shard}-0`;
  readonly walClaim = (proxy: number): string => `wal-${this.proxyPod(proxy)}`;

  get podNames(): string[] {
    const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);
    return [...numbers(this.shards).map(this.shardPod), ...numbers(this.proxies).map(this.proxyPod)];
  }

  /** The pod, or undefined when there is none of that name now. */
  async pod(name: string): Promise<Pod | undefined> {
    try {
      return await this.kube.get(PODS, { namespace: this.namespace, name });
    } catch (error) {
      if (isKubeError(error, 'notFound')) return undefined;
      throw error;
    }
  }

  /** What is missing for health, in words; undefined when nothing is. */
  async missing(): Promise<string | undefined> {
    for (const name of this.podNames) {
      const pod = await this.pod(name);
      if (pod === undefined) return `pod ${name} does not exist`;
      if (!isReady(pod)) return `pod ${name} is not ready`;
    }
    return this.#unhealthy();
  }

  /** Waits until all is well and returns when that was. Rejects with DeadlinePassed that says what was missing. */
  async untilHealthy(timeoutMs: number): Promise<number> {
    let missing: string | undefined = 'nobody looked yet';
    try {
      return await waitFor('health', timeoutMs, async () => {
        missing = await this.missing();
        return missing === undefined ? Date.now() : undefined;
      });
    } catch (error) {
      throw new Error(`not healthy after ${timeoutMs / 1000} s: ${missing}`, { cause: error });
    }
  }

  /** Runs a command in a container of a pod. */
  exec(pod: string, container: string, command: readonly string[]): Promise<CommandOutcome> {
    return this.kubectl.try(['exec', pod, '-c', container, '--', ...command]);
  }

  /** As {@link exec}; rejects unless it worked, with what was said. */
  async execOk(pod: string, container: string, command: readonly string[]): Promise<string> {
    const outcome = await this.exec(pod, container, command);
    if (outcome.code !== 0) throw new Error(`in ${pod}: ${command.join(' ')}: ${outcome.stderr || outcome.stdout}`);
    return outcome.stdout;
  }

  /**
   * Writes a file into a container, whole or not at all, again where the API server or a kubelet has a bad moment. The text goes
   * as an argument: standard input was lost now and then, and an empty file was what stayed. `former` is removed before.
   */
  async #leave(pod: string, container: string, file: string, text: string, former = ''): Promise<void> {
    const write = 'rm -f "$3" && printf %s "$2" > "$1.new" && mv "$1.new" "$1"';
    await waitFor(`${pod} to take an order`, ORDER_TIMEOUT_MS, async () => {
      await this.execOk(pod, container, ['sh', '-c', write, 'sh', file, text, former]);
      return true;
    });
  }

  /** Leaves an order for the proxy's process; it is taken at once, or at its next start. */
  async order(proxy: number, armed: Armed): Promise<void> {
    const [file, former] = [`${ORDERS}/order.json`, `${ORDERS}/reached.json`];
    await this.#leave(this.proxyPod(proxy), 'proxy', file, JSON.stringify(armed), former);
  }

  /** As {@link System.order}, but not seen by the process that runs: its folder is only read again at a start. */
  async orderNextStart(proxy: number, armed: Armed): Promise<void> {
    await this.#leave(this.proxyPod(proxy), 'proxy', `${ORDERS}/next-order.json`, JSON.stringify(armed));
  }

  /** Waits until the proxy's container was restarted `times` since the life `before`. */
  async untilRestarted(proxy: number, times: number, before: string): Promise<void> {
    const name = this.proxyPod(proxy);
    const wanted = Number(before.split(' ')[1]) + times;
    await waitFor(`${name} to be restarted ${times} times`, KILL_TIMEOUT_MS, async () =>
      Number((await this.life(name)).split(' ')[1]) >= wanted ? true : undefined,
    );
  }

  /** Waits until a place that was ordered is reached and held there; returns when that was. */
  reached(proxy: number, timeoutMs = 30_000): Promise<number> {
    return waitFor(`proxy ${proxy} to reach its place`, timeoutMs, async () => {
      const { code, stdout } = await this.exec(this.proxyPod(proxy), 'proxy', ['cat', `${ORDERS}/reached.json`]);
      return code === 0 ? (JSON.parse(stdout) as { atMs: number }).atMs : undefined;
    });
  }

  async operatorPod(): Promise<Pod> {
    const labelSelector = `app.kubernetes.io/name=${OPERATOR}`;
    const { items } = await this.kube.list(PODS, { namespace: this.namespace, labelSelector });
    const running = items.find(({ metadata, status }) => {
      return metadata.deletionTimestamp === undefined && status?.phase === 'Running';
    });
    if (running === undefined) throw new Error('no operator runs');
    return running;
  }

  /**
   * Waits until the operator is ready. Rounds kill it so often that the kubelet waits minutes before the next start; then its
   * pod is deleted, as whoever is on call would do, because the round is about the operator and not about that wait.
   */
  async untilOperatorReady(): Promise<void> {
    const labelSelector = `app.kubernetes.io/name=${OPERATOR}`;
    await waitFor('the operator to be ready', OPERATOR_TIMEOUT_MS, async () => {
      const { items } = await this.kube.list(PODS, { namespace: this.namespace, labelSelector });
      if (items.some((pod) => pod.metadata.deletionTimestamp === undefined && isReady(pod))) return true;
      for (const { metadata, status } of items) {
        const waits = status?.containerStatuses?.some(({ state }) => state?.waiting?.reason === 'CrashLoopBackOff');
        if (waits === true && metadata.deletionTimestamp === undefined)
          await this.kubectl.run(['delete', 'pod', metadata.name, '--wait=false']);
      }
      return undefined;
    });
  }

  /** Leaves an order for the operator's process, which takes it at once. */
  async orderOperator(armed: Armed): Promise<void> {
    const { name } = (await this.operatorPod()).metadata;
    await this.#leave(name, 'operator', `${OPERATOR_ORDERS}/order.json`, JSON.stringify(armed));
  }

  /** Waits until the operator's process has died since, and says how. */
  async operatorDeath(sinceMs: number, timeoutMs: number): Promise<Death> {
    return waitFor('the operator to die', timeoutMs, async () => {
      const { name } = (await this.operatorPod()).metadata;
      const { code, stdout } = await this.exec(name, 'operator', ['cat', `${OPERATOR_ORDERS}/died.json`]);
      if (code !== 0) return undefined;
      const death = JSON.parse(stdout) as Death;
      return death.atMs >= sinceMs ? death : undefined;
    });
  }

  /** SIGKILL for the proxy's process where it stands, from inside its container. */
  async killProcess(proxy: number): Promise<void> {
    await this.execOk(this.proxyPod(proxy), 'proxy', ['sh', '-c', KILL]);
  }

  /** From its next start on the proxy's process ends at once, for so long or until {@link System.allowStart}. */
  async refuseStart(proxy: number, forMs: number): Promise<void> {
    await this.#leave(this.proxyPod(proxy), 'proxy', `${ORDERS}/refuse-start`, String(Date.now() + forMs));
  }

  /** Makes the pod anew, whatever kubelet thinks of the old one, and takes the refusal back while the new one refuses. */
  async allowStart(proxy: number): Promise<void> {
    const name = this.proxyPod(proxy);
    const { uid } = (await this.pod(name))?.metadata ?? {};
    await this.deletePod(name);
    await this.untilReplaced(name, uid);
    await waitFor(`${name} to run for a moment`, 120_000, async () => {
      const { code } = await this.exec(name, 'proxy', ['rm', '-f', `${ORDERS}/refuse-start`]);
      return code === 0 ? true : undefined;
    });
  }

  /** Makes the proxy's pod anew if its container ended before: the kubelet would wait longer and longer before each restart. */
  async forgetRestarts(proxy: number): Promise<void> {
    const name = this.proxyPod(proxy);
    const pod = await this.pod(name);
    if (pod?.status?.containerStatuses?.every(({ restartCount }) => restartCount === 0) === true) return;
    await this.deletePod(name);
    await this.untilReplaced(name, pod?.metadata.uid);
    await this.untilHealthy(KILL_TIMEOUT_MS);
  }

  /** How often a container of the pod was restarted, and which pod it is: to tell that it died since. */
  async life(name: string): Promise<string> {
    const pod = await this.pod(name);
    const restarts = pod?.status?.containerStatuses?.map(({ restartCount }) => restartCount) ?? [];
    return `${pod?.metadata.uid ?? 'none'} ${restarts.join(',')}`;
  }

  /** Waits until the proxy has another life than `before`, runs, and can be asked how the former one ended. */
  async death(proxy: number, before: string, sinceMs: number): Promise<Death> {
    const name = this.proxyPod(proxy);
    return waitFor(`${name} to die and to be back`, KILL_TIMEOUT_MS, async () => {
      if ((await this.life(name)) === before) return undefined;
      const { code, stdout } = await this.exec(name, 'proxy', ['cat', `${ORDERS}/died.json`]);
      if (code !== 0) return undefined;
      const death = JSON.parse(stdout) as Death;
      return death.atMs >= sinceMs ? death : undefined;
    });
  }

  /** Deletes a pod at once, as when its node is given up; returns when. */
  async deletePod(name: string, gracePeriodSeconds = 0): Promise<number> {
    const atMs = Date.now();
    await this.kube.delete(PODS, { namespace: this.namespace, name }, { gracePeriodSeconds });
    return atMs;
  }

  /** Deletes a proxy's pod with its log's volume; returns when the deletion was asked for. */
  async deletePodAndVolume(proxy: number): Promise<number> {
    const ref = { namespace: this.namespace, name: this.walClaim(proxy) };
    const { uid } = (await this.kube.get(CLAIMS, ref)).metadata;
    // The claim is protected while the pod lives; it goes with it, before a new pod can have it.
    await this.kube.delete(CLAIMS, ref);
    const atMs = await this.deletePod(this.proxyPod(proxy));
    await waitFor(`${ref.name} to be replaced`, KILL_TIMEOUT_MS, async () => {
      try {
        return (await this.kube.get(CLAIMS, ref)).metadata.uid === uid ? undefined : true;
      } catch (error) {
        // Gone, and nobody has made a new one: the set's controller does when it makes the pod anew.
        if (isKubeError(error, 'notFound')) return undefined;
        throw error;
      }
    });
    return atMs;
  }

  /** Waits until the pod of that name is another one than `uid`. */
  async untilReplaced(name: string, uid: string | undefined): Promise<void> {
    await waitFor(`${name} to be replaced`, KILL_TIMEOUT_MS, async () => {
      const pod = await this.pod(name);
      return pod !== undefined && pod.metadata.uid !== uid ? true : undefined;
    });
  }

  /** After a round that went wrong: no order of it may hit a later one. */
  async withdrawOrders(): Promise<void> {
    for (let proxy = 0; proxy < this.proxies; proxy++) {
      await this.exec(this.proxyPod(proxy), 'proxy', [
        'sh',
        '-c',
        `rm -f ${ORDERS}/*order* ${ORDERS}/refuse-start; ${KILL}`,
      ]);
    }
  }

  /** Lets the load go on for a while. */
  readonly rest = (ms: number): Promise<void> => sleep(ms);
}

// Kubernetes, PostgreSQL and proxies as far as a plan can see them: every action changes this world, and the world moves by itself.
// So the plan is tested by where it leads, not by the list that it writes.
import type { Action, Plan } from '../../../../src/operator/cluster/action.ts';
import { Certificates } from '../../../../src/operator/cluster/certificates.ts';
import { NO_FINDINGS } from '../../../../src/operator/cluster/no-recovery.ts';
import type { Look, Observation } from '../../../../src/operator/cluster/observation.ts';
import { observe } from '../../../../src/operator/cluster/observe.ts';
import { plan } from '../../../../src/operator/cluster/plan.ts';
import { shardParameters } from '../../../../src/operator/desired/postgres-parameters.ts';
import { PROXY_CONFIG_KEY, proxyConfigSha256 } from '../../../../src/operator/desired/proxy-config.ts';
import type { KubeObject } from '../../../../src/operator/kube/resource.ts';
import type { RecoveryFindings } from '../../../../src/operator/recovery/types.ts';
import type { ProxyFacts, ProxyState, ShardFacts } from '../../../../src/operator/sql/facts.ts';
import { shardedCluster } from '../../../support/sharded-cluster.ts';
import { failed, NOW_MS, PROXY_FACTS, SHARD_FACTS, seen } from './seen-cluster.ts';

type Plain = Record<string, unknown>;

interface SimulatedPod {
  readonly object: KubeObject;
  /** Ready from this step on. */
  readonly readyAt: number;
  /** What the program has read: settings of a shard. */
  settings: Readonly<Record<string, string>>;
  configSha256: string;
  state: ProxyState;
}

const RESTART_ONLY = new Set(['max_connections', 'max_prepared_transactions', 'shared_buffers']);

export class SimulatedCluster {
  cluster = shardedCluster({ shards: { count: 2, storage: { size: '1Gi' } } });
  readonly objects = new Map<string, KubeObject>();
  readonly pods = new Map<string, SimulatedPod>();
  /** Pods that never come up, e.g. for want of an image. */
  readonly broken = new Set<string>();
  findings: RecoveryFindings = NO_FINDINGS;
  /** Images that cannot be pulled. */
  readonly missingImages = new Set<string>();
  /** By set: what `kubectl rollout restart` wrote into its template; server-side apply leaves it, as it is not ours. */
  readonly #restartedAt = new Map<string, string>();
  readonly done: string[] = [];
  gone = false;
  /** On each shard. */
  tables = 0;
  readonly #certificates = new Certificates();
  #steps = 0;
  #versions = 0;
  #setups = new Set<string>();
  #input: Plan['input'];

  spec(change: (spec: Plain) => void): void {
    const spec = structuredClone(this.cluster.spec) as unknown as Plain;
    change(spec);
    const filled = shardedCluster(spec);
    this.cluster = { ...this.cluster, spec: filled.spec };
  }

  delete(): void {
    const deletionTimestamp = new Date(this.nowMs).toISOString();
    this.cluster = { ...this.cluster, metadata: { ...this.cluster.metadata, deletionTimestamp } };
  }

  rolloutRestart(set: string): void {
    const key = `StatefulSet/${set}`;
    this.#restartedAt.set(key, new Date(this.nowMs).toISOString());
    const live = this.objects.get(key);
    if (live !== undefined) this.#put(key, live);
  }

  get nowMs(): number {
    return NOW_MS + this.#steps * 1_000;
  }

  observation(): Observation {
    const looks = {
      shards: new Map([...this.pods].flatMap(([name, pod]) => this.#shardLook(name, pod))),
      proxies: new Map([...this.pods].flatMap(([name, pod]) => this.#proxyLook(name, pod))),
    };
    return observe({
      cluster: this.cluster,
      children: new Map([
        ...this.objects,
        ...[...this.pods].map(([name, pod]) => [`Pod/${name}`, this.#podNow(name, pod)] as const),
      ]),
      userSecret: () => 'missing',
      looks,
      setupOf: (shard) => (this.#setups.has(shard) ? { kind: 'done', problems: [] } : { kind: 'due' }),
      events: [],
      applyProblem: undefined,
      refusedSets: new Set(),
      nowMs: this.nowMs,
    });
  }

  planNow(): Plan {
    return plan(this.observation(), this.findings, {
      operatorImage: 'atomshard:1',
      operatorPeers: [],
      monitoringKinds: { podMonitor: false, prometheusRule: false },
      newClusterId: () => 'k3x9q',
      newPassword: () => 'secret',
      certificates: (observation) => this.#certificates.actionsFor(observation),
    });
  }

  /** One round of the operator, which dies after `actionsMax` steps of it, then one of everybody else. */
  step(actionsMax = Number.POSITIVE_INFINITY): Plan {
    const planned = this.planNow();
    this.#input = planned.input;
    const actions = [...planned.calm, ...(planned.disruptive === undefined ? [] : [planned.disruptive])];
    for (const action of actions.slice(0, actionsMax)) this.#perform(action);
    this.#steps += 1;
    // What a cluster that is gone leaves behind is the garbage collector's.
    if (!this.gone) this.#runSets();
    return planned;
  }

  /** Steps until the plan is settled; throws when it is not after `most`. */
  settle(most = 60, each: () => void = () => undefined): void {
    for (let count = 0; count < most; count += 1) {
      const { settled, waiting } = this.step();
      each();
      if (settled || this.gone) return;
      if (count === most - 1) throw new Error(`not settled: ${JSON.stringify(waiting)}`);
    }
  }

  readyPods(prefix: string): string[] {
    return [...this.pods]
      .filter(([name, pod]) => name.startsWith(prefix) && this.#isReady(name, pod))
      .map(([name]) => name);
  }

  #isReady(name: string, { readyAt, object }: SimulatedPod): boolean {
    return readyAt <= this.#steps && !this.broken.has(name) && !this.missingImages.has(imageOf(object));
  }

  #podNow(name: string, pod: SimulatedPod): KubeObject {
    const status = this.#isReady(name, pod) ? 'True' : 'False';
    return { ...pod.object, status: { podIP: '10.0.0.1', conditions: [{ type: 'Ready', status }] } } as KubeObject;
  }

  #shardLook(name: string, pod: SimulatedPod): [string, Look<ShardFacts>][] {
    const logical = /^bank-(shard-\d+)-0$/.exec(name)?.[1];
    if (logical === undefined) return [];
    if (!this.#isReady(name, pod)) return [[logical, failed('unreachable', 'no connection', 1_000)]];
    const index = Number(logical.slice('shard-'.length));
    const desired =
      this.#input === undefined || index >= (this.cluster.spec.shards.count ?? 0)
        ? {}
        : shardParameters(this.#input, index);
    const differences = Object.entries(desired)
      .filter(([setting, value]) => pod.settings[setting] !== value)
      .map(([setting, value]) => ({
        name: setting,
        desired: value,
        actual: pod.settings[setting] ?? null,
        needsRestart: RESTART_ONLY.has(setting),
        overriddenBy: null,
      }));
    const pendingRestart = differences.filter(({ needsRestart }) => needsRestart).map((each) => each.name);
    return [[logical, seen({ ...SHARD_FACTS, tables: this.tables, differences, pendingRestart })]];
  }

  #proxyLook(name: string, pod: SimulatedPod): [string, Look<ProxyFacts>][] {
    if (!name.startsWith('bank-proxy-')) return [];
    if (!this.#isReady(name, pod) && pod.state === 'Active')
      return [[name, failed('unreachable', 'no connection', 1_000)]];
    const { configSha256, state } = pod;
    return [[name, seen({ ...PROXY_FACTS, configSha256, state, ready: state === 'Active' })]];
  }

  #perform(action: Action): void {
    this.done.push(action.kind);
    switch (action.kind) {
      case 'writeClusterId':
        this.cluster = { ...this.cluster, status: { ...this.cluster.status, clusterId: action.clusterId } };
        return;
      case 'addFinalizer':
      case 'removeFinalizer': {
        const finalizers = action.kind === 'addFinalizer' ? ['atomshard.dev/drain'] : [];
        this.cluster = { ...this.cluster, metadata: { ...this.cluster.metadata, finalizers } };
        this.gone = action.kind === 'removeFinalizer' && this.cluster.metadata.deletionTimestamp !== undefined;
        return;
      }
      case 'createOnce':
      case 'apply': {
        const key = `${action.type.kind}/${action.object.metadata.name}`;
        if (action.kind === 'apply' || !this.objects.has(key)) this.#put(key, action.object);
        return;
      }
      case 'delete':
        this.objects.delete(`${action.type.kind}/${action.ref.name}`);
        return;
      case 'patch':
        this.#patch(action.type.kind, action.ref.name, action.patch);
        return;
      case 'setUpShard':
        this.#setups.add(action.shard);
        return;
      case 'replacePod':
        this.pods.delete(action.pod.name);
        return;
      case 'recreateSet':
        this.objects.delete(`StatefulSet/${action.set.name}`);
        this.#restartedAt.delete(`StatefulSet/${action.set.name}`);
        return;
      default:
        this.#tell(action);
    }
  }

  #tell(action: Extract<Action, { kind: 'reloadShard' | 'reloadProxy' | 'drainProxy' | 'resumeProxy' }>): void {
    if (action.kind === 'reloadShard') {
      const pod = this.pods.get(`bank-${action.shard}-0`);
      const fresh = this.#settingsOf(Number(action.shard.slice('shard-'.length)));
      const kept = Object.entries(pod?.settings ?? {}).filter(([name]) => RESTART_ONLY.has(name));
      if (pod !== undefined) pod.settings = { ...fresh, ...Object.fromEntries(kept) };
      return;
    }
    const pod = this.pods.get(action.proxy);
    if (pod === undefined) return;
    if (action.kind === 'reloadProxy') pod.configSha256 = this.#configNow();
    if (action.kind === 'drainProxy') pod.state = 'Clean';
    if (action.kind === 'resumeProxy') pod.state = 'Active';
  }

  #put(key: string, object: KubeObject): void {
    this.#versions += 1;
    const metadata = { uid: `uid-${key}`, ...object.metadata, resourceVersion: String(this.#versions) };
    const at = this.#restartedAt.get(key);
    const annotations = { 'kubectl.kubernetes.io/restartedAt': at };
    const others = at === undefined ? {} : { spec: { template: { metadata: { annotations } } } };
    this.objects.set(key, merged({ ...object, metadata }, others) as KubeObject);
  }

  #patch(kind: string, name: string, patch: Plain): void {
    const pod = kind === 'Pod' ? this.pods.get(name) : undefined;
    const before = pod?.object ?? this.objects.get(`${kind}/${name}`);
    if (before === undefined) return;
    const after = merged(before, patch) as KubeObject;
    if (pod === undefined) this.#put(`${kind}/${name}`, after);
    else this.pods.set(name, { ...pod, object: after });
  }

  #settingsOf(index: number): Readonly<Record<string, string>> {
    return this.#input === undefined ? {} : shardParameters(this.#input, index);
  }

  /** The proxies' configuration as it is in its Secret. */
  get configText(): string {
    const secret = this.objects.get('Secret/bank-proxy-config') as { data?: Record<string, string> } | undefined;
    return Buffer.from(secret?.data?.[PROXY_CONFIG_KEY] ?? '', 'base64').toString('utf8');
  }

  #configNow(): string {
    return proxyConfigSha256(this.configText);
  }

  #runSets(): void {
    for (const [key, object] of this.objects) {
      if (!key.startsWith('StatefulSet/')) continue;
      const { spec } = object as unknown as { spec: { replicas: number; volumeClaimTemplates: KubeObject[] } };
      const { name } = object.metadata;
      for (const [podName] of this.pods) {
        const ordinal = podName.startsWith(`${name}-`) ? Number(podName.slice(name.length + 1)) : Number.NaN;
        if (ordinal >= spec.replicas) this.pods.delete(podName);
      }
      for (let ordinal = 0; ordinal < spec.replicas; ordinal += 1)
        this.#ensurePod(object, `${name}-${ordinal}`, spec.volumeClaimTemplates);
    }
  }

  #ensurePod(set: KubeObject, name: string, templates: readonly KubeObject[]): void {
    for (const template of templates) {
      const claim = `PersistentVolumeClaim/${template.metadata.name}-${name}`;
      if (!this.objects.has(claim))
        this.#put(claim, {
          ...template,
          metadata: { ...template.metadata, name: `${template.metadata.name}-${name}`, namespace: 'test' },
        });
    }
    if (this.pods.has(name)) return;
    this.#versions += 1;
    const { spec } = set as unknown as {
      spec: { template: { metadata: { annotations: Record<string, string> }; spec: Plain } };
    };
    const { annotations } = spec.template.metadata;
    const metadata = { name, namespace: 'test', uid: `pod-${this.#versions}`, annotations };
    this.pods.set(name, {
      object: { metadata, spec: spec.template.spec } as KubeObject,
      readyAt: this.#steps + 2,
      settings: this.#settingsOf(Number(/shard-(\d+)/.exec(name)?.[1] ?? 0)),
      configSha256: this.#configNow(),
      state: 'Active',
    });
  }
}

function imageOf(pod: KubeObject): string {
  const { spec } = pod as { spec?: { containers?: readonly { image?: string }[] } };
  return spec?.containers?.[0]?.image ?? '';
}

/** JSON merge patch. */
function merged(before: unknown, patch: unknown): unknown {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch;
  const out: Plain = { ...(before as Plain | undefined) };
  for (const [key, value] of Object.entries(patch as Plain)) {
    if (value === null) delete out[key];
    else out[key] = merged(out[key], value);
  }
  return out;
}

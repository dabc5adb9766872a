// PodMonitor and PrometheusRule against an API server that may not know them; what stands there decides, not what is remembered.
import { describe, expect, it } from 'vitest';
import type { Plan } from '../../../../src/operator/cluster/action.ts';
import { AppliedObjects } from '../../../../src/operator/cluster/applied.ts';
import { CONFIG_MAPS, POD_MONITORS, PROMETHEUS_RULES } from '../../../../src/operator/cluster/kinds.ts';
import type { Observation } from '../../../../src/operator/cluster/observation.ts';
import { Performer } from '../../../../src/operator/cluster/perform.ts';
import { nothing } from '../../../../src/operator/cluster/plan-nothing.ts';
import { clusterNames } from '../../../../src/operator/desired/names.ts';
import { KubeError } from '../../../../src/operator/kube/kube-error.ts';
import type { KubeObject, ObjectRef, Resource } from '../../../../src/operator/kube/resource.ts';
import { createLog } from '../../../../src/telemetry/log.ts';
import { seenCluster } from './seen-cluster.ts';

const missing = () => new KubeError('notFound', '404 page not found', { status: 404 });

/** An API server that keeps objects, and knows the kinds of Prometheus while `installed`. */
class Server {
  installed = true;
  readonly objects = new Map<string, KubeObject>();
  readonly calls: string[] = [];

  #knows({ kind }: Resource): boolean {
    return this.installed || (kind !== POD_MONITORS.kind && kind !== PROMETHEUS_RULES.kind);
  }

  readonly apply = async <T>(type: Resource, object: KubeObject): Promise<T> => {
    this.calls.push(`apply ${type.kind}`);
    if (!this.#knows(type)) throw missing();
    this.objects.set(type.kind, { ...object, metadata: { ...object.metadata, uid: `uid of ${type.kind}` } });
    return object as T;
  };
  readonly get = async <T>(type: Resource, _: ObjectRef): Promise<T> => {
    this.calls.push(`get ${type.kind}`);
    const found = this.#knows(type) ? this.objects.get(type.kind) : undefined;
    if (found === undefined) throw missing();
    return found as T;
  };
  readonly delete = async (type: Resource): Promise<void> => {
    this.calls.push(`delete ${type.kind}`);
    this.objects.delete(type.kind);
  };
  readonly never = () => Promise.reject(new Error('not expected'));

  performer(): Performer {
    const { apply, get, never } = this;
    return new Performer({
      client: { apply, get, delete: this.delete, create: never, mergePatch: never },
      applied: new AppliedObjects(),
      log: createLog('silent'),
      startTask: () => undefined,
      onDone: () => undefined,
    });
  }
}

const { observation } = seenCluster();
const { name, namespace, uid } = observation.cluster.metadata;
const later = (minutes: number): Observation => ({ ...observation, nowMs: observation.nowMs + minutes * 60_000 });
const owned = { ownerReferences: [{ apiVersion: 'v1', kind: 'ShardedCluster', name, uid }] };
const map = { metadata: { namespace, name: 'any' } };
const monitor = { metadata: { namespace, name: clusterNames(name).proxies, ...owned } };

const plan = (...monitors: readonly KubeObject[]): Plan => ({
  ...nothing('run'),
  calm: [
    { kind: 'apply', type: CONFIG_MAPS, object: map },
    ...monitors.map((object) => ({ kind: 'apply', type: POD_MONITORS, object }) as const),
  ],
});

const perform = (performer: Performer, wanted: Plan, seen = observation) =>
  performer.perform(seen, wanted, new AbortController().signal);

describe('objects of the Prometheus operator', () => {
  it('are applied once, and again when the wish is another', async () => {
    const server = new Server();
    const performer = server.performer();
    for (const object of [monitor, monitor, { ...monitor, spec: { interval: '5s' } }]) {
      expect((await perform(performer, plan(object))).failures).toEqual([]);
    }
    expect(server.calls.filter((call) => call === 'apply PodMonitor')).toHaveLength(2);
  });

  it('are no failure where their CRDs are missing, and are made some minutes after these came', async () => {
    const server = new Server();
    server.installed = false;
    const performer = server.performer();
    expect((await perform(performer, plan(monitor))).failures).toEqual([]);
    expect((await perform(performer, plan(monitor), later(1))).failures).toEqual([]);
    expect(server.calls.filter((call) => call === 'apply PodMonitor')).toHaveLength(1);
    server.installed = true;
    await perform(performer, plan(monitor), later(6));
    expect(server.objects.has(POD_MONITORS.kind)).toBe(true);
  });

  it('are removed when the spec switches them off, also by an operator that did not make them', async () => {
    const server = new Server();
    await perform(server.performer(), plan(monitor));
    const performer = server.performer();
    await perform(performer, plan());
    expect(server.objects.has(POD_MONITORS.kind)).toBe(false);
    const before = server.calls.length;
    await perform(performer, plan());
    expect(server.calls.slice(before).filter((call) => !call.includes('ConfigMap'))).toEqual([]);
  });

  it("are left alone when they are somebody else's", async () => {
    const server = new Server();
    server.objects.set(POD_MONITORS.kind, { metadata: { ...monitor.metadata, uid: 'x', ownerReferences: [] } });
    await perform(server.performer(), plan());
    expect(server.calls).not.toContain('delete PodMonitor');
  });

  it('are not removed by a plan that applies nothing, such as the first of a cluster', async () => {
    const server = new Server();
    await perform(server.performer(), plan(monitor));
    await perform(server.performer(), nothing('run'));
    expect(server.objects.has(POD_MONITORS.kind)).toBe(true);
  });
});

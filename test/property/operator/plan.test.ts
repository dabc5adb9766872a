// Any course of edits and accidents: the plan disturbs one pod at a time, never writes while paused, and in the end all is as the spec says.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Plan } from '../../../src/operator/cluster/action.ts';
import { SimulatedCluster } from '../../unit/operator/cluster/simulated-cluster.ts';

type Spec = Record<string, Record<string, unknown> & { pool?: Record<string, unknown> }>;

const BAD_IMAGE = 'postgres:nonsense';
const POD_NAMES = ['bank-shard-0-0', 'bank-shard-1-0', 'bank-proxy-0', 'bank-proxy-1'] as const;

type Event =
  | { readonly kind: 'replicas'; readonly replicas: number }
  | { readonly kind: 'image'; readonly image: string }
  | { readonly kind: 'reloadable' | 'restarting' | 'pool' | 'storage'; readonly value: number }
  | { readonly kind: 'paused' | 'shutdown'; readonly is: boolean }
  | { readonly kind: 'break' | 'heal' | 'podLost'; readonly pod: string }
  | { readonly kind: 'setLost'; readonly set: string }
  | { readonly kind: 'steps'; readonly count: number }
  /** The operator dies in the middle of a round. */
  | { readonly kind: 'dies'; readonly after: number };

const pod = fc.constantFrom(...POD_NAMES);
const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ kind: fc.constant('replicas' as const), replicas: fc.integer({ min: 1, max: 4 }) }),
  fc.record({
    kind: fc.constant('image' as const),
    image: fc.constantFrom('postgres:18.1', 'postgres:18.2', BAD_IMAGE),
  }),
  fc.record({
    kind: fc.constantFrom('reloadable' as const, 'restarting' as const, 'pool' as const, 'storage' as const),
    value: fc.integer({ min: 1, max: 3 }),
  }),
  fc.record({ kind: fc.constantFrom('paused' as const, 'shutdown' as const), is: fc.boolean() }),
  fc.record({ kind: fc.constantFrom('break' as const, 'heal' as const, 'podLost' as const), pod }),
  fc.record({ kind: fc.constant('setLost' as const), set: fc.constantFrom('bank-shard-0', 'bank-proxy') }),
  fc.record({ kind: fc.constant('dies' as const), after: fc.integer({ min: 0, max: 20 }) }),
  fc.record({ kind: fc.constant('steps' as const), count: fc.integer({ min: 1, max: 12 }) }),
);

const edit = (world: SimulatedCluster, change: (spec: Spec) => void) => world.spec((spec) => change(spec as Spec));

function step(world: SimulatedCluster): Plan {
  const before = world.done.length;
  const planned = world.step();
  const disturbing = world.done.slice(before).filter((kind) => kind === 'replacePod' || kind === 'recreateSet');
  expect(disturbing.length).toBeLessThanOrEqual(1);
  if (world.cluster.spec.paused) expect(world.done.length).toBe(before);
  return planned;
}

function happen(world: SimulatedCluster, what: Event): void {
  switch (what.kind) {
    case 'replicas':
      edit(world, (spec) => Object.assign(spec.proxy ?? {}, { replicas: what.replicas }));
      return;
    case 'image':
      edit(world, (spec) => Object.assign(spec.postgres ?? {}, { image: what.image }));
      return;
    case 'reloadable':
      edit(world, (spec) => Object.assign(spec.postgres ?? {}, { parameters: { work_mem: `${what.value}MB` } }));
      return;
    case 'restarting':
      edit(world, (spec) => Object.assign(spec.postgres ?? {}, { parameters: { max_connections: 400 + what.value } }));
      return;
    case 'pool':
      edit(world, (spec) => Object.assign(spec.proxy?.pool ?? {}, { queueMax: what.value }));
      return;
    case 'storage':
      edit(world, (spec) => {
        const { storage } = spec.shards as unknown as { storage: { size: string } };
        // Volumes never shrink: the API server refuses that.
        Object.assign(storage, { size: `${Math.max(what.value, Number.parseInt(storage.size, 10))}Gi` });
      });
      return;
    case 'paused':
    case 'shutdown':
      edit(world, (spec) => Object.assign(spec, { [what.kind]: what.is }));
      return;
    case 'break':
      world.broken.add(what.pod);
      return;
    case 'heal':
      world.broken.delete(what.pod);
      return;
    case 'podLost':
      world.pods.delete(what.pod);
      return;
    case 'setLost':
      world.objects.delete(`StatefulSet/${what.set}`);
      return;
    case 'dies':
      world.step(what.after);
      return;
    case 'steps':
      for (let count = 0; count < what.count; count += 1) step(world);
  }
}

describe('the plan', () => {
  it('leads any cluster to what its spec says, whatever happened before', () => {
    fc.assert(
      fc.property(fc.nat(6), fc.array(event, { minLength: 1, maxLength: 14 }), (born, events) => {
        const world = new SimulatedCluster();
        world.missingImages.add(BAD_IMAGE);
        // Even of its first rounds each may end anywhere.
        for (let round = 0; round < born; round += 1) world.step(round * 3);
        for (const what of events) {
          happen(world, what);
          step(world);
        }
        world.broken.clear();
        edit(world, (spec) => {
          Object.assign(spec, { paused: false, shutdown: false });
          Object.assign(spec.postgres ?? {}, { image: 'postgres:18.3' });
        });
        world.settle(150, () => undefined);
        const { proxy, shards } = world.cluster.spec;
        expect(world.readyPods('bank-proxy')).toHaveLength(proxy.replicas);
        expect(world.readyPods('bank-shard')).toHaveLength(shards.count ?? 0);
        expect(world.planNow().settled).toBe(true);
        expect(world.done.filter((kind) => kind === 'writeClusterId')).toHaveLength(1);
      }),
      {
        numRuns: 40,
        // Proxies that shall leave wait until all is well, and the shard with the wrong image must not wait for them.
        examples: [
          [
            0,
            [
              { kind: 'image', image: BAD_IMAGE },
              { kind: 'steps', count: 4 },
              { kind: 'reloadable', value: 1 },
              { kind: 'replicas', replicas: 1 },
              { kind: 'steps', count: 1 },
            ],
          ],
        ],
      },
    );
  });
});

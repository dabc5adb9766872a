import { describe, expect, it } from 'vitest';
import { EventRecorder, type EventRecorderOptions } from '../../../../src/operator/kube/event-recorder.ts';
import type { KubeEvent, Occurrence } from '../../../../src/operator/kube/event-series.ts';
import { KubeError, type KubeErrorKind } from '../../../../src/operator/kube/kube-error.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

const said: Occurrence = {
  regarding: { apiVersion: 'atomshard.dev/v1alpha1', kind: 'ShardedCluster', namespace: 'a', name: 'shop', uid: '1' },
  type: 'Warning',
  reason: 'ShardNotReady',
  action: 'Reconcile',
  note: 'shard-0 does not answer',
};

function ground() {
  const clock = new ManualClock();
  const created: KubeEvent[] = [];
  const patched: unknown[] = [];
  const way: { fails?: KubeErrorKind | undefined; patchFails?: KubeErrorKind } = {};
  const problems: unknown[] = [];
  const answer = async (note: () => void) => {
    if (way.fails !== undefined) throw new KubeError(way.fails, 'no');
    note();
  };
  const client = {
    create: (_type: unknown, event: KubeEvent) => answer(() => created.push(event)),
    mergePatch: (_type: unknown, { name }: { name: string }, patch: object) =>
      answer(() => {
        if (way.patchFails !== undefined) throw new KubeError(way.patchFails, 'no');
        patched.push([name, patch]);
      }),
  } as unknown as EventRecorderOptions['client'];
  const onProblem = (error: unknown) => problems.push(error);
  const recorder = new EventRecorder({
    client,
    clock,
    controller: 'atomshard.dev/operator',
    instance: 'op-0',
    onProblem,
  });
  const stop = new AbortController();
  const run = recorder.run(stop.signal);
  return { clock, created, patched, way, problems, recorder, stop, run };
}

describe('the event recorder', () => {
  it('tells the first time at once and repetitions once a minute, with their number', async () => {
    const { clock, created, patched, recorder } = ground();
    await clock.pass(1);
    for (let turn = 0; turn < 30; turn += 1) {
      recorder.record(said);
      await clock.pass(1_000);
    }
    expect([created.length, created[0]?.reason, created[0]?.metadata.namespace]).toEqual([1, 'ShardNotReady', 'a']);
    expect(patched).toEqual([]);
    await clock.pass(60_000);
    expect(patched).toMatchObject([[created[0]?.metadata.name, { series: { count: 30 } }]]);
    await clock.pass(3_600_000);
    expect([created.length, patched.length]).toEqual([1, 1]);
  });

  it('a flood of different notes about one thing becomes one Event after the tenth', async () => {
    const { clock, created, recorder } = ground();
    for (let turn = 0; turn < 500; turn += 1) recorder.record({ ...said, note: `attempt ${turn}` });
    await clock.pass(1_000);
    expect(created).toHaveLength(11);
    expect(created[10]?.note).toBe('more of this kind, e.g.: attempt 10');
    expect(created[10]?.series?.count).toBe(490);
  });

  it('begins a new Event when the same is said again after a long silence', async () => {
    const { clock, created, recorder } = ground();
    recorder.record(said);
    await clock.pass(600_000);
    recorder.record(said);
    await clock.pass(1);
    expect(created).toHaveLength(2);
    expect(created[0]?.metadata.name).not.toBe(created[1]?.metadata.name);
  });

  it('makes the Event anew when the server forgot it', async () => {
    const { clock, created, way, recorder } = ground();
    recorder.record(said);
    await clock.pass(1);
    recorder.record(said);
    way.patchFails = 'notFound';
    await clock.pass(60_000);
    expect([created.length, created[1]?.series?.count]).toEqual([2, 2]);
  });

  it('tells later, under the same name, what an API server that was down did not take', async () => {
    const { clock, created, way, problems, recorder } = ground();
    way.fails = 'unavailable';
    recorder.record(said);
    await clock.pass(12_000);
    expect([created.length, problems.length]).toEqual([0, 3]);
    way.fails = undefined;
    await clock.pass(5_000);
    expect(created).toHaveLength(1);
  });

  it('does not try again what is refused, e.g. in a namespace that ends', async () => {
    const { clock, way, problems, recorder } = ground();
    way.fails = 'forbidden';
    recorder.record(said);
    await clock.pass(3_600_000);
    expect(problems).toHaveLength(1);
  });

  it('cuts notes at 1,024 bytes without half characters', async () => {
    const { clock, created, recorder } = ground();
    recorder.record({ ...said, note: 'ä'.repeat(2_000) });
    await clock.pass(1);
    expect(created[0]?.note).toBe(`${'ä'.repeat(510)}…`);
  });

  it('puts Events of cluster-wide objects into the namespace default, and ends when told', async () => {
    const { clock, created, recorder, stop, run } = ground();
    recorder.record({ ...said, regarding: { apiVersion: 'v1', kind: 'Node', name: 'n1' } });
    await clock.pass(1);
    expect(created[0]?.metadata.namespace).toBe('default');
    stop.abort();
    await run;
  });
});

// The plan by where it leads: in a simulated cluster every course ends, and on its way nobody is disturbed more than needed.
import { describe, expect, it } from 'vitest';
import { NO_FINDINGS } from '../../../../src/operator/cluster/no-recovery.ts';
import { shardParameters } from '../../../../src/operator/desired/postgres-parameters.ts';
import type { Gate } from '../../../../src/operator/recovery/types.ts';
import { NOW_MS } from './seen-cluster.ts';
import { SimulatedCluster } from './simulated-cluster.ts';

function running(change: (spec: Record<string, unknown>) => void = () => undefined): SimulatedCluster {
  const world = new SimulatedCluster();
  world.spec(change);
  world.settle();
  world.done.length = 0;
  return world;
}

const block = (spec: Record<string, unknown>, name: string) => spec[name] as Record<string, unknown>;
const gate = (opensAtMs: number | null): Gate => ({
  reason: 'InDoubt',
  message: '2 transactions are in doubt',
  inDoubt: 2,
  opensAtMs,
  ignored: false,
});

describe('a new cluster', () => {
  it('has its id in the status before anything carries it', () => {
    const world = new SimulatedCluster();
    expect(world.step().calm).toEqual([{ kind: 'writeClusterId', clusterId: 'k3x9q' }]);
    expect(world.objects.size).toBe(0);
  });

  it('makes sets only when the Secrets that their pods mount are there', () => {
    const world = new SimulatedCluster();
    world.step();
    const kinds = world.planNow().calm.flatMap((action) => (action.kind === 'apply' ? [action.type.kind] : []));
    expect(kinds).not.toContain('StatefulSet');
    world.settle();
    expect(world.readyPods('bank-')).toHaveLength(4);
  });

  it('is settled in the end, and then nothing is done but the same applies', () => {
    const world = running();
    const { calm, disruptive } = world.step();
    expect(disruptive).toBeUndefined();
    expect(new Set(calm.map(({ kind }) => kind))).toEqual(new Set(['apply']));
  });
});

describe('a change', () => {
  it('of an image replaces one pod at a time, the next when all others are well', () => {
    const world = running();
    world.spec((spec) => Object.assign(block(spec, 'postgres'), { image: 'postgres:18.1' }));
    let least = 4;
    world.settle(60, () => {
      least = Math.min(least, world.readyPods('bank-').length);
    });
    expect(world.done.filter((kind) => kind === 'replacePod')).toHaveLength(2);
    expect(least).toBe(3);
  });

  it('that does not come up stops at one pod, and its correction replaces that pod first', () => {
    const world = running();
    world.missingImages.add('postgres:nonsense');
    world.spec((spec) => Object.assign(block(spec, 'postgres'), { image: 'postgres:nonsense' }));
    for (let count = 0; count < 20; count += 1) world.step();
    expect(world.readyPods('bank-shard')).toHaveLength(1);
    world.spec((spec) => Object.assign(block(spec, 'postgres'), { image: 'postgres:18.2' }));
    world.settle();
    expect(world.readyPods('bank-shard')).toHaveLength(2);
  });

  it('of a reloadable setting restarts nobody', () => {
    const world = running();
    world.spec((spec) => Object.assign(block(spec, 'postgres'), { parameters: { work_mem: '9MB' } }));
    world.settle();
    expect(world.done).toContain('reloadShard');
    expect(world.done).not.toContain('replacePod');
    expect(world.pods.get('bank-shard-0-0')?.settings.work_mem).toBe('9MB');
  });

  it('of a setting that needs it restarts one shard after another', () => {
    const world = running();
    world.spec((spec) => Object.assign(block(spec, 'postgres'), { parameters: { max_connections: 500 } }));
    let least = 2;
    world.settle(60, () => {
      least = Math.min(least, world.readyPods('bank-shard').length);
    });
    expect(least).toBe(1);
    expect(world.pods.get('bank-shard-1-0')?.settings.max_connections).toBe('500');
  });

  it('never restarts a shard that holds transactions in doubt, until the grace period is over', () => {
    const world = running();
    const opensAtMs = world.nowMs + 30_000;
    world.findings = {
      ...NO_FINDINGS,
      gates: { ...NO_FINDINGS.gates, restart: new Map([['shard-0', gate(opensAtMs)]]) },
    };
    world.spec((spec) => Object.assign(block(spec, 'postgres'), { parameters: { max_connections: 500 } }));
    for (let count = 0; count < 15; count += 1) world.step();
    expect(world.pods.get('bank-shard-0-0')?.settings.max_connections).not.toBe('500');
    expect(world.pods.get('bank-shard-1-0')?.settings.max_connections).toBe('500');
    expect(world.planNow().waiting.map(({ message }) => message)).toContain('2 transactions are in doubt');
    world.settle(60);
    expect(world.pods.get('bank-shard-0-0')?.settings.max_connections).toBe('500');
  });

  it("of the proxies' configuration is reloaded, not restarted", () => {
    const world = running();
    world.spec((spec) => Object.assign(block(block(spec, 'proxy') as never, 'pool'), { queueMax: 77 }));
    world.settle();
    expect(world.done).toContain('reloadProxy');
    expect(world.done).not.toContain('replacePod');
  });

  it('of the volumes grows the claims first, then makes the set anew around its pods', () => {
    const world = running();
    const uid = world.pods.get('bank-shard-0-0')?.object.metadata.uid;
    world.spec((spec) => Object.assign(block(spec, 'shards'), { storage: { size: '2Gi' } }));
    world.settle();
    const claim = world.objects.get('PersistentVolumeClaim/data-bank-shard-1-0') as unknown as {
      spec: { resources: { requests: { storage: string } } };
    };
    expect(claim.spec.resources.requests.storage).toBe('2Gi');
    expect(world.done.filter((kind) => kind === 'recreateSet')).toHaveLength(2);
    expect(world.pods.get('bank-shard-0-0')?.object.metadata.uid).toBe(uid);
  });

  it('does nothing while the cluster is paused', () => {
    const world = running();
    world.spec((spec) => Object.assign(spec, { paused: true, proxy: { ...block(spec, 'proxy'), replicas: 5 } }));
    const { calm, disruptive, goal } = world.step();
    expect({ calm, disruptive, goal }).toEqual({ calm: [], disruptive: undefined, goal: 'paused' });
  });
});

describe('kubectl rollout restart', () => {
  const uids = (world: SimulatedCluster) =>
    [...world.pods].map(([name, { object }]) => `${name} ${object.metadata.uid}`);

  it('of a set is done as any other restart: one pod at a time, when all others are well, and once', () => {
    const world = running();
    const before = new Set(uids(world));
    world.rolloutRestart('bank-proxy');
    world.rolloutRestart('bank-shard-1');
    let least = 4;
    world.settle(60, () => {
      least = Math.min(least, world.readyPods('bank-').length);
    });
    const after = uids(world);
    expect(after.filter((each) => before.has(each)).map((each) => each.split(' ')[0])).toEqual(['bank-shard-0-0']);
    expect(least).toBe(3);
    for (let count = 0; count < 10; count += 1) world.step();
    expect(uids(world).toSorted()).toEqual(after.toSorted());
    world.rolloutRestart('bank-shard-1');
    world.settle();
    expect(
      uids(world)
        .filter((each) => !after.includes(each))
        .map((each) => each.split(' ')[0]),
    ).toEqual(['bank-shard-1-0']);
  });

  it('does not touch a shard that holds transactions in doubt', () => {
    const world = running();
    const restart = new Map([['shard-1', gate(null)]]);
    world.findings = { ...NO_FINDINGS, gates: { ...NO_FINDINGS.gates, restart } };
    const before = uids(world);
    world.rolloutRestart('bank-shard-1');
    for (let count = 0; count < 20; count += 1) world.step();
    expect(uids(world)).toEqual(before);
    expect(world.planNow().waiting.map(({ message }) => message)).toContain('2 transactions are in doubt');
  });

  it('is forgotten, and restarts nobody again, when the set is made anew around its pods', () => {
    const world = running();
    world.rolloutRestart('bank-shard-1');
    world.settle();
    world.done.length = 0;
    world.spec((spec) => Object.assign(block(spec, 'shards'), { storage: { size: '2Gi' } }));
    world.settle();
    expect(world.done).toContain('recreateSet');
    expect(world.done).not.toContain('replacePod');
  });
});

describe('the number of proxies', () => {
  const scaled = (world: SimulatedCluster, replicas: number) =>
    world.spec((spec) => Object.assign(block(spec, 'proxy'), { replicas }));

  it('grows at once', () => {
    const world = running();
    scaled(world, 4);
    world.settle();
    expect(world.readyPods('bank-proxy')).toHaveLength(4);
  });

  it('shrinks from the top, one after another, each drained and clean first', () => {
    const world = running((spec) => Object.assign(block(spec, 'proxy'), { replicas: 3 }));
    scaled(world, 1);
    world.settle();
    expect(world.done.filter((kind) => kind === 'drainProxy').length).toBeGreaterThanOrEqual(2);
    expect(world.readyPods('bank-proxy')).toEqual(['bank-proxy-0']);
    expect(world.objects.has('PersistentVolumeClaim/wal-bank-proxy-2')).toBe(true);
  });

  it('keeps a proxy that does not answer while recovery says that something of it is unfinished', () => {
    const world = running();
    world.broken.add('bank-proxy-1');
    world.findings = { ...NO_FINDINGS, gates: { ...NO_FINDINGS.gates, removal: new Map([['proxy-1', gate(null)]]) } };
    scaled(world, 1);
    for (let count = 0; count < 20; count += 1) world.step();
    expect(world.pods.has('bank-proxy-1')).toBe(true);
    world.findings = NO_FINDINGS;
    world.settle();
    expect(world.pods.has('bank-proxy-1')).toBe(false);
  });

  const growLogs = (world: SimulatedCluster): void =>
    world.spec((spec) => Object.assign(block(block(spec, 'proxy') as never, 'wal'), { size: '5Gi' }));
  const deleteSet = (world: SimulatedCluster): void => void world.objects.delete('StatefulSet/bank-proxy');

  it.each([
    ['its volumes shall be larger', growLogs],
    ['somebody deleted it', deleteSet],
  ])('keeps a proxy that is still needed when the set is made anew because %s', (_, loseSet) => {
    const world = running();
    const uid = world.pods.get('bank-proxy-1')?.object.metadata.uid;
    world.findings = { ...NO_FINDINGS, gates: { ...NO_FINDINGS.gates, removal: new Map([['proxy-1', gate(null)]]) } };
    scaled(world, 1);
    loseSet(world);
    for (let count = 0; count < 20; count += 1) {
      world.step();
      expect(world.pods.get('bank-proxy-1')?.object.metadata.uid).toBe(uid);
    }
    world.findings = NO_FINDINGS;
    world.settle();
    expect(world.readyPods('bank-proxy')).toEqual(['bank-proxy-0']);
  });

  it('lets one thing happen at a time: while a proxy is on its way out nobody who is well is restarted', () => {
    const world = running();
    world.findings = { ...NO_FINDINGS, gates: { ...NO_FINDINGS.gates, removal: new Map([['proxy-1', gate(null)]]) } };
    scaled(world, 1);
    world.spec((spec) => Object.assign(block(spec, 'postgres'), { image: 'postgres:18.1' }));
    for (let count = 0; count < 20; count += 1) world.step();
    expect(world.done).not.toContain('replacePod');
    world.findings = NO_FINDINGS;
    world.settle();
    expect(world.done.filter((kind) => kind === 'replacePod')).toHaveLength(2);
  });

  it('is given back to a proxy that drained when it is wanted again', () => {
    const world = running((spec) => Object.assign(block(spec, 'proxy'), { replicas: 2 }));
    world.findings = { ...NO_FINDINGS, gates: { ...NO_FINDINGS.gates, removal: new Map([['proxy-1', gate(null)]]) } };
    scaled(world, 1);
    const pod = world.pods.get('bank-proxy-1');
    world.step();
    if (pod !== undefined) pod.state = 'Draining';
    world.step();
    scaled(world, 2);
    world.settle();
    expect(world.done).toContain('resumeProxy');
    expect(world.readyPods('bank-proxy')).toHaveLength(2);
  });
});

describe('a cluster that shall stand still', () => {
  it('stops its shards only when no proxy is left, and starts again', () => {
    const world = running();
    world.spec((spec) => Object.assign(spec, { shutdown: true }));
    world.settle(60, () => {
      if (world.readyPods('bank-proxy').length > 0) expect(world.readyPods('bank-shard')).toHaveLength(2);
    });
    expect(world.pods.size).toBe(0);
    world.spec((spec) => Object.assign(spec, { shutdown: false }));
    world.settle();
    expect(world.readyPods('bank-')).toHaveLength(4);
  });
});

describe('transactions in doubt', () => {
  it('keep their shard up in a cluster that shall stand still, so that they can be ended', () => {
    const world = running();
    const restart = new Map([['shard-0', gate(null)]]);
    world.findings = { ...NO_FINDINGS, gates: { ...NO_FINDINGS.gates, restart } };
    world.spec((spec) => Object.assign(spec, { shutdown: true }));
    for (let count = 0; count < 20; count += 1) world.step();
    expect([...world.pods.keys()]).toEqual(['bank-shard-0-0']);
    expect(world.planNow().waiting).toMatchObject([{ reason: 'InDoubt', message: '2 transactions are in doubt' }]);
    world.findings = NO_FINDINGS;
    world.settle();
    expect(world.pods.size).toBe(0);
  });

  it('keep their places: PostgreSQL would not start with fewer than are taken', () => {
    const world = running();
    const maxPreparedFloor = new Map([['shard-0', 5_000]]);
    world.findings = { ...NO_FINDINGS, gates: { ...NO_FINDINGS.gates, maxPreparedFloor } };
    const { input, waiting } = world.planNow();
    expect(waiting.map(({ reason }) => reason)).toEqual(['PreparedTransactions']);
    expect(waiting[0]?.message).toMatch(
      /^max_prepared_transactions of shard-0 stays 5000 while 5000 are prepared there, and/,
    );
    if (input === undefined) throw new Error('a cluster that runs has input');
    const places = [0, 1].map((index) => Number(shardParameters(input, index).max_prepared_transactions));
    expect(places[0]).toBe(5_000);
    expect(places[1]).toBeLessThan(5_000);
  });
});

describe('deletion', () => {
  it('drains the proxies, keeps the claims, and lets go', () => {
    const world = running();
    world.delete();
    world.settle();
    expect(world.gone).toBe(true);
    expect(world.done).toContain('drainProxy');
    expect(world.objects.has('PersistentVolumeClaim/wal-bank-proxy-0')).toBe(true);
  });

  it('deletes the claims where the policy says so, but never a log with unfinished decisions', () => {
    const world = running((spec) => Object.assign(spec, { pvcRetentionPolicy: { whenDeleted: 'Delete' } }));
    const removal = new Map([['proxy-1', gate(null)]]);
    world.findings = { ...NO_FINDINGS, gates: { ...NO_FINDINGS.gates, removal } };
    world.delete();
    const { metadata } = world.cluster;
    world.cluster = {
      ...world.cluster,
      metadata: { ...metadata, annotations: { 'atomshard.dev/force-delete': 'true' } },
    };
    world.settle();
    expect(world.objects.has('PersistentVolumeClaim/wal-bank-proxy-0')).toBe(false);
    expect(world.objects.has('PersistentVolumeClaim/wal-bank-proxy-1')).toBe(true);
  });

  it('does not wait for transactions in doubt longer than the grace period, and keeps the log that knows of them', () => {
    const world = running((spec) => Object.assign(spec, { pvcRetentionPolicy: { whenDeleted: 'Delete' } }));
    const open = gate(world.nowMs + 60_000);
    const gates = { ...NO_FINDINGS.gates, deletion: open, removal: new Map([['proxy-1', open]]) };
    world.findings = { ...NO_FINDINGS, gates };
    world.broken.add('bank-proxy-1');
    world.delete();
    for (let count = 0; count < 20; count += 1) world.step();
    expect(world.pods.has('bank-proxy-1')).toBe(true);
    expect(world.planNow().deletionBlocked?.message).toContain('force-delete=true');
    world.settle(60);
    expect(world.gone).toBe(true);
    expect(world.objects.has('PersistentVolumeClaim/wal-bank-proxy-0')).toBe(false);
    expect(world.objects.has('PersistentVolumeClaim/wal-bank-proxy-1')).toBe(true);
  });

  it('is blocked by transactions in doubt, says how to insist, and goes on when they have ended', () => {
    const world = running();
    world.findings = { ...NO_FINDINGS, gates: { ...NO_FINDINGS.gates, deletion: gate(null) } };
    world.delete();
    for (let count = 0; count < 30; count += 1) world.step();
    expect(world.gone).toBe(false);
    expect(world.planNow().deletionBlocked?.message).toContain('atomshard.dev/force-delete=true');
    world.findings = NO_FINDINGS;
    world.settle();
    expect(world.gone).toBe(true);
  });

  it('lets go when the namespace takes everything with it', () => {
    const world = running();
    world.findings = { ...NO_FINDINGS, gates: { ...NO_FINDINGS.gates, deletion: gate(null) } };
    world.delete();
    for (const [key, object] of world.objects) {
      const metadata = { ...object.metadata, deletionTimestamp: new Date(NOW_MS).toISOString() };
      world.objects.set(key, { ...object, metadata });
    }
    expect(world.step().calm.map(({ kind }) => kind)).toContain('removeFinalizer');
  });
});

describe('volumes of the same name', () => {
  it('are adopted with their id', () => {
    const world = running();
    world.cluster = { ...world.cluster, status: {} };
    expect(world.step().calm).toEqual([{ kind: 'writeClusterId', clusterId: 'k3x9q' }]);
  });

  it('of another cluster are not touched, and the reason is told', () => {
    const world = running();
    world.cluster = { ...world.cluster, status: { clusterId: 'other' } };
    const { calm, refused } = world.step();
    expect(calm).toEqual([]);
    expect(refused?.message).toContain('data-bank-shard-0-0 (k3x9q)');
  });
});

describe('another number of shards', () => {
  const counted = (world: SimulatedCluster, count: number) =>
    world.spec((spec) => Object.assign(block(spec, 'shards'), { count, turndown: 'Immediate' }));
  const knownToProxies = (world: SimulatedCluster) =>
    [...world.configText.matchAll(/- name: (shard-\d+)/g)].map(([, name]) => name);
  const steps = (world: SimulatedCluster, count: number) => {
    for (let done = 0; done < count; done += 1) world.step();
  };

  it('is used by the proxies while no shard has a table', () => {
    const world = running();
    counted(world, 3);
    world.settle();
    expect(knownToProxies(world)).toEqual(['shard-0', 'shard-1', 'shard-2']);
  });

  it('never changes where rows are looked for: proxies keep the former shards, and the reason is told', () => {
    const world = running();
    world.tables = 1;
    counted(world, 3);
    steps(world, 20);
    expect(world.readyPods('bank-shard')).toHaveLength(3);
    expect(knownToProxies(world)).toEqual(['shard-0', 'shard-1']);
    const { settled, waiting } = world.planNow();
    expect(settled).toBe(false);
    expect(waiting[0]?.message).toContain('whose rows this version cannot move');
  });

  it('does not stop a shard that has rows, whatever the spec says', () => {
    const world = running();
    world.tables = 1;
    counted(world, 1);
    steps(world, 20);
    expect(world.readyPods('bank-shard')).toHaveLength(2);
    expect(knownToProxies(world)).toEqual(['shard-0', 'shard-1']);
  });

  it('is remembered by the volumes: a cluster made again with another number looks for rows where they were', () => {
    const world = running();
    world.tables = 1;
    world.delete();
    world.settle();
    const again = new SimulatedCluster();
    for (const [key, object] of world.objects) {
      if (key.startsWith('PersistentVolumeClaim/') || /^Secret\/bank-(internal|superuser|user)/.test(key))
        again.objects.set(key, object);
    }
    again.tables = 1;
    counted(again, 3);
    steps(again, 30);
    expect(knownToProxies(again)).toEqual(['shard-0', 'shard-1']);
  });

  it('stops a shard that left when no proxy uses it any more, and keeps its volume', () => {
    const world = running();
    counted(world, 1);
    world.settle();
    steps(world, 5);
    expect(world.pods.has('bank-shard-1-0')).toBe(false);
    expect(world.objects.has('PersistentVolumeClaim/data-bank-shard-1-0')).toBe(true);
    expect(world.objects.has('StatefulSet/bank-shard-1')).toBe(true);
  });
});

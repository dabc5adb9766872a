// The operator's runtime against a real API server: killed, stopped from answering, and behind a proxy that breaks connections.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Socket, connect as tcpConnect } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import type { AccessSource } from '../../src/operator/kube/access.ts';
import { KubeClient } from '../../src/operator/kube/client.ts';
import { EVENTS, EventRecorder } from '../../src/operator/kube/event-recorder.ts';
import { HttpsTransport } from '../../src/operator/kube/https-transport.ts';
import { KubeError } from '../../src/operator/kube/kube-error.ts';
import { kubeconfigAccess } from '../../src/operator/kube/kubeconfig-access.ts';
import { LeaderElection } from '../../src/operator/kube/leader-election.ts';
import { Reflector } from '../../src/operator/kube/reflector.ts';
import { type KubeObject, resource } from '../../src/operator/kube/resource.ts';
import { WorkQueue } from '../../src/operator/kube/work-queue.ts';
import { Random } from '../support/random.ts';
import { waitFor } from './harness/kubectl.ts';
import { type TestNamespace, testNamespace } from './harness/namespaces.ts';
import { noCluster, openTestCluster, type TestCluster } from './test-cluster.ts';

interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

const MAPS = resource<ConfigMap>('v1', 'ConfigMap', 'configmaps');
const ACCOUNTS = resource('v1', 'ServiceAccount', 'serviceaccounts');
const LABELS = { test: 'kube-runtime' };
const SELECTOR = 'test=kube-runtime';

const random = new Random(1);
const next = () => random.next();

function clientOver(access: AccessSource): { client: KubeClient; transport: HttpsTransport } {
  const transport = new HttpsTransport({ access, userAgent: 'atomshard-test' });
  const client = new KubeClient({ transport, clock: systemClock, random: next, fieldManager: 'atomshard-test' });
  return { client, transport };
}

const map = (namespace: string, name: string, data: Record<string, string>): ConfigMap => ({
  metadata: { namespace, name, labels: LABELS },
  data,
});

async function errorOf(call: Promise<unknown>): Promise<KubeError> {
  const error = await call.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  if (error instanceof KubeError) return error;
  throw new Error('the call worked, or failed in another way', { cause: error });
}

/** A TCP proxy to the API server that counts, resets, and refuses connections. */
async function proxyTo(server: URL) {
  const open = new Set<Socket>();
  const state = { accepted: 0, refusing: false };
  const listener = createServer((near) => {
    state.accepted += 1;
    if (state.refusing) {
      near.resetAndDestroy();
      return;
    }
    const far = tcpConnect(Number(server.port), server.hostname);
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => open.delete(socket));
    }
    near.pipe(far).pipe(near);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const reset = () => {
    for (const socket of open) socket.resetAndDestroy();
  };
  /** Connections that are open now stay open and carry nothing more, in either direction. */
  const freeze = () => {
    for (const socket of open) socket.unpipe().pause();
  };
  return {
    state,
    freeze,
    url: new URL(`https://127.0.0.1:${port}`),
    reset,
    [Symbol.dispose]: () => {
      listener.close();
      reset();
    },
  };
}

/** The same identity by another address; `kubernetes` stands in every API server's certificate. */
function by(access: AccessSource, server: URL): AccessSource {
  let tls: object | undefined;
  return {
    current: async () => {
      const direct = await access.current();
      tls ??= { ...direct.tls, serverName: 'kubernetes' };
      return { ...direct, server, tls };
    },
    refused: () => access.refused(),
  };
}

describe.skipIf(noCluster)('the kube runtime', () => {
  let { cluster }: TestCluster = {} as TestCluster;
  let access: AccessSource;
  beforeAll(async () => {
    ({ cluster } = await openTestCluster([]));
    access = kubeconfigAccess({ clock: systemClock, file: cluster.kubectl.kubeconfig, env: process.env });
  });

  const firstNode = async () =>
    (await cluster.kubectl.value('nodes', '.items[*].metadata.name')).split(' ').sort()[0] ?? '';

  /** A reflector of the test's ConfigMaps in one namespace, which runs until it is disposed. */
  async function following(space: TestNamespace, client: KubeClient, silenceMaxMs = 150_000) {
    const problems: unknown[] = [];
    const told: string[] = [];
    const selection = { namespace: space.name, labelSelector: SELECTOR };
    const onProblem = (error: unknown) => problems.push(error);
    const world = { clock: systemClock, random: next };
    const reflector = new Reflector({ client, type: MAPS, selection, ...world, silenceMaxMs, onProblem });
    reflector.subscribe(({ kind, key }) => void told.push(`${kind} ${key.split('/')[1]}`));
    const stop = new AbortController();
    const run = reflector.run(stop.signal);
    const end = async () => {
      stop.abort();
      await run;
    };
    return { reflector, told, problems, [Symbol.asyncDispose]: end };
  }

  it('applies plain objects: fields left out go, those of others stay, and a conflict is told by its field', async () => {
    await using space = await testNamespace(cluster.kubectl, 'kube-apply');
    const { client } = clientOver(access);
    await client.apply(MAPS, map(space.name, 'm', { a: '1', b: '2' }));
    await client.mergePatch(MAPS, { namespace: space.name, name: 'm' }, { data: { c: '3' } });
    const applied = await client.apply<ConfigMap>(MAPS, map(space.name, 'm', { a: '9' }));
    expect(applied.data).toEqual({ a: '9', c: '3' });
    await space.kubectl.run(['patch', 'configmap', 'm', '--type=merge', '-p', '{"data":{"a":"theirs"}}']);
    const conflict = await errorOf(client.apply(MAPS, map(space.name, 'm', { a: 'ours' }), { force: false }));
    expect([conflict.kind, conflict.hasCause('FieldManagerConflict')]).toEqual(['conflict', true]);
    expect(conflict.causes[0]?.field).toBe('.data.a');
    expect((await client.apply<ConfigMap>(MAPS, map(space.name, 'm', { a: 'ours' }))).data?.a).toBe('ours');
  });

  it('tells by kind what the API server refuses', async () => {
    await using space = await testNamespace(cluster.kubectl, 'kube-errors');
    const { client } = clientOver(access);
    const at = { namespace: space.name, name: 'm' };
    expect((await errorOf(client.get(MAPS, at))).kind).toBe('notFound');
    const made = await client.create(MAPS, map(space.name, 'm', {}));
    expect((await errorOf(client.create(MAPS, map(space.name, 'm', {})))).kind).toBe('alreadyExists');
    await client.apply(MAPS, map(space.name, 'm', { a: '1' }));
    expect((await errorOf(client.replace(MAPS, made))).kind).toBe('conflict');
    const unknownField = { ...map(space.name, 'm', {}), datta: {} };
    const invalid = await errorOf(client.apply(MAPS, unknownField));
    expect([invalid.kind, invalid.message]).toEqual(['invalid', expect.stringContaining('.datta')]);
    expect((await errorOf(client.delete(MAPS, at, { uid: 'another' }))).kind).toBe('conflict');
    await client.delete(MAPS, at, { uid: made.metadata.uid });
  });

  it('a ServiceAccount without rights is forbidden, and a wrong token unauthorized', async () => {
    await using space = await testNamespace(cluster.kubectl, 'kube-rights');
    const token = (await space.kubectl.run(['create', 'token', 'default'])).trim();
    const direct = await access.current();
    const as = (bearer: string) => {
      const tls = { ca: direct.tls.ca };
      return clientOver({
        current: async () => ({ server: direct.server, tls, token: bearer }),
        refused: () => undefined,
      });
    };
    expect((await errorOf(as(token).client.list(MAPS, { namespace: space.name }))).kind).toBe('forbidden');
    expect((await errorOf(as('wrong').client.list(MAPS, { namespace: space.name }))).kind).toBe('unauthorized');
  });

  it('100 calls share a few connections, and watches that are left keep none', async () => {
    using proxy = await proxyTo((await access.current()).server);
    const { client, transport } = clientOver(by(access, proxy.url));
    for (let round = 0; round < 25; round += 1) {
      await Promise.all([0, 1, 2, 3].map(() => client.list(ACCOUNTS, { namespace: 'default' })));
    }
    expect(proxy.state.accepted).toBeLessThanOrEqual(4);
    const { resourceVersion } = await client.list(ACCOUNTS, { namespace: 'default' });
    for (let round = 0; round < 80; round += 1) {
      const watch = client.watch(ACCOUNTS, { resourceVersion, timeoutSeconds: 60 }, new AbortController().signal);
      for await (const _first of watch) break;
    }
    // A watch that is left gives its connection up: 80 of them would else take all 64.
    await client.list(ACCOUNTS, { namespace: 'default' });
    transport.close();
  });

  it('the reflector follows through 10 connection resets and a time of refused connections, and misses nothing', async () => {
    await using space = await testNamespace(cluster.kubectl, 'kube-resets');
    const { client } = clientOver(access);
    using proxy = await proxyTo((await access.current()).server);
    const near = clientOver(by(access, proxy.url));
    await using follower = await following(space, near.client);
    await follower.reflector.synced;
    for (let round = 0; round < 10; round += 1) {
      await client.apply(MAPS, map(space.name, `m${round}`, { round: `${round}` }));
      proxy.reset();
    }
    proxy.state.refusing = true;
    proxy.reset();
    await client.delete(MAPS, { namespace: space.name, name: 'm0' });
    await client.apply(MAPS, map(space.name, 'last', {}));
    await waitFor('the reflector to see the fault', 20_000, async () => follower.reflector.problem?.kind);
    proxy.state.refusing = false;
    await waitFor('the reflector to catch up', 30_000, async () =>
      follower.told.includes('deleted m0') && follower.told.includes('added last') ? true : undefined,
    );
    expect(follower.problems.length).toBeGreaterThan(0);
    expect(follower.reflector.size).toBe(10);
    expect(follower.reflector.problem).toBeUndefined();
    const listed = await client.list(MAPS, { namespace: space.name, labelSelector: SELECTOR });
    const versions = (objects: Iterable<KubeObject>) =>
      [...objects].map(({ metadata }) => `${metadata.name}@${metadata.resourceVersion}`).sort();
    expect(versions(follower.reflector.values())).toEqual(versions(listed.items));
    near.transport.close();
  });

  it('a connection that stays open and says nothing more does not blind the reflector', async () => {
    await using space = await testNamespace(cluster.kubectl, 'kube-frozen');
    const { client } = clientOver(access);
    using proxy = await proxyTo((await access.current()).server);
    const near = clientOver(by(access, proxy.url));
    await using follower = await following(space, near.client, 3_000);
    await client.apply(MAPS, map(space.name, 'before', {}));
    await waitFor('the first', 20_000, async () => (follower.told.includes('added before') ? true : undefined));
    proxy.freeze();
    await client.apply(MAPS, map(space.name, 'after', {}));
    await waitFor('the second', 30_000, async () => (follower.told.includes('added after') ? true : undefined));
    expect(follower.problems).toEqual([]);
    near.transport.close();
  });

  it('a killed API server: the reflector follows again, and calls that may be repeated need no help', async (context) => {
    if (!cluster.canBreak) context.skip('the cluster was given by its kubeconfig; its parts are not ours to kill');
    await using space = await testNamespace(cluster.kubectl, 'kube-killed');
    const { client } = clientOver(access);
    await using follower = await following(space, client);
    await follower.reflector.synced;
    const node = await firstNode();
    for (let round = 0; round < 3; round += 1) {
      await client.apply(MAPS, map(space.name, `before${round}`, {}));
      await cluster.crash('kube-apiserver', node);
      await waitFor('a write', 60_000, () => client.apply(MAPS, map(space.name, `after${round}`, {})));
      await waitFor('the reflector to see it', 30_000, async () =>
        follower.told.includes(`added after${round}`) ? true : undefined,
      );
    }
    expect(follower.problems.length).toBeGreaterThan(0);
    expect(follower.told.filter((line) => line.startsWith('added'))).toHaveLength(6);
    // A server that was started anew remembers nothing of the beginning; one that has run from it still would.
    const watch = client.watch(MAPS, { resourceVersion: '1', timeoutSeconds: 5 }, new AbortController().signal);
    const old = async () => {
      for await (const event of watch) if (event.kind !== 'opened') throw new Error(`unexpected ${event.kind}`);
    };
    expect((await errorOf(old())).kind).toBe('gone');
  });

  it('rights taken away and given back: the reflector tells the fault, and follows again', async () => {
    await using space = await testNamespace(cluster.kubectl, 'kube-rbac');
    const bind = ['create', 'rolebinding', 'follow', '--clusterrole=view', `--serviceaccount=${space.name}:default`];
    await space.kubectl.run(bind);
    const token = (await space.kubectl.run(['create', 'token', 'default'])).trim();
    const { server, tls } = await access.current();
    const mine = { ca: tls.ca };
    const weak = clientOver({ current: async () => ({ server, tls: mine, token }), refused: () => undefined });
    const { client } = clientOver(access);
    await using follower = await following(space, weak.client);
    await waitFor('the first list', 30_000, async () => (follower.reflector.hasSynced ? true : undefined));
    await space.kubectl.run(['delete', 'rolebinding', 'follow']);
    // A watch outlives the right to it: only the next one is refused.
    weak.transport.close();
    await waitFor('the fault', 30_000, async () =>
      follower.reflector.problem?.kind === 'forbidden' ? true : undefined,
    );
    await client.apply(MAPS, map(space.name, 'm', {}));
    await space.kubectl.run(bind);
    await waitFor('the change', 30_000, async () => (follower.told.includes('added m') ? true : undefined));
  });

  it('reflector and queue together: 50 objects changed 4 times each end in their last state, few at a time', async () => {
    await using space = await testNamespace(cluster.kubectl, 'kube-queue');
    const { client } = clientOver(access);
    await using follower = await following(space, client);
    const queue = new WorkQueue({ clock: systemClock, random: next });
    const seen = new Map<string, string | undefined>();
    const active = new Set<string>();
    let collisions = 0;
    follower.reflector.subscribe(({ key }) => void queue.add(key));
    const stop = new AbortController();
    const run = queue.run(
      4,
      async (key) => {
        if (active.has(key)) collisions += 1;
        active.add(key);
        await systemClock.sleep(2);
        seen.set(key, follower.reflector.get({ namespace: space.name, name: key.split('/')[1] ?? '' })?.data?.turn);
        active.delete(key);
        return { kind: 'done' };
      },
      stop.signal,
    );
    for (let turn = 0; turn < 4; turn += 1) {
      const names = Array.from({ length: 50 }, (_, index) => `m${index}`);
      await Promise.all(names.map((name) => client.apply(MAPS, map(space.name, name, { turn: `${turn}` }))));
    }
    await waitFor('all in their last state', 30_000, async () =>
      seen.size === 50 && [...seen.values()].every((turn) => turn === '3') ? true : undefined,
    );
    stop.abort();
    await run;
    expect(collisions).toBe(0);
  });

  it('two electors: one leads; when it is cut off it stops, and the other takes over, also over a killed API server', async () => {
    await using space = await testNamespace(cluster.kubectl, 'kube-lead');
    using proxy = await proxyTo((await access.current()).server);
    const near = clientOver(by(access, proxy.url));
    const lease = { namespace: space.name, name: 'operator' };
    const elector = (identity: string, client: KubeClient) =>
      new LeaderElection({ client, lease, identity, clock: systemClock, random: next });
    const one = elector('one', near.client);
    const two = elector('two', clientOver(access).client);
    const stop = new AbortController();
    const oneRun = one.run(stop.signal);
    await waitFor('one to lead', 20_000, async () => (one.isLeader ? true : undefined));
    const twoRun = two.run(stop.signal);
    if (cluster.canBreak) await cluster.crash('kube-apiserver', await firstNode());
    // Longer than a Lease: it survives the restart of the API server.
    for (let second = 0; second < 20; second += 1) {
      await systemClock.sleep(1_000);
      expect([one.isLeader, two.isLeader]).toEqual([true, false]);
    }
    expect(await space.kubectl.value('lease operator', '.spec.holderIdentity')).toBe('one');
    proxy.state.refusing = true;
    proxy.reset();
    let both = 0;
    await waitFor('two to lead', 40_000, async () => {
      if (one.isLeader && two.isLeader) both += 1;
      return two.isLeader ? true : undefined;
    });
    expect([both, await oneRun]).toEqual([0, 'lost']);
    expect(await space.kubectl.value('lease operator', '.spec.leaseTransitions')).toBe('1');
    stop.abort();
    expect(await twoRun).toBe('stopped');
    expect(await space.kubectl.value('lease operator', '.spec.holderIdentity')).toBe('');
    near.transport.close();
  });

  it('Events are accepted, shown by kubectl, and counted in a series', async () => {
    await using space = await testNamespace(cluster.kubectl, 'kube-events');
    const { client } = clientOver(access);
    const about = await client.create(MAPS, map(space.name, 'm', {}));
    const problems: unknown[] = [];
    let aheadMs = 0;
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + aheadMs };
    const onProblem = (error: unknown) => problems.push(error);
    const controller = 'atomshard.dev/operator';
    const recorder = new EventRecorder({ client, clock, controller, instance: 'test-0', onProblem });
    const { uid } = about.metadata;
    const regarding = { apiVersion: 'v1', kind: 'ConfigMap', namespace: space.name, name: 'm', uid };
    const said = {
      regarding,
      type: 'Warning',
      reason: 'NotReady',
      action: 'Reconcile',
      note: 'it is not ready',
    } as const;
    const stop = new AbortController();
    const run = recorder.run(stop.signal);
    recorder.record(said);
    await waitFor('the Event', 10_000, async () =>
      (await space.kubectl.run(['get', 'events'])).includes('it is not ready') ? true : undefined,
    );
    recorder.record(said);
    aheadMs = 60_000;
    recorder.record(said);
    recorder.record({ ...said, reason: 'Other' });
    const counted = await waitFor('the count', 10_000, async () => {
      const { items } = await client.list(EVENTS, { namespace: space.name });
      return items.find(({ series }) => series !== undefined);
    });
    expect([counted.series?.count, counted.reportingController]).toEqual([3, controller]);
    stop.abort();
    await run;
    expect(problems).toEqual([]);
  });
});

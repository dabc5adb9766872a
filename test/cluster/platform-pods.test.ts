// Proof that pods, their network and kubectl's ways into them are real.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from './harness/kubectl.ts';
import { testNamespace } from './harness/namespaces.ts';
import { pod, web } from './platform/objects.ts';
import { noCluster, openTestCluster, type TestCluster } from './test-cluster.ts';

const FRIEND = { podSelector: { matchLabels: { role: 'friend' } } };

const policy = (name: string, matchLabels: object, rules: { ingress: object[] } | { egress: object[] }): object => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name },
  spec: { podSelector: { matchLabels }, policyTypes: ['ingress' in rules ? 'Ingress' : 'Egress'], ...rules },
});

describe.skipIf(noCluster)('pods', () => {
  let { cluster, images }: TestCluster = {} as TestCluster;
  beforeAll(async () => {
    ({ cluster, images } = await openTestCluster(['busybox']));
  });

  it('find each other by the names of a headless Service', async () => {
    await using space = await testNamespace(cluster.kubectl, 'dns');
    const { kubectl } = space;
    await kubectl.apply([...web(images.busybox, { replicas: 2 }), pod('caller', images.busybox)]);
    await kubectl.run(['rollout', 'status', 'statefulset/web', '--timeout=90s']);
    await kubectl.run(['wait', '--for=condition=Ready', 'pod/caller', '--timeout=60s']);
    const call = (host: string) =>
      waitFor(host, 30_000, () => kubectl.run(['exec', 'caller', '--', 'wget', '-qO-', `http://${host}:8080/`]));
    expect(await call('web-0.web')).toContain('web-0 started');
    expect(await call(`web-1.web.${space.name}.svc.cluster.local`)).toContain('web-1 started');
    const addresses = (await kubectl.value('pod -l app=web', '.items[*].status.podIP')).split(' ');
    const answer = await kubectl.run(['exec', 'caller', '--', 'nslookup', `web.${space.name}.svc.cluster.local`]);
    for (const address of addresses) expect(answer).toContain(address);
  });

  it('are reached and reach out only as NetworkPolicies allow', async (context) => {
    if (cluster.enforcesNetworkPolicy !== true) {
      context.skip('nobody knows whether the network plug-in of the cluster that was given enforces policies');
    }
    await using space = await testNamespace(cluster.kubectl, 'policy');
    const { kubectl } = space;
    const callers = ['friend', 'stranger'].map((role) => pod(role, images.busybox, { labels: { role } }));
    await kubectl.apply([...web(images.busybox, { replicas: 1 }), ...callers]);
    await kubectl.run(['rollout', 'status', 'statefulset/web', '--timeout=90s']);
    await kubectl.run(['wait', '--for=condition=Ready', 'pod/friend', 'pod/stranger', '--timeout=60s']);
    const address = await kubectl.value('pod web-0', '.status.podIP');
    const reaches = async (role: string): Promise<boolean> => {
      const call = ['exec', role, '--', 'timeout', '2', 'wget', '-qO-', `http://${address}:8080/`];
      return (await kubectl.try(call)).code === 0;
    };
    const settles = (role: string, wanted: boolean) =>
      waitFor(`${role} ${wanted ? 'reaches' : 'does not reach'} web`, 30_000, async () =>
        (await reaches(role)) === wanted ? true : undefined,
      );
    // The premise: without a policy both get through.
    await settles('friend', true);
    await settles('stranger', true);

    await kubectl.apply([policy('web', { app: 'web' }, { ingress: [{ from: [FRIEND], ports: [{ port: 8080 }] }] })]);
    await settles('stranger', false);
    expect(await reaches('friend')).toBe(true);

    await kubectl.apply([policy('silent', { role: 'friend' }, { egress: [] })]);
    await settles('friend', false);
    await kubectl.run(['delete', 'networkpolicy', 'web', 'silent']);
    await settles('friend', true);
    await settles('stranger', true);
  });

  it('run commands with their exit code and input, stream their logs, and forward a port', async () => {
    await using space = await testNamespace(cluster.kubectl, 'exec');
    const { kubectl } = space;
    const talk = 'httpd -p 8080 -h /etc; for i in 1 2 3; do echo line $i; sleep 0.2; done; exec sleep 100000';
    await kubectl.apply([pod('main', images.busybox, { command: ['sh', '-c', talk] })]);
    await kubectl.run(['wait', '--for=condition=Ready', 'pod/main', '--timeout=60s']);
    const failed = await kubectl.try(['exec', 'main', '--', 'sh', '-c', 'echo out; exit 3']);
    expect([failed.code, failed.stdout]).toEqual([3, 'out\n']);
    expect(await kubectl.run(['exec', '-i', 'main', '--', 'cat'], { input: 'abc' })).toBe('abc');
    await waitFor('three lines', 30_000, async () => {
      const lines = (await kubectl.run(['logs', 'main'])).match(/^line \d$/gm);
      return lines?.length === 3 ? true : undefined;
    });

    const [program = '', ...args] = kubectl.argv(['port-forward', 'pod/main', ':8080', '--address=127.0.0.1']);
    const forward = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const [said] = (await once(forward.stdout, 'data')) as [Buffer];
      const port = /127\.0\.0\.1:(\d+)/.exec(said.toString())?.[1];
      const page = await fetch(`http://127.0.0.1:${port}/nsswitch.conf`);
      expect(page.status).toBe(200);
    } finally {
      forward.kill();
    }
  });

  it('are reached through a NodePort from outside, on a node that does not run them', async (context) => {
    if (!cluster.canBreak || process.platform !== 'linux')
      context.skip('the nodes’ addresses are not reachable from here');
    await using space = await testNamespace(cluster.kubectl, 'nodeport');
    const { kubectl } = space;
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'outside' },
      spec: { type: 'NodePort', selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
    };
    await kubectl.apply([...web(images.busybox, { replicas: 1 }), service]);
    await kubectl.run(['rollout', 'status', 'statefulset/web', '--timeout=90s']);
    const own = await kubectl.value('pod web-0', '.status.hostIP');
    const all = await kubectl.value('nodes', '.items[*].status.addresses[?(@.type=="InternalIP")].address');
    const other = all.split(' ').find((address) => address !== own) ?? own;
    const port = await kubectl.value('service outside', '.spec.ports[0].nodePort');
    const page = await waitFor('an answer', 30_000, async () => {
      const answer = await fetch(`http://${other}:${port}/`, { signal: AbortSignal.timeout(3_000) });
      return answer.text();
    });
    expect(page).toContain('web-0 started');
  });

  it('are gone at once by `delete --force`', async () => {
    await using space = await testNamespace(cluster.kubectl, 'force');
    await space.kubectl.apply([pod('stubborn', images.busybox, { command: ['sh', '-c', 'trap "" TERM; sleep 1000'] })]);
    await space.kubectl.run(['wait', '--for=condition=Ready', 'pod/stubborn', '--timeout=60s']);
    await space.kubectl.run(['delete', 'pod', 'stubborn', '--force', '--grace-period=0']);
    const left = await space.kubectl.try(['get', 'pod', 'stubborn', '-o', 'name', '--ignore-not-found']);
    expect(left.stdout).toBe('');
  });

  it('are killed when they take more memory than their limit', async () => {
    await using space = await testNamespace(cluster.kubectl, 'oom');
    // A string of 100 MB in the shell, against 32 MB.
    const command = ['sh', '-c', `x=$(head -c 100000000 /dev/zero | tr '\\0' a); echo \${#x}`];
    await space.kubectl.apply([pod('greedy', images.busybox, { command, memoryLimit: '32Mi' })]);
    const ended = '.status.containerStatuses[0].state.terminated';
    await space.kubectl.waitForValue('pod greedy', `${ended}.reason`, (reason) => reason !== '');
    expect(await space.kubectl.value('pod greedy', `${ended}.reason`)).toBe('OOMKilled');
    expect(await space.kubectl.value('pod greedy', `${ended}.exitCode`)).toBe('137');
  });

  it('leave a node that is drained, respecting their budget, and can return to it', async (context) => {
    if (!cluster.canBreak) context.skip('the cluster was given by its kubeconfig; its nodes are not ours to drain');
    await using space = await testNamespace(cluster.kubectl, 'drain');
    const { kubectl } = space;
    await kubectl.apply(web(images.busybox, { replicas: 1 }));
    await kubectl.run(['rollout', 'status', 'statefulset/web', '--timeout=90s']);
    const node = await kubectl.value('pod web-0', '.spec.nodeName');
    const drain = (...more: string[]) =>
      kubectl.try(['drain', node, '--pod-selector=app=web', '--delete-emptydir-data', ...more]);
    try {
      await kubectl.run(['create', 'poddisruptionbudget', 'web', '--selector=app=web', '--min-available=1']);
      await kubectl.waitForValue('pdb web', '.status.currentHealthy', (value) => value === '1');
      expect((await drain('--timeout=2s')).stderr).toContain('disruption budget');
      await kubectl.run(['delete', 'pdb', 'web']);
      expect((await drain('--timeout=60s')).stdout).toContain('drained');
      // Its volume lies on that node, so its successor waits for it.
      await kubectl.waitForValue('pod web-0', '.status.phase', (phase) => phase === 'Pending');
    } finally {
      await kubectl.run(['uncordon', node]);
    }
    await kubectl.run(['rollout', 'status', 'statefulset/web', '--timeout=90s']);
  });
});

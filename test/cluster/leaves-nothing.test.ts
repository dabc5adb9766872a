// `down` leaves the machine as it was: links, routes, mounts, cgroups, processes, firewall and sysctls are compared before and after.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { run, tryRun } from './harness/command.ts';
import { foldersFrom } from './harness/folders.ts';
import { waitFor } from './harness/kubectl.ts';
import { clusterFolder, readRecord } from './harness/record.ts';
import { noCluster } from './test-cluster.ts';

const NAME = 'spare';
const folders = foldersFrom(process.env);
const MAIN = path.join(import.meta.dirname, 'main.ts');
const argv = (...args: string[]) => [process.execPath, MAIN, '--name', NAME, '--way', 'bare', ...args];
const environment = { KUBECONFIG: '' };

/** Only one machine in three ways can do it; on the others `down` is kind's own, or deletes namespaces. */
const bareHere = process.platform === 'linux' && process.getuid?.() === 0;

const SYSCTLS = [
  'net/ipv4/ip_forward',
  'vm/overcommit_memory',
  'vm/panic_on_oom',
  'kernel/panic',
  'kernel/panic_on_oops',
];
const FOLDERS_OF_KUBERNETES = [
  '/var/lib/cni',
  '/var/lib/kubelet',
  '/etc/cni',
  '/opt/cni',
  '/run/containerd',
  '/var/log/pods',
];

interface Machine {
  readonly links: string[];
  readonly routes: string[];
  readonly mounts: string[];
  readonly cgroups: string[];
  readonly processes: string[];
  readonly firewall: string[];
  readonly sysctls: string[];
  readonly folders: string[];
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

async function lookAtMachine(): Promise<Machine> {
  const rules = await run(['iptables-save']);
  return {
    links: readdirSync('/sys/class/net').toSorted(),
    routes: lines(await run(['ip', 'route', 'show', 'table', 'all'])).toSorted(),
    mounts: lines(readFileSync('/proc/self/mountinfo', 'utf8'))
      .map((line) => line.split(' ')[4] ?? '')
      .filter((target) => /atomshard|kubelet|containerd|netns|cni/.test(target)),
    cgroups: readdirSync('/sys/fs/cgroup').flatMap((hierarchy) => {
      const folder = path.join('/sys/fs/cgroup', hierarchy);
      return cgroupsOf(folder).map((name) => path.join(hierarchy, name));
    }),
    processes: programsRunning(),
    // Counters and comments carry numbers and dates.
    firewall: lines(rules).filter((line) => line.startsWith('-')),
    sysctls: SYSCTLS.map((name) => `${name}=${readFileSync(`/proc/sys/${name}`, 'utf8').trim()}`),
    folders: FOLDERS_OF_KUBERNETES.filter((folder) => existsSync(folder)),
  };
}

const cgroupsOf = (folder: string): string[] =>
  existsSync(path.join(folder, 'cgroup.procs'))
    ? readdirSync(folder).filter((name) => name.startsWith('atomshard'))
    : [];

/** Processes of the spare cluster, by the cgroup of its nodes; those of other clusters come and go. */
function programsRunning(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(`atomshard-${NAME}-`);
      } catch {
        return false;
      }
    });
}

describe.skipIf(noCluster || !bareHere)('down', () => {
  it('removes everything that up made, beside another cluster that stays', { timeout: 180_000 }, async () => {
    const before = await lookAtMachine();
    await run(argv('up', '--nodes', '2'), { env: environment });
    const during = await lookAtMachine();
    // The premise: there is something to remove.
    expect(during.links.length).toBe(before.links.length + 3);
    expect(during.cgroups.length).toBeGreaterThan(before.cgroups.length);
    expect(during.processes.length).toBeGreaterThan(before.processes.length + 10);
    await run(argv('down'), { env: environment });
    expect(await settledMachine(before)).toEqual(before);
    expect(existsSync(clusterFolder(folders, NAME))).toBe(false);
  });

  it.for([300, 700, 1500, 3000])(
    'cleans up after an up that was killed after %i ms',
    { timeout: 180_000 },
    async (delayMs) => {
      const before = await lookAtMachine();
      const [program = '', ...args] = argv('up', '--nodes', '2');
      const up = spawn(program, args, { stdio: 'ignore', env: { ...process.env, ...environment } });
      await waitFor('the record', 30_000, async () => (readRecord(folders, NAME) === undefined ? undefined : true));
      await systemClock.sleep(delayMs);
      up.kill('SIGKILL');
      await run(argv('down'), { env: environment });
      expect(await settledMachine(before)).toEqual(before);
      expect((await tryRun(argv('down'), { env: environment })).code).toBe(0);
    },
  );
});

/** What the machine looks like once the kernel has finished, which is a moment after the last process ended. */
async function settledMachine(before: Machine): Promise<Machine> {
  try {
    return await waitFor('the kernel to finish', 5_000, async () => {
      const now = await lookAtMachine();
      return JSON.stringify(now) === JSON.stringify(before) ? now : undefined;
    });
  } catch {
    // The comparison that follows shows the difference.
    return lookAtMachine();
  }
}

// A pod that mounts a proxy's log beside it, as an engineer on call would make one: to look, to damage, to repair.
import { RESTRICTED_CONTAINER } from '../../cluster/platform/objects.ts';
import type { System } from '../harness/system.ts';

const FOLDER = '/var/lib/atomshard';
export const WAL_FOLDER = `${FOLDER}/wal`;

export interface Hand extends AsyncDisposable {
  /** Runs a shell command in it; rejects unless it exits with 0. */
  sh(command: string): Promise<string>;
  /** Runs the product's command line in it; the exit code is a value. */
  atomshard(args: readonly string[]): Promise<{ readonly code: number; readonly said: string }>;
}

/** Starts the pod with the proxy's image, user and volume; a claim of one node brings it to that node. */
export async function handOn(system: System, proxy: number): Promise<Hand> {
  const name = `e2e-hand-${proxy}`;
  const { kubectl } = system;
  const set = JSON.parse(await kubectl.run(['get', 'statefulset', `${system.cluster}-proxy`, '-o', 'json'])) as {
    readonly spec: {
      readonly template: {
        readonly spec: {
          readonly securityContext?: object;
          readonly containers: readonly { readonly image: string }[];
        };
      };
    };
  };
  const { securityContext, containers } = set.spec.template.spec;
  const volume = { name: 'wal', persistentVolumeClaim: { claimName: system.walClaim(proxy) } };
  const container = {
    name: 'hand',
    image: containers[0]?.image,
    command: ['sleep', '1000000'],
    volumeMounts: [{ name: 'wal', mountPath: FOLDER }],
    ...RESTRICTED_CONTAINER,
  };
  await kubectl.apply([
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: { securityContext, terminationGracePeriodSeconds: 0, containers: [container], volumes: [volume] },
    },
  ]);
  await kubectl.run(['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=90s']);
  return {
    sh: (command) => system.execOk(name, 'hand', ['sh', '-ec', command]),
    atomshard: async (args) => {
      const program = ['/usr/local/bin/node', '/app/dist/main.js', ...args];
      const { code, stdout, stderr } = await system.exec(name, 'hand', program);
      return { code, said: `${stdout}${stderr}` };
    },
    [Symbol.asyncDispose]: async () => {
      await kubectl.run(['delete', 'pod', name, '--force', '--grace-period=0']);
    },
  };
}

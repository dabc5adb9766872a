// What nodeinit is told about one node, pure: its mounts, the programs it keeps running, and the order in which they start.
import path from 'node:path';
import type { Programs } from '../harness/build.ts';
import { controlPlane } from './control-plane.ts';
import { API_PORT, authorityFiles, type BareLayout, nodeAddress, nodeFiles, nodeName } from './layout.ts';
import { VOLUMES_IN_NODE } from './node-config.ts';

export interface Mount {
  /** Empty for a tmpfs. */
  readonly source: string;
  readonly target: string;
}

export type Step =
  | { readonly keep: string; readonly argv: readonly string[]; readonly log: string }
  | { readonly once: string; readonly argv: readonly string[]; readonly log: string }
  | { readonly waitAddress: string }
  | { readonly waitSocket: string }
  | { readonly waitHttps: string };

/** Mirrors `Spec` of modules/nodeinit/main.go. */
export interface NodeSpec {
  readonly hostname: string;
  readonly pidFile: string;
  readonly logFile: string;
  readonly cgroups: readonly string[];
  readonly mounts: readonly Mount[];
  readonly fakes: Readonly<Record<string, string>>;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly path: string;
  readonly steps: readonly Step[];
}

export interface NodeInputs {
  readonly layout: BareLayout;
  readonly index: number;
  readonly programs: Programs;
  /** Image archives that every node needs before its first pod. */
  readonly systemImages: readonly string[];
  /** The `cgroup.procs` files that process 1 joins. */
  readonly cgroups: readonly string[];
}

/** Kubelet writes these for the whole machine and insists; it finds files that already say so. */
const MACHINE_WIDE_SYSCTLS = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
} as const;

export function nodeSpec(inputs: NodeInputs): NodeSpec {
  const { layout, index, programs } = inputs;
  const files = nodeFiles(layout, index);
  const log = (name: string) => path.join(files.log, `${name}.log`);
  const keep = (name: string, argv: readonly string[]): Step => ({ keep: name, argv, log: log(name) });
  const plane = controlPlane(layout, programs);
  const authority = authorityFiles(layout);
  const first = index === 1;
  return {
    hostname: nodeName(index),
    pidFile: files.identity,
    logFile: log('nodeinit'),
    cgroups: inputs.cgroups,
    mounts: [
      // Whatever Kubernetes writes outside its own folders goes into memory and is gone with the node.
      { source: '', target: '/run' },
      { source: '', target: '/var/lib' },
      { source: files.podLogs, target: '/var/log' },
      { source: files.volumes, target: VOLUMES_IN_NODE },
      // A mount point of its own, because mounts below it must reach containers.
      { source: files.kubeletRoot, target: files.kubeletRoot },
    ],
    fakes: MACHINE_WIDE_SYSCTLS,
    // Packets between pods on one bridge pass the firewall too: Services and policies depend on it.
    sysctls: { 'net/ipv4/ip_forward': '1', 'net/bridge/bridge-nf-call-iptables': '1' },
    path: programs.searchPath,
    steps: [
      { waitAddress: nodeAddress(layout.slot, index) },
      keep('containerd', [programs.program('containerd'), '-c', files.containerdConfig]),
      ...(first ? [keep('etcd', plane.etcd), keep('kube-apiserver', plane.apiserver)] : []),
      { waitSocket: files.containerdSocket },
      ...inputs.systemImages.map(
        (archive): Step => ({
          once: 'import',
          argv: importArguments(programs, files.containerdSocket, archive),
          log: log('import'),
        }),
      ),
      ...(first
        ? [
            { waitHttps: plane.readyUrl },
            keep('kube-controller-manager', plane.controllerManager),
            keep('kube-scheduler', plane.scheduler),
          ]
        : []),
      keep('kube-proxy', [programs.program('kube-proxy'), `--config=${files.proxyConfig}`]),
      keep('kubelet', [
        programs.program('kubelet'),
        `--config=${files.kubeletConfig}`,
        `--kubeconfig=${authority.kubelet(index)}`,
        `--root-dir=${files.kubeletRoot}`,
        `--cert-dir=${files.kubeletCertificates}`,
        `--hostname-override=${nodeName(index)}`,
        `--node-ip=${nodeAddress(layout.slot, index)}`,
        '--v=2',
      ]),
      keep('netpolicy', [
        programs.program('netpolicy'),
        `--api=https://${nodeAddress(layout.slot, 1)}:${API_PORT}`,
        `--ca=${authority.certificates}/ca.crt`,
        `--cert=${authority.adminCertificate}`,
        `--key=${authority.adminKey}`,
        `--node=${nodeName(index)}`,
      ]),
    ],
  };
}

/** The command that puts an image archive into a node's containerd, from inside or from the host alike. */
export const importArguments = (programs: Programs, socket: string, archive: string): string[] => [
  programs.program('ctr'),
  '--address',
  socket,
  '--namespace',
  'k8s.io',
  'images',
  'import',
  '--local',
  archive,
];

// Names and addresses of a bare cluster, pure: everything on the host carries the cluster's name, so that two clusters never meet and `down` finds its own.
import { createHash } from 'node:crypto';
import path from 'node:path';

/** Pods and Services have the same ranges in every cluster: they exist only inside the nodes' network namespaces. */
export const POD_RANGE = '10.244.0.0/16';
export const SERVICE_RANGE = '10.96.0.0/16';
/** The bridge inside a node that its pods hang on. */
export const POD_BRIDGE = 'cni0';
export const CLUSTER_DNS_ADDRESS = '10.96.0.10';
export const CLUSTER_DOMAIN = 'cluster.local';
export const API_PORT = 6443;

/** 10.98.SLOT.0/24 is the only network that the host sees. */
export const SLOTS_MAX = 64;
/** n1 has the address …11, so that n99 still has one. */
export const NODES_MAX = 99;

/** Interface names have at most 15 bytes: `as99-` and 8 of the name, or of its hash. */
const TAG_LENGTH_MAX = 8;

export interface BareLayout {
  readonly name: string;
  readonly slot: number;
  /** Everything of this cluster: `STATE/NAME`. */
  readonly folder: string;
}

export const nodeName = (index: number): string => `n${index}`;

/** The index of a node's name, or undefined when no node of a bare cluster is called so. */
export function nodeIndex(name: string): number | undefined {
  const found = /^n([1-9]\d?)$/.exec(name);
  return found === null ? undefined : Number(found[1]);
}

export const network = (slot: number): string => `10.98.${slot}.0/24`;
export const hostAddress = (slot: number): string => `10.98.${slot}.1`;
export const nodeAddress = (slot: number, index: number): string => `10.98.${slot}.${10 + index}`;
/** Always the same for a node: neighbours remember it for half a minute, and would talk to a node that is gone. */
export const nodeHardwareAddress = (slot: number, index: number): string =>
  ['0a', '58', 10, 98, slot, 10 + index]
    .map((part) => (typeof part === 'string' ? part : part.toString(16).padStart(2, '0')))
    .join(':');
export const podRangeOf = (index: number): string => `10.244.${index}.0/24`;

function tagOf(name: string): string {
  if (name.length <= TAG_LENGTH_MAX) return name;
  return (
    name.slice(0, 3) +
    createHash('sha256')
      .update(name)
      .digest('hex')
      .slice(0, TAG_LENGTH_MAX - 3)
  );
}

export const bridgeName = (name: string): string => `asb-${tagOf(name)}`;
/** The host's end of a node's link. The index stands before the name, so that no two pairs give one text. */
export const linkName = (name: string, index: number): string => `as${index}-${tagOf(name)}`;
/** The folder of a node in every cgroup hierarchy. Kubernetes puts pods below it, the node's own programs lie in `node`. */
export const cgroupName = (name: string, index: number): string => `atomshard-${name}-${nodeName(index)}`;

/** Files of one node; all below the cluster's folder. */
export function nodeFiles(layout: BareLayout, index: number) {
  const folder = path.join(layout.folder, nodeName(index));
  const below = (...parts: string[]) => path.join(folder, ...parts);
  return {
    folder,
    identity: below('identity'),
    spec: below('spec.json'),
    log: below('log'),
    containerdConfig: below('containerd.toml'),
    containerdRoot: below('containerd'),
    containerdSocket: below('containerd.sock'),
    cniConfig: below('cni'),
    cniAddresses: below('addresses'),
    kubeletConfig: below('kubelet.json'),
    kubeletRoot: below('kubelet'),
    kubeletCertificates: below('kubelet-pki'),
    proxyConfig: below('proxy.json'),
    resolvConf: below('resolv.conf'),
    podLogs: below('var-log'),
    volumes: below('volumes'),
    etcd: below('etcd'),
  } as const;
}

/** Certificates and kubeconfigs of a cluster. */
export function authorityFiles(layout: BareLayout) {
  const below = (...parts: string[]) => path.join(layout.folder, ...parts);
  return {
    certificates: below('pki'),
    kubeadmConfig: below('kubeadm.json'),
    kubeadmLog: below('kubeadm.log'),
    kubeconfigs: below('kubeconfig'),
    admin: below('kubeconfig', 'admin.conf'),
    adminCertificate: below('pki', 'admin.crt'),
    adminKey: below('pki', 'admin.key'),
    controllerManager: below('kubeconfig', 'controller-manager.conf'),
    scheduler: below('kubeconfig', 'scheduler.conf'),
    proxy: below('kubeconfig', 'proxy.conf'),
    kubelet: (index: number) => below('kubeconfig', `kubelet-${nodeName(index)}.conf`),
  } as const;
}

/** The lowest network that no cluster on record has and the host has no route into; throws when all are taken. */
export function freeSlot(taken: readonly number[], hostRoutes: string): number {
  for (let slot = 0; slot < SLOTS_MAX; slot += 1) {
    if (!taken.includes(slot) && !hostRoutes.includes(`10.98.${slot}.`)) return slot;
  }
  throw new Error(`no free network: 10.98.0.0/24 to 10.98.${SLOTS_MAX - 1}.0/24 are all in use`);
}

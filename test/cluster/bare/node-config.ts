// The configuration files of a node's containerd, CNI, kubelet and kube-proxy, pure; each unusual value says which obstacle it is for.
import type { Programs } from '../harness/build.ts';
import {
  authorityFiles,
  type BareLayout,
  CLUSTER_DNS_ADDRESS,
  CLUSTER_DOMAIN,
  cgroupName,
  hostAddress,
  nodeFiles,
  nodeName,
  POD_BRIDGE,
  POD_RANGE,
  podRangeOf,
} from './layout.ts';

/** Keeps pods off a new node until Services work there. */
export const NETWORK_NOT_READY = 'atomshard.dev/network-not-ready';

/** Where kube-proxy says that its rules are written. */
export const PROXY_HEALTH_PORT = 10256;

/** Where volumes of the default StorageClass lie inside a node. */
export const VOLUMES_IN_NODE = '/run/local-path';

/** containerd's configuration; `pauseImage` is the image of pod sandboxes. */
export function containerdConfig(layout: BareLayout, index: number, programs: Programs, pauseImage: string): string {
  const files = nodeFiles(layout, index);
  const quote = JSON.stringify; // a JSON string is a TOML basic string
  return [
    'version = 3',
    `root = ${quote(files.containerdRoot)}`,
    'state = "/run/containerd"',
    // Root without CAP_SYS_RESOURCE may not lower an OOM score: neither its own nor a container's.
    'oom_score = 0',
    'disabled_plugins = ["io.containerd.nri.v1.nri"]',
    '[grpc]',
    `address = ${quote(files.containerdSocket)}`,
    "[plugins.'io.containerd.cri.v1.images']",
    'snapshotter = "overlayfs"',
    "[plugins.'io.containerd.cri.v1.images'.pinned_images]",
    `sandbox = ${quote(pauseImage)}`,
    "[plugins.'io.containerd.cri.v1.runtime']",
    'disable_apparmor = true',
    'restrict_oom_score_adj = true',
    "[plugins.'io.containerd.cri.v1.runtime'.cni]",
    `bin_dirs = [${quote(programs.folder('cni'))}]`,
    `conf_dir = ${quote(files.cniConfig)}`,
    "[plugins.'io.containerd.cri.v1.runtime'.containerd]",
    'default_runtime_name = "runc"',
    "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]",
    'runtime_type = "io.containerd.runc.v2"',
    "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]",
    `BinaryName = ${quote(programs.program('runc'))}`,
    'SystemdCgroup = false',
    '',
  ].join('\n');
}

/** Pods of one node share a bridge inside the node; other nodes' pods are reached by the routes of the node network. */
export function cniConfig(layout: BareLayout, index: number): string {
  const bridge = {
    type: 'bridge',
    bridge: POD_BRIDGE,
    isGateway: true,
    ipMasq: false,
    hairpinMode: true,
    ipam: {
      type: 'host-local',
      ranges: [[{ subnet: podRangeOf(index) }]],
      routes: [{ dst: '0.0.0.0/0' }],
      dataDir: nodeFiles(layout, index).cniAddresses,
    },
  };
  const plugins = [bridge, { type: 'portmap', capabilities: { portMappings: true } }];
  return JSON.stringify({ cniVersion: '1.0.0', name: 'atomshard', plugins });
}

export function kubeletConfig(layout: BareLayout, index: number): string {
  const files = nodeFiles(layout, index);
  return JSON.stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${authorityFiles(layout).certificates}/ca.crt` },
    },
    authorization: { mode: 'Webhook' },
    // Since 1.35 kubelet refuses cgroup version 1 unless told otherwise; everything tested works on it.
    failCgroupV1: false,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroupName(layout.name, index)}`,
    containerRuntimeEndpoint: `unix://${files.containerdSocket}`,
    clusterDNS: [CLUSTER_DNS_ADDRESS],
    clusterDomain: CLUSTER_DOMAIN,
    resolvConf: files.resolvConf,
    // Taken off by `up` when kube-proxy has written its first rules; a pod that started before would find no Service.
    registerWithTaints: [{ key: NETWORK_NOT_READY, effect: 'NoSchedule' }],
    failSwapOn: false,
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    // Images come from no registry, so none may be collected.
    imageGCHighThresholdPercent: 100,
    nodeStatusUpdateFrequency: '2s',
    syncFrequency: '10s',
    volumePluginDir: `${files.folder}/volume-plugins`,
    podLogsDir: '/var/log/pods',
    serializeImagePulls: false,
    shutdownGracePeriod: '0s',
  });
}

export function proxyConfig(layout: BareLayout, index: number): string {
  return JSON.stringify({
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'iptables',
    clusterCIDR: POD_RANGE,
    hostnameOverride: nodeName(index),
    clientConnection: { kubeconfig: authorityFiles(layout).proxy },
    // The sizes of the connection table belong to the whole machine; leave them.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  });
}

/** Nothing listens at the host's end of the node network, so outside names fail at once instead of after a time-out. */
export const resolvConf = (layout: BareLayout): string => `nameserver ${hostAddress(layout.slot)}\n`;

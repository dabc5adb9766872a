// The command lines of etcd, API server, controller manager and scheduler, pure; they run as plain processes of node n1.
import type { Programs } from '../harness/build.ts';
import { API_PORT, authorityFiles, type BareLayout, nodeAddress, nodeFiles, SERVICE_RANGE } from './layout.ts';

/** How long a silent node stays Ready. Half of Kubernetes' own 40 s, so that tests of node loss take half the time. */
export const NODE_GRACE_SECONDS = 20;

const ETCD_CLIENTS = 'http://127.0.0.1:2379';
const ETCD_PEERS = 'http://127.0.0.1:2380';

export function controlPlane(layout: BareLayout, programs: Programs) {
  const files = authorityFiles(layout);
  const pki = (name: string) => `${files.certificates}/${name}`;
  const kubeconfig = (file: string) => [
    `--kubeconfig=${file}`,
    `--authentication-kubeconfig=${file}`,
    `--authorization-kubeconfig=${file}`,
    '--leader-elect=false',
  ];
  return {
    readyUrl: `https://127.0.0.1:${API_PORT}/readyz`,
    etcd: [
      programs.program('server'),
      // On disk, so that n1 comes back from a power failure; without fsync, because the machine itself stays up.
      `--data-dir=${nodeFiles(layout, 1).etcd}`,
      '--unsafe-no-fsync',
      `--listen-client-urls=${ETCD_CLIENTS}`,
      `--advertise-client-urls=${ETCD_CLIENTS}`,
      `--listen-peer-urls=${ETCD_PEERS}`,
      `--initial-advertise-peer-urls=${ETCD_PEERS}`,
      `--initial-cluster=default=${ETCD_PEERS}`,
    ],
    apiserver: [
      programs.program('kube-apiserver'),
      `--etcd-servers=${ETCD_CLIENTS}`,
      `--advertise-address=${nodeAddress(layout.slot, 1)}`,
      `--secure-port=${API_PORT}`,
      '--allow-privileged=true',
      '--authorization-mode=Node,RBAC',
      '--enable-admission-plugins=NodeRestriction',
      `--service-cluster-ip-range=${SERVICE_RANGE}`,
      `--tls-cert-file=${pki('apiserver.crt')}`,
      `--tls-private-key-file=${pki('apiserver.key')}`,
      `--client-ca-file=${pki('ca.crt')}`,
      `--kubelet-client-certificate=${pki('apiserver-kubelet-client.crt')}`,
      `--kubelet-client-key=${pki('apiserver-kubelet-client.key')}`,
      '--kubelet-preferred-address-types=InternalIP',
      `--requestheader-client-ca-file=${pki('front-proxy-ca.crt')}`,
      '--requestheader-allowed-names=front-proxy-client',
      '--requestheader-username-headers=X-Remote-User',
      '--requestheader-group-headers=X-Remote-Group',
      '--requestheader-extra-headers-prefix=X-Remote-Extra-',
      `--proxy-client-cert-file=${pki('front-proxy-client.crt')}`,
      `--proxy-client-key-file=${pki('front-proxy-client.key')}`,
      `--service-account-key-file=${pki('sa.pub')}`,
      `--service-account-signing-key-file=${pki('sa.key')}`,
      '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    ],
    controllerManager: [
      programs.program('kube-controller-manager'),
      ...kubeconfig(files.controllerManager),
      `--service-account-private-key-file=${pki('sa.key')}`,
      `--root-ca-file=${pki('ca.crt')}`,
      `--cluster-signing-cert-file=${pki('ca.crt')}`,
      `--cluster-signing-key-file=${pki('ca.key')}`,
      `--requestheader-client-ca-file=${pki('front-proxy-ca.crt')}`,
      '--use-service-account-credentials=true',
      // Its own client's throttle would delay the first ServiceAccounts, and with them the first pod, by five seconds.
      '--kube-api-qps=200',
      '--kube-api-burst=400',
      '--node-monitor-period=2s',
      `--node-monitor-grace-period=${NODE_GRACE_SECONDS}s`,
    ],
    scheduler: [programs.program('kube-scheduler'), ...kubeconfig(files.scheduler)],
  } as const;
}

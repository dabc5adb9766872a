// Certificates and kubeconfigs of a bare cluster, made by kubeadm: it knows the conventions of its own version, so that none are copied here.
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Programs } from '../harness/build.ts';
import { run } from '../harness/command.ts';
import { kubernetesVersion, versionIn } from '../harness/programs.ts';
import {
  API_PORT,
  authorityFiles,
  type BareLayout,
  CLUSTER_DOMAIN,
  nodeAddress,
  nodeFiles,
  nodeName,
  POD_RANGE,
  SERVICE_RANGE,
} from './layout.ts';

export const IMAGE_PREFIX = 'localhost';
export const corednsTag = (): string => versionIn('coredns', 'github.com/coredns/coredns');

/** Keys of the cluster are nobody's business but root's. */
const PRIVATE = { mode: 0o600 };

/** Runs one `kubeadm` command with the cluster's configuration and keeps what it said. */
export async function kubeadm(layout: BareLayout, programs: Programs, argv: readonly string[]): Promise<string> {
  const files = authorityFiles(layout);
  const output = await run([programs.program('kubeadm'), ...argv, '--config', files.kubeadmConfig]);
  appendFileSync(files.kubeadmLog, `# ${argv.join(' ')}\n`);
  return output;
}

/** Makes the certificate authority, the control plane's certificates and its kubeconfigs, unless they are there. */
export async function ensureAuthority(layout: BareLayout, programs: Programs): Promise<void> {
  const files = authorityFiles(layout);
  mkdirSync(files.kubeconfigs, { recursive: true });
  writeFileSync(files.kubeadmConfig, kubeadmConfig(layout));
  // The admin's file is written last: a crash before it and everything is made again (kubeadm keeps what is valid).
  if (existsSync(files.admin)) return;
  await kubeadm(layout, programs, ['init', 'phase', 'certs', 'all']);
  for (const user of ['controller-manager', 'scheduler']) {
    await kubeadm(layout, programs, ['init', 'phase', 'kubeconfig', user, '--kubeconfig-dir', files.kubeconfigs]);
  }
  writeFileSync(files.proxy, await userKubeconfig(layout, programs, ['--client-name', 'system:kube-proxy']), PRIVATE);
  // A member of system:masters needs no role binding, so it works from the first second on.
  const admin = ['--client-name', 'atomshard-tests', '--org', 'system:masters'];
  const kubeconfig = await userKubeconfig(layout, programs, admin);
  const pair = clientCertificate(kubeconfig);
  writeFileSync(files.adminCertificate, pair.certificate);
  writeFileSync(files.adminKey, pair.key, PRIVATE);
  writeFileSync(files.admin, kubeconfig, PRIVATE);
}

interface KubeconfigUsers {
  readonly users: readonly {
    readonly user: { readonly 'client-certificate-data': string; readonly 'client-key-data': string };
  }[];
}

/** The certificate and key inside a kubeconfig, as PEM. Throws when it holds no user. */
function clientCertificate(kubeconfig: string): { certificate: Buffer; key: Buffer } {
  const [first] = (parse(kubeconfig) as KubeconfigUsers).users;
  if (first === undefined) throw new Error('the kubeconfig holds no user');
  return {
    certificate: Buffer.from(first.user['client-certificate-data'], 'base64'),
    key: Buffer.from(first.user['client-key-data'], 'base64'),
  };
}

/** Makes the kubeconfig of one node's kubelet, unless it is there. */
export async function ensureNodeIdentity(layout: BareLayout, programs: Programs, index: number): Promise<void> {
  const file = authorityFiles(layout).kubelet(index);
  if (existsSync(file)) return;
  const user = ['--client-name', `system:node:${nodeName(index)}`, '--org', 'system:nodes'];
  writeFileSync(file, await userKubeconfig(layout, programs, user), PRIVATE);
}

const userKubeconfig = (layout: BareLayout, programs: Programs, user: readonly string[]): Promise<string> =>
  kubeadm(layout, programs, ['kubeconfig', 'user', ...user]);

function kubeadmConfig(layout: BareLayout): string {
  const apiVersion = 'kubeadm.k8s.io/v1beta4';
  const address = nodeAddress(layout.slot, 1);
  const cluster = {
    apiVersion,
    kind: 'ClusterConfiguration',
    kubernetesVersion: kubernetesVersion(),
    clusterName: `atomshard-${layout.name}`,
    certificatesDir: authorityFiles(layout).certificates,
    encryptionAlgorithm: 'ECDSA-P256',
    controlPlaneEndpoint: `${address}:${API_PORT}`,
    networking: { serviceSubnet: SERVICE_RANGE, podSubnet: POD_RANGE, dnsDomain: CLUSTER_DOMAIN },
    apiServer: { certSANs: ['localhost', '127.0.0.1'] },
    dns: { imageRepository: IMAGE_PREFIX, imageTag: corednsTag() },
  };
  const init = {
    apiVersion,
    kind: 'InitConfiguration',
    localAPIEndpoint: { advertiseAddress: address, bindPort: API_PORT },
    nodeRegistration: { name: nodeName(1), criSocket: `unix://${nodeFiles(layout, 1).containerdSocket}` },
  };
  // JSON is YAML.
  return `${JSON.stringify(cluster)}\n---\n${JSON.stringify(init)}\n`;
}

// What a cluster needs besides its own programs: role bindings, DNS and a default StorageClass.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Programs } from '../harness/build.ts';
import type { Kubectl } from '../harness/kubectl.ts';
import { SYSTEM_REFERENCES } from '../images/system.ts';
import { kubeadm } from './authority.ts';
import { authorityFiles, type BareLayout } from './layout.ts';

const MANIFESTS = path.resolve(import.meta.dirname, '../manifests');
const manifest = (name: string): string => readFileSync(path.join(MANIFESTS, `${name}.yaml`), 'utf8');

/** kubeadm asks for two replicas and probes every ten seconds, which delays the first name by eight. */
const FASTER_DNS = JSON.stringify([
  { op: 'replace', path: '/spec/replicas', value: 1 },
  { op: 'add', path: '/spec/template/spec/containers/0/readinessProbe/periodSeconds', value: 1 },
]);

/** Applies what is missing; what is there stays as it is, so that a second `up` rolls nothing out. */
export async function ensureAddOns(layout: BareLayout, programs: Programs, kubectl: Kubectl): Promise<void> {
  await kubectl.apply(manifest('roles'));
  const storage = manifest('storage')
    .replaceAll('LOCAL_PATH_IMAGE', SYSTEM_REFERENCES.localPath())
    .replaceAll('BUSYBOX_IMAGE', SYSTEM_REFERENCES.busybox);
  const system = kubectl.inNamespace('kube-system');
  const dns = await system.value('deployment coredns --ignore-not-found', '.metadata.name');
  await Promise.all([kubectl.apply(storage), dns === '' ? installDns(layout, programs, system) : Promise.resolve()]);
}

async function installDns(layout: BareLayout, programs: Programs, system: Kubectl): Promise<void> {
  // Asked for once, so a crash between the two leaves a slower DNS, nothing worse.
  await kubeadm(layout, programs, ['init', 'phase', 'addon', 'coredns', '--kubeconfig', authorityFiles(layout).admin]);
  await system.run(['patch', 'deployment', 'coredns', '--type=json', '-p', FASTER_DNS]);
}

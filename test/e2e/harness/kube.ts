// Reading the cluster without a process per question: the operator's own client over the harness's kubeconfig.
import { systemClock } from '../../../src/kernel/clock.ts';
import { KubeClient } from '../../../src/operator/kube/client.ts';
import { HttpsTransport } from '../../../src/operator/kube/https-transport.ts';
import { kubeconfigAccess } from '../../../src/operator/kube/kubeconfig-access.ts';
import { type KubeObject, resource } from '../../../src/operator/kube/resource.ts';

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly observedGeneration?: number;
}

export interface ContainerState {
  readonly name: string;
  readonly ready: boolean;
  readonly restartCount: number;
  readonly containerID?: string;
  readonly state?: { readonly waiting?: { readonly reason?: string; readonly message?: string } };
  readonly lastState?: { readonly terminated?: { readonly exitCode: number; readonly reason?: string } };
}

export interface Pod extends KubeObject {
  readonly spec: { readonly nodeName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly Condition[];
    readonly containerStatuses?: readonly ContainerState[];
  };
}

export interface Secret extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

export interface PersistentVolume extends KubeObject {
  readonly spec?: {
    readonly local?: { readonly path: string };
    readonly hostPath?: { readonly path: string };
    readonly nodeAffinity?: {
      readonly required?: {
        readonly nodeSelectorTerms?: readonly {
          readonly matchExpressions?: readonly { readonly values?: readonly string[] }[];
        }[];
      };
    };
  };
}

export const PERSISTENT_VOLUMES = resource<PersistentVolume>('v1', 'PersistentVolume', 'persistentvolumes', false);
export const PODS = resource<Pod>('v1', 'Pod', 'pods');
export const SECRETS = resource<Secret>('v1', 'Secret', 'secrets');
export const CLAIMS = resource('v1', 'PersistentVolumeClaim', 'persistentvolumeclaims');

export interface KubeConnection {
  readonly client: KubeClient;
  close(): void;
}

export function connectKube(kubeconfig: string): KubeConnection {
  const access = kubeconfigAccess({ clock: systemClock, file: kubeconfig, env: process.env });
  const transport = new HttpsTransport({ access, userAgent: 'atomshard-e2e' });
  const client = new KubeClient({
    transport,
    clock: systemClock,
    random: () => 0.5,
    fieldManager: 'atomshard-e2e',
  });
  return { client, close: () => transport.close() };
}

export const isReady = (pod: Pod): boolean =>
  pod.metadata.deletionTimestamp === undefined &&
  pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;

/** The value of one key of a Secret, decoded. */
export function secretValue(secret: Secret, key: string): string {
  const value = secret.data?.[key];
  if (value === undefined) throw new Error(`Secret ${secret.metadata.name} has no ${key}`);
  return Buffer.from(value, 'base64').toString('utf8');
}

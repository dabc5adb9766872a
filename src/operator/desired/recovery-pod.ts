// Pieces for a pod that reads a proxy's log in its stead: the same image, user, place and volume as the proxy's own.
import type { DesiredInput, PlainObject } from './desired-input.ts';
import { clusterNames, PROXY_PATHS, proxyNames } from './names.ts';
import { CONTAINER_SECURITY, podSecurity, pullSecretsOf, UIDS } from './pod-parts.ts';
import { proxyImage } from './proxy-set.ts';

/** What differs between the programs that read a log. */
export interface LogReader {
  /** The proxy whose log is read. */
  readonly ordinal: number;
  /** Arguments of `atomshard`, e.g. `['wal', 'evidence', '/var/lib/atomshard/wal']`. */
  readonly args: readonly string[];
  /** The node on which a pod that still holds the volume runs: a ReadWriteOnce volume can be used there only. */
  readonly nodeName?: string;
}

/** The spec of such a pod, to be put into a Job's template. It mounts the log writable, because it takes its lock. */
export function logReaderPod(input: DesiredInput, { ordinal, args, nodeName }: LogReader): PlainObject {
  const { metadata, spec } = input.cluster;
  const { nodeSelector, tolerations } = spec.proxy;
  const { claim } = proxyNames(metadata.name, ordinal);
  return {
    restartPolicy: 'Never',
    serviceAccountName: clusterNames(metadata.name).proxyAccount,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: podSecurity(UIDS.proxy),
    ...pullSecretsOf(input.cluster),
    ...(nodeSelector === undefined ? {} : { nodeSelector }),
    ...(tolerations === undefined ? {} : { tolerations }),
    ...(nodeName === undefined ? {} : { affinity: onNode(nodeName) }),
    containers: [
      {
        name: 'reader',
        image: proxyImage(input),
        imagePullPolicy: spec.proxy.imagePullPolicy,
        args,
        securityContext: CONTAINER_SECURITY,
        terminationMessagePolicy: 'FallbackToLogsOnError',
        volumeMounts: [{ name: 'wal', mountPath: PROXY_PATHS.volume }],
      },
    ],
    volumes: [{ name: 'wal', persistentVolumeClaim: { claimName: claim } }],
  };
}

/** By a field and not by a label, which may be another than the node's name; not by spec.nodeName, which skips the scheduler. */
function onNode(nodeName: string): PlainObject {
  const matchFields = [{ key: 'metadata.name', operator: 'In', values: [nodeName] }];
  return {
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields }] } },
  };
}

// The Job that reads a dead proxy's log where its volume is. It takes the log's lock, so it fails while the owner lives, and
// prints what the log says; it writes no record and needs no right of Kubernetes.
//
//   claim wal-<c>-proxy-<n> (ReadWriteOnce) ── mounted by the Job on the node of the pod that holds it, if one does
import { createHash } from 'node:crypto';
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import type { PlainObject } from '../desired/desired-input.ts';
import { ownedMeta } from '../desired/labels.ts';
import { PROXY_PATHS } from '../desired/names.ts';
import { CONTAINER_SECURITY, podSecurity, pullSecretsOf, UIDS } from '../desired/pod-parts.ts';
import type { KubeObject } from '../kube/resource.ts';

/** On the operator's own Jobs: the instance whose log is read. It removes those that have this when they are no longer needed. */
export const RECOVERY_LABEL = 'atomshard.dev/recovery';
export const READER_CONTAINER = 'evidence';

/** Kubernetes ends a Job that takes longer, e.g. because no node can run it. */
export const READ_DEADLINE_SECONDS = 90;
/** An owner that crashes over and over holds its lock for moments only. */
const LOCK_WAIT_SECONDS = 20;
/** What was forgotten goes by itself. */
const KEPT_SECONDS = 600;

export interface LogReadingWish {
  readonly cluster: ShardedCluster;
  readonly instance: string;
  /** The claim with the log. */
  readonly claim: string;
  /** Where a pod holds the claim now; undefined when none does, then the volume says where. */
  readonly nodeName: string | undefined;
  /** `<epoch>.<seq>` of the transactions in question, sorted. */
  readonly ids: readonly string[];
  readonly image: string;
}

/** The same question has the same name, so that an operator that was killed finds the answer to it. */
export function logJobName({ cluster, instance, ids }: Pick<LogReadingWish, 'cluster' | 'instance' | 'ids'>): string {
  const hash = createHash('sha256').update(ids.join(',')).digest('hex').slice(0, 8);
  return `${cluster.metadata.name}-recover-${instance}-${hash}`;
}

export function logJob(wish: LogReadingWish): KubeObject & PlainObject {
  const ids = wish.ids.join(',');
  const args = ['evidence', PROXY_PATHS.wal, `--ids=${ids}`, `--wait-seconds=${LOCK_WAIT_SECONDS}`];
  const job = walJob(wish, logJobName(wish), args);
  const labels = { ...job.metadata.labels, [RECOVERY_LABEL]: wish.instance };
  return { ...job, metadata: { ...job.metadata, labels } };
}

/** A Job that runs `atomshard wal ARGS` where the log is. */
export function walJob(
  wish: Omit<LogReadingWish, 'ids'>,
  name: string,
  args: readonly string[],
): KubeObject & PlainObject {
  const { cluster, claim, image } = wish;
  const meta = ownedMeta(cluster, name, 'recovery');
  const { labels = {} } = meta;
  const container = {
    name: READER_CONTAINER,
    image,
    imagePullPolicy: cluster.spec.proxy.imagePullPolicy,
    args: ['wal', ...args],
    securityContext: CONTAINER_SECURITY,
    resources: { requests: { cpu: '50m', memory: '64Mi' } },
    volumeMounts: [{ name: 'wal', mountPath: PROXY_PATHS.volume }],
  };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: meta,
    spec: {
      backoffLimit: 0,
      activeDeadlineSeconds: READ_DEADLINE_SECONDS,
      ttlSecondsAfterFinished: KEPT_SECONDS,
      template: {
        metadata: { labels },
        spec: {
          ...pullSecretsOf(cluster),
          automountServiceAccountToken: false,
          restartPolicy: 'Never',
          terminationGracePeriodSeconds: 1,
          securityContext: podSecurity(UIDS.proxy),
          containers: [container],
          volumes: [{ name: 'wal', persistentVolumeClaim: { claimName: claim } }],
          ...placing(wish),
        },
      },
    },
  };
}

function placing({ cluster, nodeName }: Pick<LogReadingWish, 'cluster' | 'nodeName'>): PlainObject {
  // A node that is being drained still has the volume; the Job is over in seconds.
  const drained = { key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' };
  const { nodeSelector, tolerations = [] } = cluster.spec.proxy;
  const here = { matchFields: [{ key: 'metadata.name', operator: 'In', values: [nodeName] }] };
  const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [here] } } };
  return {
    tolerations: [...tolerations, drained],
    ...(nodeSelector === undefined ? {} : { nodeSelector }),
    ...(nodeName === undefined ? {} : { affinity }),
  };
}

// What keeps one container from running: its image, what it is made from, or that it ends again and again. Pure.
import type { ContainerStatus, PodObject, Terminated } from './children.ts';
import { type Ending, postgresEnding, proxyEnding } from './ended-container.ts';

export type Component = 'shard' | 'proxy' | 'recovery';

const IMAGE_REASONS: readonly string[] = [
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ImageInspectError',
  'RegistryUnavailable',
  'SignatureValidationFailed',
];
const CREATION_REASONS: readonly string[] = ['CreateContainerConfigError', 'CreateContainerError', 'RunContainerError'];

/** A container that came up again after it had ended is watched this long before nothing is said of it any more. */
const RECENT_MS = 30_000;

/** The fault of one container; undefined when it runs, or is only on its way. */
export function containerProblem(
  pod: PodObject,
  status: ContainerStatus,
  component: Component,
  nowMs: number,
): Ending | undefined {
  const { waiting, running, terminated } = status.state ?? {};
  const reason = waiting?.reason ?? '';
  if (IMAGE_REASONS.includes(reason)) return imageProblem(pod, status, waiting?.message ?? '');
  if (CREATION_REASONS.includes(reason)) return creationProblem(waiting?.message ?? reason);
  if (status.ready === true) return undefined;
  const ended = terminated ?? status.lastState?.terminated;
  if (ended === undefined || isFine(ended, pod)) return undefined;
  if (running?.startedAt !== undefined && nowMs - Date.parse(running.startedAt) > RECENT_MS) return undefined;
  const ending = component === 'shard' ? postgresEnding(ended) : proxyEnding(ended);
  return ending.reason === 'CrashLoop' && !isLoop(status, ended) ? undefined : ending;
}

/** After a run of this length the kubelet starts a container again at once: its end is no part of a loop. */
const LONG_RUN_MS = 600_000;

/** One end without a known cause, e.g. by SIGKILL, is not told: Kubernetes starts it again. */
function isLoop({ state, restartCount = 0 }: ContainerStatus, { startedAt, finishedAt }: Terminated): boolean {
  if (state?.waiting?.reason === 'CrashLoopBackOff') return true;
  const ranMs = Date.parse(finishedAt ?? '') - Date.parse(startedAt ?? '');
  return restartCount > 1 && !(ranMs > LONG_RUN_MS);
}

/** It was told to end, or its work was done. */
function isFine({ exitCode }: Terminated, { metadata }: PodObject): boolean {
  return exitCode === 0 || metadata.deletionTimestamp !== undefined;
}

/** What registries and kubelets say, in one word each; the texts themselves differ from try to try. */
const PULL_CAUSES: readonly (readonly [RegExp, string])[] = [
  [
    /not found|manifest unknown|does not exist|repository does not/i,
    'the registry has no such image: correct its name or tag',
  ],
  [
    /unauthorized|authentication required|denied|forbidden|no basic auth/i,
    'the registry does not let it be pulled: name a Secret with credentials in spec.imagePullSecrets',
  ],
  [/InvalidImageName|invalid reference format/i, 'that is not the name of an image: correct it'],
  [
    /ErrImageNeverPull|not present with pull policy of Never/i,
    'the node does not have it and imagePullPolicy is Never',
  ],
  [
    /dial tcp|no such host|timeout|connection refused|i\/o|TLS handshake|x509|EOF/i,
    'the registry cannot be reached from the node',
  ],
];

function imageProblem({ spec }: PodObject, status: ContainerStatus, said: string): Ending {
  const text = `${status.state?.waiting?.reason ?? ''} ${said}`;
  const cause = PULL_CAUSES.find(([pattern]) => pattern.test(text))?.[1] ?? 'see kubectl describe pod for the reason';
  const where = spec?.nodeName === undefined ? '' : ` on node ${spec.nodeName}`;
  return {
    reason: 'ImageCannotBePulled',
    message: `Image ${status.image ?? '(unknown)'} cannot be pulled${where}: ${cause}`,
  };
}

/** What the kubelet says when a container cannot be made; often a Secret. */
export function creationProblem(said: string): Ending {
  const secret = /secrets? "([^"]+)" not found/i.exec(said)?.[1];
  if (secret !== undefined)
    return { reason: 'SecretMissing', message: `Secret ${secret} is not there; make it in the cluster's namespace` };
  const key = /couldn't find key (\S+) in Secret (\S+)/i.exec(said) ?? /non-existent (secret) key: (\S+)/i.exec(said);
  if (key !== null) return { reason: 'SecretIncomplete', message: `A Secret lacks a key: ${said}` };
  return { reason: 'ContainerNotCreated', message: `The container cannot be made: ${said}` };
}

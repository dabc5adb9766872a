// Asks a dead proxy's log through a Job and waits for the answer, with a deadline. The rule: an answer counts when it is whole
// and young; every other end says why there is none.
import type { Clock } from '../../kernel/clock.ts';
import { EvidenceLinesError, type EvidenceReport, parseEvidence } from '../../transaction/evidence-lines.ts';
import { CLAIMS, JOBS, type Job, PODS, type Pod } from '../cluster/kinds.ts';
import type { KubeClient } from '../kube/client.ts';
import { isKubeError } from '../kube/kube-error.ts';
import type { ObjectRef } from '../kube/resource.ts';
import { type LogReadingWish, logJob, logJobName, READ_DEADLINE_SECONDS, READER_CONTAINER } from './log-job.ts';

export type RecoveryKube = Pick<KubeClient, 'get' | 'list' | 'create' | 'delete' | 'log'>;

export interface LogSourceDeps {
  readonly kube: RecoveryKube;
  readonly clock: Clock;
}

const POLL_MS = 250;
/** The Job's own deadline, and time for its end to be noticed. */
const DEADLINE_MS = (READ_DEADLINE_SECONDS + 15) * 1_000;
/** An older answer may be from before the proxy ran again, or from before a repair. */
const ANSWER_AGE_MS_MAX = 60_000;

/** Reads the log. Rejects with KubeError when the API server does not do its part, or when `signal` aborts. */
export async function readLogByJob(
  wish: LogReadingWish,
  { kube, clock }: LogSourceDeps,
  signal: AbortSignal,
): Promise<EvidenceReport> {
  const ref = { namespace: wish.cluster.metadata.namespace, name: logJobName(wish) };
  const deadlineMs = clock.monotonicMs() + DEADLINE_MS;
  await makeJob(wish, ref, { kube, clock }, signal);
  for (;;) {
    // A crash here leaves the Job: the next operator finds it by its name, with its answer.
    const job = await kube.get(JOBS, ref, { signal });
    const pods = await podsOf(ref, kube, signal);
    const ended = pods.find((pod) => terminatedOf(pod) !== undefined);
    if (ended !== undefined) return await reportOf(ended, kube, signal);
    if (hasEnded(job) || clock.monotonicMs() >= deadlineMs) return { kind: 'unreadable', message: whyNot(pods, job) };
    if (!pods.some(hasBegun) && (await isClaimLeaving(wish, kube, signal))) {
      // A crash before it: the Job ends at its own deadline, and the claim goes then.
      await removeLogJobs([ref], { kube }, signal);
      return { kind: 'unreadable', message: `the claim ${wish.claim} is being deleted and no Job can mount it` };
    }
    await clock.sleep(POLL_MS, signal);
    signal.throwIfAborted();
  }
}

/** Removes the Jobs of an instance, answered or not. */
export async function removeLogJobs(
  jobs: readonly ObjectRef[],
  { kube }: Pick<LogSourceDeps, 'kube'>,
  signal: AbortSignal,
): Promise<void> {
  for (const { namespace, name } of jobs) {
    try {
      await kube.delete(JOBS, { namespace, name }, { propagationPolicy: 'Background', signal });
    } catch (error) {
      if (!isKubeError(error, 'notFound')) throw error;
    }
  }
}

async function makeJob(
  wish: LogReadingWish,
  ref: ObjectRef,
  { kube, clock }: LogSourceDeps,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const found = await existing(ref, kube, signal);
    if (found === undefined) break;
    const ageMs = clock.nowMs() - Date.parse(found.metadata.creationTimestamp ?? '');
    if (found.metadata.deletionTimestamp === undefined && ageMs < ANSWER_AGE_MS_MAX) return;
    // A crash between this and the new one: there is no Job, and the next operator makes it.
    await removeLogJobs([ref], { kube }, signal);
    await clock.sleep(POLL_MS, signal);
    signal.throwIfAborted();
  }
  try {
    await kube.create(JOBS, logJob(wish), { signal });
  } catch (error) {
    // The answer to an earlier attempt was lost, or the operator before us made it.
    if (!isKubeError(error, 'alreadyExists')) throw error;
  }
}

async function existing(ref: ObjectRef, kube: RecoveryKube, signal: AbortSignal): Promise<Job | undefined> {
  try {
    return await kube.get(JOBS, ref, { signal });
  } catch (error) {
    if (isKubeError(error, 'notFound')) return undefined;
    throw error;
  }
}

async function podsOf(
  { namespace, name }: ObjectRef,
  kube: RecoveryKube,
  signal: AbortSignal,
): Promise<readonly Pod[]> {
  const labelSelector = `batch.kubernetes.io/job-name=${name}`;
  return (await kube.list(PODS, { namespace, labelSelector }, { signal })).items;
}

const containerOf = (pod: Pod) => pod.status?.containerStatuses?.find(({ name }) => name === READER_CONTAINER);
const terminatedOf = (pod: Pod) => containerOf(pod)?.state?.terminated;

async function reportOf(pod: Pod, kube: RecoveryKube, signal: AbortSignal): Promise<EvidenceReport> {
  const { namespace, name } = pod.metadata;
  const text = await kube.log({ namespace, name }, { container: READER_CONTAINER, signal });
  try {
    return parseEvidence(text);
  } catch (error) {
    if (!(error instanceof EvidenceLinesError)) throw error;
    const exit = terminatedOf(pod);
    const said = text.trim().split('\n').at(-1)?.slice(0, 300) ?? '';
    const end = exit?.reason === 'OOMKilled' ? 'out of memory' : `exit code ${exit?.exitCode}`;
    return {
      kind: 'unreadable',
      message: `the Job's answer is not whole (${end}): ${error.message}; it said: ${said}`,
    };
  }
}

const hasBegun = (pod: Pod): boolean => {
  const state = containerOf(pod)?.state;
  return state?.running !== undefined || state?.terminated !== undefined;
};

/**
 * A claim that is being deleted is mounted by no new pod, and does not go while a pod that has a node names it: a Job that
 * came just before would wait for the claim, the claim for the Job, and the proxy's next pod for both.
 */
async function isClaimLeaving(
  { cluster, claim }: Pick<LogReadingWish, 'cluster' | 'claim'>,
  kube: RecoveryKube,
  signal: AbortSignal,
): Promise<boolean> {
  const { namespace } = cluster.metadata;
  const { items } = await kube.list(CLAIMS, { namespace, fieldSelector: `metadata.name=${claim}` }, { signal });
  return items.every(({ metadata }) => metadata.deletionTimestamp !== undefined);
}

const hasEnded = (job: Job): boolean =>
  job.status?.conditions?.some(({ type, status }) => ['Complete', 'Failed'].includes(type) && status === 'True') ??
  false;

/** Why the Job's pod never ran, in the words of the scheduler or the kubelet. */
function whyNot(pods: readonly Pod[], job: Job): string {
  for (const pod of pods) {
    const waiting = containerOf(pod)?.state?.waiting;
    const unscheduled = pod.status?.conditions?.find(
      ({ type, status }) => type === 'PodScheduled' && status === 'False',
    );
    const reason = waiting?.reason ?? unscheduled?.reason;
    if (reason !== undefined)
      return `the Job ${job.metadata.name} cannot run: ${reason}: ${words(waiting, unscheduled)}`;
  }
  const failed = job.status?.conditions?.find(({ type }) => type === 'Failed');
  return `the Job ${job.metadata.name} gave no answer${failed?.message === undefined ? '' : `: ${failed.message}`}`;
}

function words(...of: readonly ({ readonly message?: string } | undefined)[]): string {
  return of.map((one) => one?.message ?? '').find((message) => message !== '') ?? 'no reason given';
}

// What is wrong with one volume claim: no class, no volume, a volume that is gone or cannot grow. Pure.
import { parseSize } from '../../kernel/quantity.ts';
import type { ClaimObject, EventObject } from './children.ts';
import type { Ending } from './ended-container.ts';
import { warningsAbout } from './recent-events.ts';

/** Provisioning takes its time; a word of the provisioner is passed on at once. */
const PATIENCE_MS = 30_000;

/** The fault of a claim; undefined when it is bound and as large as asked for, or on its way there. */
export function claimProblem(claim: ClaimObject, events: readonly EventObject[], nowMs: number): Ending | undefined {
  const { phase } = claim.status ?? {};
  if (phase === 'Lost') {
    const volume = claim.spec?.volumeName ?? 'its volume';
    return {
      reason: 'VolumeLost',
      message: `The PersistentVolume ${volume} behind the claim is gone, and its rows with it`,
    };
  }
  if (phase === 'Bound') return resizeProblem(claim, events, nowMs);
  return pendingProblem(claim, events, nowMs);
}

function pendingProblem(claim: ClaimObject, events: readonly EventObject[], nowMs: number): Ending | undefined {
  const className = claim.spec?.storageClassName;
  const warnings = warningsAbout(events, 'PersistentVolumeClaim', claim, nowMs);
  const failed = warnings.find(({ reason }) => reason === 'ProvisioningFailed' || reason === 'FailedBinding');
  const said = failed?.message ?? '';
  if (/storageclass.*not found/i.test(said)) {
    const message = `There is no StorageClass ${className ?? '(default)'}; make it, or name one that exists in a new cluster (kubectl get storageclass)`;
    return { reason: 'StorageClassMissing', message };
  }
  if (className === undefined && /no storage class is set|no persistent volumes available/i.test(said)) {
    const message = 'There is no default StorageClass; mark one as default, or write storageClassName in a new cluster';
    return { reason: 'StorageClassMissing', message };
  }
  if (failed !== undefined) return { reason: 'VolumePending', message: `The volume is not made: ${said}` };
  const madeMs = Date.parse(claim.metadata.creationTimestamp ?? '');
  if (Number.isNaN(madeMs) || nowMs - madeMs < PATIENCE_MS) return undefined;
  const message = `The claim has no volume since ${claim.metadata.creationTimestamp}; see kubectl describe pvc ${claim.metadata.name}`;
  return { reason: 'VolumePending', message };
}

const sizeOf = (quantity: string | undefined): number => parseSize(quantity ?? '') ?? 0;

const RESIZE_ERRORS: readonly string[] = ['ControllerResizeError', 'NodeResizeError'];
const INFEASIBLE = /Infeasible$|Failed$/;

function resizeProblem(claim: ClaimObject, events: readonly EventObject[], nowMs: number): Ending | undefined {
  const wanted = claim.spec?.resources?.requests?.storage;
  const { conditions = [], allocatedResourceStatuses = {}, capacity } = claim.status ?? {};
  if (wanted === undefined || sizeOf(wanted) <= sizeOf(capacity?.storage)) return undefined;
  const condition = conditions.find(({ type, status }) => RESIZE_ERRORS.includes(type) && status === 'True');
  const [event] = warningsAbout(events, 'PersistentVolumeClaim', claim, nowMs).filter(
    ({ reason }) => reason === 'VolumeResizeFailed' || reason === 'ExternalExpanding',
  );
  const refused = INFEASIBLE.test(allocatedResourceStatuses.storage ?? '');
  if (condition === undefined && event === undefined && !refused) return undefined;
  const said = condition?.message ?? event?.message ?? `the driver says ${allocatedResourceStatuses.storage}`;
  return { reason: 'ResizeFailed', message: `The volume does not grow to ${wanted}: ${said}` };
}

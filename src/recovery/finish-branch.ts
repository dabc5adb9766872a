// Brings one branch to its decided end, once; a reply that proves nothing is followed by questions, never by an assumption.
import { unreachable } from '../kernel/assert.ts';
import type { ServerIdentity } from '../shard/branch-link.ts';
import { classifyFinish } from '../transaction/classify-reply.ts';
import type { AlarmKind } from './alarm.ts';
import { actionFor } from './apply-table.ts';
import type { XidExistence } from './branch-state.ts';
import type { BranchIdentity, ParticipantEvidence, ParticipantState } from './evidence.ts';
import { askShard } from './observe.ts';
import type { ShardProbe } from './shard-probe.ts';

export interface BranchWork {
  readonly branch: BranchIdentity;
  readonly verdict: 'commit' | 'abort';
  /** `as1:<cluster>:<instance>.<epoch>` of the run that prepared it: only its connections may be ended for it. */
  readonly ownerName: string;
  readonly existence: XidExistence;
  /** A backend whose last command may still be queued; it is ended before the absence of the gid means anything. */
  readonly backend?: Pick<ServerIdentity, 'backendPid' | 'backendStart'> | undefined;
}

/** finished: verified done · pending: try again later · kept: it can never be done; `alarm` says why. */
export interface BranchOutcome {
  readonly kind: 'finished' | 'pending' | 'kept';
  readonly state: ParticipantState;
  readonly alarm?: { readonly kind: AlarmKind; readonly message: string };
}

const pending = (state: ParticipantState): BranchOutcome => ({ kind: 'pending', state });

/** Sends COMMIT PREPARED or ROLLBACK PREPARED and verifies what the reply does not prove. Never rejects. */
export async function finishBranch(probe: ShardProbe, work: BranchWork): Promise<BranchOutcome> {
  const { branch, verdict } = work;
  if (branch.gid === undefined) return verifyBranch(probe, work);
  // A crash here: the branch is prepared or finished; either way the decision stands and the next pass comes back to it.
  const reply = await probe.resolve(branch.gid, verdict);
  const finish = classifyFinish(reply, verdict === 'commit' ? 'COMMIT PREPARED' : 'ROLLBACK PREPARED');
  switch (finish) {
    case 'done':
      return { kind: 'finished', state: verdict === 'commit' ? 'C' : 'A' };
    case 'retry':
      return pending('B');
    case 'unknown':
      return pending('U');
    case 'verify':
      return verifyBranch(probe, work);
    case 'configuration': {
      const message = reply.kind === 'error' ? `${reply.error.code} ${reply.error.message}` : reply.kind;
      return { ...pending('P'), alarm: { kind: 'ResolverNotAllowed', message } };
    }
    default:
      return unreachable(finish);
  }
}

/** The gid is not there (42704), which by itself is never success: ends the old backend, looks again, asks the xid. */
async function verifyBranch(probe: ShardProbe, work: BranchWork): Promise<BranchOutcome> {
  const { branch, backend, existence, verdict } = work;
  if (backend !== undefined) {
    const ended = await probe.terminateBackend(backend.backendPid, backend.backendStart);
    if (ended.kind === 'absent' || ended.value.remaining > 0) return pending('U');
  }
  // Looked at after the old backend is gone: a PREPARE of it that succeeded at the last moment shows here.
  const scan = await probe.scan();
  if (scan.kind === 'absent') return pending('U');
  if (scan.value.prepared.some(({ gid }) => gid === branch.gid)) return pending('P');
  const seen = await askShard(probe, branch, scan.value, existence);
  return settleBranch(probe, work, { ...branch, ...seen, acknowledged: false }, verdict);
}

/** Carries out the apply table for a participant whose state is known; a prepared one is resolved. */
export async function settleBranch(
  probe: ShardProbe,
  work: BranchWork,
  participant: ParticipantEvidence,
  verdict: 'commit' | 'abort',
): Promise<BranchOutcome> {
  const action = actionFor(verdict, participant);
  const { state } = participant;
  const seen = `${participant.shard}: xid ${participant.xid ?? 'unknown'} is ${participant.reason ?? STATE_WORDS[state]}`;
  const alarm = action.alarm === undefined ? {} : { alarm: { kind: action.alarm, message: seen } };
  switch (action.kind) {
    case 'done':
      return { kind: 'finished', state, ...alarm };
    case 'keep':
      return { kind: 'kept', state, ...alarm };
    case 'retry':
      return { kind: 'pending', state, ...alarm };
    case 'terminate':
      if (participant.xid !== undefined) await probe.terminateXid(participant.xid, work.ownerName);
      return pending(state);
    case 'resolve':
      return finishBranch(probe, work);
    default:
      return unreachable(action.kind);
  }
}

const STATE_WORDS: Readonly<Record<ParticipantState, string>> = {
  P: 'prepared',
  B: 'busy',
  C: 'committed',
  A: 'aborted',
  I: 'in progress',
  F: 'lost',
  N: 'of unknown status',
  U: 'unreachable',
};

// Carries out the verdicts of one pass; every step may be cut short by a crash and is simply done again by the next pass.
import type { ControlPoint } from '../kernel/control-point.ts';
import type { DecisionLog } from '../transaction/decision-log.ts';
import { renderOwnerName, renderTransactionId } from '../transaction/gid.ts';
import type { Alarm } from './alarm.ts';
import type { XidExistence } from './branch-state.ts';
import { decide, type Verdict } from './decide.ts';
import type { ParticipantEvidence, TransactionEvidence } from './evidence.ts';
import { type BranchOutcome, type BranchWork, settleBranch } from './finish-branch.ts';
import type { InDoubtEvidence } from './gather.ts';
import type { HeldTransaction, Settled } from './report.ts';
import type { ShardProbe } from './shard-probe.ts';

export interface Acting {
  readonly probes: ReadonlyMap<string, ShardProbe>;
  readonly log: Pick<DecisionLog, 'end'>;
  readonly controlPoint: ControlPoint;
}

/** Judges one transaction and carries the verdict out, all participants side by side. Never rejects for a shard's sake. */
export async function act(evidence: InDoubtEvidence, acting: Acting): Promise<Settled> {
  const verdict = decide(evidence);
  const transaction = renderTransactionId(evidence.transaction);
  const alarms = verdict.alarms.map((kind): Alarm => ({ kind, transaction, message: describe(evidence, verdict) }));
  switch (verdict.kind) {
    case 'wait':
      return { transaction, kind: 'waiting', alarms };
    case 'hold-retry':
    case 'hold-ask':
      return { transaction, kind: 'held', held: heldBy(evidence, verdict.row, verdict.kind === 'hold-ask'), alarms };
    case 'terminate':
      await endBackends(evidence, acting.probes);
      return { transaction, kind: 'waiting', alarms };
    case 'commit':
    case 'abort': {
      const outcomes = await finishAll(evidence, verdict.kind, acting);
      return {
        transaction,
        ...conclude(evidence, verdict.kind, outcomes, acting.log),
        alarms: [...alarms, ...alarmsOf(transaction, outcomes)],
      };
    }
  }
}

interface ParticipantOutcome {
  readonly participant: ParticipantEvidence;
  readonly outcome: BranchOutcome;
}

function finishAll(
  evidence: TransactionEvidence,
  verdict: 'commit' | 'abort',
  { probes, controlPoint }: Acting,
): Promise<ParticipantOutcome[]> {
  return Promise.all(
    evidence.participants.map(async (participant, index): Promise<ParticipantOutcome> => {
      const probe = probes.get(participant.shard);
      if (probe === undefined) return { participant, outcome: { kind: 'pending', state: 'U' } };
      await controlPoint('recovery.resolve.before', index);
      // A crash here or behind it leaves some participants finished: the decision is in the log, or follows again from
      // the same evidence, which only gained a C under COMMIT or an A under ABORT.
      const outcome = await settleBranch(probe, workFor(evidence, participant, verdict), participant, verdict);
      await controlPoint('recovery.resolve.after', index);
      return { participant, outcome };
    }),
  );
}

function workFor(evidence: TransactionEvidence, branch: ParticipantEvidence, verdict: 'commit' | 'abort'): BranchWork {
  const { cluster, instance, epoch } = evidence.transaction;
  // A branch that stood prepared in this pass has its xid on disk.
  const existence: XidExistence = branch.state === 'P' ? { kind: 'prepared' } : { kind: 'unknown' };
  return { branch, verdict, ownerName: renderOwnerName(cluster, instance, epoch), existence };
}

function conclude(
  evidence: InDoubtEvidence,
  verdict: 'commit' | 'abort',
  outcomes: readonly ParticipantOutcome[],
  log: Pick<DecisionLog, 'end'>,
): Omit<Settled, 'transaction' | 'alarms'> {
  const kept = outcomes.some(({ outcome }) => outcome.kind === 'kept');
  if (kept) return { kind: 'held', held: heldBy(evidence, 'heuristic', true, outcomes) };
  const finished = outcomes.every(({ outcome }) => outcome.kind === 'finished');
  if (verdict === 'abort') {
    // Nothing is recorded: what could not be asked, or is ending just now, is found again if it shows a prepared branch.
    const undone = outcomes.every(
      ({ participant, outcome }) => outcome.kind === 'finished' || 'UI'.includes(participant.state),
    );
    return { kind: undone ? 'rolled-back' : 'waiting' };
  }
  if (!finished) return { kind: 'waiting' };
  // Every participant is verified committed. A crash before END reaches the disk: the next start verifies once more.
  log.end(evidence.transaction);
  return { kind: evidence.wasPrepared ? 'committed' : 'confirmed' };
}

async function endBackends(evidence: TransactionEvidence, probes: ReadonlyMap<string, ShardProbe>): Promise<void> {
  const { cluster, instance, epoch } = evidence.transaction;
  const ownerName = renderOwnerName(cluster, instance, epoch);
  const working = evidence.participants.filter(({ state }) => state === 'I');
  // A crash here leaves a backend of a dead run ended, which the next fence would have done.
  await Promise.all(
    working.map(async ({ shard, xid }) => {
      if (xid !== undefined) await probes.get(shard)?.terminateXid(xid, ownerName);
    }),
  );
}

function alarmsOf(transaction: string, outcomes: readonly ParticipantOutcome[]): Alarm[] {
  return outcomes.flatMap(({ participant, outcome }) =>
    outcome.alarm === undefined ? [] : [{ ...outcome.alarm, transaction, shard: participant.shard }],
  );
}

function heldBy(
  evidence: TransactionEvidence,
  reason: string,
  askHuman: boolean,
  outcomes: readonly ParticipantOutcome[] = [],
): HeldTransaction {
  const after = new Map(outcomes.map(({ participant, outcome }) => [participant.shard, outcome.state]));
  return {
    transaction: renderTransactionId(evidence.transaction),
    reason,
    askHuman,
    participants: evidence.participants.map(({ shard, state }) => ({ shard, state: after.get(shard) ?? state })),
  };
}

function describe(evidence: TransactionEvidence, verdict: Verdict): string {
  const states = evidence.participants.map(({ shard, state }) => `${shard} ${state}`).join(', ');
  return `log ${evidence.log}, ${states}: ${verdict.kind} by row ${verdict.row}`;
}

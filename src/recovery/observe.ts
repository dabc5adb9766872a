// What became of each participant: P from the first scan, the rest by asking their shard, all of it held against the second.
import { renderTransactionId } from '../transaction/gid.ts';
import { branchState, type XidExistence } from './branch-state.ts';
import type { Case } from './case.ts';
import type { BranchIdentity, ParticipantEvidence, TransactionEvidence } from './evidence.ts';
import type { ShardProbe, ShardScan } from './shard-probe.ts';

type Scans = ReadonlyMap<string, ShardScan>;
type Observation = Pick<ParticipantEvidence, 'state' | 'proven' | 'reason'>;

const silent = (reason: string): Observation => ({ state: 'U', proven: false, reason });

/** The state of every participant of one transaction; shards are asked side by side. */
export function observe(
  one: Case,
  probes: ReadonlyMap<string, ShardProbe>,
  scans: Scans,
): Promise<readonly ParticipantEvidence[]> {
  return Promise.all(
    one.branches.map(async (branch) => {
      const seen = await observeBranch(one, branch, probes.get(branch.shard), scans.get(branch.shard));
      return { ...branch, acknowledged: false, ...seen };
    }),
  );
}

async function observeBranch(
  one: Case,
  branch: BranchIdentity,
  probe: ShardProbe | undefined,
  scan: ShardScan | undefined,
): Promise<Observation> {
  // A shard that nobody knows any more is not a shard that has nothing: its participant stays open.
  if (probe === undefined) return silent('the shard is not in the topology');
  if (scan === undefined) return silent('the shard did not answer');
  if (branch.gid !== undefined && one.prepared.get(branch.gid) === branch.shard) return { state: 'P', proven: false };
  return askShard(probe, branch, scan, one.existence);
}

/** What became of a branch without a prepared row; U when its shard does not answer. */
export async function askShard(
  probe: ShardProbe,
  branch: BranchIdentity,
  scan: ShardScan,
  existence: XidExistence,
): Promise<Observation> {
  let timelineEnd: string | null = null;
  if (branch.timeline !== undefined && branch.timeline !== scan.timeline) {
    const end = await probe.timelineEnd(branch.timeline);
    if (end.kind === 'absent') return silent(end.why);
    timelineEnd = end.value;
  }
  if (branch.xid === undefined) return branchState(branch, null, scan, existence, timelineEnd);
  const status = await probe.xidStatus(branch.xid);
  if (status.kind === 'absent') return silent(status.why);
  return branchState(branch, status.value, scan, existence, timelineEnd);
}

/**
 * Holds what was observed against the second scan. Null when the transaction moved in between (somebody is resolving it,
 * or a PREPARE surfaced); a shard that fell silent since is U.
 */
export function settle(
  one: Case,
  participants: readonly ParticipantEvidence[],
  scans: Scans,
): TransactionEvidence | null {
  if (one.contradictory) return null;
  const ours = `as1:${renderTransactionId(one.transaction)}:`;
  const settled: ParticipantEvidence[] = [];
  for (const participant of participants) {
    const scan = scans.get(participant.shard);
    const prepared = scan?.prepared.some(({ gid }) => gid.startsWith(ours));
    if (prepared === undefined)
      settled.push({ ...participant, ...silent(participant.reason ?? 'the shard fell silent') });
    else if (prepared !== (participant.state === 'P')) return null;
    else settled.push(participant);
  }
  const { transaction, log, owner, complete, earlyAcknowledged } = one;
  return { transaction, log, owner, participants: settled, complete, earlyAcknowledged };
}

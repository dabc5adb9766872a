// Recovery of one proxy that does not come back, from looking to resolved; every step follows again from what the cluster
// shows, so that an operator that is killed anywhere in it is replaced by one that ends the same.
//
//   scan ids ──► Job: lock the log, read it ──► fence, gather, decide, act ──► remove the Job
//                └ locked: the owner lives, nothing is touched      └ a log that is gone: the LOST rows, from the shards alone
//
// The log is read before the fence: its lock is the proof that the owner is dead, and a proxy that merely does not answer
// the operator keeps its connections.
import type { Clock } from '../../kernel/clock.ts';
import type { ControlPoint } from '../../kernel/control-point.ts';
import { mergeReports, type PassReport } from '../../recovery/report.ts';
import type { ShardProbe } from '../../recovery/shard-probe.ts';
import type { DumpedLogStatus, EvidenceDump } from '../../transaction/evidence-dump.ts';
import type { EvidenceReport } from '../../transaction/evidence-lines.ts';
import { parseGid, transactionKey } from '../../transaction/gid.ts';
import { positionOf } from '../../transaction/log-evidence.ts';
import { DumpedLog } from './dumped-log.ts';
import { passFor } from './pass.ts';
import type { ActingStep, BlockedReason } from './types.ts';

export interface RunWish {
  readonly clusterId: string;
  readonly instance: string;
  /** The highest epoch that anybody has seen of it. */
  readonly epochSeen: number;
  /** False: there is no claim, so no log. */
  readonly hasLog: boolean;
  /** Why a process of it may still live, as far as Kubernetes shows; null: it shows that none does. */
  readonly mayLive: string | null;
}

export interface RunDeps {
  readonly probes: ReadonlyMap<string, ShardProbe>;
  /** Reads the log under its lock; asked again when ids have turned up since. */
  readonly readLog: (ids: readonly string[]) => Promise<EvidenceReport>;
  readonly clock: Clock;
  readonly controlPoint: ControlPoint;
  readonly onStep: (step: ActingStep) => void;
}

export type RunOutcome =
  | { readonly kind: 'passed'; readonly pass: PassReport; readonly log: ReadLog }
  | { readonly kind: 'blocked'; readonly why: BlockedReason; readonly message: string };

/** What is known of the log that was judged by. */
export interface ReadLog {
  readonly status: DumpedLogStatus | 'lost';
  readonly walId: string | null;
  readonly epoch: number;
  readonly problems: readonly string[];
}

/** A PREPARE may surface while the log is read; more often than this is no longer chance. */
const READS_MAX = 3;

/** Runs it once. Rejects only when reading the log does (the API server). */
export async function recoverInstance(wish: RunWish, deps: RunDeps): Promise<RunOutcome> {
  const unasked = new Set<string>();
  let before: Extract<RunOutcome, { kind: 'passed' }> | undefined;
  for (let read = 1; ; read += 1) {
    deps.onStep('reading the log');
    const ids = new Set([...(await preparedIds(wish, deps.probes)), ...unasked]);
    const found = wish.hasLog ? await ask(wish, deps, [...ids].toSorted()).catch(unless(before)) : LOST;
    // What was done before, e.g. until the owner came back, is told all the same.
    if (found.kind === 'passed') return found;
    if (found.kind === 'blocked') return before ?? found;
    const { log } = found;
    if (log.status === 'lost' || log.status === 'empty') {
      if (wish.mayLive !== null) return before ?? blocked('owner-alive', wish.mayLive);
    }
    // A crash here: this reading led to nothing yet, and the Job still has the answer.
    await deps.controlPoint('operator.recovery.dumped');
    deps.onStep('resolving');
    const dumped = new DumpedLog(found.dump ?? { status: 'lost' });
    const dead = { cluster: wish.clusterId, instance: wish.instance, epoch: deadUpTo(wish, log, ids) };
    const controlPoint: ControlPoint = async (name, participant) => {
      if (name === 'recovery.fenced') await deps.controlPoint('operator.recovery.fenced');
      await deps.controlPoint(name, participant);
    };
    // A crash inside leaves branches that ended as the log says and branches that are prepared: the same evidence again.
    const now = await passFor(dead, { ...deps, log: dumped, controlPoint });
    // A crash here: what could be ended is ended and nobody has told it; the next operator tells of what is left, if anything.
    await deps.controlPoint('operator.recovery.resolved');
    before = { kind: 'passed', pass: before === undefined ? now : mergeReports(before.pass, now), log };
    if (dumped.unasked.size === 0 || read === READS_MAX) return before;
    for (const id of dumped.unasked) unasked.add(id);
  }
}

/**
 * Runs up to this one are dead. A log that was read under its lock names the last run that wrote it; a run after that one has
 * another log, or began since. Without a log that tells, it is the last run that anybody saw before we looked.
 */
function deadUpTo({ epochSeen }: RunWish, { status, epoch }: ReadLog, ids: ReadonlySet<string>): number {
  if (status === 'whole' || status === 'torn') return epoch;
  return Math.max(epochSeen, epoch, ...[...ids].map((id) => positionOf(id).epoch));
}

/** An error of a later reading is met again by the next run; one of the first is the caller's. */
function unless<Before extends object>(before: Before | undefined): (error: unknown) => Before {
  return (error) => {
    if (before === undefined) throw error;
    return before;
  };
}

interface Found {
  readonly kind: 'found';
  readonly log: ReadLog;
  readonly dump: EvidenceDump | null;
}

const LOST: Found = { kind: 'found', log: { status: 'lost', walId: null, epoch: 0, problems: [] }, dump: null };

const blocked = (why: BlockedReason, message: string): Extract<RunOutcome, { kind: 'blocked' }> => ({
  kind: 'blocked',
  why,
  message,
});

async function ask(
  wish: RunWish,
  deps: RunDeps,
  ids: readonly string[],
): Promise<Found | Extract<RunOutcome, { kind: 'blocked' }>> {
  const report = await deps.readLog(ids);
  switch (report.kind) {
    case 'locked':
      return blocked('owner-alive', `its log is in use by ${report.holder}`);
    case 'unreadable':
      return blocked('log-unreadable', report.message);
    case 'read': {
      const { dump } = report;
      const stranger = ownerOtherThan(wish, dump);
      if (stranger !== null) {
        return blocked('log-unreadable', `the log on its volume is that of ${stranger}; was a volume exchanged?`);
      }
      const { status, walId, epoch, problems } = dump;
      return { kind: 'found', log: { status, walId, epoch, problems }, dump };
    }
  }
}

/** Whose log it is when it is not this instance's. */
function ownerOtherThan({ clusterId, instance }: RunWish, { live, words }: EvidenceDump): string | null {
  const decided = [...words.values()].flatMap((word) => (word.kind === 'commit' ? [word.decision] : []));
  for (const { transaction } of [...live, ...decided]) {
    if (transaction.cluster !== clusterId || transaction.instance !== instance) {
      return `${transaction.cluster}:${transaction.instance}`;
    }
  }
  return null;
}

/** `<epoch>.<seq>` of what stands prepared on the shards that answer. */
async function preparedIds(
  { clusterId, instance }: RunWish,
  probes: ReadonlyMap<string, ShardProbe>,
): Promise<Set<string>> {
  const ids = new Set<string>();
  const scans = await Promise.all([...probes.values()].map((probe) => probe.scan()));
  for (const scan of scans) {
    if (scan.kind === 'absent') continue;
    for (const { gid } of scan.value.prepared) {
      const transaction = parseGid(gid)?.transaction;
      if (transaction?.cluster === clusterId && transaction.instance === instance) ids.add(transactionKey(transaction));
    }
  }
  return ids;
}

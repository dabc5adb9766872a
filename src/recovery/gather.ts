// Facts for one pass, in the one order that is safe beside live transactions: fence, P, A with L, X, Q. It changes nothing.
//
//   fence  backends of earlier epochs end, so nothing of theirs can surface afterwards
//   P      prepared rows of all shards
//   A      what this process drives now: a transaction is in A before its first PREPARE leaves, so whatever P saw of a
//          live one is in A, or was finished in between and is gone from Q
//   L      the log's word about the rest
//   X      pg_xact_status of participants that are gone
//   Q      prepared rows again: only what P and Q agree on is acted upon
import type { ControlPoint } from '../kernel/control-point.ts';
import { renderTransactionId, transactionKey } from '../transaction/gid.ts';
import type { LogEvidence as LoggedEvidence } from '../transaction/log-evidence.ts';
import type { Alarm } from './alarm.ts';
import { assemble, type Foreign } from './assemble.ts';
import { type Case, caseOf } from './case.ts';
import type { TransactionEvidence } from './evidence.ts';
import { observe, settle } from './observe.ts';
import type { ShardProbe, ShardScan } from './shard-probe.ts';
import type { RecoverySubject } from './subject.ts';

/** `wasPrepared`: a branch of it was found prepared; else it is a decision that only lacks its END. */
export type InDoubtEvidence = TransactionEvidence & { readonly wasPrepared: boolean };

export interface Gathered {
  readonly evidence: readonly InDoubtEvidence[];
  /** Changed between P and Q, or the log could not be read: left for the next pass. */
  readonly deferred: readonly string[];
  /** Ids whose prepared branches contradict each other or the log: left for a person. */
  readonly contradictory: readonly string[];
  readonly foreign: Foreign;
  readonly otherInstances: ReadonlyMap<string, Foreign>;
  readonly foundInDoubt: number;
  readonly unreachable: readonly { readonly shard: string; readonly reason: string }[];
  readonly backendsFenced: number;
  readonly alarms: readonly Alarm[];
}

type Probes = ReadonlyMap<string, ShardProbe>;

/** Gathers the evidence about every transaction of `subject` that nobody drives. Never rejects for a shard's sake. */
export async function gather(subject: RecoverySubject, probes: Probes, controlPoint: ControlPoint): Promise<Gathered> {
  const alarms: Alarm[] = [];
  const fencing = await fenceAll(subject, probes, alarms);
  await controlPoint('recovery.fenced');
  // A shard that could not be reached to be fenced is not asked either: what it said could change behind our back.
  const first = await scanAll(fencing.reached, alarms);
  const assembled = assemble(subject.cluster, subject.instance, first.scans);
  alarms.push(...assembled.alarms);
  // Live decisions and what is driven are read in one turn: a decision that is live and not driven now is an orphan.
  const driven = new Set(subject.driving());
  const orphans = [...subject.log.live()].map(({ transaction }) => transactionKey(transaction));
  const inDoubt = new Map([...assembled.inDoubt].filter(([key]) => !driven.has(key)));
  const keys = new Set([...inDoubt.keys(), ...orphans.filter((key) => !driven.has(key))]);
  const logged = await askLog(keys, subject, alarms);
  const cases = [...keys].map((key) => caseOf(key, inDoubt.get(key), logged?.get(key), subject, fencing.failed));
  const observed = await Promise.all(
    cases.map(async (one) => ({ one, participants: await observe(one, probes, first.scans) })),
  );
  const second = keys.size === 0 ? first : await scanAll(answering(probes, first.scans), []);
  await controlPoint('recovery.gathered');
  const evidence: InDoubtEvidence[] = [];
  const deferred: string[] = [];
  for (const { one, participants } of observed) {
    const id = renderTransactionId(one.transaction);
    const settled = logged === null ? null : settle(one, participants, second.scans);
    if (settled === null) deferred.push(id);
    else evidence.push({ ...settled, wasPrepared: inDoubt.has(transactionKey(one.transaction)) });
    alarms.push(...oddities(one, id, subject, probes));
  }
  const unreachable = [...new Map([...fencing.unreached, ...first.unreachable, ...second.unreachable])];
  return {
    evidence,
    deferred,
    contradictory: cases
      .filter(({ contradictory }) => contradictory)
      .map(({ transaction }) => renderTransactionId(transaction)),
    foreign: assembled.foreign,
    otherInstances: assembled.otherInstances,
    foundInDoubt: inDoubt.size,
    unreachable: unreachable.map(([shard, reason]) => ({ shard, reason })),
    backendsFenced: fencing.terminated,
    alarms,
  };
}

/** What the log says about `keys`; null when it cannot be read: then nothing is judged, least of all as undecided. */
async function askLog(keys: ReadonlySet<string>, { log }: RecoverySubject, alarms: Alarm[]) {
  if (keys.size === 0) return new Map<string, LoggedEvidence>();
  try {
    return await log.lookup(keys);
  } catch (error) {
    alarms.push({ kind: 'LogUnreadable', message: error instanceof Error ? error.message : String(error) });
    return null;
  }
}

function oddities(one: Case, transaction: string, subject: RecoverySubject, probes: Probes): Alarm[] {
  const alarms: Alarm[] = [];
  if (one.contradictory) {
    alarms.push({ kind: 'GidMistake', transaction, message: 'its prepared branches name different participants' });
  }
  if (one.transaction.epoch > subject.epoch) {
    alarms.push({ kind: 'NewerEpoch', transaction, message: `this run has epoch ${subject.epoch}` });
  }
  for (const { shard } of one.branches) {
    if (!probes.has(shard))
      alarms.push({ kind: 'ShardRemoved', transaction, shard, message: `no shard ${shard} is configured` });
  }
  return alarms;
}

async function fenceAll(subject: RecoverySubject, probes: Probes, alarms: Alarm[]) {
  const { cluster, instance, epoch } = subject;
  // Who acts for a dead instance ends its last run as well; who is the instance is its last run.
  const before = subject.ownership === 'fenced' ? epoch + 1 : epoch;
  const failed = new Set<string>();
  const reached = new Map<string, ShardProbe>();
  const unreached = new Map<string, string>();
  let terminated = 0;
  await Promise.all(
    [...probes.values()].map(async (probe) => {
      // A crash here leaves backends of dead runs ended: nobody was waiting for them.
      const fenced = await probe.fence(cluster, instance, before);
      if (fenced.kind === 'absent' && fenced.cause !== 'refused') {
        unreached.set(probe.shard, fenced.why);
        return;
      }
      reached.set(probe.shard, probe);
      if (fenced.kind === 'absent') {
        failed.add(probe.shard);
        alarms.push({ kind: 'ResolverNotAllowed', shard: probe.shard, message: fenced.why });
        return;
      }
      terminated += fenced.value.terminated;
      if (fenced.value.remaining === 0) return;
      failed.add(probe.shard);
      const message = `${fenced.value.remaining} connection(s) of earlier runs do not end`;
      alarms.push({ kind: 'FenceFailed', shard: probe.shard, message });
    }),
  );
  return { failed, reached, unreached, terminated };
}

function answering(probes: Probes, scans: ReadonlyMap<string, ShardScan>): Probes {
  return new Map([...probes].filter(([shard]) => scans.has(shard)));
}

async function scanAll(probes: Probes, alarms: Alarm[]) {
  const scans = new Map<string, ShardScan>();
  const unreachable = new Map<string, string>();
  await Promise.all(
    [...probes.values()].map(async (probe) => {
      const answer = await probe.scan();
      if (answer.kind === 'answer') scans.set(probe.shard, answer.value);
      else {
        unreachable.set(probe.shard, answer.why);
        if (answer.cause === 'refused') {
          alarms.push({ kind: 'ResolverNotAllowed', shard: probe.shard, message: answer.why });
        }
      }
    }),
  );
  return { scans, unreachable };
}

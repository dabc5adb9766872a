// Ends one transaction because a person says so, after looking whether the evidence says otherwise: what it proves is refused to be
// contradicted, unless the person insists. Nothing is fenced here; the caller knows that nobody drives the transaction.
import { assemble } from '../../recovery/assemble.ts';
import { caseOf } from '../../recovery/case.ts';
import { decide, type Verdict } from '../../recovery/decide.ts';
import type { TransactionEvidence } from '../../recovery/evidence.ts';
import { observe, settle } from '../../recovery/observe.ts';
import type { ShardProbe, ShardScan } from '../../recovery/shard-probe.ts';
import { classifyFinish } from '../../transaction/classify-reply.ts';
import { renderTransactionId, type TransactionId, transactionKey } from '../../transaction/gid.ts';
import type { LogEvidence } from '../../transaction/log-evidence.ts';
import type { ResolveRequest, ResolveResult } from './request.ts';

type Answer = Omit<ResolveResult, 'id'>;
type Probes = ReadonlyMap<string, ShardProbe>;

/** `word`: what the log of its proxy says about it. Never rejects for a shard's sake. */
export async function resolveOne(request: ResolveRequest, word: LogEvidence, probes: Probes): Promise<Answer> {
  const { transaction, verdict, force } = request;
  const evidence = await gatherOne(transaction, word, probes);
  if (typeof evidence === 'string') return { outcome: 'refused', message: evidence };
  if (evidence === null) {
    return { outcome: 'done', message: 'nothing of it is prepared on any shard that answers; it has ended' };
  }
  const proof = decide(evidence);
  const seen = describe(evidence, proof);
  if (contradicts(proof, verdict) && !force) {
    const proven = proof.kind === 'commit' ? 'committed' : 'rolled back';
    return { outcome: 'refused', message: `the evidence says that it must be ${proven} (${seen})` };
  }
  const ended = await endBranches(evidence, verdict, probes);
  const endedWord = verdict === 'commit' ? 'committed' : 'rolled back';
  const failed = ended.filter(({ done }) => !done);
  if (failed.length > 0) {
    const list = failed.map(({ shard, said }) => `${shard}: ${said}`).join('; ');
    return { outcome: 'failed', message: `not everywhere ${endedWord}: ${list} (${seen})` };
  }
  const shards = ended.map(({ shard }) => shard).join(', ');
  const against = contradicts(proof, verdict) ? 'AGAINST the evidence, ' : '';
  return { outcome: 'done', message: `${against}${endedWord} on ${shards} (${seen})` };
}

function contradicts({ kind }: Verdict, verdict: 'commit' | 'abort'): boolean {
  return (kind === 'commit' || kind === 'abort') && kind !== verdict;
}

/** A sentence: why it cannot be judged now; null: nothing of it is prepared. */
async function gatherOne(
  transaction: TransactionId,
  word: LogEvidence,
  probes: Probes,
): Promise<TransactionEvidence | string | null> {
  const { cluster, instance, epoch } = transaction;
  const scans = await scanAll(probes);
  const key = transactionKey(transaction);
  const inDoubt = assemble(cluster, instance, scans).inDoubt.get(key);
  if (inDoubt === undefined) return null;
  const log = { live: () => [], lookup: () => Promise.resolve(new Map([[key, word]])) };
  const subject = { cluster, instance, epoch, ownership: 'fenced', log, driving: () => new Set<string>() } as const;
  const one = caseOf(key, inDoubt, word, subject, new Set());
  if (one.contradictory) return 'its prepared branches name different participants';
  const participants = await observe(one, probes, scans);
  return settle(one, participants, await scanAll(probes)) ?? 'it changed while it was looked at; look again';
}

async function scanAll(probes: Probes): Promise<ReadonlyMap<string, ShardScan>> {
  const answers = await Promise.all(
    [...probes.values()].map(async (probe) => [probe.shard, await probe.scan()] as const),
  );
  return new Map(
    answers.flatMap(([shard, answer]) => (answer.kind === 'answer' ? [[shard, answer.value] as const] : [])),
  );
}

function endBranches({ participants }: TransactionEvidence, verdict: 'commit' | 'abort', probes: Probes) {
  const prepared = participants.filter(({ state }) => state === 'P');
  // A crash here leaves some branches ended: the request is still there, and the next operator ends the others.
  return Promise.all(
    prepared.map(async ({ shard, gid = '' }) => {
      const reply = await probes.get(shard)?.resolve(gid, verdict);
      const tag = verdict === 'commit' ? 'COMMIT PREPARED' : 'ROLLBACK PREPARED';
      const done = reply !== undefined && classifyFinish(reply, tag) === 'done';
      const said = reply?.kind === 'error' ? `${reply.error.code} ${reply.error.message}` : 'no answer';
      return { shard, done, said };
    }),
  );
}

function describe({ log, participants, transaction }: TransactionEvidence, { row }: Verdict): string {
  const states = participants.map(({ shard, state }) => `${shard} ${state}`).join(', ');
  return `${renderTransactionId(transaction)}: log ${log}, ${states}, row ${row}`;
}

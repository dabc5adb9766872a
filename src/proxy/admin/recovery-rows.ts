// What the admin database shows of recovery: the last pass, what it holds, open decisions and prepared transactions.

import type { PassReport } from '../../recovery/report.ts';
import { parseGid, renderTransactionId, transactionKey } from '../../transaction/gid.ts';
import type { ProxyParts } from '../parts.ts';
import type { AdminRow } from './answer.ts';

/** The columns of SHOW RECOVERY and RECOVER. */
export function reportRow(report: PassReport, atMs: number): AdminRow {
  const others = [...report.otherInstances.values()].reduce((sum, { count }) => sum + count, 0);
  return [
    atMs,
    report.foundInDoubt,
    report.committed,
    report.rolledBack,
    report.confirmed,
    report.held.length,
    report.waiting,
    report.foreign.count,
    others,
    report.backendsFenced,
    report.unreachableShards.map(({ shard }) => shard).join(',') || null,
    report.alarms.length,
    report.durationMs,
  ];
}

export function heldRows(report: PassReport | undefined): AdminRow[] {
  return (report?.held ?? []).map(({ transaction, reason, askHuman, participants }) => [
    transaction,
    reason,
    askHuman,
    participants.map(({ shard, state }) => `${shard}=${state}`).join(','),
  ]);
}

export function decisionRows({ decisions, recovery, coordinator }: ProxyParts): AdminRow[] {
  const handedOver = recovery.handedOver();
  const waitedFor = coordinator.driving().difference(handedOver);
  return [...decisions.live()].map(({ transaction, participants, atMs }) => [
    renderTransactionId(transaction),
    atMs,
    participants.map(({ shard }) => shard).join(','),
    waitedFor.has(transactionKey(transaction)) ? 'client' : 'recovery',
  ]);
}

/** Asks every shard; one that does not answer is one row that says why. */
export async function preparedRows({ probes, live }: ProxyParts): Promise<AdminRow[]> {
  const { cluster, instance } = live.started;
  const scans = await Promise.all([...probes.values()].map(async (probe) => ({ probe, answer: await probe.scan() })));
  return scans.flatMap(({ probe, answer }): AdminRow[] => {
    if (answer.kind !== 'answer') return [[probe.shard, null, null, null, null, null, answer.why]];
    return answer.value.prepared.map((row) => {
      const gid = parseGid(row.gid);
      const ours = gid !== null && gid.transaction.cluster === cluster;
      const owner = !ours ? 'foreign' : gid.transaction.instance === instance ? 'this proxy' : gid.transaction.instance;
      return [
        probe.shard,
        row.gid,
        ours ? renderTransactionId(gid.transaction) : null,
        owner,
        row.preparedAtMs,
        Math.max(0, answer.value.nowMs - row.preparedAtMs) / 1_000,
        null,
      ];
    });
  });
}

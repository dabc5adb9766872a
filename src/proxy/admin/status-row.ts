// SHOW STATUS: one row from which the operator and people read the state of a proxy.
import { statfs } from 'node:fs/promises';
import { transactionKey } from '../../transaction/gid.ts';
import type { Drain } from '../drain.ts';
import type { Listener } from '../listener.ts';
import type { ProxyParts } from '../parts.ts';
import { countInDoubt, notReadyReasons, type StateFacts, stateOf } from '../proxy-state.ts';
import type { AdminRow } from './answer.ts';

/** What is asked about a running proxy. */
export interface Inspected {
  readonly parts: ProxyParts;
  readonly listener: Listener;
  readonly drain: Drain;
  readonly version: string;
}

export function stateFacts({ parts, listener, drain }: Inspected): StateFacts {
  const { decisions, recovery, coordinator, counters } = parts;
  const report = counters.lastPass?.report;
  const leftByPass = report === undefined ? 0 : report.foundInDoubt - report.committed - report.rolledBack;
  return {
    gate: listener.gate,
    clean: drain.clean,
    logFailed: decisions.hasFailed,
    placementFault: parts.placement.fault,
    inDoubt: countInDoubt({
      leftByPass: Math.max(leftByPass, report?.held.length ?? 0),
      live: new Set([...decisions.live()].map(({ transaction }) => transactionKey(transaction))),
      handedOver: recovery.handedOver(),
      driven: coordinator.driving(),
    }),
  };
}

/** Bytes that the log's volume has left; null when it cannot be asked. */
export async function freeBytes(directory: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch {
    return null;
  }
}

/** The columns of SHOW STATUS, in their order. */
export async function statusRow(inspected: Inspected): Promise<AdminRow> {
  const { parts, listener, version } = inspected;
  const { live, decisions, running, counters } = parts;
  const facts = stateFacts(inspected);
  const reasons = notReadyReasons(facts);
  const { positions, identity } = decisions;
  const segments = decisions.segments();
  const report = counters.lastPass?.report;
  return [
    live.started.instance,
    stateOf(facts),
    reasons.length === 0,
    reasons.length === 0 ? null : reasons.join('; '),
    version,
    live.sha256,
    live.error,
    live.restartNeeded.length === 0 ? null : live.restartNeeded.join(','),
    identity.walId,
    identity.epoch,
    positions.oldest,
    positions.applied,
    positions.committed,
    positions.durable,
    positions.appended,
    segments.length,
    segments.reduce((sum, { bytes }) => sum + bytes, 0),
    await freeBytes(live.started.wal.directory),
    facts.inDoubt,
    report?.held.length ?? 0,
    listener.clients,
    [...running].length,
    counters.lastRecovery?.atMs ?? null,
    counters.lastRecovery?.committed ?? null,
    counters.lastRecovery?.committedIds.join(',') || null,
    counters.lastRecovery?.rolledBack ?? null,
    counters.lastRecovery?.rolledBackIds.join(',') || null,
    counters.lastRecovery?.held ?? null,
  ];
}

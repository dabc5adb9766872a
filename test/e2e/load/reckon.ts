// Stops the load, waits until nothing of ours is prepared, reads every shard, judges, and says all of it in one line of JSON.
//
// Run in the load's pod (`kubectl exec`), so that the rows never leave the cluster: only the verdict does.
import { lookup } from 'node:dns/promises';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { outcomeOf, transactionOf, untilNonePrepared } from '../../support/in-doubt.ts';
import { judge } from '../../support/judge.ts';
import { readOutbox, type Testimony } from '../../support/outbox.ts';
import { OUTBOX_FILES, shardsFromEnv } from './files.ts';
import { diedAt, doubtAfter, epochBefore, type Observations, readObservations } from './observations.ts';
import { pausesAround } from './pauses.ts';
import type { FaultFindings, Reckoning, ReckonOrder } from './reckoning.ts';

const order = JSON.parse(process.argv[2] ?? '') as ReckonOrder;
const shards = shardsFromEnv(process.env.SHARD_URLS);
const at = (name: string) => path.join(order.folder, name);
const LIST_MAX = 20;
const NAMES_TIMEOUT_MS = 30_000;

async function pauseLoad(): Promise<boolean> {
  writeFileSync(at(OUTBOX_FILES.paused), '');
  const until = Date.now() + order.pauseTimeoutMs;
  while (Date.now() < until) {
    const state = existsSync(at(OUTBOX_FILES.state)) ? readFileSync(at(OUTBOX_FILES.state), 'utf8') : '';
    if (state.includes('"state":"paused"') || state.includes('"state":"ended"')) return true;
    await sleep(50);
  }
  return false;
}

/** Right after the API server was away the cluster's DNS may not answer for a moment; a shard has said nothing then. */
async function untilNamesAreKnown(): Promise<void> {
  const until = Date.now() + NAMES_TIMEOUT_MS;
  for (const shard of shards) {
    const { hostname } = new URL(shard.url());
    for (;;) {
      const failure = await lookup(hostname).then(
        () => undefined,
        (error: NodeJS.ErrnoException) => error,
      );
      if (failure === undefined) break;
      if (Date.now() > until) throw failure;
      await sleep(200);
    }
  }
}

/** What one fault left behind, by run, and how it ended, asked of pg_xact_status. */
async function findingsOf(
  fault: ReckonOrder['faults'][number],
  observations: Observations,
  testimony: Testimony,
  pausedAtMs: number,
): Promise<FaultFindings> {
  const runs = [];
  for (const instance of fault.instances) {
    const epoch = epochBefore(observations, instance, fault.atMs);
    if (epoch === undefined) throw new Error(`${instance} was never seen on a shard before the fault`);
    const deathMs = diedAt(observations, instance, epoch, fault.atMs);
    const { branches, resolvedAtMs } = doubtAfter(observations, instance, epoch, deathMs);
    const prepared = branches.map((branch) => ({
      ...branch,
      transaction: transactionOf(branch.gid),
      count: Number(/:\d+\/(\d+):/.exec(branch.gid)?.[1]),
    }));
    const { ends, counts, halfCommitted } = await outcomeOf(shards, prepared);
    const resolvedAfterMs = resolvedAtMs === undefined ? undefined : resolvedAtMs - fault.atMs;
    runs.push({ instance, epoch, counts, halfCommitted, ends: Object.fromEntries(ends), resolvedAfterMs });
  }
  return { runs, pauses: pausesAround(testimony.answers, fault.atMs, pausedAtMs) };
}

const beganMs = Date.now();
const paused = await pauseLoad();
const pausedAtMs = Date.now();
await untilNamesAreKnown();
const drained = await untilNonePrepared(shards, order.drainTimeoutMs);
const testimony = readOutbox(readFileSync(at(OUTBOX_FILES.outbox), 'utf8'));
const observations = readObservations(readFileSync(at(OUTBOX_FILES.observations), 'utf8'), Date.now());
const verdict = await judge(shards, testimony.ledger);
const faults: FaultFindings[] = [];
for (const fault of order.faults) faults.push(await findingsOf(fault, observations, testimony, pausedAtMs));
const reckoning: Reckoning = {
  paused,
  drained,
  // A long list says no more than its beginning; its length is kept by one entry.
  verdict: Object.fromEntries(
    Object.entries(verdict).map(([name, value]) => [
      name,
      Array.isArray(value) && value.length > LIST_MAX
        ? [...value.slice(0, LIST_MAX), `and ${value.length - LIST_MAX} more`]
        : value,
    ]),
  ) as unknown as Reckoning['verdict'],
  told: testimony.ledger.counts(),
  summary: testimony.ledger.summary(),
  loadStarts: testimony.starts,
  hangs: (JSON.parse(readFileSync(at(OUTBOX_FILES.state), 'utf8')) as { hangs: number }).hangs,
  faults,
  tookMs: Date.now() - beganMs,
};
if (order.resume) rmSync(at(OUTBOX_FILES.paused), { force: true });
process.stdout.write(`${JSON.stringify(reckoning)}\n`);

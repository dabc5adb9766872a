// What the status tells of a recovery, and what the proxy's own log says: to be compared with what the shards show.
import type { StatusLastRecovery } from '../../../src/operator/api/sharded-cluster.generated.ts';
import { waitFor } from '../../cluster/harness/kubectl.ts';
import type { RunFindings } from '../load/reckoning.ts';
import { SHARDED_CLUSTERS } from './sharded-cluster.ts';
import type { System } from './system.ts';

/** The operator asks proxies every few seconds; one that was killed leads again when its lease of 15 s is over. */
const TOLD_TIMEOUT_MS = 30_000;

/** Says where `status.lastRecovery` differs from what became of the run's transactions; pure. */
export function toldOtherwise(
  run: RunFindings,
  faultAtMs: number,
  told: StatusLastRecovery | undefined,
): string | undefined {
  const { committed, rolledBack } = run.counts;
  const wanted = `${committed} committed and ${rolledBack} rolled back`;
  // Times in a status are whole seconds.
  if (told?.time === undefined || Date.parse(told.time) < faultAtMs - 1_000)
    return `the status tells of no recovery since ${run.instance} died; the shards say ${wanted}`;
  if (told.committed === committed && told.rolledBack === rolledBack && told.held === 0) return undefined;
  const said = `${told.committed} committed, ${told.rolledBack} rolled back and ${told.held} held`;
  return `of ${run.instance} the status says ${said}, and the shards say ${wanted}`;
}

/** Waits a little for the status to agree with the shards, and says how it does not. */
export async function statusDisagreement(system: System, run: RunFindings, faultAtMs: number): Promise<string[]> {
  const ref = { namespace: system.namespace, name: system.cluster };
  let wrong: string | undefined;
  try {
    await system.untilOperatorReady();
    await waitFor('the status to agree', TOLD_TIMEOUT_MS, async () => {
      wrong = toldOtherwise(run, faultAtMs, (await system.kube.get(SHARDED_CLUSTERS, ref)).status?.lastRecovery);
      return wrong === undefined ? true : undefined;
    });
    return [];
  } catch {
    return [wrong ?? 'the status cannot be read'];
  }
}

const DUMP = [
  '/usr/local/bin/node /app/dist/main.js wal dump /var/lib/atomshard/wal --json',
  `grep -o '"gid":"as1:[^"]*"'`,
  `cut -d'"' -f4`,
  'cut -d: -f1-3',
  'sort -u',
].join(' | ');

/** Transactions whose commit stands in the proxy's log, as `as1:<cluster>:<instance>.<epoch>.<seq>`. */
export async function loggedCommits(system: System, pod: string): Promise<ReadonlySet<string>> {
  const said = await system.execOk(pod, 'proxy', ['sh', '-c', DUMP]);
  return new Set(said.split('\n').filter((line) => line !== ''));
}

/** Says where log and shards differ: what committed is in the log, what was rolled back is not; pure. */
export function logDisagreement({ instance, ends }: RunFindings, logged: ReadonlySet<string>): string[] {
  return Object.entries(ends).flatMap(([transaction, end]) => {
    if (end === 'committed' && !logged.has(transaction))
      return [`${instance}: ${transaction} is committed, and its log knows nothing of it`];
    if (end === 'rolledBack' && logged.has(transaction))
      return [`${instance}: ${transaction} is rolled back, and its log says commit`];
    return [];
  });
}

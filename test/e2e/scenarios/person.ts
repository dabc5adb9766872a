// The person on call, who ends what nobody can prove: with `kubectl atomshard`, as docs/RECOVERY.md tells.
import path from 'node:path';
import { run } from '../../cluster/harness/command.ts';
import { waitFor } from '../../cluster/harness/kubectl.ts';
import { preparedNow } from '../harness/prepared.ts';
import { SHARDED_CLUSTERS } from '../harness/sharded-cluster.ts';
import type { System } from '../harness/system.ts';
import type { Ground } from './scenario.ts';

const PLUGIN = path.resolve(import.meta.dirname, '../../../src/plugin/kubectl-atomshard.ts');
const TIMEOUT_MS = 120_000;

async function atomshard(system: System, args: readonly string[]): Promise<string> {
  const [program = 'kubectl'] = system.kubectl.argv([]);
  const where = ['--namespace', system.namespace, '--kubeconfig', system.kubectl.kubeconfig];
  const searchPath = `${path.dirname(program)}:${process.env.PATH ?? ''}`;
  return run([process.execPath, PLUGIN, ...args, ...where], { env: { PATH: searchPath } });
}

/** Transactions of the instance that the status shows as held. */
async function heldOf({ system }: Ground, instance: string) {
  const { status } = await system.kube.get(SHARDED_CLUSTERS, { namespace: system.namespace, name: system.cluster });
  return (status?.heldTransactions ?? []).filter(({ transaction }) => transaction.includes(`:${instance}.`));
}

/**
 * Waits until nothing of the instance is prepared, and ends by hand what is held: commits what has a participant that
 * committed, and rolls back the rest. Returns how many that were.
 */
export async function endHeld(ground: Ground, instance: string): Promise<number> {
  const ended = new Set<string>();
  await waitFor(`what ${instance} left to be ended`, TIMEOUT_MS, async () => {
    for (const { transaction, participants = '', needsDecision = false } of await heldOf(ground, instance)) {
      if (ended.has(transaction) || !needsDecision) continue;
      // States as docs/RECOVERY.md names them: C is committed.
      const verdict = / C(,|$)/.test(participants) ? '--commit' : '--abort';
      const said = await atomshard(ground.system, [
        'resolve',
        transaction,
        verdict,
        '--reason',
        'end-to-end test',
        '--yes',
      ]);
      ground.say(`by hand: ${said.trim().split('\n').join(' · ')}`);
      ended.add(transaction);
    }
    return (await preparedNow(ground, instance))?.length === 0 ? true : undefined;
  });
  return ended.size;
}

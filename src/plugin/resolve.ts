// `kubectl atomshard resolve ID --commit|--abort`: asks the person, then the operator, by an annotation that the audit log keeps; the
// operator checks the evidence, does it or refuses, and tells it as an Event.
import { randomUUID } from 'node:crypto';
import { systemClock } from '../kernel/clock.ts';
import type { ShardedCluster } from '../operator/api/sharded-cluster.ts';
import { parseResult, RESOLVE_REQUEST, RESOLVE_RESULT, renderRequest } from '../operator/recovery/request.ts';
import { ask } from './ask.ts';
import { clusterOfId, findCluster, KIND } from './find-cluster.ts';
import type { Kubectl } from './kubectl.ts';
import { EXIT, PluginError } from './plugin-error.ts';

export interface ResolveOptions {
  readonly commit?: boolean;
  readonly abort?: boolean;
  readonly reason: string;
  readonly force?: boolean;
  readonly yes?: boolean;
  readonly timeout: number;
}

const POLL_MS = 500;
const EXIT_OF = { done: EXIT.ok, refused: EXIT.refused, failed: EXIT.failed } as const;

/** Resolves with the exit code; `say` prints. */
export async function resolve(
  kubectl: Kubectl,
  transaction: string,
  options: ResolveOptions,
  say: (line: string) => void,
): Promise<number> {
  const { commit = false, abort = false, force = false, reason } = options;
  if (commit === abort) throw new PluginError('say either --commit or --abort', EXIT.usage);
  const cluster = await clusterOfId(kubectl, transaction.split(':')[0] ?? '');
  const { name } = cluster.metadata;
  refuseSecond(cluster);
  const held = cluster.status?.heldTransactions?.find((one) => one.transaction === transaction);
  say(
    held === undefined
      ? `${transaction} is not shown as held in ${name}; the operator looks at it now.`
      : `${transaction} is held (row ${held.reason}): ${held.participants}`,
  );
  const verdict = commit ? 'commit' : 'abort';
  const forced = force ? ', even against what the evidence proves' : '';
  await ask(
    `${commit ? 'COMMIT' : 'ROLL BACK'} it on every shard where it is prepared${forced}?`,
    options.yes === true,
  );
  const id = randomUUID();
  const request = renderRequest({ id, transaction, verdict, by: await whoAmI(kubectl), reason, force });
  const { resourceVersion } = cluster.metadata;
  const patch = { metadata: { resourceVersion, annotations: { [RESOLVE_REQUEST]: request } } };
  await kubectl.output(['patch', KIND, name, '--type', 'merge', '--patch', JSON.stringify(patch)]);
  return await untilAnswered(kubectl, name, id, options.timeout * 1_000, say);
}

function refuseSecond({ metadata }: ShardedCluster): void {
  if (metadata.annotations?.[RESOLVE_REQUEST] === undefined) return;
  throw new PluginError(
    `another request waits for the operator; withdraw it with kubectl annotate ${KIND} ${metadata.name} ${RESOLVE_REQUEST}-`,
  );
}

async function untilAnswered(
  kubectl: Kubectl,
  name: string,
  id: string,
  timeoutMs: number,
  say: (line: string) => void,
): Promise<number> {
  const deadlineMs = systemClock.monotonicMs() + timeoutMs;
  while (systemClock.monotonicMs() < deadlineMs) {
    const { metadata } = await findCluster(kubectl, name);
    const result = parseResult(metadata.annotations?.[RESOLVE_RESULT]);
    if (result?.id === id) {
      say(`${result.outcome}: ${result.message}`);
      return EXIT_OF[result.outcome];
    }
    await systemClock.sleep(POLL_MS);
  }
  throw new PluginError(
    `the operator has not answered; the request waits for it. Withdraw it with kubectl annotate ${KIND} ${name} ${RESOLVE_REQUEST}-`,
  );
}

/** The name that the API server knows the person by. */
async function whoAmI(kubectl: Kubectl): Promise<string> {
  const { code, stdout } = await kubectl.run(['auth', 'whoami', '--output', 'jsonpath={.status.userInfo.username}']);
  return code === 0 && stdout.trim() !== '' ? stdout.trim() : 'somebody whom the API server does not name';
}

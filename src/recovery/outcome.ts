// How a lone writer's COMMIT ended when its reply was lost: the old backend is ended first, then its xid is asked about.
import type { Clock } from '../kernel/clock.ts';
import type { ServerIdentity } from '../shard/branch-link.ts';
import { instantMs } from './branch-state.ts';
import { askShard } from './observe.ts';
import type { ShardProbe } from './shard-probe.ts';

export type Outcome = 'committed' | 'aborted' | 'unknown';

export interface OutcomeQuestion {
  readonly xid: string;
  readonly identity: ServerIdentity;
}

const RETRY_MS_FIRST = 20;
const RETRY_MS_MAX = 500;

/** Asks until there is an answer or `waitMs` are over; `unknown` is an honest answer and never a guess. */
export async function outcomeOf(
  probe: ShardProbe,
  question: OutcomeQuestion,
  clock: Clock,
  waitMs: number,
): Promise<Outcome> {
  const deadlineMs = clock.monotonicMs() + waitMs;
  for (let attempt = 0; ; attempt += 1) {
    const outcome = await ask(probe, question);
    if (outcome !== 'later') return outcome;
    const leftMs = deadlineMs - clock.monotonicMs();
    if (leftMs <= 0) return 'unknown';
    await clock.sleep(Math.min(RETRY_MS_FIRST * 2 ** attempt, RETRY_MS_MAX, leftMs));
  }
}

async function ask(probe: ShardProbe, { xid, identity }: OutcomeQuestion): Promise<Outcome | 'later'> {
  const { backendPid, backendStart, timeline, systemIdentifier } = identity;
  // A crash here: the client has lost its connection to us as well, and asks by xid itself if it wants to know.
  const ended = await probe.terminateBackend(backendPid, backendStart);
  if (ended.kind === 'absent' || ended.value.remaining > 0) return 'later';
  const scan = await probe.scan();
  if (scan.kind === 'absent') return 'later';
  const branch = { shard: probe.shard, xid, timeline, systemIdentifier };
  const existence = { kind: 'backend', startedAtMs: instantMs(backendStart) } as const;
  const { state, proven } = await askShard(probe, branch, scan.value, existence);
  switch (state) {
    case 'C':
      // Unproven: the server crashed since, and the number may have been issued to a stranger who committed.
      return proven ? 'committed' : 'unknown';
    case 'A':
    // The same server on the same timeline never had it on disk, so it never committed.
    case 'F':
      return 'aborted';
    case 'N':
      return 'unknown';
    case 'P':
    case 'B':
    case 'I':
    case 'U':
      return 'later';
  }
}

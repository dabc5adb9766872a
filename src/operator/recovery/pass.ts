// Recovery of one dead proxy by somebody else, with the same gather, decide and act as its own. A crash anywhere in it leaves
// prepared branches, or branches that ended as the log says; the next pass, by whomever, finds what is left.
//
// END cannot be written here: the log is its owner's. When the proxy comes back it finds those decisions without END,
// verifies that every participant is committed, and records it then.
import type { Clock } from '../../kernel/clock.ts';
import type { ControlPoint } from '../../kernel/control-point.ts';
import { act } from '../../recovery/act.ts';
import { gather } from '../../recovery/gather.ts';
import { mergeReports, type PassReport, reportOf } from '../../recovery/report.ts';
import type { ShardProbe } from '../../recovery/shard-probe.ts';
import type { DumpedLog } from './dumped-log.ts';

/** Runs of the instance up to `epoch` are dead; later ones are somebody else's. */
export interface DeadInstance {
  readonly cluster: string;
  readonly instance: string;
  readonly epoch: number;
}

export interface PassDeps {
  readonly probes: ReadonlyMap<string, ShardProbe>;
  readonly log: DumpedLog;
  readonly clock: Clock;
  readonly controlPoint: ControlPoint;
}

const ROUNDS_MAX = 3;
const ROUND_PAUSE_MS = 100;

/** Up to three rounds while something moves. Never rejects for a shard's sake. */
export async function passFor(dead: DeadInstance, deps: PassDeps): Promise<PassReport> {
  let pass = await round(dead, deps);
  for (let done = 1; done < ROUNDS_MAX && mayMove(pass) && deps.log.unasked.size === 0; done += 1) {
    await deps.clock.sleep(ROUND_PAUSE_MS);
    pass = mergeReports(pass, await round(dead, deps));
  }
  return pass;
}

async function round({ cluster, instance, epoch }: DeadInstance, deps: PassDeps): Promise<PassReport> {
  const { probes, log, clock, controlPoint } = deps;
  const startedMs = clock.monotonicMs();
  const driving = () => new Set<string>();
  const subject = { cluster, instance, epoch, ownership: 'fenced', log, driving } as const;
  const gathered = await gather(subject, probes, controlPoint);
  const end = () => undefined;
  // A crash here leaves everything as it was found.
  const settled = await Promise.all(
    gathered.evidence.map((evidence) => act(evidence, { probes, log: { end }, controlPoint })),
  );
  return reportOf(gathered, settled, clock.monotonicMs() - startedMs);
}

/** Something is half way, and not because a shard is away. */
function mayMove(report: PassReport): boolean {
  return report.waiting > 0 && report.unreachableShards.length === 0;
}

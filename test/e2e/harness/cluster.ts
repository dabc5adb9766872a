// The Kubernetes of an end-to-end run: one that is there, or one made for it that goes away with it, whatever ends the run.
import type { Cluster } from '../../cluster/harness/cluster.ts';
import type { Folders } from '../../cluster/harness/folders.ts';
import { openOrCreate, wayFor } from '../../cluster/harness/open.ts';
import { readRecord } from '../../cluster/harness/record.ts';
import type { Report } from '../../cluster/harness/report.ts';

/** Anti-affinity over three nodes, and one to lose. */
const NODES = 3;

export interface ClusterChoice {
  readonly name: string;
  /** Used instead of making one. */
  readonly kubeconfig?: string | undefined;
  /** Leaves a cluster that was made. */
  readonly keep: boolean;
}

/** Brings the cluster up; when nobody had it before, its removal is put into `closing`. */
export async function openE2eCluster(
  folders: Folders,
  choice: ClusterChoice,
  report: Report,
  closing: AsyncDisposableStack,
): Promise<Cluster> {
  const { name, keep } = choice;
  const way = await wayFor(folders, name, choice.kubeconfig ?? process.env.KUBECONFIG);
  report.say(`cluster ${name}: ${way.kind}, because ${way.why}`);
  const made = readRecord(folders, name) === undefined;
  const cluster = await openOrCreate(folders, name, way, report);
  if (made && !keep) closing.defer(() => cluster.down(report));
  await cluster.up(NODES, report);
  return cluster;
}

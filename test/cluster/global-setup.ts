// Before the cluster tests: brings a cluster up, or says by name what is skipped and why. One that was up stays up.
import type { TestProject } from 'vitest/node';
import { foldersFrom } from './harness/folders.ts';
import { DEFAULT_NAME, findRecorded, NoWayToACluster, openOrCreate, wayFor } from './harness/open.ts';
import { readRecord } from './harness/record.ts';
import { stderrReport } from './harness/report.ts';

/** Enough for anti-affinity over three nodes and to lose one. */
const NODES = 3;

/** What test files learn: the cluster's name, or why there is none. */
export type ProvidedCluster = { readonly name: string } | { readonly missing: string };

declare module 'vitest' {
  interface ProvidedContext {
    cluster: ProvidedCluster;
  }
}

const folders = foldersFrom(process.env);
const name = process.env.ATOMSHARD_CLUSTER ?? DEFAULT_NAME;
let ours = false;

export async function setup(project: TestProject): Promise<void> {
  const report = stderrReport();
  const way = await wayFor(folders, name, process.env.KUBECONFIG);
  report.say(`cluster ${name}: ${way.kind}, because ${way.why}`);
  if (way.kind === 'none') {
    // On a build machine a proof that did not run is no proof.
    if (process.env.CI === 'true') throw new NoWayToACluster(way);
    const missing = new NoWayToACluster(way).message;
    report.say(`\nSKIPPED: every test of test/cluster. ${missing}\n`);
    project.provide('cluster', { missing });
    return;
  }
  ours = readRecord(folders, name) === undefined;
  const cluster = await openOrCreate(folders, name, way, report);
  await cluster.up(NODES, report);
  project.provide('cluster', { name });
}

export async function teardown(): Promise<void> {
  if (!ours) return;
  await findRecorded(folders, name)?.down(stderrReport());
}

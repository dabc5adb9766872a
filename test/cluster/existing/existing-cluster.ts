// Somebody else's cluster by its kubeconfig: we live in namespaces of our own there, and remove exactly those.
import { type Cluster, NotOnThisCluster } from '../harness/cluster.ts';
import { onPath } from '../harness/command.ts';
import type { Folders } from '../harness/folders.ts';
import { Kubectl } from '../harness/kubectl.ts';
import { OWN_LABEL } from '../harness/namespaces.ts';
import { type ClusterRecord, removeRecord, writeRecord } from '../harness/record.ts';
import type { Report } from '../harness/report.ts';

export class ExistingCluster implements Cluster {
  readonly canBreak = false;
  readonly enforcesNetworkPolicy = undefined;
  readonly record: ClusterRecord;
  readonly kubectl: Kubectl;
  readonly #folders: Folders;

  constructor(folders: Folders, record: ClusterRecord) {
    this.#folders = folders;
    this.record = record;
    this.kubectl = new Kubectl(onPath('kubectl') ?? 'kubectl', record.kubeconfig);
  }

  static create(folders: Folders, name: string, kubeconfig: string): ExistingCluster {
    const record: ClusterRecord = { name, way: 'existing', kubeconfig, nodes: 0 };
    return new ExistingCluster(folders, record);
  }

  async up(_nodes: number, report: Report): Promise<void> {
    // Its nodes are its owner's affair; all that is checked is that it answers.
    await this.kubectl.run(['get', '--raw', '/readyz']);
    // Only now: a cluster that never answered is nothing that `down` could clean.
    writeRecord(this.#folders, this.record);
    report.step('the cluster answers');
  }

  async load(): Promise<void> {
    // Nodes pull images by themselves; `ATOMSHARD_IMAGES_FROM` names the registry that they were pushed to.
  }

  stopNode = (): Promise<void> => refuse('stop a node');
  startNode = (): Promise<void> => refuse('start a node');
  cutNode = (): Promise<void> => refuse('cut a node');
  crash = (): Promise<void> => refuse('kill a component');
  freeze = (): Promise<void> => refuse('stop a component');
  thaw = (): Promise<void> => refuse('let a component go on');
  inNode = (): Promise<string> => refuse('run a command on a node');

  async down(report: Report): Promise<void> {
    await this.kubectl.run(['delete', 'namespace', '-l', OWN_LABEL, '--wait=true', '--timeout=300s']);
    removeRecord(this.#folders, this.record.name);
    report.step('our namespaces are gone; the cluster stays');
  }

  status(): Promise<string> {
    return this.kubectl.run(['get', 'nodes', '-o', 'wide', '--request-timeout=5s']);
  }
}

const refuse = (what: string): Promise<never> =>
  Promise.reject(new NotOnThisCluster(`cannot ${what} of a cluster that was given by its kubeconfig`));

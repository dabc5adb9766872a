// A cluster by kind, where a Docker engine runs: its nodes are containers, so node loss is `docker stop`.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import type { Cluster, Component } from '../harness/cluster.ts';
import { onPath, run, tryRun } from '../harness/command.ts';
import type { Folders } from '../harness/folders.ts';
import { Kubectl } from '../harness/kubectl.ts';
import { type ClusterRecord, clusterFolder, removeRecord, writeRecord } from '../harness/record.ts';
import type { Report } from '../harness/report.ts';
import type { BuiltImage } from '../images/image.ts';

const CONFIG = path.resolve(import.meta.dirname, '../../../kind-config.yaml');

interface KindConfig {
  readonly nodes: readonly { readonly role: string; readonly image: string }[];
}

/** kind's configuration with another number of nodes: one control plane, the rest workers. Pure. */
export function kindConfig(text: string, nodes: number): string {
  const config = parse(text) as KindConfig;
  const [controlPlane] = config.nodes;
  if (controlPlane === undefined) throw new Error('kind-config.yaml lists no node');
  const roles = Array.from({ length: nodes }, (_, index) => (index === 0 ? 'control-plane' : 'worker'));
  return stringify({ ...config, nodes: roles.map((role) => ({ role, image: controlPlane.image })) });
}

export class KindCluster implements Cluster {
  readonly canBreak = true;
  /** kind's own network plug-in enforces policies since 0.24. */
  readonly enforcesNetworkPolicy = true;
  readonly kubectl: Kubectl;
  readonly #folders: Folders;
  #record: ClusterRecord;

  constructor(folders: Folders, record: ClusterRecord) {
    this.#folders = folders;
    this.#record = record;
    this.kubectl = new Kubectl(onPath('kubectl') ?? 'kubectl', record.kubeconfig);
  }

  static create(folders: Folders, name: string): KindCluster {
    const folder = clusterFolder(folders, name);
    const record: ClusterRecord = { name, way: 'kind', kubeconfig: path.join(folder, 'admin.conf'), nodes: 0 };
    writeRecord(folders, record);
    return new KindCluster(folders, record);
  }

  get record(): ClusterRecord {
    return this.#record;
  }

  /** kind's name for the cluster: prefixed, so that `down` can never meet somebody else's. */
  get #kindName(): string {
    return `atomshard-${this.#record.name}`;
  }

  async up(nodes: number, report: Report): Promise<void> {
    const present = (await run(['kind', 'get', 'clusters'])).split('\n').includes(this.#kindName);
    if (!present) {
      const folder = clusterFolder(this.#folders, this.#record.name);
      mkdirSync(folder, { recursive: true });
      const config = path.join(folder, 'kind-config.yaml');
      writeFileSync(config, kindConfig(readFileSync(CONFIG, 'utf8'), nodes));
      this.#record = { ...this.#record, nodes };
      writeRecord(this.#folders, this.#record);
      report.step('kind creates the cluster');
      const { kubeconfig } = this.#record;
      const argv = ['kind', 'create', 'cluster', '--name', this.#kindName, '--config', config];
      await run([...argv, '--kubeconfig', kubeconfig, '--wait', '180s']);
    }
    for (const node of await this.#nodes()) await this.startNode(node);
    await this.kubectl.run(['wait', '--for=condition=Ready', 'node', '--all', '--timeout=180s']);
    await this.kubectl.waitForValue('serviceaccount default -n default', '.metadata.name', (name) => name !== '');
    report.step('pods can be made');
  }

  async #nodes(): Promise<string[]> {
    const listed = await tryRun(['kind', 'get', 'nodes', '--name', this.#kindName]);
    return listed.stdout.split('\n').filter((name) => name.startsWith(this.#kindName));
  }

  async load(images: readonly BuiltImage[]): Promise<void> {
    for (const image of images) {
      const nodes = await this.#nodes();
      const held = await Promise.all(
        nodes.map((node) => tryRun(['docker', 'exec', node, 'crictl', 'inspecti', '-q', image.reference])),
      );
      if (held.every(({ code }) => code === 0)) continue;
      const how = existsSync(image.archive) ? ['image-archive', image.archive] : ['docker-image', image.reference];
      await run(['kind', 'load', ...how, '--name', this.#kindName]);
    }
  }

  async #own(node: string): Promise<string> {
    if (!(await this.#nodes()).includes(node)) throw new Error(`no node ${node} in ${this.#kindName}`);
    return node;
  }

  async stopNode(node: string): Promise<void> {
    await run(['docker', 'kill', await this.#own(node)]);
  }

  async startNode(node: string): Promise<void> {
    // Each of the two fails where there is nothing to mend.
    await tryRun(['docker', 'network', 'connect', 'kind', await this.#own(node)]);
    await run(['docker', 'start', node]);
  }

  async cutNode(node: string): Promise<void> {
    await run(['docker', 'network', 'disconnect', 'kind', await this.#own(node)]);
  }

  crash = (component: Component, node: string) => this.#signal(component, node, 'KILL');
  freeze = (component: Component, node: string) => this.#signal(component, node, 'STOP');
  thaw = (component: Component, node: string) => this.#signal(component, node, 'CONT');

  async #signal(component: Component, node: string, signal: string): Promise<void> {
    await this.inNode(node, ['pkill', `-${signal}`, '-f', `^(\\S*/)?${component}( |$)`]);
  }

  async inNode(node: string, argv: readonly string[]): Promise<string> {
    return run(['docker', 'exec', await this.#own(node), ...argv]);
  }

  async down(report: Report): Promise<void> {
    await run(['kind', 'delete', 'cluster', '--name', this.#kindName, '--kubeconfig', this.#record.kubeconfig]);
    removeRecord(this.#folders, this.#record.name);
    report.step(`cluster ${this.#record.name} is gone`);
  }

  status(): Promise<string> {
    return this.kubectl.run(['get', 'nodes', '-o', 'wide', '--request-timeout=5s']);
  }
}

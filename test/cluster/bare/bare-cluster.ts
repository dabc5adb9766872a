// The bare cluster: Kubernetes from Go modules, its nodes in namespaces of this machine, without Docker and without a registry.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { ensurePrograms } from '../harness/build.ts';
import type { Cluster, Component } from '../harness/cluster.ts';
import { onPath, run } from '../harness/command.ts';
import { assertUsableByNodes, type Folders } from '../harness/folders.ts';
import { withLock } from '../harness/identity.ts';
import { Kubectl, waitFor } from '../harness/kubectl.ts';
import { ensurePackages, FOR_IMAGES, FOR_NODES } from '../harness/packages.ts';
import { type ClusterRecord, clusterFolder, listRecords, removeRecord, writeRecord } from '../harness/record.ts';
import type { Report } from '../harness/report.ts';
import { type BuiltImage, ensureImage } from '../images/image.ts';
import { SYSTEM_REFERENCES, systemImages } from '../images/system.ts';
import { ensureAddOns } from './add-ons.ts';
import { ensureAuthority } from './authority.ts';
import {
  authorityFiles,
  type BareLayout,
  freeSlot,
  NODES_MAX,
  nodeAddress,
  nodeFiles,
  nodeIndex,
  nodeName,
} from './layout.ts';
import { assertNodesMayTalk, ensureBridge, hostRoutes, refreshRoutes, removeBridge, setLink } from './network.ts';
import { livingNode, type NodeParts, signalProgram, startNode, stopNode } from './node.ts';
import { NETWORK_NOT_READY, PROXY_HEALTH_PORT } from './node-config.ts';
import { importArguments } from './node-spec.ts';

const READY_TIMEOUT_MS = 120_000;

export class BareCluster implements Cluster {
  readonly canBreak = true;
  /** By modules/netpolicy, since the bridge plug-in does not. */
  readonly enforcesNetworkPolicy = true;
  readonly #folders: Folders;
  #record: ClusterRecord;
  #parts: NodeParts | undefined;

  constructor(folders: Folders, record: ClusterRecord) {
    this.#folders = folders;
    this.#record = record;
  }

  /** A cluster that is not up yet: it gets a network of its own, and is written down before anything is made. */
  static async create(folders: Folders, name: string): Promise<BareCluster> {
    assertUsableByNodes(folders);
    const lock = path.join(folders.cache, 'slots.lock');
    return withLock(
      lock,
      () => undefined,
      async () => {
        const taken = listRecords(folders).flatMap((record) => record.slot ?? []);
        const slot = freeSlot(taken, await hostRoutes());
        const folder = clusterFolder(folders, name);
        const kubeconfig = authorityFiles({ name, slot, folder }).admin;
        const record: ClusterRecord = { name, way: 'bare', kubeconfig, nodes: 0, slot };
        writeRecord(folders, record);
        return new BareCluster(folders, record);
      },
    );
  }

  get record(): ClusterRecord {
    return this.#record;
  }

  get #layout(): BareLayout {
    const { name, slot = 0 } = this.#record;
    return { name, slot, folder: clusterFolder(this.#folders, name) };
  }

  get kubectl(): Kubectl {
    // Before the first `up` of this process the programs' folders are not known, and any kubectl will do.
    const program = this.#parts?.programs.program('kubectl') ?? onPath('kubectl') ?? 'kubectl';
    return new Kubectl(program, this.#record.kubeconfig);
  }

  async up(nodes: number, report: Report): Promise<void> {
    if (!Number.isInteger(nodes) || nodes < 1 || nodes > NODES_MAX)
      throw new Error(`--nodes ${nodes}: wanted 1 to ${NODES_MAX}`);
    const parts = await this.#prepare(report);
    const layout = this.#layout;
    await withLock(
      path.join(this.#folders.cache, `${layout.name}.lock`),
      () => report.step('another up is running'),
      async () => {
        const count = Math.max(nodes, this.#record.nodes);
        // Written before the nodes are made: a crash from here on, and `down` knows how many to look for.
        this.#record = { ...this.#record, nodes: count };
        writeRecord(this.#folders, this.#record);
        await ensureAuthority(layout, parts.programs);
        report.step('certificates');
        await assertNodesMayTalk();
        await ensureBridge(layout);
        await this.#startMissing(count, parts, report);
        await this.#waitReady(parts, count, report);
      },
    );
  }

  async #startMissing(count: number, parts: NodeParts, report: Report): Promise<void> {
    const layout = this.#layout;
    const indices = Array.from({ length: count }, (_, offset) => offset + 1);
    const running = indices.filter((index) => livingNode(layout, index) !== undefined);
    const missing = indices.filter((index) => !running.includes(index));
    for (const index of missing) await stopNode(layout, index);
    await Promise.all(missing.map((index) => startNode(layout, index, count, parts)));
    for (const index of running) {
      const node = livingNode(layout, index);
      await setLink(layout, index, true);
      if (node !== undefined) await refreshRoutes(layout, index, node.pid, count);
    }
    report.step(`nodes: ${running.length} ran, ${missing.length} started`);
  }

  async #waitReady(parts: NodeParts, count: number, report: Report): Promise<void> {
    const { kubectl } = this;
    await waitFor(
      'the API server',
      READY_TIMEOUT_MS,
      async () => (await kubectl.run(['get', '--raw', '/readyz'])) === 'ok' || undefined,
    );
    report.step('API ready');
    await ensureAddOns(this.#layout, parts.programs, kubectl);
    report.step('add-ons applied');
    for (let index = 1; index <= count; index += 1) {
      const condition = '.status.conditions[?(@.type=="Ready")].status';
      await kubectl.waitForValue(`node ${nodeName(index)}`, condition, (value) => value === 'True', READY_TIMEOUT_MS);
    }
    report.step('nodes Ready');
    await this.#openForPods(count);
    await kubectl.waitForValue(
      'serviceaccount default -n default',
      '.metadata.name',
      (name) => name !== '',
      READY_TIMEOUT_MS,
    );
    report.step('pods can be made');
    const timeout = `--timeout=${READY_TIMEOUT_MS / 1000}s`;
    await kubectl.run(['-n', 'kube-system', 'rollout', 'status', 'deployment/coredns', timeout]);
    await kubectl.run(['-n', 'local-path-storage', 'rollout', 'status', 'deployment/local-path-provisioner', timeout]);
    report.step('DNS and volumes ready');
  }

  /** Waits for the first rules of every kube-proxy and lets pods onto the nodes. */
  async #openForPods(count: number): Promise<void> {
    for (let index = 1; index <= count; index += 1) {
      const url = `http://${nodeAddress(this.#layout.slot, index)}:${PROXY_HEALTH_PORT}/healthz`;
      await waitFor(`kube-proxy of ${nodeName(index)}`, READY_TIMEOUT_MS, async () => {
        const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) });
        return answer.ok ? true : undefined;
      });
      const taints = await this.kubectl.value(`node ${nodeName(index)}`, '.spec.taints[*].key');
      // Only on a node that is new: it stays off when the node comes back later.
      if (taints.split(' ').includes(NETWORK_NOT_READY)) {
        await this.kubectl.run(['taint', 'node', nodeName(index), `${NETWORK_NOT_READY}-`]);
      }
    }
  }

  /** Packages, programs and system images; quick when all are there. */
  async #prepare(report: Report): Promise<NodeParts> {
    if (this.#parts !== undefined) return this.#parts;
    await ensurePackages([...FOR_NODES, ...FOR_IMAGES], report);
    const programs = await ensurePrograms(this.#folders, report);
    const images: BuiltImage[] = [];
    for (const recipe of systemImages(programs)) {
      images.push(await ensureImage(recipe, this.#folders, report, this.#folders.cache));
    }
    this.#parts = {
      programs,
      pauseImage: SYSTEM_REFERENCES.pause,
      systemImages: images.map(({ archive }) => archive),
    };
    report.step('programs and system images are in the cache');
    return this.#parts;
  }

  async load(images: readonly BuiltImage[]): Promise<void> {
    const { programs } = this.#opened();
    await Promise.all(
      this.#living().map(async (index) => {
        const socket = nodeFiles(this.#layout, index).containerdSocket;
        const listing = [programs.program('ctr'), '-a', socket, '-n', 'k8s.io', 'images', 'ls', '-q'];
        const held = (await run(listing)).split('\n');
        for (const image of images) {
          if (!held.includes(image.reference)) await run(importArguments(programs, socket, image.archive));
        }
      }),
    );
  }

  /** Finds the programs without starting anything, so that {@link Cluster.kubectl} works. */
  async open(report: Report): Promise<this> {
    await this.#prepare(report);
    return this;
  }

  #opened(): NodeParts {
    if (this.#parts === undefined) throw new Error('the cluster was not opened');
    return this.#parts;
  }

  #living(): number[] {
    return this.#indices().filter((index) => livingNode(this.#layout, index) !== undefined);
  }

  /** Every node that has left a folder, whether the record counts it or not. */
  #indices(): number[] {
    const { folder } = this.#layout;
    if (!existsSync(folder)) return [];
    return readdirSync(folder).flatMap((name) => nodeIndex(name) ?? []);
  }

  #index(node: string): number {
    const index = nodeIndex(node);
    if (index === undefined || !this.#indices().includes(index))
      throw new Error(`no node ${node} in ${this.#record.name}`);
    return index;
  }

  async stopNode(node: string): Promise<void> {
    await stopNode(this.#layout, this.#index(node));
  }

  async startNode(node: string): Promise<void> {
    const index = this.#index(node);
    if (livingNode(this.#layout, index) === undefined) {
      await stopNode(this.#layout, index);
      await startNode(this.#layout, index, this.#record.nodes, this.#opened());
    } else {
      await setLink(this.#layout, index, true);
    }
  }

  async cutNode(node: string): Promise<void> {
    await setLink(this.#layout, this.#index(node), false);
  }

  crash = (component: Component, node: string) => this.#signal(component, node, 'SIGKILL');
  freeze = (component: Component, node: string) => this.#signal(component, node, 'SIGSTOP');
  thaw = (component: Component, node: string) => this.#signal(component, node, 'SIGCONT');

  async #signal(component: Component, node: string, signal: NodeJS.Signals): Promise<void> {
    // etcd's module is called server, and so is the program that Go makes of it.
    const program = component === 'etcd' ? 'server' : component;
    signalProgram(this.#layout, this.#index(node), this.#opened().programs.program(program), signal);
  }

  async inNode(node: string, argv: readonly string[]): Promise<string> {
    const living = livingNode(this.#layout, this.#index(node));
    if (living === undefined) throw new Error(`node ${node} is not running`);
    // With its process ids too, since programs look for their own mounts in /proc/self.
    return run(['nsenter', '--target', String(living.pid), '--mount', '--pid', '--', ...argv]);
  }

  async down(report: Report): Promise<void> {
    const layout = this.#layout;
    await Promise.all(this.#indices().map((index) => stopNode(layout, index)));
    await removeBridge(layout.name);
    rmSync(path.join(this.#folders.cache, `${layout.name}.lock`), { recursive: true, force: true });
    // Last: a crash before this line and the next `down` starts over.
    removeRecord(this.#folders, layout.name);
    report.step(`cluster ${layout.name} is gone`);
  }

  async status(): Promise<string> {
    const layout = this.#layout;
    const nodes = this.#indices().toSorted((a, b) => a - b);
    const lines = nodes.map((index) => {
      const node = livingNode(layout, index);
      return `${nodeName(index)}: ${node === undefined ? 'stopped' : `runs, process ${node.pid}`}; logs in ${nodeFiles(layout, index).log}`;
    });
    const seen = await this.kubectl.try(['get', 'nodes', '-o', 'wide', '--request-timeout=5s']);
    return `${lines.join('\n')}\n${seen.code === 0 ? seen.stdout : `the API does not answer: ${seen.stderr}`}`;
  }
}

// What tests see of a cluster, the same for all three ways: a kubeconfig, images, and nodes that fail.
import type { BuiltImage } from '../images/image.ts';
import type { Kubectl } from './kubectl.ts';
import type { ClusterRecord } from './record.ts';
import type { Report } from './report.ts';

/** The parts that a test may kill; all of them start again by themselves. */
export const COMPONENTS = [
  'kube-apiserver',
  'etcd',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'containerd',
] as const;

export type Component = (typeof COMPONENTS)[number];

/** Thrown when a way to a cluster cannot do what was asked, e.g. stop a node of somebody else's cluster. */
export class NotOnThisCluster extends Error {
  override readonly name = 'NotOnThisCluster';
}

export interface Cluster {
  readonly record: ClusterRecord;
  readonly kubectl: Kubectl;
  /** Whether nodes can be stopped and cut and components killed. */
  readonly canBreak: boolean;
  /** Whether NetworkPolicies are enforced; `undefined` when nobody knows. */
  readonly enforcesNetworkPolicy: boolean | undefined;
  /** Makes images known to every node; those that a node holds already cost nothing. */
  load(images: readonly BuiltImage[]): Promise<void>;
  /** Power failure of a node: everything on it is gone at once, its disk stays. */
  stopNode(node: string): Promise<void>;
  /** Brings a stopped node back, or mends the link of a cut one. */
  startNode(node: string): Promise<void>;
  /** Cuts a node from the network; its pods run on. */
  cutNode(node: string): Promise<void>;
  /** Kills a component on a node with SIGKILL. */
  crash(component: Component, node: string): Promise<void>;
  /** Stops a component on a node from doing anything, without ending it: nobody starts it anew. */
  freeze(component: Component, node: string): Promise<void>;
  /** Lets a frozen component go on. */
  thaw(component: Component, node: string): Promise<void>;
  /** Runs a command as root among the files and mounts of a node; returns its standard output. */
  inNode(node: string, argv: readonly string[]): Promise<string>;
  /** Brings the cluster to `nodes` nodes and waits until pods can be made; does nothing where that is so. */
  up(nodes: number, report: Report): Promise<void>;
  /** Removes everything that {@link Cluster.up} and {@link Cluster.load} made. */
  down(report: Report): Promise<void>;
  /** One line per node and component, for people. */
  status(): Promise<string>;
}

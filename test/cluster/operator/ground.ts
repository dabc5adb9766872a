// A namespace with an operator of its own and what tests do there again and again; disposing takes clusters away before their operator.
import type { Cluster } from '../harness/cluster.ts';
import { type Kubectl, waitFor } from '../harness/kubectl.ts';
import { testNamespace } from '../harness/namespaces.ts';
import type { References } from '../images/provide.ts';
import { clientPod, type DeployOptions, deployOperator, RESTRICTED, type SeenCluster } from './deploy.ts';

export const OPERATOR_PODS = 'app.kubernetes.io/name=atomshard-operator';

export interface OperatorGround extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly images: References;
  readonly namespace: string;
  /** In that namespace. */
  readonly kubectl: Kubectl;
}

export interface GroundOptions extends Omit<DeployOptions, 'image'> {
  /** Done before the operator is made, which is told its namespace: it is not ready before it may look where it shall. */
  readonly prepare?: (namespace: string) => Promise<unknown>;
}

/** Operator and client pod in a new namespace `PURPOSE-xxxx`. */
export async function groundOn(
  cluster: Cluster,
  images: References,
  purpose: string,
  { prepare, ...options }: GroundOptions = {},
): Promise<OperatorGround> {
  const space = await testNamespace(cluster.kubectl, purpose, RESTRICTED);
  const { kubectl, name: namespace } = space;
  const close = async () => {
    await removeClusters(kubectl);
    await space[Symbol.asyncDispose]();
  };
  try {
    await prepare?.(namespace);
    await Promise.all([
      deployOperator(kubectl, namespace, { ...options, image: images.atomshard }),
      clientPod(kubectl, images['pg-client']),
    ]);
  } catch (error) {
    await close();
    throw error;
  }
  return { cluster, images, namespace, kubectl, [Symbol.asyncDispose]: close };
}

/** Without waiting for drains: an operator that dies with its namespace would leave finalizers behind. */
async function removeClusters(kubectl: Kubectl): Promise<void> {
  await kubectl.try(['annotate', 'shcl', '--all', '--overwrite', 'atomshard.dev/force-delete=true']);
  const deleted = await kubectl.try(['delete', 'shcl', '--all', '--timeout=60s']);
  if (deleted.code === 0) return;
  const names = (await kubectl.run(['get', 'shcl', '-o', 'name'])).split('\n').filter(Boolean);
  for (const name of names)
    await kubectl.try(['patch', name, '--type=merge', '-p', '{"metadata":{"finalizers":null}}']);
}

/** A merge patch of the spec. */
export const editSpec = (kubectl: Kubectl, name: string, spec: object): Promise<string> =>
  kubectl.run(['patch', 'shcl', name, '--type=merge', '-p', JSON.stringify({ spec })]);

export type SeenCondition = NonNullable<NonNullable<SeenCluster['status']>['conditions']>[number];

/** Waits until a condition of the ShardedCluster satisfies `accept`; what it last said stands in the error. */
export async function waitForCondition(
  kubectl: Kubectl,
  name: string,
  type: string,
  accept: (condition: SeenCondition) => boolean,
  timeoutMs = 30_000,
): Promise<SeenCondition> {
  let last: SeenCondition | undefined;
  try {
    return await waitFor(`${type} of ${name}`, timeoutMs, async () => {
      const text = await kubectl.run(['get', 'shcl', name, '-o', 'json']);
      last = (JSON.parse(text) as SeenCluster).status?.conditions?.find((one) => one.type === type);
      return last !== undefined && accept(last) ? last : undefined;
    });
  } catch (error) {
    throw new Error(`${name} last said ${JSON.stringify(last)}`, { cause: error });
  }
}

/** Issue 5: what is wrong shows its reason in a condition and an event within 30 s. */
export const TOLD_WITHIN_MS = 30_000;

/**
 * Waits until Degraded gives this reason, and a Warning event of the ShardedCluster too, in words that satisfy `says`: both
 * within {@link TOLD_WITHIN_MS} of this call. Resolves with the condition's words.
 */
export async function untilTold(kubectl: Kubectl, name: string, reason: string, says = /./): Promise<string> {
  const until = performance.now() + TOLD_WITHIN_MS;
  const { message } = await waitForCondition(
    kubectl,
    name,
    'Degraded',
    (one) => one.status === 'True' && one.reason === reason && says.test(one.message),
    TOLD_WITHIN_MS,
  );
  await waitFor(`an event ${reason}`, until - performance.now(), async () => {
    const events = await eventsOf(kubectl, name);
    return events.some((event) => event.type === 'Warning' && event.reason === reason && says.test(event.note))
      ? true
      : undefined;
  });
  return message;
}

export interface SeenEvent {
  readonly reason: string;
  readonly type: string;
  readonly note: string;
}

/** Events about the ShardedCluster of that name. */
export async function eventsOf(kubectl: Kubectl, name: string): Promise<SeenEvent[]> {
  const text = await kubectl.run(['get', 'events.v1.events.k8s.io', '-o', 'json']);
  const { items } = JSON.parse(text) as {
    items: readonly (SeenEvent & { readonly regarding: { readonly kind: string; readonly name: string } })[];
  };
  return items.filter(({ regarding }) => regarding.kind === 'ShardedCluster' && regarding.name === name);
}

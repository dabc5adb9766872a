// The status of a cluster as a function of what was seen and decided, and the question whether anybody must hear of it. Pure but
// for the pace. The rule: the same facts give the same status, byte for byte, so that an idle cluster is never written.
import { timeText } from '../../kernel/quantity.ts';
import type { ShardedClusterStatus, StatusCondition } from '../api/sharded-cluster.generated.ts';
import { selectorOf, selectorText } from '../desired/labels.ts';
import { type Judgement, judge, listed, problemText } from './conditions.ts';
import { isInForce } from './settled.ts';
import type { StatusInput } from './status-input.ts';
import { heldRows, lastRecoveryOf, proxyRows, retiredRows, shardRow } from './status-rows.ts';
import { isPodReady, isProxyReady } from './wellness.ts';

type Phase = NonNullable<ShardedClusterStatus['phase']>;

/** The status that tells all of this. Times of conditions go on from `before` where their status is the same. */
export function statusOf(input: StatusInput): ShardedClusterStatus {
  const { observation, recovery, before } = input;
  const { cluster, clusterId, shards, proxies, proxySet, nowMs } = observation;
  const { name, generation } = cluster.metadata;
  // An operator that has just started has seen nothing yet: what its predecessor saw is the better word.
  if (before !== undefined && isWarmingUp(input)) return before;
  const judgements = judge(input);
  const kept = shards.filter(({ kind }) => kind !== 'retired');
  const rows = kept.map((shard) => shardRow(input, shard));
  const wanted = cluster.spec.proxy.replicas;
  const ready = proxies.filter((proxy) => proxy.ordinal < wanted && isProxyReady(proxy)).length;
  const retired = retiredRows(input);
  const lastRecovery = lastRecoveryOf(input);
  const held = heldRows(input);
  return {
    observedGeneration: generation,
    phase: phaseOf(input, judgements),
    message: messageOf(input, judgements),
    selector: selectorText(selectorOf(name, 'proxy')),
    ...(clusterId === undefined ? {} : { clusterId }),
    ...placementRow(input),
    shardsReady: `${rows.filter((row) => row.ready).length}/${kept.length}`,
    proxiesReady: `${ready}/${wanted}`,
    proxyReplicas: proxySet?.status?.replicas ?? 0,
    inDoubtTransactions: recovery.inDoubt.count,
    conditions: judgements.map((judgement) => withTimes(judgement, before, generation, nowMs)),
    shards: rows,
    proxies: proxyRows(input),
    ...(lastRecovery === undefined ? {} : { lastRecovery }),
    ...(held.length === 0 ? {} : { heldTransactions: held }),
    ...(retired.length === 0 ? {} : { retiredShards: retired }),
  };
}

/** What was known stays known while the operator cannot tell, e.g. in a deletion. */
function placementRow({ plan, before }: StatusInput): Pick<ShardedClusterStatus, 'placement'> {
  const known =
    plan.input === undefined || plan.input.placement.length === 0 ? before?.placement : plan.input.placement;
  return known === undefined ? {} : { placement: known };
}

/**
 * Was Ready for this very generation, Kubernetes sees nothing wrong, and somebody has not been asked since this process began.
 * A pod that is not ready is no such case: it is another one than was asked before.
 */
function isWarmingUp({ observation, plan, problems, before }: StatusInput): boolean {
  const { cluster, shards, proxies } = observation;
  if (before?.phase !== 'Ready' || before.observedGeneration !== cluster.metadata.generation) return false;
  if (plan.goal !== 'run' || plan.refused !== undefined || problems.length > 0) return false;
  const kept = shards.filter(({ kind }) => kind !== 'retired');
  const wanted = proxies.filter(({ ordinal }) => ordinal < cluster.spec.proxy.replicas);
  const pods = [...kept.filter(({ kind }) => kind !== 'external'), ...wanted];
  if (!pods.every(({ pod }) => isPodReady(pod))) return false;
  return (
    kept.some(({ look, setup }) => look.kind === 'never' || (look.kind === 'seen' && setup.kind === 'due')) ||
    wanted.some(({ look }) => look.kind === 'never')
  );
}

function withTimes(
  { type, status, reason, message }: Judgement,
  before: ShardedClusterStatus | undefined,
  observedGeneration: number,
  nowMs: number,
): StatusCondition {
  const known = before?.conditions?.find((condition) => condition.type === type);
  const lastTransitionTime = known?.status === status ? known.lastTransitionTime : timeText(nowMs);
  return { type, status, reason, message, lastTransitionTime, observedGeneration };
}

const statusIs = (judgements: readonly Judgement[], type: Judgement['type'], status: string) =>
  judgements.some((judgement) => judgement.type === type && judgement.status === status);

function phaseOf({ plan, observation, before }: StatusInput, judgements: readonly Judgement[]): Phase {
  switch (plan.goal) {
    case 'delete':
      return 'Deleting';
    case 'paused':
      return 'Paused';
    case 'stop':
      return plan.settled ? 'Stopped' : 'ShuttingDown';
    case 'run':
      break;
  }
  if (statusIs(judgements, 'Degraded', 'True')) return 'Degraded';
  if (statusIs(judgements, 'Ready', 'True')) return 'Ready';
  if (observation.clusterId === undefined) return 'Pending';
  if (wasNeverReady(before)) return 'Creating';
  // Everything is as the spec says, and yet somebody does not serve: nothing that the operator did.
  return plan.disruptive === undefined && plan.waiting.length === 0 && isInForce(observation, plan)
    ? 'Degraded'
    : 'Updating';
}

function wasNeverReady(before: ShardedClusterStatus | undefined): boolean {
  return before?.phase === undefined || before.phase === 'Pending' || before.phase === 'Creating';
}

/** The most important thing: what stops a deletion, what is broken, what needs a person, what is awaited. */
function messageOf({ plan, problems, recovery }: StatusInput, judgements: readonly Judgement[]): string {
  if (plan.deletionBlocked !== undefined) return plan.deletionBlocked.message;
  if (plan.refused !== undefined) return plan.refused.message;
  if (problems.length > 0) return listed(problems.map(problemText));
  if (recovery.held.length > 0) return said(judgements, 'InDoubtTransactions');
  if (statusIs(judgements, 'WalLost', 'True')) return said(judgements, 'WalLost');
  if (plan.goal === 'run' && statusIs(judgements, 'Ready', 'False')) {
    const [first] = plan.waiting;
    return first?.message ?? said(judgements, 'Ready');
  }
  return said(judgements, plan.goal === 'delete' ? 'Progressing' : 'Ready');
}

function said(judgements: readonly Judgement[], type: Judgement['type']): string {
  return judgements.find((judgement) => judgement.type === type)?.message ?? '';
}

// The conditions of a cluster: each says whether it holds, why in one word, and why in a sentence. Pure.
// The rule: what is True was seen; what could not be seen is False or Unknown with the reason.
import { unreachable } from '../../kernel/assert.ts';
import type { StatusCondition } from '../api/sharded-cluster.generated.ts';
import type { Problem } from '../diagnosis/problem.ts';
import type { Observation } from './observation.ts';
import { isInForce } from './settled.ts';
import type { StatusInput } from './status-input.ts';
import { isProxyReady, isShardReady } from './wellness.ts';

export type ConditionType =
  | 'Ready'
  | 'Progressing'
  | 'Degraded'
  | 'ShardsReady'
  | 'ProxyReady'
  | 'PendingRestart'
  | 'TwoPhaseHealthy'
  | 'InDoubtTransactions'
  | 'WalLost'
  | 'ReconciliationPaused'
  | 'DeletionBlocked';

/** A condition but for its times and generation. */
export interface Judgement {
  readonly type: ConditionType;
  readonly status: StatusCondition['status'];
  readonly reason: string;
  readonly message: string;
}

/** More would hide the first. */
const LISTED_MAX = 3;

/** `a; b; c; and 2 more`. */
export function listed(parts: readonly string[]): string {
  const shown = parts.slice(0, LISTED_MAX).join('; ');
  return parts.length > LISTED_MAX ? `${shown}; and ${parts.length - LISTED_MAX} more` : shown;
}

/** With the name in front, unless the sentence begins with it. */
function named(name: string, message: string): string {
  return message.startsWith(name) ? message : `${name}: ${message}`;
}

/** All conditions, always the same ones in the same order, so that none is missed. */
export function judge(input: StatusInput): Judgement[] {
  const shards = shardsReady(input);
  const proxies = proxyReady(input);
  return [
    ready(input, shards, proxies),
    progressing(input),
    degraded(input),
    shards,
    proxies,
    pendingRestart(input),
    ...recoveryConditions(input),
    paused(input),
    deletionBlocked(input),
  ];
}

function ready(input: StatusInput, shards: Judgement, proxies: Judgement): Judgement {
  const { plan, observation } = input;
  const no = (reason: string, message: string): Judgement => ({ type: 'Ready', status: 'False', reason, message });
  switch (plan.goal) {
    case 'delete':
      return no('Deleting', 'The cluster is being deleted');
    case 'stop':
      return no('ShutDown', plan.settled ? 'The cluster is shut down' : 'The cluster is being shut down');
    case 'paused':
    case 'run':
      break;
    default:
      return unreachable(plan.goal);
  }
  if (plan.refused !== undefined) return no(plan.refused.reason, plan.refused.message);
  if (shards.status !== 'True') return no(shards.reason, shards.message);
  if (proxies.status !== 'True') return no(proxies.reason, proxies.message);
  const { generation } = observation.cluster.metadata;
  // Paused, nobody looks whether the spec is in force; what serves, serves.
  if (plan.goal === 'paused') {
    const message = `${counts(observation)}; changes of the spec wait while it is paused`;
    return { type: 'Ready', status: 'True', reason: 'Serving', message };
  }
  if (!isInForce(observation, plan)) {
    const [first] = plan.waiting;
    return no(first?.reason ?? 'Applying', first?.message ?? `Generation ${generation} of the spec is being applied`);
  }
  return { type: 'Ready', status: 'True', reason: 'Serving', message: counts(observation) };
}

/** `3 shards and 2 proxies serve`. */
function counts({ shards, cluster }: Observation): string {
  const many = (count: number, one: string, more: string) => `${count} ${count === 1 ? one : more}`;
  const kept = shards.filter(({ kind }) => kind !== 'retired').length;
  return `${many(kept, 'shard', 'shards')} and ${many(cluster.spec.proxy.replicas, 'proxy', 'proxies')} serve`;
}

function progressing({ observation, plan }: StatusInput): Judgement {
  const type = 'Progressing';
  if (plan.goal === 'paused') {
    return { type, status: 'False', reason: 'Paused', message: 'Nothing is changed while spec.paused is true' };
  }
  if (plan.refused !== undefined) return { type, status: 'False', ...plan.refused };
  if (plan.goal === 'stop' && plan.settled) {
    return { type, status: 'False', reason: 'Stopped', message: 'Nothing runs, as spec.shutdown says' };
  }
  if (plan.goal === 'run' && isInForce(observation, plan)) {
    return { type, status: 'False', reason: 'Settled', message: 'Everything is as the spec says' };
  }
  const [first, ...more] = plan.waiting;
  if (first === undefined) {
    const message = `Generation ${observation.cluster.metadata.generation} of the spec is being applied`;
    return { type, status: 'True', reason: plan.goal === 'delete' ? 'Deleting' : 'Applying', message };
  }
  return { type, status: 'True', reason: first.reason, message: listed([first, ...more].map((each) => each.message)) };
}

function degraded({ problems, plan }: StatusInput): Judgement {
  const type = 'Degraded';
  if (plan.refused !== undefined) return { type, status: 'True', ...plan.refused };
  const [first] = problems;
  if (first === undefined) return { type, status: 'False', reason: 'NoProblems', message: 'No problem is known' };
  return { type, status: 'True', reason: first.reason, message: listed(problems.map(problemText)) };
}

/** With the object's name in front, unless the sentence has it already. */
export function problemText({ object, message }: Problem): string {
  return message.includes(object.name) ? message : `${object.kind} ${object.name}: ${message}`;
}

function shardsReady(input: StatusInput): Judgement {
  const { observation } = input;
  const type = 'ShardsReady';
  const kept = observation.shards.filter(({ kind }) => kind !== 'retired');
  const missing = kept.flatMap((shard) => {
    const why = shardFault(input, shard.name);
    return why === undefined ? [] : [named(shard.name, why.message)];
  });
  if (kept.length > 0 && missing.length === 0) {
    const message =
      kept.length === 1
        ? 'The shard answers SQL and takes writes'
        : `All ${kept.length} shards answer SQL and take writes`;
    return { type, status: 'True', reason: 'AllReady', message };
  }
  const [first] = kept.flatMap((shard) => shardFault(input, shard.name) ?? []);
  return {
    type,
    status: 'False',
    reason: first?.reason ?? 'NotMadeYet',
    message: listed(missing) || 'No shard is made yet',
  };
}

export interface Fault {
  readonly reason: string;
  readonly message: string;
}

/** Problems of a running shard that do not keep it from serving. */
const HARMLESS: readonly string[] = ['SettingOverridden', 'ParametersRefused', 'ResizeFailed', 'PodNotCreated'];

/** Why a shard does not serve; undefined when it does. */
export function shardFault({ observation, problems }: StatusInput, name: string): Fault | undefined {
  const shard = observation.shards.find((each) => each.name === name);
  if (shard === undefined) return { reason: 'NotMadeYet', message: 'it is not made yet' };
  const own = problems.filter(({ of }) => of.kind === 'shard' && of.name === name);
  const isReady = isShardReady(shard);
  const known = own.find(({ reason }) => !isReady || !HARMLESS.includes(reason));
  if (known !== undefined) return known;
  if (isReady) return undefined;
  const { kind, pod, look, setup } = shard;
  const wait = (message: string): Fault => ({ reason: 'ShardsNotReady', message });
  if (kind !== 'external' && pod === undefined) return wait('its pod is not there');
  if (pod?.metadata.deletionTimestamp !== undefined) return wait('its pod is ending');
  if (look.kind === 'never') return wait('it has not been asked yet');
  if (look.kind === 'failed') return wait(look.failure.message);
  if (setup.kind === 'failed') return { reason: 'SetupIncomplete', message: setup.failure.message };
  return wait('its database and roles are being set up');
}

function proxyReady(input: StatusInput): Judgement {
  const { observation } = input;
  const type = 'ProxyReady';
  const { replicas } = observation.cluster.spec.proxy;
  const names = Array.from({ length: replicas }, (_, ordinal) => ordinal);
  const faults = names.flatMap((ordinal) => proxyFault(input, ordinal) ?? []);
  const [first] = faults;
  if (first === undefined) {
    const all = replicas === 1 ? 'The proxy takes clients' : `All ${replicas} proxies take clients`;
    return { type, status: 'True', reason: 'AllReady', message: all };
  }
  return { type, status: 'False', reason: first.reason, message: listed(faults.map(({ message }) => message)) };
}

/** Why the proxy at `ordinal` takes no clients; undefined when it does. */
function proxyFault({ observation, problems }: StatusInput, ordinal: number): Fault | undefined {
  const proxy = observation.proxies.find((each) => each.ordinal === ordinal);
  const name = proxy?.name ?? `${observation.cluster.metadata.name}-proxy-${ordinal}`;
  if (proxy !== undefined && isProxyReady(proxy)) return undefined;
  const known = problems.find(({ of }) => of.kind === 'proxy' && of.name === name);
  if (known !== undefined) return { reason: known.reason, message: named(name, known.message) };
  const wait = (why: string): Fault => ({ reason: 'ProxiesNotReady', message: named(name, why) });
  if (proxy?.pod === undefined) return wait('its pod is not there');
  const { pod, look } = proxy;
  if (pod.metadata.deletionTimestamp !== undefined) return wait('its pod is ending');
  if (look.kind === 'never') return wait('it has not been asked yet');
  if (look.kind === 'failed') return wait(look.failure.message);
  return wait(look.facts.notReadyReason ?? `it is ${look.facts.state}`);
}

function pendingRestart({ plan, observation }: StatusInput): Judgement {
  const type = 'PendingRestart';
  const waiting = new Map(plan.pendingRestart);
  for (const { name, look } of observation.shards) {
    if (look.kind !== 'seen' || waiting.has(name) || look.facts.pendingRestart.length === 0) continue;
    waiting.set(name, `${look.facts.pendingRestart.join(', ')} changed, which only a restart takes over`);
  }
  if (waiting.size === 0) {
    return { type, status: 'False', reason: 'NothingPending', message: 'Nothing waits for a restart' };
  }
  const message = listed([...waiting].map(([name, why]) => (why.includes(name) ? why : `${name}: ${why}`)));
  return { type, status: 'True', reason: 'RestartNeeded', message };
}

/** As recovery says; before the cluster has an id nothing can be in doubt. */
function recoveryConditions({ recovery }: StatusInput): Judgement[] {
  const none: Judgement[] = [
    { type: 'TwoPhaseHealthy', status: 'Unknown', reason: 'NotObservedYet', message: 'No shard has been asked yet' },
    {
      type: 'InDoubtTransactions',
      status: 'Unknown',
      reason: 'NotObservedYet',
      message: 'No shard has been asked yet',
    },
    { type: 'WalLost', status: 'False', reason: 'NoProxyYet', message: 'No proxy has had a log yet' },
  ];
  return none.map((silent) => {
    const said = recovery.conditions.find(({ type }) => type === silent.type);
    return said === undefined ? silent : { ...silent, status: said.status, reason: said.reason, message: said.message };
  });
}

function paused({ observation }: StatusInput): Judgement {
  const type = 'ReconciliationPaused';
  return observation.cluster.spec.paused
    ? { type, status: 'True', reason: 'Paused', message: 'spec.paused is true: nothing is changed, all is reported' }
    : { type, status: 'False', reason: 'NotPaused', message: 'The operator keeps the cluster as its spec says' };
}

function deletionBlocked({ plan }: StatusInput): Judgement {
  const type = 'DeletionBlocked';
  if (plan.deletionBlocked !== undefined) return { type, status: 'True', ...plan.deletionBlocked };
  const message = plan.goal === 'delete' ? 'The deletion goes on' : 'The cluster is not being deleted';
  return { type, status: 'False', reason: 'NotBlocked', message };
}

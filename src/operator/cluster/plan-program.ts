// What is to be said to servers and proxies rather than to Kubernetes: roles by SQL, and configuration that is read again. Pure.
import type { DesiredInput } from '../desired/desired-input.ts';
import { clusterNames } from '../desired/names.ts';
import { shardParameters } from '../desired/postgres-parameters.ts';
import { PROXY_CONFIG_KEY, proxyConfigSha256 } from '../desired/proxy-config.ts';
import { shardConfig } from '../desired/shard-config.ts';
import type { CalmAction, Waiting } from './action.ts';
import { childOf } from './caches.ts';
import { type Rollout, rollOutProxyConfig, rollOutShardConfig } from './config-rollout.ts';
import { CONFIG_MAPS, SECRETS } from './kinds.ts';
import type { Observation, ShardObservation } from './observation.ts';
import { loginsOf, secretText } from './secret-needs.ts';

export interface ProgramPlan {
  readonly calm: readonly CalmAction[];
  readonly waiting: readonly Waiting[];
  /** Who needs a restart for its configuration, with the reason. */
  readonly restarts: ReadonlyMap<string, string>;
  /** Hex, of the proxies' configuration as it is in its Secret now; undefined when it is not there. */
  readonly configSha256: string | undefined;
}

export function planProgram(observation: Observation, input: DesiredInput): ProgramPlan {
  const { shards, proxies } = observation;
  const configSha256 = liveConfigSha256(observation);
  const rollouts = new Map<string, Rollout>();
  for (const shard of shards) {
    if (shard.kind === 'made')
      rollouts.set(shard.name, rollOutShardConfig(shard, liveParameters(observation, input, shard)));
  }
  for (const proxy of proxies) rollouts.set(proxy.name, rollOutProxyConfig(proxy, configSha256));
  const setups = shards.flatMap((shard) => setUp(observation, shard));
  return {
    calm: [...setups, ...[...rollouts.values()].flatMap(({ calm }) => calm)],
    waiting: [...incomplete(shards), ...[...rollouts.values()].flatMap(({ waiting }) => waiting)],
    restarts: new Map(
      [...rollouts].flatMap(([name, { restart }]) => (restart === undefined ? [] : [[name, restart] as const])),
    ),
    configSha256,
  };
}

function liveConfigSha256({ children, cluster }: Observation): string | undefined {
  const secret = childOf(children.byKey, SECRETS, clusterNames(cluster.metadata.name).proxyConfig);
  const text = secretText(secret, PROXY_CONFIG_KEY);
  return text === undefined ? undefined : proxyConfigSha256(text);
}

/** Undefined while the ConfigMap is not yet as wanted: the next round is woken by it. */
function liveParameters(
  { children }: Observation,
  input: DesiredInput,
  { index }: ShardObservation,
): Readonly<Record<string, string>> | undefined {
  const { object } = shardConfig(input, index);
  const live = childOf(children.byKey, CONFIG_MAPS, object.metadata.name);
  const file = 'postgresql.conf';
  const wanted = (object as { data?: Readonly<Record<string, string>> }).data?.[file];
  return wanted !== undefined && live?.data?.[file] === wanted ? shardParameters(input, index) : undefined;
}

function setUp({ cluster, secrets, nowMs }: Observation, { kind, name, look, setup }: ShardObservation): CalmAction[] {
  if (kind === 'retired' || !takesSetup(look)) return [];
  const again = setup.kind !== 'due' && setup.againAtMs !== undefined && setup.againAtMs <= nowMs;
  // Its database was there and is gone: another volume, or somebody dropped it.
  const emptied = look.kind === 'failed' && setup.kind === 'done';
  const due = setup.kind === 'due' || again || emptied;
  const { users, resolver, metrics } = loginsOf(cluster, secrets);
  const known = users !== undefined && resolver !== undefined && metrics !== undefined;
  return due && known ? [{ kind: 'setUpShard', shard: name }] : [];
}

/** While something could not be made, the cluster is looked at again. */
function incomplete(shards: readonly ShardObservation[]): Waiting[] {
  return shards.flatMap(({ kind, setup }) =>
    kind !== 'retired' && setup.kind === 'done'
      ? setup.problems.map(({ message }) => ({ reason: 'SetupIncomplete', message }))
      : [],
  );
}

/** Before the first setup its database is not there, which is how the first look fails. */
function takesSetup(look: ShardObservation['look']): boolean {
  if (look.kind === 'seen') return look.facts.primary;
  return look.kind === 'failed' && look.failure.kind === 'missing-database';
}

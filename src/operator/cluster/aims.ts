// Whom to ask in SQL in the coming rounds, and what a shard's answer is compared with. Pure.
import type { DesiredInput } from '../desired/desired-input.ts';
import { shardParameters } from '../desired/postgres-parameters.ts';
import type { Observation } from './observation.ts';
import type { Aims, ShardAim } from './prober.ts';
import { proxyTarget, shardTarget } from './targets.ts';

export function aimsOf(observation: Observation, input: DesiredInput | undefined): Aims {
  const { shards, proxies, clusterId } = observation;
  if (clusterId === undefined) return { shards: [], proxies: [] };
  return {
    shards: shards.flatMap((shard): ShardAim[] => {
      const target = shardTarget(observation, shard);
      if (target === undefined) return [];
      const parameters = shard.kind === 'made' && input !== undefined ? shardParameters(input, shard.index) : null;
      return [{ target, question: { clusterId, parameters }, incarnation: shard.pod?.metadata.uid ?? '' }];
    }),
    proxies: proxies.flatMap((proxy) => {
      const target = proxyTarget(observation, proxy);
      return target === undefined ? [] : [{ target, incarnation: proxy.pod?.metadata.uid ?? '' }];
    }),
  };
}

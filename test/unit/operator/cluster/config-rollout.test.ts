// How a change reaches what runs: a shard's certificate at a reload and at no other time, another list of shards at a proxy's start only.
import { describe, expect, it } from 'vitest';
import { rollOutProxyConfig, rollOutShardConfig } from '../../../../src/operator/cluster/config-rollout.ts';
import { ANNOTATIONS } from '../../../../src/operator/desired/labels.ts';
import { CONFIGURATION_SETTING } from '../../../../src/operator/desired/postgres-parameters.ts';
import type { ShardFacts } from '../../../../src/operator/sql/facts.ts';
import { checkProxyConfig } from '../../../../src/proxy/config.ts';
import { planReload } from '../../../../src/proxy/reload-plan.ts';
import { PROXY_FACTS, proxySeen, SHARD_FACTS, seen, shardSeen } from './seen-cluster.ts';

const PARAMETERS = { [CONFIGURATION_SETTING]: 'abcd' };

function shardWith(facts: Partial<ShardFacts>) {
  const { pod, ...shard } = shardSeen(0, { look: seen({ ...SHARD_FACTS, ...facts }) });
  if (pod === undefined) throw new Error('a shard has a pod');
  const annotations = { [ANNOTATIONS.reloadHash]: 'abcd' };
  return { ...shard, pod: { ...pod, metadata: { ...pod.metadata, annotations } } };
}

describe('a shard whose certificate was exchanged', () => {
  it('is reloaded, not restarted, and says what it waits for', () => {
    expect(rollOutShardConfig(shardWith({ certificateBehind: true }), PARAMETERS)).toEqual({
      calm: [{ kind: 'reloadShard', shard: 'shard-0', configuration: 'certificate' }],
      waiting: [{ reason: 'ShardReloading', message: 'shard-0 has not read its new certificate yet' }],
      restart: undefined,
    });
  });

  it('is left alone once it has read it', () => {
    for (const facts of [{ certificateBehind: false }, {}]) {
      expect(rollOutShardConfig(shardWith(facts), PARAMETERS)).toEqual({ calm: [], waiting: [], restart: undefined });
    }
  });
});

describe('a proxy whose list of shards gets shorter', () => {
  it('is restarted, as it refuses that while it runs: in these words', () => {
    const config = (names: readonly string[]) =>
      checkProxyConfig(
        {
          cluster: 'test1',
          wal: { directory: '/wal' },
          authentication: { method: 'trust' },
          shards: names.map((name) => ({ name, host: name })),
          resolver: { user: 'postgres' },
        },
        'test',
      );
    const before = config(['shard-0', 'shard-1']);
    const plan = planReload(before, before, config(['shard-0']));
    const configError = plan.kind === 'refused' ? plan.problems.join('; ') : '';
    const proxy = proxySeen(0, { look: seen({ ...PROXY_FACTS, configError }) });
    expect(rollOutProxyConfig(proxy, 'another')).toEqual({
      calm: [],
      waiting: [],
      restart: 'bank-proxy-0 takes another list of shards at its start only',
    });
  });
});

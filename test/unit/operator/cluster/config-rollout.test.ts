// What a shard is told when its certificate was exchanged: PostgreSQL reads it at a reload and at no other time.
import { describe, expect, it } from 'vitest';
import { rollOutShardConfig } from '../../../../src/operator/cluster/config-rollout.ts';
import { ANNOTATIONS } from '../../../../src/operator/desired/labels.ts';
import { CONFIGURATION_SETTING } from '../../../../src/operator/desired/postgres-parameters.ts';
import type { ShardFacts } from '../../../../src/operator/sql/facts.ts';
import { SHARD_FACTS, seen, shardSeen } from './seen-cluster.ts';

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
      calm: [{ kind: 'reloadShard', shard: 'shard-0' }],
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

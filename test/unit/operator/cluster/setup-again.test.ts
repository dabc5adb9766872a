// When a shard is set up by SQL, and when it is again: roles and database are looked at once, and then only for a reason.
import { describe, expect, it } from 'vitest';
import type { SecretObservation, ShardObservation } from '../../../../src/operator/cluster/observation.ts';
import { planProgram } from '../../../../src/operator/cluster/plan-program.ts';
import { secretNeeds } from '../../../../src/operator/cluster/secret-needs.ts';
import { desiredInput } from '../../../support/sharded-cluster.ts';
import { failed, NOW_MS, SHARD_FACTS, seen, seenCluster, shardSeen } from './seen-cluster.ts';

const PROBLEM = { kind: 'not-allowed', subject: 'app', message: 'shard-0: as superuser run GRANT …' } as const;

/** What is planned for a shard that was seen like this. */
function planned(shard: Partial<ShardObservation>) {
  const { observation } = seenCluster({ observation: { shards: [shardSeen(0, shard)], proxies: [] } });
  const secrets = new Map(
    secretNeeds(observation.cluster).map(({ name, path, keys, origin }): [string, SecretObservation] => {
      const data = Object.fromEntries(keys.map((key) => [key, 'eA==']));
      return [
        name,
        { origin, finding: { name, path, requiredKeys: keys, keys }, secret: { metadata: { name }, data } },
      ];
    }),
  );
  const { calm, waiting } = planProgram({ ...observation, secrets }, desiredInput(observation.cluster));
  return { setsUp: calm.some(({ kind }) => kind === 'setUpShard'), waiting: waiting.map(({ reason }) => reason) };
}

const done = { kind: 'done', problems: [] } as const;
const gone = failed('missing-database', 'shard-0: database "app" does not exist', 0);

describe('a shard is set up', () => {
  it.each([
    ['when it answers for the first time', { setup: { kind: 'due' }, look: seen(SHARD_FACTS) }, true],
    ['when its database is not made yet', { setup: { kind: 'due' }, look: gone }, true],
    ['not while it does not answer', { setup: { kind: 'due' }, look: failed('unreachable', 'x', 0) }, false],
    ['not while it is a standby', { setup: { kind: 'due' }, look: seen({ ...SHARD_FACTS, primary: false }) }, false],
    ['not again when all is done', { setup: done, look: seen(SHARD_FACTS) }, false],
    ['again when its database is gone: another volume', { setup: done, look: gone }, true],
    ['never when it is retired', { kind: 'retired', setup: { kind: 'due' }, look: seen(SHARD_FACTS) }, false],
  ] as const)('%s', (_, shard, setsUp) => {
    expect(planned(shard).setsUp).toBe(setsUp);
  });

  it('again now and then while something could not be made, and the cluster waits for that', () => {
    const setup = (againAtMs: number) => ({ kind: 'done', problems: [PROBLEM], againAtMs }) as const;
    expect(planned({ setup: setup(NOW_MS + 1) })).toEqual({ setsUp: false, waiting: ['SetupIncomplete'] });
    expect(planned({ setup: setup(NOW_MS) })).toEqual({ setsUp: true, waiting: ['SetupIncomplete'] });
    expect(planned({ setup: setup(NOW_MS), kind: 'retired' }).waiting).toEqual([]);
  });
});

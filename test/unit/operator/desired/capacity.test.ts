// Room on a shard for what the proxies may open there.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  maxConnections,
  maxPreparedTransactions,
  poolsPerUser,
  preparedTransactionsNeeded,
} from '../../../../src/operator/desired/capacity.ts';
import { shardedCluster } from '../../../support/sharded-cluster.ts';

const specOf = (count: number, proxy: object = {}, more: object = {}) =>
  shardedCluster({ shards: { count, storage: { size: '1Gi' } }, proxy, ...more }).spec;

describe('capacity of a shard', () => {
  it('counts a pool, and as much again for each further shard, at most three times', () => {
    expect([1, 2, 3, 4, 5, 1024].map(poolsPerUser)).toEqual([2, 2, 3, 4, 4, 4]);
  });

  it('of the smallest cluster is what two proxies of twenty connections need, and stays when they become four', () => {
    const two = specOf(3);
    expect(maxPreparedTransactions(two)).toBe(4 * 20 * 3 * 1.25);
    expect(maxConnections(two)).toBe(4 * 20 * 3 + 4 * 5 + 20 + 3);
    const four = specOf(3, { replicas: 4 });
    expect(maxPreparedTransactions(four)).toBe(maxPreparedTransactions(two));
    expect(maxPreparedTransactions(specOf(3, { replicas: 5 }))).toBeGreaterThan(maxPreparedTransactions(four));
  });

  it('has the places that the spec names, though fewer than would be computed', () => {
    const spec = specOf(3, {}, { twoPhaseCommit: { maxPreparedTransactions: 120 } });
    expect(maxPreparedTransactions(spec)).toBe(120);
    expect(preparedTransactionsNeeded(spec)).toBe(120);
  });

  it('counts external shards like its own', () => {
    const external = ['a', 'b', 'c'].map((name) => ({ name, host: name, credentialsSecretRef: { name } }));
    const { spec } = shardedCluster({ shards: { external } });
    expect(preparedTransactionsNeeded(spec)).toBe(2 * 20 * 3);
  });

  it('is always enough for what the CRD demands, and within what PostgreSQL takes', () => {
    const number = (max: number) => fc.integer({ min: 1, max });
    fc.assert(
      fc.property(number(1024), number(64), number(10_000), fc.nat(50), (count, replicas, size, users) => {
        const names = Array.from({ length: users }, (_, index) => ({ name: `user${index}` }));
        const spec = specOf(count, { replicas, pool: { size } }, { credentials: { users: names } });
        expect(maxPreparedTransactions(spec)).toBeGreaterThanOrEqual(
          Math.min(preparedTransactionsNeeded(spec), 262_143),
        );
        expect(maxPreparedTransactions(spec)).toBeLessThanOrEqual(262_143);
        expect(maxConnections(spec)).toBeLessThan(262_143);
      }),
    );
  });
});

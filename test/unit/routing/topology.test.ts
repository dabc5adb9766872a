// Topologies: what is accepted, and that every fault is named with its path.
import { describe, expect, it } from 'vitest';
import { buildTopology, type ShardingConfig, TopologyError } from '../../../src/routing/topology.ts';

function faultOf(config: ShardingConfig, shards: readonly string[] = ['a', 'b']): string {
  try {
    buildTopology(config, shards);
  } catch (error) {
    if (error instanceof TopologyError) return error.path;
    throw error;
  }
  return 'none';
}

describe('a topology', () => {
  it('spreads buckets in runs whose sizes differ by at most one', () => {
    for (const [buckets, shards] of [
      [4096, 3],
      [16, 16],
      [7, 2],
      [65_536, 1000],
    ] as const) {
      const names = Array.from({ length: shards }, (_, index) => `s-${index}`);
      const { bucketOwner } = buildTopology({ buckets }, names);
      const sizes = new Map<number, number>();
      for (const owner of bucketOwner) sizes.set(owner, (sizes.get(owner) ?? 0) + 1);
      expect(sizes.size).toBe(shards);
      expect(Math.max(...sizes.values()) - Math.min(...sizes.values())).toBeLessThanOrEqual(1);
      expect([...bucketOwner]).toEqual([...bucketOwner].toSorted((a, b) => a - b));
    }
  });

  it('with as many buckets as shards gives bucket i to shard i, as PgDog does', () => {
    expect([...buildTopology({ buckets: 3 }, ['a', 'b', 'c']).bucketOwner]).toEqual([0, 1, 2]);
  });

  it('rejects unlisted tables unless told otherwise', () => {
    expect(buildTopology({}, ['a']).unlisted).toBe('reject');
  });

  it.each([
    [{ buckets: 1 }, 'sharding.buckets'],
    [{ buckets: 2.5 }, 'sharding.buckets'],
    [{ buckets: 100_000 }, 'sharding.buckets'],
    [{ unlisted: 'maybe' }, 'sharding.unlisted'],
    [{ searchPath: [] }, 'sharding.searchPath'],
    [{ tables: [{ name: 'a' }] }, 'sharding.tables[0].key'],
    [{ tables: [{ name: 'a', key: 'k' }] }, 'sharding.tables[0].type'],
    [{ tables: [{ name: 'a', key: 'k', type: 'numeric' }] }, 'sharding.tables[0].type'],
    [{ tables: [{ name: 'a', key: 'k', type: 'constructor' }] }, 'sharding.tables[0].type'],
    [{ tables: [{ name: 'a', key: 'k', type: 'bigint', method: 'range' }] }, 'sharding.tables[0].method'],
    [{ tables: [{ name: 'a', reference: true, key: 'k' }] }, 'sharding.tables[0]'],
    [
      {
        tables: [
          { name: 'a', reference: true },
          { name: 'a', reference: true },
        ],
      },
      'sharding.tables[1]',
    ],
    [{ tables: [{ name: 'a.b', reference: true }] }, 'sharding.tables[0].name'],
    [{ tables: [{ schema: 'pg_catalog', name: 'a', reference: true }] }, 'sharding.tables[0].schema'],
  ] as const)('refuses %j at %s', (config, path) => {
    expect(faultOf(config)).toBe(path);
  });

  it('refuses shards without names of their own', () => {
    expect(faultOf({}, [])).toBe('shards');
    expect(faultOf({}, ['a', 'a'])).toBe('shards[1].name');
    expect(faultOf({}, ['A'])).toBe('shards[0].name');
  });
});

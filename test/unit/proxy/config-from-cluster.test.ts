// One document, one proxy: what a ShardedCluster says arrives in the proxy's configuration, and what is misspelt is refused.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseDuration, parseSize } from '../../../src/kernel/quantity.ts';
import { ConfigError, checkProxyConfig } from '../../../src/proxy/config.ts';
import {
  checkShardedCluster,
  type ProxyPlace,
  proxyConfigFromShardedCluster,
} from '../../../src/proxy/config-from-cluster.ts';

const PLACE: ProxyPlace = {
  clusterId: 'k3x9q',
  instance: 'proxy-1',
  listen: { host: '0.0.0.0', port: 5432 },
  database: 'app',
  walDirectory: '/wal',
  shards: [{ name: 'shard-0', host: 'a', port: 1, database: 'app' }],
  authentication: { method: 'trust' },
  resolver: { user: 'postgres' },
};

const document = (spec: object) => ({
  apiVersion: 'atomshard.dev/v1alpha1',
  kind: 'ShardedCluster',
  metadata: { name: 'bank' },
  spec: { shards: { count: 1 }, ...spec },
});

const problemsOf = (work: () => unknown) => {
  try {
    work();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
};

describe('a ShardedCluster as the configuration of a proxy', () => {
  it('says everything that concerns the proxy, and leaves the rest to the defaults', () => {
    const cluster = checkShardedCluster(
      document({
        postgres: { image: 'postgres:18', parameters: { work_mem: '8MB' } },
        sharding: { buckets: 64, unlisted: 'reject', tables: [{ name: 'accounts', key: 'id', type: 'bigint' }] },
        twoPhaseCommit: { auto: false, commitWait: '2s', inDoubtPolicy: 'Hold' },
        proxy: {
          replicas: 2,
          wal: { size: '10Gi', segmentSize: '32Mi', retention: '12h' },
          pool: { size: 7, queueWait: '3s' },
        },
      }),
      'test',
    );
    const config = checkProxyConfig(proxyConfigFromShardedCluster(cluster, PLACE), 'test');
    expect(config).toMatchObject({
      listen: { host: '0.0.0.0', port: 5432 },
      cluster: 'k3x9q',
      instance: 'proxy-1',
      database: 'app',
      wal: { directory: '/wal', segmentBytes: 32 * 2 ** 20, retentionMs: 12 * 3_600_000 },
      sharding: {
        buckets: 64,
        unlisted: 'reject',
        tables: [{ schema: 'public', name: 'accounts', key: 'id', method: 'hash' }],
      },
      twoPhaseCommit: { enabled: true, auto: false, commitWaitMs: 2_000 },
      pool: { size: 7, queueWaitMs: 3_000, idleMs: 300_000 },
    });
  });

  it('is made of the sample that the README shows', () => {
    const file = path.resolve(import.meta.dirname, '../../../manifests/samples/minimal.yaml');
    const cluster = checkShardedCluster(parse(readFileSync(file, 'utf8')), file);
    expect(cluster.spec.shards.count).toBe(3);
    expect(checkProxyConfig(proxyConfigFromShardedCluster(cluster, PLACE), file).sharding.tables).toHaveLength(2);
  });

  it('refuses unknown keys where they would change what the proxy does, and names every one', () => {
    const spec = {
      sharding: { bucket: 4 },
      twoPhaseCommit: { automatic: true },
      proxy: { pool: { max: 1 } },
      shard: 3,
    };
    expect(problemsOf(() => checkShardedCluster(document(spec), 'f.yaml')).toSorted()).toEqual([
      'spec.proxy.pool.max: unknown key',
      'spec.shard: unknown key',
      'spec.sharding.bucket: unknown key',
      'spec.twoPhaseCommit.automatic: unknown key',
    ]);
  });

  it('refuses a document of another kind, sizes and durations that are none, and shards that are neither counted nor named', () => {
    expect(problemsOf(() => checkShardedCluster({ ...document({}), kind: 'Pod' }, 'f'))).toHaveLength(1);
    expect(problemsOf(() => checkShardedCluster('text', 'f'))).toHaveLength(1);
    const sizes = { proxy: { wal: { segmentSize: 'big', retention: '1 day' } } };
    expect(problemsOf(() => checkShardedCluster(document(sizes), 'f'))).toEqual([
      'spec.proxy.wal.segmentSize: must be a size such as 64Mi, not big',
      'spec.proxy.wal.retention: must be a duration such as 90s or 24h, not 1 day',
    ]);
    expect(problemsOf(() => checkShardedCluster(document({ shards: {} }), 'f'))).toHaveLength(1);
  });
});

describe('quantities', () => {
  it.each([
    ['1024', 1024],
    ['64Mi', 67_108_864],
    ['1.5Gi', 1_610_612_736],
    ['2k', 2_000],
    ['10KB', undefined],
    ['', undefined],
    ['-1', undefined],
  ])('the size %s is %s bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each([
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['500ms', 500],
    ['7d', 604_800_000],
    ['10', undefined],
    ['1w', undefined],
    ['', undefined],
  ])('the duration %s is %s milliseconds', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });
});

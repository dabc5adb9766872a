// What the operator writes is what the proxy reads: its own schema checks every sample.
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { DesiredInput } from '../../../../src/operator/desired/desired-input.ts';
import {
  proxyConfigSecret,
  proxyConfigSha256,
  proxyConfigText,
} from '../../../../src/operator/desired/proxy-config.ts';
import { checkProxyConfig, parseProxyConfig } from '../../../../src/proxy/config.ts';
import { desiredInput, sampleCluster, shardedCluster } from '../../../support/sharded-cluster.ts';

const configOf = (input: DesiredInput) => parseProxyConfig(proxyConfigText(input) ?? '', 'rendered');

describe('the configuration of the proxies', () => {
  it.each(['minimal', 'full', 'external', 'tls'])('of the sample %s is taken by the proxy', (sample) => {
    const config = configOf(desiredInput(sampleCluster(sample)));
    expect(config).toMatchObject({ cluster: 'k3x9q', listen: { host: '0.0.0.0', port: 5432 }, http: { port: 8080 } });
  });

  it('says in milliseconds and bytes what the spec says in words', () => {
    const config = configOf(desiredInput(sampleCluster('full')));
    expect(config.database).toBe('shop');
    expect(config.pool).toEqual({
      size: 20,
      queueMax: 10_000,
      queueWaitMs: 10_000,
      idleMs: 300_000,
      lifetimeMs: 3_600_000,
      connectTimeoutMs: 5_000,
    });
    expect(config.wal).toMatchObject({
      directory: '/var/lib/atomshard/wal',
      segmentBytes: 2 ** 26,
      retentionMs: 86_400_000,
    });
    expect(config.shards.map(({ name, host }) => [name, host]).at(-1)).toEqual(['shard-3', 'shop-shard-3.test.svc']);
    expect(config.sharding.tables.map(({ name }) => name)).toEqual(['customers', 'orders', 'products']);
    expect(config.authentication.users.map(({ name }) => name)).toEqual(['shop', 'reports']);
  });

  it('verifies shards by the CA of their certificates, and external ones as the spec says', () => {
    const own = configOf(desiredInput(sampleCluster('tls')));
    expect(own.shards[0]?.tls).toEqual({ mode: 'verify-full', caFile: '/etc/atomshard/shard-ca/ca.crt' });
    expect(own.tls).toMatchObject({ mode: 'require', keyFile: '/etc/atomshard/tls/tls.key' });
    const external = configOf(desiredInput(sampleCluster('external')));
    expect(external.shards.map(({ tls }) => tls)).toEqual([
      { mode: 'require' },
      { mode: 'verify-full', caFile: '/etc/atomshard/external-ca/west.crt' },
    ]);
  });

  it('leaves the log room on its volume, and the drain time before the kill', () => {
    const proxy = { wal: { size: '256Mi', segmentSize: '64Mi' }, terminationGracePeriodSeconds: 30 };
    const config = configOf(desiredInput(shardedCluster({ shards: { count: 1, storage: { size: '1Gi' } }, proxy })));
    expect(config.wal.retentionBytesMax).toBe(128 * 2 ** 20);
    expect(config.shutdown.graceMs).toBe(22_000);
  });

  it('keeps passwords whole, whatever is in them', () => {
    const password = ` # 'a' "b": {c}\n\\ü${'$'}x`;
    const input = desiredInput(sampleCluster('minimal'));
    const logins = { ...(input.logins as NonNullable<typeof input.logins>), users: [{ name: 'yes', password }] };
    expect(configOf({ ...input, logins }).authentication.users).toEqual([{ name: 'yes', password }]);
  });

  it('is one Secret with one key, whose hash is that of the file which the proxy reads', () => {
    const input = desiredInput(sampleCluster('minimal'));
    const data = proxyConfigSecret(input)?.object.data as Readonly<Record<string, string>>;
    expect(Object.keys(data)).toEqual(['proxy.yaml']);
    const bytes = Buffer.from(data['proxy.yaml'] ?? '', 'base64');
    expect(() => checkProxyConfig(parse(bytes.toString('utf8')), 'mounted')).not.toThrow();
    expect(proxyConfigSha256(proxyConfigText(input) ?? '')).toBe(createHash('sha256').update(bytes).digest('hex'));
  });

  it('is left out while a password is missing, rather than written without it', () => {
    expect(proxyConfigSecret(desiredInput(sampleCluster('minimal'), { logins: undefined }))).toBeUndefined();
  });
});

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError, checkProxyConfig, readProxyConfig } from '../../../src/proxy/config.ts';

const minimal = {
  cluster: 'k3x9q',
  wal: { directory: '/tmp/wal' },
  authentication: { method: 'trust' },
  shards: [{ name: 'shard-0', host: 'a' }],
  resolver: { user: 'postgres' },
};

const problems = (document: unknown): readonly string[] => {
  try {
    checkProxyConfig(document, 'x.yaml');
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems;
  }
};

describe('configuration', () => {
  it('fills in every default', () => {
    const config = checkProxyConfig(minimal, 'x.yaml');
    expect(config.listen).toEqual({ host: '127.0.0.1', port: 6432 });
    expect(config.twoPhaseCommit).toEqual({ enabled: true, auto: true, commitWaitMs: 5000, prepareWaitMs: 60_000 });
    expect(config.sharding.buckets).toBe(4096);
  });

  it.each([
    ['an unknown key at the top', { ...minimal, shard: [] }, 'shard: unknown key'],
    ['an unknown key inside', { ...minimal, pool: { sise: 3 } }, 'pool.sise: unknown key'],
    ['a missing section', { ...minimal, wal: undefined }, 'wal: '],
    [
      'two shards of one name',
      { ...minimal, shards: [minimal.shards[0], minimal.shards[0]] },
      'shards: name shard-0 is used twice',
    ],
    ['a cluster id that no gid can hold', { ...minimal, cluster: 'K_1' }, 'cluster: must be 4 to 12'],
    [
      'fewer buckets than shards',
      {
        ...minimal,
        sharding: { buckets: 1 },
        shards: [
          { name: 'a1', host: 'x' },
          { name: 'a2', host: 'x' },
        ],
      },
      'sharding.buckets: 1 is fewer',
    ],
    [
      'a user without a password under SCRAM',
      { ...minimal, authentication: { users: [{ name: 'app' }] } },
      'authentication.users: app has no password',
    ],
    [
      'a table that is neither sharded nor reference',
      { ...minimal, sharding: { tables: [{ name: 't' }] } },
      'sharding.tables.0: must be a sharded table',
    ],
    ['a port that is none', { ...minimal, listen: { port: 70000 } }, 'listen.port: '],
  ])('%s is refused with its path', (_name, document, expected) => {
    const found = problems(document);
    expect(
      found.some((problem) => problem.startsWith(expected)),
      found.join('\n'),
    ).toBe(true);
  });

  it('PgDog 13: two-phase commit without a log cannot be configured', () => {
    const { wal: _wal, ...withoutLog } = minimal;
    expect(problems(withoutLog).some((problem) => problem.startsWith('wal: '))).toBe(true);
    expect(problems({ ...minimal, wal: {} }).some((problem) => problem.startsWith('wal.directory: '))).toBe(true);
  });

  it('names every fault at once', () => {
    expect(problems({ ...minimal, pool: { size: 0 }, limits: { clientsMax: 'many' } })).toHaveLength(2);
  });

  it('a file that is missing or no YAML is named', () => {
    expect(() => readProxyConfig('/nowhere/x.yaml')).toThrow(/\/nowhere\/x.yaml: cannot be read/);
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'atomshard-config-')), 'bad.yaml');
    writeFileSync(file, 'listen: {port: 1\nx: [');
    expect(() => readProxyConfig(file)).toThrow(/bad.yaml: not valid YAML/);
  });
});

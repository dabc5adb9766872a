// What the plugin prints, from objects as the API server has them; and a list of prepared branches made from two sources.
import { describe, expect, it } from 'vitest';
import type { ShardedClusterStatus } from '../../../src/operator/api/sharded-cluster.generated.ts';
import { preparedFromGids, preparedFromProxy } from '../../../src/operator/sql/prepared-list.ts';
import { instanceOf } from '../../../src/plugin/fence.ts';
import { statusExitCode, statusLines } from '../../../src/plugin/status.ts';
import { age } from '../../../src/plugin/table.ts';
import { transactionLines } from '../../../src/plugin/transactions.ts';
import { shardedCluster } from '../../support/sharded-cluster.ts';

const NOW_MS = Date.parse('2026-03-01T12:00:00Z');
const at = (agoMs: number) => new Date(NOW_MS - agoMs).toISOString();

const condition = (type: string, status: 'True' | 'False', message = '') => ({
  ...{ type, status, reason: 'Why', message },
  lastTransitionTime: at(300_000),
});

const held = {
  transaction: 'k3x9q:proxy-1.1789.4',
  reason: 'lost-the-rest',
  needsDecision: true,
  participants: 'shard-0 P, shard-1 P',
};

const STATUS: ShardedClusterStatus = {
  phase: 'Ready',
  message: '2 shards and 2 proxies serve',
  clusterId: 'k3x9q',
  inDoubtTransactions: 1,
  shards: [
    {
      name: 'shard-0',
      ready: true,
      preparedTransactions: 2,
      maxPreparedTransactions: 96,
      oldestPreparedTime: at(130_000),
    },
    { name: 'shard-1', ready: false, message: 'no answer' },
  ],
  proxies: [
    { name: 'bank-proxy-0', state: 'Active', epoch: 1789, inDoubt: 0, walId: 'ab', positions: { committed: 7 } },
    { name: 'bank-proxy-1', walId: 'cd', epoch: 1790 },
  ],
  lastRecovery: { time: at(4_000), committed: 2, rolledBack: 1, held: 1 },
  conditions: [
    condition('Ready', 'True'),
    condition('TwoPhaseHealthy', 'False', 'one needs you'),
    condition('Degraded', 'False'),
  ],
};

const cluster = (status?: ShardedClusterStatus) => ({
  ...shardedCluster({ shards: { count: 2, storage: { size: '1Gi' } } }),
  ...(status === undefined ? {} : { status }),
});

describe('status', () => {
  it('shows shards, proxies, the last recovery, what is held, and only the conditions that are not well', () => {
    expect(statusLines(cluster({ ...STATUS, heldTransactions: [held] }), NOW_MS)).toEqual([
      'bank: Ready, 2 shards and 2 proxies serve',
      'transactions are called k3x9q:…, in doubt: 1',
      '',
      'SHARD     READY   PREPARED   FOREIGN   OLDEST',
      'shard-0   yes     2/96       -         2m',
      'shard-1   no      -/-        -         -        no answer',
      '',
      'PROXY          STATE    EPOCH   IN DOUBT   COMMITTED   LOG',
      'bank-proxy-0   Active   1789    0          7           ab',
      'bank-proxy-1   away     1790    -          -           cd',
      '',
      'Last recovery 4s ago: committed 2, rolled back 1, held 1.',
      '',
      'HELD                                       ROW             PARTICIPANTS',
      'k3x9q:proxy-1.1789.4   for you to decide   lost-the-rest   shard-0 P, shard-1 P',
      '',
      'TwoPhaseHealthy is False since 5m (Why): one needs you',
    ]);
  });

  it('says well with one line and exit code 0, and code 1 for anything else', () => {
    const well = { ...STATUS, conditions: [condition('Ready', 'True'), condition('TwoPhaseHealthy', 'True')] };
    expect(statusLines(cluster(well), NOW_MS).at(-1)).toBe('All conditions are well.');
    expect(statusExitCode(cluster(well))).toBe(0);
    expect(statusExitCode(cluster(STATUS))).toBe(1);
    expect(statusExitCode(cluster())).toBe(1);
    expect(statusLines(cluster(), NOW_MS)).toEqual(['bank: the operator has not seen it yet']);
  });

  it.each([
    [0, '0s'],
    [119_000, '119s'],
    [120_000, '2m'],
    [7_200_000, '2h'],
    [172_800_000, '2d'],
  ])('an age of %i ms is %s', (ms, text) => {
    expect(age(ms)).toBe(text);
  });
});

describe('transactions', () => {
  const gid = (index: number) => `as1:k3x9q:proxy-1.1789.4::${index}/2:shard-0=7@1,shard-1=8@1`;

  it('are branches brought together, the oldest first, everybody else’s only counted', () => {
    const list = preparedFromGids('k3x9q', [
      { shard: 'shard-1', gid: gid(1), ageMs: 5_000 },
      { shard: 'shard-0', gid: gid(0), ageMs: 9_000 },
      { shard: 'shard-0', gid: gid(0).replace('.4:', '.5:'), ageMs: 60_000 },
      { shard: 'shard-0', gid: gid(0).replace('k3x9q', 'other'), ageMs: 1 },
      { shard: 'shard-0', gid: 'mine', ageMs: 1 },
    ]);
    const lines = transactionLines({ ...list, unseen: ['shard-2: no answer'] }, cluster({ heldTransactions: [held] }));
    expect(lines).toEqual([
      'TRANSACTION            AGE   PREPARED ON',
      'k3x9q:proxy-1.1789.5   60s   shard-0',
      'k3x9q:proxy-1.1789.4   9s    shard-0, shard-1   for you to decide: lost-the-rest',
      '',
      '2 prepared transactions are of other programs, or of another cluster.',
      'Not asked: shard-2: no answer',
    ]);
  });

  it('of a proxy’s answer are the same, and a shard that did not answer it is named', () => {
    const columns = ['shard', 'gid', 'transaction', 'owner', 'prepared_at', 'age_seconds', 'error'];
    const rows = [
      ['shard-0', gid(0), 'k3x9q:proxy-1.1789.4', 'proxy-1', '', '2.5', null],
      ['shard-0', 'mine', null, 'foreign', '', '3', null],
      ['shard-1', null, null, null, null, null, 'no answer'],
    ];
    expect(preparedFromProxy({ columns, rows })).toEqual({
      transactions: [{ id: 'k3x9q:proxy-1.1789.4', ageMs: 2_500, shards: ['shard-0'] }],
      foreign: 1,
      unseen: ['shard-1: no answer'],
    });
  });
});

describe('a proxy', () => {
  it('is called as in ids or as its pod', () => {
    expect(instanceOf(cluster(), 'proxy-1')).toBe('proxy-1');
    expect(instanceOf(cluster(), 'bank-proxy-1')).toBe('proxy-1');
    // No proxy is called proxy-01: the operator would find nothing to do, and the plugin say that all is done.
    for (const name of ['bank', 'proxy-01', 'proxy-'])
      expect(() => instanceOf(cluster(), name)).toThrow(`"${name}" is not a proxy, such as proxy-0`);
  });
});

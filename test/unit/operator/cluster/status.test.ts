// The status of a cluster in what state whatever: phase, message, conditions and rows, and when any of it is written.
import { describe, expect, it } from 'vitest';
import { problemsOf } from '../../../../src/operator/cluster/faults.ts';
import { NO_FINDINGS } from '../../../../src/operator/cluster/no-recovery.ts';
import { statusOf } from '../../../../src/operator/cluster/status.ts';
import { StatusPace, VOLATILE_INTERVAL_MS } from '../../../../src/operator/cluster/status-pace.ts';
import {
  type Changes,
  conditionOf,
  failed,
  NOW_MS,
  PROXY_FACTS,
  proxySeen,
  SHARD_FACTS,
  seen,
  seenCluster,
  shardSeen,
} from './seen-cluster.ts';

/** The status with the problems that the observation itself shows. */
function statusWith(changes: Changes = {}) {
  const input = seenCluster(changes);
  return statusOf({ ...input, problems: problemsOf(input.observation), ...changes.input });
}

const WAITING = { reason: 'ShardReloading', message: 'shard-1 has not read its new configuration yet' };

describe('a cluster that serves', () => {
  it('is Ready, and says so in every column', () => {
    const status = statusWith();
    expect(status).toMatchObject({
      observedGeneration: 1,
      phase: 'Ready',
      message: '2 shards and 2 proxies serve',
      selector: 'atomshard.dev/cluster=bank,app.kubernetes.io/component=proxy',
      clusterId: 'k3x9q',
      shardsReady: '2/2',
      proxiesReady: '2/2',
      proxyReplicas: 2,
      inDoubtTransactions: 0,
    });
    expect(status).not.toHaveProperty('retiredShards');
  });

  it('has every condition of the API page, each with the generation', () => {
    const { conditions = [] } = statusWith({ generation: 7 });
    expect(conditions.map(({ type, status }) => `${type} ${status}`)).toEqual([
      'Ready True',
      'Progressing False',
      'Degraded False',
      'ShardsReady True',
      'ProxyReady True',
      'PendingRestart False',
      'TwoPhaseHealthy Unknown',
      'InDoubtTransactions Unknown',
      'WalLost False',
      'ReconciliationPaused False',
      'DeletionBlocked False',
    ]);
    expect(new Set(conditions.map(({ observedGeneration }) => observedGeneration))).toEqual(new Set([7]));
    for (const { reason, message } of conditions) {
      expect(reason).toMatch(/^[A-Z][A-Za-z]+$/);
      expect(message.length).toBeGreaterThan(10);
    }
  });

  it('shows each shard by SQL and each proxy by its own word', () => {
    const { shards, proxies } = statusWith();
    expect(shards?.[1]).toEqual({
      name: 'shard-1',
      ready: true,
      maxPreparedTransactions: 200,
      preparedTransactions: 0,
      foreignPreparedTransactions: 0,
      pendingRestart: false,
    });
    expect(proxies?.[1]).toEqual({
      name: 'bank-proxy-1',
      state: 'Active',
      walId: 'wal-1',
      epoch: 1789,
      positions: { oldest: 1, applied: 40, committed: 42, appended: 42 },
      inDoubt: 0,
      lastRecoveryTime: '2026-11-21T13:59:10Z',
    });
  });
});

describe('Ready', () => {
  it('CloudNativePG 11390: is not said of a generation that is only being applied', () => {
    const template = (hash: string) => ({
      replicas: 1,
      template: { metadata: { annotations: { 'atomshard.dev/restart-hash': hash } } },
    });
    const set = (hash: string) => ({ kind: 'StatefulSet', metadata: { name: 'bank-shard-0' }, spec: template(hash) });
    const type = { apiVersion: 'apps/v1', kind: 'StatefulSet', plural: 'statefulsets', namespaced: true };
    const calm = [{ kind: 'apply', type, object: set('new') }] as const;
    const children = (hash: string) => ({
      ...seenCluster().observation.children,
      byKey: new Map([['StatefulSet/bank-shard-0', set(hash)]]),
    });
    const before = statusWith({ plan: { calm }, observation: { children: children('old') }, generation: 2 });
    expect(conditionOf(before, 'Ready')).toMatchObject({ status: 'False', reason: 'Applying' });
    expect(before.phase).toBe('Creating');
    const after = statusWith({ plan: { calm }, observation: { children: children('new') }, generation: 2 });
    expect(conditionOf(after, 'Ready')).toMatchObject({ status: 'True' });
  });

  it('CloudNativePG 5150: is not said of a cluster without pods', () => {
    const status = statusWith({
      observation: {
        shards: [shardSeen(0, { pod: undefined, look: { kind: 'never' }, setup: { kind: 'due' } })],
        proxies: [],
      },
    });
    expect(conditionOf(status, 'Ready')).toMatchObject({ status: 'False' });
    expect(conditionOf(status, 'ShardsReady').message).toBe('shard-0: its pod is not there');
    expect(conditionOf(status, 'ProxyReady').message).toContain('bank-proxy-0: its pod is not there; bank-proxy-1');
    expect(status).toMatchObject({ shardsReady: '0/1', proxiesReady: '0/2' });
  });

  it('waits for whatever the plan waits for, and says what', () => {
    const status = statusWith({ plan: { settled: false, waiting: [WAITING] }, input: { before: { phase: 'Ready' } } });
    expect(status).toMatchObject({ phase: 'Updating', message: WAITING.message });
    expect(conditionOf(status, 'Ready')).toMatchObject({ status: 'False', ...WAITING });
    expect(conditionOf(status, 'Progressing')).toMatchObject({ status: 'True', ...WAITING });
  });

  it('is kept by an operator that has just started and has asked nobody yet', () => {
    const before = statusWith();
    const blind = { shards: [shardSeen(0, { look: { kind: 'never' } }), shardSeen(1)] };
    expect(statusWith({ observation: blind, input: { before } })).toBe(before);
    // Another pod than the one that was asked, or a fault that needs no question: told at once.
    const pod = { metadata: { name: 'bank-shard-0-0', uid: 'new' }, status: { conditions: [] } };
    const replaced = { shards: [shardSeen(0, { look: { kind: 'never' }, pod }), shardSeen(1)] };
    expect(conditionOf(statusWith({ observation: replaced, input: { before } }), 'Ready').status).toBe('False');
    const finding = { name: 's', path: 'spec.x', requiredKeys: ['password'], keys: null };
    const secrets = new Map([['s', { finding, origin: 'user' as const, secret: undefined }]]);
    const waiting = { shards: [shardSeen(0, { setup: { kind: 'due' } }), shardSeen(1)], secrets };
    expect(conditionOf(statusWith({ observation: waiting, input: { before } }), 'Degraded').status).toBe('True');
    const newGeneration = statusWith({ observation: blind, input: { before }, generation: 2 });
    expect(conditionOf(newGeneration, 'Ready').status).toBe('False');
  });
});

describe('a shard that does not serve', () => {
  const withShard = (more: Parameters<typeof shardSeen>[1], spec: object = {}) =>
    statusWith({
      spec,
      observation: { shards: [shardSeen(0), shardSeen(1, more)] },
      input: { before: { phase: 'Ready' } },
    });

  it('is told with its reason, in the row, in ShardsReady and in Ready', () => {
    const status = withShard({ look: failed('unreachable', 'shard-1: cannot be reached: ECONNREFUSED', 5_000) });
    expect(status.shards?.[1]).toEqual({
      name: 'shard-1',
      ready: false,
      message: 'shard-1: cannot be reached: ECONNREFUSED',
    });
    expect(conditionOf(status, 'ShardsReady')).toEqual({
      status: 'False',
      reason: 'ShardsNotReady',
      message: 'shard-1: cannot be reached: ECONNREFUSED',
    });
    expect(conditionOf(status, 'Degraded').status).toBe('False');
    expect(status).toMatchObject({ shardsReady: '1/2', phase: 'Degraded' });
  });

  it('is a problem when it lasts, and keeps the numbers that were seen last', () => {
    const look = failed('timeout', 'shard-1: no answer within 2000 ms', 40_000);
    const last = { atMs: NOW_MS - 60_000, facts: SHARD_FACTS };
    const status = withShard({ look: { ...look, last } as typeof look });
    expect(conditionOf(status, 'Degraded')).toMatchObject({ status: 'True', reason: 'ShardNotAnswering' });
    expect(status.shards?.[1]).toMatchObject({ ready: false, maxPreparedTransactions: 200 });
  });

  it.each([
    ['LoginRefused', failed('authentication', 'shard-1: password authentication failed', 0), 'Secret'],
    ['TlsRefused', failed('tls', 'shard-1: no trusted TLS connection: expired', 0), 'TLS mode'],
    ['TooManyConnections', failed('full', 'shard-1: too many clients already', 0), 'max_connections'],
    ['NotPrimary', seen({ ...SHARD_FACTS, primary: false }), 'primary'],
    ['VersionTooOld', seen({ ...SHARD_FACTS, version: 130_010 }), '14.5 or later'],
  ])('%s', (reason, look, advice) => {
    const status = withShard({ look });
    expect(conditionOf(status, 'ShardsReady')).toMatchObject({ status: 'False', reason });
    expect(conditionOf(status, 'Degraded')).toMatchObject({ status: 'True', reason });
    expect(status.phase).toBe('Degraded');
    expect(status.message).toContain(advice);
  });

  it('because its roles could not be made', () => {
    const problem = { kind: 'missing-extension', subject: 'vector', message: 'shard-1: no extension vector' } as const;
    const status = withShard({ setup: { kind: 'done', problems: [problem] } });
    expect(conditionOf(status, 'ShardsReady')).toMatchObject({ status: 'False', reason: 'SetupIncomplete' });
    expect(status.message).toContain('no extension vector');
  });

  it('external with too few prepared transactions: the statement that mends it is in ShardsReady', () => {
    const external = [{ name: 'a', host: 'h', credentialsSecretRef: { name: 's' } }];
    const shard = shardSeen(0, {
      name: 'a',
      kind: 'external',
      pod: undefined,
      look: seen({ ...SHARD_FACTS, maxPreparedTransactions: 0 }),
    });
    const status = statusWith({ spec: { shards: { external } }, observation: { shards: [shard] } });
    expect(conditionOf(status, 'ShardsReady')).toMatchObject({ status: 'False', reason: 'TooFewPreparedTransactions' });
    expect(conditionOf(status, 'ShardsReady').message).toContain('ALTER SYSTEM SET max_prepared_transactions = 80');
  });

  it('a setting that the server refuses degrades the cluster, and the shard goes on', () => {
    const fault = { name: 'work_mem', message: 'the server does not take the value "plenty"' };
    const status = withShard({ look: seen({ ...SHARD_FACTS, configurationFaults: [fault] }) });
    expect(conditionOf(status, 'ShardsReady').status).toBe('True');
    expect(conditionOf(status, 'Degraded')).toMatchObject({ status: 'True', reason: 'ParametersRefused' });
    expect(status.message).toContain('work_mem: the server does not take the value "plenty"');
  });
});

describe('a proxy that does not serve', () => {
  it('says why by its own word', () => {
    const facts = {
      ...PROXY_FACTS,
      state: 'Recovering',
      ready: false,
      notReadyReason: 'recovering: 3 in doubt',
    } as const;
    const status = statusWith({ observation: { proxies: [proxySeen(0), proxySeen(1, { look: seen(facts) })] } });
    expect(conditionOf(status, 'ProxyReady')).toEqual({
      status: 'False',
      reason: 'ProxiesNotReady',
      message: 'bank-proxy-1: recovering: 3 in doubt',
    });
    expect(status.proxies?.[1]?.state).toBe('Recovering');
  });

  it('and is silent has no state, and keeps its log’s identity and positions', () => {
    const before = statusWith();
    const look = failed('unreachable', 'bank-proxy-1: cannot be reached', 1_000);
    const status = statusWith({
      observation: { proxies: [proxySeen(0), proxySeen(1, { pod: undefined, look })] },
      input: { before },
    });
    expect(status.proxies?.[1]).toEqual({
      name: 'bank-proxy-1',
      walId: 'wal-1',
      epoch: 1789,
      positions: { oldest: 1, applied: 40, committed: 42, appended: 42 },
      lastRecoveryTime: '2026-11-21T13:59:10Z',
    });
  });

  it('that was scaled away is listed as long as its volume is there', () => {
    const claim = { metadata: { name: 'wal-bank-proxy-2' } };
    const away = { pod: undefined, look: { kind: 'never' } } as const;
    const proxies = [proxySeen(0), proxySeen(1), proxySeen(2, { ...away, claim }), proxySeen(3, away)];
    const names = statusWith({ observation: { proxies } }).proxies?.map(({ name }) => name);
    expect(names).toEqual(['bank-proxy-0', 'bank-proxy-1', 'bank-proxy-2']);
  });

  it('refuses its new configuration: told, while it serves with the old one', () => {
    const look = seen({ ...PROXY_FACTS, configError: 'proxy.yaml: shards: name a is used twice' });
    const status = statusWith({ observation: { proxies: [proxySeen(0, { look }), proxySeen(1)] } });
    expect(conditionOf(status, 'Degraded')).toMatchObject({ status: 'True', reason: 'ConfigurationRefused' });
    expect(conditionOf(status, 'ProxyReady').status).toBe('True');
  });
});

describe('what the operator is told to do', () => {
  it('paused: what serves is Ready, nothing progresses', () => {
    const status = statusWith({ spec: { paused: true }, plan: { goal: 'paused', settled: false } });
    expect(status.phase).toBe('Paused');
    expect(conditionOf(status, 'Ready').status).toBe('True');
    expect(conditionOf(status, 'Progressing')).toMatchObject({ status: 'False', reason: 'Paused' });
    expect(conditionOf(status, 'ReconciliationPaused').status).toBe('True');
  });

  it('shut down: silence is no fault', () => {
    const gone = failed('unreachable', 'gone', 600_000);
    const shards = [shardSeen(0, { look: gone }), shardSeen(1, { pod: undefined, look: gone })];
    const stopping = {
      goal: 'stop',
      settled: false,
      waiting: [{ reason: 'ProxyDraining', message: 'drains' }],
    } as const;
    const status = statusWith({ spec: { shutdown: true }, plan: stopping, observation: { shards, proxies: [] } });
    expect(status.phase).toBe('ShuttingDown');
    expect(conditionOf(status, 'Degraded').status).toBe('False');
    const done = statusWith({ spec: { shutdown: true }, plan: { goal: 'stop' }, observation: { shards, proxies: [] } });
    expect(done).toMatchObject({ phase: 'Stopped', message: 'The cluster is shut down' });
  });

  it('delete: what blocks it is the message, with the way out', () => {
    const blocked = { reason: 'InDoubt', message: '2 transactions are in doubt. Annotate it with …' };
    const status = statusWith({
      deletionTimestamp: '2026-11-21T13:00:00Z',
      plan: { goal: 'delete', settled: false, deletionBlocked: blocked },
    });
    expect(status).toMatchObject({ phase: 'Deleting', message: blocked.message });
    expect(conditionOf(status, 'DeletionBlocked')).toEqual({ status: 'True', ...blocked });
  });

  it('refused: volumes of another cluster are not touched', () => {
    const refused = { reason: 'VolumesOfAnotherCluster', message: 'Volumes of this name are of another cluster' };
    const status = statusWith({ plan: { settled: false, refused }, observation: { clusterId: undefined } });
    expect(status.phase).toBe('Degraded');
    for (const type of ['Ready', 'Progressing']) expect(conditionOf(status, type).status).toBe('False');
    expect(conditionOf(status, 'Degraded')).toEqual({ status: 'True', ...refused });
    expect(status.message).toBe(refused.message);
  });

  it('PendingRestart names the shard, and why it waits', () => {
    const pending = new Map([['shard-0', 'shared_buffers wait for a restart of shard-0']]);
    const look = seen({ ...SHARD_FACTS, pendingRestart: ['max_connections'] });
    const shards = [shardSeen(0), shardSeen(1, { look })];
    const status = statusWith({ plan: { pendingRestart: pending }, observation: { shards } });
    expect(conditionOf(status, 'PendingRestart')).toEqual({
      status: 'True',
      reason: 'RestartNeeded',
      message:
        'shared_buffers wait for a restart of shard-0; shard-1: max_connections changed, which only a restart takes over',
    });
    expect(status.shards?.[1]?.pendingRestart).toBe(true);
  });

  it('retired shards keep the time at which they left', () => {
    const retired = shardSeen(2, { kind: 'retired', pod: undefined });
    const observation = { shards: [shardSeen(0), shardSeen(1), retired] };
    const first = statusWith({ observation });
    expect(first.retiredShards).toEqual([
      { name: 'shard-2', retiredTime: '2026-11-21T14:00:00Z', claimName: 'data-bank-shard-2-0' },
    ]);
    expect(first.shardsReady).toBe('2/2');
    const later = statusWith({ observation: { ...observation, nowMs: NOW_MS + 60_000 }, input: { before: first } });
    expect(later.retiredShards).toEqual(first.retiredShards);
  });
});

describe('recovery in the status', () => {
  it('its conditions, the count, and the last pass are taken over', () => {
    const recovery = {
      ...NO_FINDINGS,
      conditions: [
        { type: 'TwoPhaseHealthy', status: 'True', reason: 'Healthy', message: 'All proxies have their logs' },
      ] as const,
      inDoubt: { count: 3, oldestMs: NOW_MS - 1 },
      lastRecovery: {
        ...({ instance: 'proxy-0', by: 'proxy', atMs: NOW_MS, committed: 2, rolledBack: 1, held: 0 } as const),
        ...{ committedIds: ['k3x9q:proxy-0.1.1'], rolledBackIds: [] },
      },
    };
    const status = statusWith({ input: { recovery } });
    expect(conditionOf(status, 'TwoPhaseHealthy')).toMatchObject({ status: 'True', reason: 'Healthy' });
    expect(status).toMatchObject({
      inDoubtTransactions: 3,
      lastRecovery: { time: '2026-11-21T14:00:00Z', committed: 2, rolledBack: 1, held: 0 },
    });
    // An operator that starts anew knows of no pass; the last one stays told.
    expect(statusWith({ input: { before: status } }).lastRecovery).toEqual(status.lastRecovery);
  });

  it('an old prepared transaction has its time; one of this moment has none', () => {
    const prepared = { ...SHARD_FACTS.prepared, count: 1, ours: 1, oldestMs: NOW_MS - 2_000 };
    const young = statusWith({ observation: { shards: [shardSeen(0, { look: seen({ ...SHARD_FACTS, prepared }) })] } });
    expect(young.shards?.[0]).not.toHaveProperty('oldestPreparedTime');
    const old = { ...prepared, oldestMs: NOW_MS - 20_000 };
    const stuck = statusWith({
      observation: { shards: [shardSeen(0, { look: seen({ ...SHARD_FACTS, prepared: old }) })] },
    });
    expect(stuck.shards?.[0]?.oldestPreparedTime).toBe('2026-11-21T13:59:40Z');
  });
});

describe('times and writing', () => {
  it('a condition keeps the time since which its status holds', () => {
    const first = statusWith({ plan: { settled: false, waiting: [WAITING] } });
    const later = { nowMs: NOW_MS + 60_000 };
    const other = { reason: 'Other', message: 'Something else is awaited' };
    const second = statusWith({
      plan: { settled: false, waiting: [other] },
      observation: later,
      input: { before: first },
    });
    const timeOf = (status: typeof first, type: string) =>
      status.conditions?.find((condition) => condition.type === type)?.lastTransitionTime;
    expect(timeOf(second, 'Progressing')).toBe('2026-11-21T14:00:00Z');
    const third = statusWith({ observation: later, input: { before: second } });
    expect(timeOf(third, 'Progressing')).toBe('2026-11-21T14:01:00Z');
    expect(timeOf(third, 'ShardsReady')).toBe('2026-11-21T14:00:00Z');
  });

  it('an idle cluster is not written, whatever the clock says and in whatever order keys come back', () => {
    const pace = new StatusPace();
    const before = statusWith();
    expect(pace.isWorthWriting(undefined, before, NOW_MS)).toBe(true);
    const reversed = JSON.parse(JSON.stringify(before), (_, value: unknown) =>
      value !== null && typeof value === 'object' && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).toReversed())
        : value,
    ) as typeof before;
    const later = statusWith({ observation: { nowMs: NOW_MS + 3_600_000 }, input: { before: reversed } });
    expect(pace.isWorthWriting(reversed, later, NOW_MS + 3_600_000)).toBe(false);
  });

  it('positions of a busy log are written now and then, anything else at once', () => {
    const pace = new StatusPace();
    const at = (appended: number, more: Partial<typeof PROXY_FACTS> = {}) =>
      statusWith({
        observation: {
          proxies: [
            proxySeen(0, {
              look: seen({
                ...PROXY_FACTS,
                positions: { oldest: 1, applied: 1, committed: 1, durable: 1, appended },
                ...more,
              }),
            }),
            proxySeen(1),
          ],
        },
      });
    expect(pace.isWorthWriting(undefined, at(1), NOW_MS)).toBe(true);
    expect(pace.isWorthWriting(at(1), at(2), NOW_MS + 5_000)).toBe(false);
    expect(pace.isWorthWriting(at(1), at(3, { state: 'InDoubt' }), NOW_MS + 6_000)).toBe(true);
    expect(pace.isWorthWriting(at(3), at(4), NOW_MS + VOLATILE_INTERVAL_MS)).toBe(false);
    expect(pace.isWorthWriting(at(3), at(5), NOW_MS + 6_000 + VOLATILE_INTERVAL_MS)).toBe(true);
  });
});

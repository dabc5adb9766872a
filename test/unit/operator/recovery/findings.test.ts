// What a step tells: conditions in words, gates with their numbers, and the newest recovery.
import { describe, expect, it } from 'vitest';
import { findingsOf, type JudgedInstance } from '../../../../src/operator/recovery/findings.ts';
import { isShut } from '../../../../src/operator/recovery/gates.ts';
import { answerOf, instancesOf, whyMayLive } from '../../../../src/operator/recovery/instances.ts';
import type { InstanceState, RecoveryConditionType } from '../../../../src/operator/recovery/types.ts';
import { GRACE_MS, NOW_MS, observe, run, type Scene, WAL_ID } from './scene.ts';

type Told = Partial<Pick<JudgedInstance, 'state' | 'walLost' | 'held' | 'pass'>>;

function find(scene: Scene, told: Readonly<Record<string, Told>> = {}) {
  const observation = observe(scene);
  const judged = instancesOf(observation).map((sight): JudgedInstance => {
    const present: InstanceState = { kind: 'present' };
    const away: InstanceState = { kind: 'away', sinceMs: NOW_MS, actsAtMs: NOW_MS + GRACE_MS };
    const state = answerOf(sight) === undefined ? away : present;
    return { sight, state, walLost: null, held: [], pass: undefined, ...told[sight.instance] };
  });
  return findingsOf(observation, judged);
}

const condition = (found: ReturnType<typeof find>, type: RecoveryConditionType) => {
  const { status, reason, message } = found.conditions.find((one) => one.type === type) ?? {};
  return { status, reason, message };
};
const silent1 = { proxies: { 1: { silentSinceMs: NOW_MS - 1_000 } } };

describe('conditions', () => {
  it('are all well when nothing is in doubt and everybody was seen', () => {
    const found = find({});
    expect(found.conditions.map(({ type, status }) => `${type} ${status}`)).toEqual([
      'TwoPhaseHealthy True',
      'InDoubtTransactions False',
      'WalLost False',
    ]);
  });

  it('a commit that is just under way is not in doubt, one that stands for long is', () => {
    expect(find({ left: { 'shard-0': [run('proxy-0', 20, 500)] } }).inDoubt.count).toBe(0);
    const old = find({ left: { 'shard-0': [run('proxy-0', 20, 60_000)] } });
    expect(old.inDoubt).toEqual({ count: 1, oldestMs: NOW_MS - 60_000 });
    expect(condition(old, 'InDoubtTransactions')).toMatchObject({ status: 'True', reason: 'ProxyRecovers' });
  });

  it('of a proxy that is away every branch counts, once per transaction', () => {
    const left = {
      'shard-0': [run('proxy-1', 2, 500)],
      'shard-1': [run('proxy-1', 3, 400, 1788), run('proxy-1', 1, 300)],
    };
    const found = find({ ...silent1, left });
    expect(found.inDoubt).toEqual({ count: 4, oldestMs: NOW_MS - 500 });
    const { status, reason, message } = condition(found, 'InDoubtTransactions');
    expect([status, reason]).toEqual(['True', 'WaitingForProxy']);
    expect(message).toBe(
      'proxy-1 has 4: the proxy is away since 2026-03-01T12:00:00Z, the operator acts at 2026-03-01T12:05:00Z.',
    );
    expect(condition(found, 'TwoPhaseHealthy')).toMatchObject({ status: 'False', reason: 'WaitingForProxy' });
  });

  it('one look that failed at a pod that is Ready puts no running commit in doubt', () => {
    const busy = { proxies: { 1: { pod: 'ready', silentSinceMs: NOW_MS - 1_000 } } } as const;
    const young = find({ ...busy, left: { 'shard-0': [run('proxy-1', 20, 500)] } });
    expect(young.inDoubt.count).toBe(0);
    expect(young.gates.restart.size).toBe(0);
    expect(find({ ...busy, left: { 'shard-0': [run('proxy-1', 20, 60_000)] } }).inDoubt.count).toBe(1);
  });

  it('the worst of several instances gives the reason, and the ids for a person stand in the message', () => {
    const left = { 'shard-0': [run('proxy-0', 1, 60_000), run('proxy-1', 1, 60_000)] };
    const state: InstanceState = {
      kind: 'held',
      why: 'ask',
      message: '1 transactions cannot be decided from evidence',
    };
    const held = [{ transaction: 'k3x9q:proxy-1.1789.4', reason: 'lost-the-rest', askHuman: true, participants: [] }];
    const found = find({ ...silent1, left }, { 'proxy-1': { state, held } });
    const { reason, message } = condition(found, 'InDoubtTransactions');
    expect(reason).toBe('NeedsDecision');
    expect(message).toContain('For you to decide (kubectl atomshard resolve): k3x9q:proxy-1.1789.4.');
    expect(condition(found, 'TwoPhaseHealthy')).toMatchObject({ status: 'False', reason: 'NeedsDecision' });
  });

  it('a shard that does not answer makes them unknown, never well', () => {
    const found = find({ silentShards: ['shard-1'] });
    expect(condition(found, 'InDoubtTransactions')).toMatchObject({
      status: 'Unknown',
      message: 'shard-1 cannot be asked.',
    });
    expect(condition(found, 'TwoPhaseHealthy').status).toBe('Unknown');
  });

  it('two-phase commit that is switched off is not healthy', () => {
    const found = find({ spec: { twoPhaseCommit: { enabled: false } } });
    expect(condition(found, 'TwoPhaseHealthy')).toMatchObject({ status: 'False', reason: 'Disabled' });
  });

  describe('a lost log', () => {
    const walLost = { before: WAL_ID, now: 'b'.repeat(32) };
    const written = (ageMs: number, more: object = {}) => ({
      status: {
        conditions: [
          {
            ...({ type: 'WalLost', status: 'True', reason: 'VolumeReplaced', message: 'as it was' } as const),
            lastTransitionTime: new Date(NOW_MS - ageMs).toISOString(),
            ...more,
          },
        ],
      },
    });
    const HOUR_MS = 3_600_000;

    it('is shown with both identities and what ends that, for an hour, also by the next operator', () => {
      const { status, message } = condition(find({}, { 'proxy-0': { walLost } }), 'WalLost');
      expect(status).toBe('True');
      expect(message).toContain(`The log ${WAL_ID} of proxy-0 is lost: it has the new log ${walLost.now}.`);
      expect(message).toContain('an hour after it began at the earliest');
      expect(condition(find(written(HOUR_MS - 1_000)), 'WalLost')).toMatchObject({
        status: 'True',
        message: 'as it was',
      });
    });

    it('is over when every transaction has ended, which it goes on to say', () => {
      const over = condition(find(written(HOUR_MS), { 'proxy-0': { walLost } }), 'WalLost');
      expect(over).toMatchObject({ status: 'False', reason: 'Recovered' });
      expect(over.message).toContain(`The log ${WAL_ID} of proxy-0 was lost`);
      expect(condition(find(written(HOUR_MS)), 'WalLost')).toMatchObject({ status: 'False', reason: 'Recovered' });
      const kept = written(HOUR_MS, over);
      expect(condition(find(kept), 'WalLost')).toEqual(over);
      expect(condition(find(kept), 'TwoPhaseHealthy').status).toBe('True');
    });

    it('is not over, however old, while anything is in doubt or held, a shard is not seen, or recovery goes on', () => {
      const told = { 'proxy-0': { walLost } };
      const old = written(10 * HOUR_MS);
      const held = [{ transaction: 'k3x9q:proxy-0.1789.4', reason: 'lost-the-rest', askHuman: true, participants: [] }];
      const acting: InstanceState = { kind: 'acting', step: 'resolving' };
      const cases = [
        find({ ...old, left: { 'shard-0': [run('proxy-0', 1, 60_000)] } }, told),
        find({ ...old, silentShards: ['shard-1'] }, told),
        find(old, { 'proxy-0': { walLost, held } }),
        find(old, { 'proxy-0': { walLost, state: acting } }),
        find({ ...old, left: { 'shard-0': [run('proxy-0', 1, 60_000)] } }),
      ];
      for (const found of cases) expect(condition(found, 'WalLost').status).toBe('True');
    });

    it('that is lost anew after that is shown anew', () => {
      const over = written(HOUR_MS, { status: 'False', reason: 'Recovered', message: 'another' });
      expect(condition(find(over, { 'proxy-0': { walLost } }), 'WalLost').status).toBe('True');
    });
  });

  it('foreign prepared transactions are counted, told and no reason to be unhealthy', () => {
    const found = find({ foreign: { 'shard-1': 3 } });
    expect(found.foreign.count).toBe(3);
    const { status, message } = condition(found, 'TwoPhaseHealthy');
    expect(status).toBe('True');
    expect(message).toContain('shard-1 (3); they are not touched');
  });

  it('say the same as long as nothing changes: no ages, so that an idle status is not written', () => {
    const scene = { ...silent1, left: { 'shard-0': [run('proxy-1', 2, 60_000)] } };
    expect(find({ ...scene, nowMs: NOW_MS + 5_000 }).conditions).toEqual(find(scene).conditions);
  });
});

describe('gates', () => {
  const left = { 'shard-0': [run('proxy-1', 2, 60_000)] };

  it('a shard with transactions in doubt is not restarted before the grace period is over', () => {
    const { restart } = find({ left }).gates;
    expect([...restart.keys()]).toEqual(['shard-0']);
    expect(restart.get('shard-0')).toMatchObject({ inDoubt: 2, opensAtMs: NOW_MS - 60_000 + GRACE_MS });
  });

  it('running commits do not hold up a restart, and what a proxy that is away left does at once', () => {
    const young = { left: { 'shard-0': [run('proxy-1', 2, 500)] } };
    expect(find(young).gates.restart.size).toBe(0);
    expect(find({ ...young, ...silent1 }).gates.restart.size).toBe(1);
  });

  it('a proxy is not removed while it is needed, nor while nobody can know', () => {
    const facts = { inDoubt: 1 };
    expect([...find({ proxies: { 0: { facts } } }).gates.removal.keys()]).toEqual(['proxy-0']);
    expect(find({ ...silent1, left }).gates.removal.get('proxy-1')).toMatchObject({ inDoubt: 2, opensAtMs: null });
    expect(find(silent1).gates.removal.size).toBe(0);
    const unseen = find({ ...silent1, silentShards: ['shard-1'] });
    expect(unseen.gates.removal.get('proxy-1')).toMatchObject({ reason: 'ShardsNotSeen', inDoubt: 0 });
  });

  it('deletion waits for what is in doubt, with the number and a deadline', () => {
    const deletionTimestamp = '2026-03-01T11:59:00Z';
    const { deletion } = find({ ...silent1, left, deletionTimestamp }).gates;
    expect(deletion).toMatchObject({ reason: 'InDoubtTransactions', inDoubt: 2 });
    expect(deletion?.opensAtMs).toBe(Date.parse(deletionTimestamp) + GRACE_MS);
    expect(find({ deletionTimestamp }).gates.deletion).toBeNull();
    expect(find({ deletionTimestamp, silentShards: ['shard-0'] }).gates.deletion?.reason).toBe('ShardsNotSeen');
    // A cluster that never came up holds nothing.
    expect(find({ deletionTimestamp, neverSeenShards: ['shard-0', 'shard-1'] }).gates.deletion).toBeNull();
  });

  it('say the number, the deadline, and the annotation that opens them', () => {
    const deletionTimestamp = '2026-03-01T11:59:00Z';
    const { restart, removal, deletion } = find({ ...silent1, left, deletionTimestamp }).gates;
    expect(restart.get('shard-0')?.message).toBe(
      'shard-0 holds 2 in-doubt transactions; it is restarted or stopped when they have ended, at 2026-03-01T12:04:00Z at the latest, or at once with the annotation atomshard.dev/ignore-in-doubt=shard-0',
    );
    expect(find({ ...silent1, left }).gates.removal.get('proxy-1')?.message).toBe(
      'proxy-1 has 2 in-doubt transactions; its log is needed to end them, without a deadline. With the annotation atomshard.dev/ignore-in-doubt=proxy-1 it goes all the same, and its volume stays',
    );
    // Of a cluster that is deleted it is the deletion's.
    expect(removal.get('proxy-1')?.opensAtMs).toBe(deletion?.opensAtMs);
    const unseen = find({ ...silent1, silentShards: ['shard-1'], deletionTimestamp }).gates.removal.get('proxy-1');
    expect([unseen?.reason, unseen?.opensAtMs]).toEqual(['ShardsNotSeen', deletion?.opensAtMs]);
    expect(removal.get('proxy-1')?.message).toContain('end them, until 2026-03-01T12:04:00Z at the latest. With');
    expect(deletion?.message).toBe(
      '2 in-doubt transactions would be left on the shards; the cluster goes when they have ended, at 2026-03-01T12:04:00Z at the latest',
    );
  });

  it('are there and hold nothing up for whom the annotation names, and for nobody else', () => {
    const scene = { ...silent1, left: { ...left, 'shard-1': [run('proxy-1', 1, 60_000)] } };
    const annotations = { 'atomshard.dev/ignore-in-doubt': 'shard-1, proxy-1,' };
    const { restart, removal } = find({ ...scene, annotations }).gates;
    const shut = [...restart, ...removal].flatMap(([name, gate]) => (isShut(gate, NOW_MS) ? [name] : []));
    expect([...restart.keys(), ...removal.keys()]).toEqual(['shard-0', 'shard-1', 'proxy-1']);
    expect(shut).toEqual(['shard-0']);
  });

  it('max_prepared_transactions never falls below what is prepared now, foreign ones included', () => {
    const { maxPreparedFloor } = find({ left, foreign: { 'shard-0': 3 } }).gates;
    expect([...maxPreparedFloor]).toEqual([['shard-0', 5]]);
  });
});

describe('the last recovery', () => {
  const own = (atMs: number, committed: number, held = 0) => ({
    facts: { lastRecovery: { atMs, committed, committedIds: [], rolledBack: 0, rolledBackIds: [], held } },
  });

  it('is the newest that did something, of any proxy or the operator', () => {
    const proxies = { 0: own(NOW_MS - 5_000, 2), 1: own(NOW_MS - 1_000, 0) };
    expect(find({ proxies }).lastRecovery).toMatchObject({ instance: 'proxy-0', by: 'proxy', committed: 2 });
    const pass = {
      ...({ instance: 'proxy-1', by: 'operator', atMs: NOW_MS } as const),
      ...{ committed: 1, committedIds: ['a'], rolledBack: 1, rolledBackIds: ['b'], held: 0 },
    };
    expect(find({ proxies }, { 'proxy-1': { pass } }).lastRecovery).toEqual(pass);
    expect(find({}).lastRecovery).toBeNull();
  });

  it('stays as it is written while passes only hold the same again', () => {
    const status = {
      lastRecovery: { time: new Date(NOW_MS - 60_000).toISOString(), committed: 0, rolledBack: 0, held: 1 },
    };
    const atMs = (scene: Scene) => find(scene).lastRecovery?.atMs;
    expect(atMs({ status, proxies: { 0: own(NOW_MS, 0, 1) } })).toBe(NOW_MS - 60_000);
    expect(atMs({ status, proxies: { 0: own(NOW_MS, 0, 2) } })).toBe(NOW_MS);
  });
});

describe('whether a process may still live', () => {
  const mayLive = (pod: 'none' | 'running' | 'crashing' | 'pending' | 'leaving' | 'failed') => {
    const [sight] = instancesOf(observe({ proxies: { 0: { pod, silentSinceMs: 0 } } }));
    return sight === undefined ? 'not seen' : whyMayLive(sight);
  };

  it.each(['none', 'crashing', 'pending', 'failed'] as const)('a pod that is %s runs no process', (pod) => {
    expect(mayLive(pod)).toBeNull();
  });

  it('one that runs may, and one whose node does not confirm its end may for ever, until the node is declared dead', () => {
    expect(mayLive('running')).toContain('bank-proxy-0 runs');
    expect(mayLive('leaving')).toMatch(/leaving n2.*delete its Node object/);
  });
});

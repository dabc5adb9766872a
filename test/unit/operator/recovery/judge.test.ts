// What is to be done about one proxy, from what is seen of it: the cases of a bad night, one by one.
import { describe, expect, it } from 'vitest';
import type { RunOutcome } from '../../../../src/operator/recovery/instance-run.ts';
import { type InstanceSight, instancesOf } from '../../../../src/operator/recovery/instances.ts';
import { type InstanceHistory, type Judgement, judge, RECOVER_NOW } from '../../../../src/operator/recovery/judge.ts';
import type { PassReport } from '../../../../src/recovery/report.ts';
import { GRACE_MS, NOW_MS, observe, run, type Scene } from './scene.ts';

const away = (forMs: number, more: Partial<InstanceHistory> = {}): InstanceHistory => ({
  awaySinceMs: NOW_MS - forMs,
  running: undefined,
  last: undefined,
  ...more,
});

function judged(instance: string, scene: Scene, history?: InstanceHistory): Judgement {
  const observation = observe(scene);
  const sight = instancesOf(observation).find((one): one is InstanceSight => one.instance === instance);
  if (sight === undefined) throw new Error(`${instance} is not seen`);
  return judge(sight, observation, history);
}

const report = (more: Partial<PassReport> = {}): PassReport => ({
  ...{ committedIds: [], rolledBackIds: [] },
  ...{ foundInDoubt: 0, committed: 0, rolledBack: 0, confirmed: 0, waiting: 0, held: [], backendsFenced: 0 },
  ...{ foreign: { count: 0, oldestAgeMs: 0 }, otherInstances: new Map(), unreachableShards: [] },
  ...{ alarms: [], newAlarms: [], durationMs: 1, ...more },
});

function passed(more: Partial<PassReport> = {}, status: 'whole' | 'damaged' | 'lost' = 'whole'): RunOutcome {
  const problems = status === 'damaged' ? ['00000000000000000001.wal at byte 96: checksum'] : [];
  const log = { status, walId: null, epoch: 1789, problems };
  return { kind: 'passed', log, pass: report(more) };
}

const silent = (ordinal: number, more: object = {}) => ({
  proxies: { [ordinal]: { silentSinceMs: NOW_MS - 1_000, ...more } },
});
const RAN = { status: { proxies: [{ name: 'bank-proxy-1', epoch: 1789 }] } };
const LEFT = { left: { 'shard-0': [run('proxy-1', 2, 60_000)] } };
const held = [{ transaction: 'k3x9q:proxy-1.1789.4', reason: 'lost-the-rest', askHuman: true, participants: [] }];

describe('a proxy that answers', () => {
  it('recovers itself, whatever is prepared', () => {
    expect(judged('proxy-1', LEFT)).toEqual({ state: { kind: 'present' }, start: false, againAtMs: null });
  });
});

describe('a proxy that does not answer', () => {
  it('has the grace period to come back', () => {
    const { state, start, againAtMs } = judged('proxy-1', { ...silent(1), ...LEFT }, away(GRACE_MS - 1));
    expect([state.kind, start, againAtMs]).toEqual(['away', false, NOW_MS + 1]);
  });

  it('is recovered for afterwards, also with nothing prepared: its connections may hold locks', () => {
    expect(judged('proxy-1', { ...silent(1), ...LEFT }, away(GRACE_MS))).toMatchObject({ start: true });
    expect(judged('proxy-1', { ...silent(1), ...RAN }, away(GRACE_MS))).toMatchObject({
      start: true,
      state: { kind: 'acting' },
    });
  });

  it('and never did has nothing to be recovered', () => {
    expect(judged('proxy-1', silent(1), away(GRACE_MS))).toMatchObject({ start: false, state: { kind: 'gone' } });
  });

  it('and is not wanted is not taken for gone by what shards said before it fell silent', () => {
    const scene = { spec: { proxy: { replicas: 1 } }, ...silent(1) };
    const stale = judged('proxy-1', { ...scene, looksAtMs: NOW_MS - 3_000 }, away(1_000));
    expect([stale.state.kind, stale.start, stale.againAtMs]).toEqual(['away', false, NOW_MS + 5_000]);
    expect(judged('proxy-1', scene, away(2_000)).state.kind).toBe('away');
    expect(judged('proxy-1', scene, away(2_001)).state.kind).toBe('gone');
  });

  it('is recovered for once per absence, and again when something surfaces', () => {
    const last = { atMs: NOW_MS - 1_000, outcome: passed() };
    expect(judged('proxy-1', silent(1), away(GRACE_MS, { last }))).toMatchObject({
      start: false,
      state: { kind: 'gone' },
    });
    expect(judged('proxy-1', { ...silent(1), ...LEFT }, away(GRACE_MS, { last }))).toMatchObject({ start: true });
    // A look from before the run shows what the run has ended since.
    const later = { atMs: NOW_MS + 1, outcome: passed() };
    expect(judged('proxy-1', { ...silent(1), ...LEFT }, away(GRACE_MS, { last: later }))).toMatchObject({
      start: false,
    });
  });

  it('is not waited for when somebody says that it will not come back', () => {
    const annotations = { [RECOVER_NOW]: 'proxy-0, proxy-1' };
    expect(judged('proxy-1', { ...silent(1), ...RAN, annotations }, away(0))).toMatchObject({ start: true });
    expect(judged('proxy-1', { ...silent(1), ...RAN, annotations: { [RECOVER_NOW]: 'proxy-10' } }, away(0)).start).toBe(
      false,
    );
  });

  it('is left alone while a run is under way', () => {
    const judgement = judged('proxy-1', { ...silent(1), ...LEFT }, away(GRACE_MS, { running: 'resolving' }));
    expect(judgement).toEqual({ state: { kind: 'acting', step: 'resolving' }, start: false, againAtMs: null });
  });

  it('under Hold is only reported', () => {
    const spec = { twoPhaseCommit: { inDoubtPolicy: 'Hold' } };
    const judgement = judged('proxy-1', { ...silent(1), ...LEFT, spec }, away(GRACE_MS));
    expect(judgement).toMatchObject({ start: false, state: { kind: 'held', why: 'policy' } });
    expect(judged('proxy-1', { ...silent(1), spec }, away(GRACE_MS))).toMatchObject({ start: false });
  });

  it('is not acted for while the cluster is paused', () => {
    const judgement = judged('proxy-1', { ...silent(1), ...LEFT, spec: { paused: true } }, away(GRACE_MS));
    expect(judgement).toMatchObject({ start: false, state: { kind: 'blocked', why: 'paused' } });
  });
});

describe('a proxy that nobody wants any more', () => {
  const gone = { proxies: { 2: { pod: 'none' } } } as const;

  it('is forgotten when nothing of it is left', () => {
    expect(judged('proxy-2', gone, away(GRACE_MS))).toEqual({ state: { kind: 'gone' }, start: false, againAtMs: null });
  });

  it('is recovered for soon when something is: its pod will not come back', () => {
    const left = { left: { 'shard-1': [run('proxy-2', 1, 60_000)] } };
    expect(judged('proxy-2', { ...gone, ...left }, away(1_000))).toMatchObject({
      start: false,
      state: { kind: 'away' },
    });
    expect(judged('proxy-2', { ...gone, ...left }, away(10_000))).toMatchObject({ start: true });
  });

  it('exists by its prepared transactions alone', () => {
    const left = { left: { 'shard-1': [run('proxy-7', 1, 60_000)] } };
    expect(judged('proxy-7', left, away(10_000))).toMatchObject({ start: true });
  });

  it('with a name that no proxy of ours can have is shown and not touched', () => {
    const left = { left: { 'shard-1': [run('my-own', 1, 60_000)] } };
    const judgement = judged('my-own', left, away(10 * GRACE_MS));
    expect(judgement).toMatchObject({
      start: false,
      state: { kind: 'held', why: 'ask', message: expect.stringMatching(/my-own/) },
    });
  });
});

describe('what a run left', () => {
  const leaving = (outcome: RunOutcome, ageMs: number) =>
    judged('proxy-1', { ...silent(1), ...LEFT }, away(GRACE_MS, { last: { atMs: NOW_MS - ageMs, outcome } }));

  it('a living owner is looked at again in a minute, not at once', () => {
    const outcome: RunOutcome = { kind: 'blocked', why: 'owner-alive', message: 'its log is in use by pid 1' };
    expect(leaving(outcome, 59_999)).toMatchObject({ start: false, state: outcome, againAtMs: NOW_MS + 1 });
    expect(leaving(outcome, 60_000)).toMatchObject({ start: true });
  });

  it('what cannot be proven waits for a person, and is looked at again', () => {
    expect(leaving(passed({ held }), 1_000)).toMatchObject({ start: false, state: { kind: 'held', why: 'ask' } });
    expect(leaving(passed({ held }), 60_000)).toMatchObject({ start: true });
  });

  it('a damaged log says which file, and that repair comes first', () => {
    const { state } = leaving(passed({ held }, 'damaged'), 1_000);
    expect(state).toMatchObject({
      kind: 'held',
      why: 'log-damaged',
      message: expect.stringMatching(/00000000000000000001\.wal at byte 96/),
    });
  });

  it('a shard that was away is named, and the others are done', () => {
    const outcome = passed({ waiting: 1, unreachableShards: [{ shard: 'shard-1', reason: 'no answer' }] });
    expect(leaving(outcome, 1_000)).toMatchObject({
      state: { kind: 'blocked', why: 'shard-away', message: expect.stringMatching(/shard-1/) },
    });
  });

  it('a role that may not resolve is told with the words of the server', () => {
    const alarms = [{ kind: 'ResolverNotAllowed', shard: 'shard-0', message: '42501 permission denied' }] as const;
    const { state } = leaving(passed({ waiting: 1, alarms }), 1_000);
    expect(state).toMatchObject({ kind: 'blocked', why: 'not-allowed', message: 'shard-0: 42501 permission denied' });
  });
});

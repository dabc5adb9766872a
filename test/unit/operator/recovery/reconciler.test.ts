// The reconciler step by step: what it starts, asks of Kubernetes, tells once, and leaves for the next operator.
import { Registry } from 'prom-client';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../../../src/kernel/clock.ts';
import { timeText } from '../../../../src/kernel/quantity.ts';
import type { StatusCondition } from '../../../../src/operator/api/sharded-cluster.generated.ts';
import { KubeError } from '../../../../src/operator/kube/kube-error.ts';
import type { KubeObject } from '../../../../src/operator/kube/resource.ts';
import { RECOVER_NOW } from '../../../../src/operator/recovery/judge.ts';
import { RecoveryReconciler } from '../../../../src/operator/recovery/reconciler.ts';
import { registerRecoveryMetrics } from '../../../../src/operator/recovery/recovery-tally.ts';
import {
  parseResult,
  RESOLVE_REQUEST,
  RESOLVE_RESULT,
  renderRequest,
} from '../../../../src/operator/recovery/request.ts';
import type { RequestDeskDeps } from '../../../../src/operator/recovery/request-desk.ts';
import type { HeldFinding, RecoveryFindings } from '../../../../src/operator/recovery/types.ts';
import type { SqlTarget } from '../../../../src/operator/sql/facts.ts';
import { type EvidenceReport, renderEvidence } from '../../../../src/transaction/evidence-lines.ts';
import { renderGid } from '../../../../src/transaction/gid.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { PretendShard } from '../../../support/pretend-shard.ts';
import { CLUSTER_ID, GRACE_MS, NOW_MS, observe, run, type Scene, WAL_ID } from './scene.ts';

type Kube = RequestDeskDeps['kube'];

/** A Kubernetes that keeps Jobs and lets their pods end when it is told to. */
class JobsOnly implements Kube {
  readonly jobs = new Map<string, KubeObject>();
  readonly made: string[] = [];
  readonly deleted: string[] = [];
  /** What the log says to the ids of the Job; undefined while its pod does not end. */
  answer: ((ids: readonly string[]) => EvidenceReport) | undefined;
  refuses: KubeError | undefined;
  /** The state of a pod that has not ended. */
  begun: object = { waiting: { reason: 'ContainerCreating' } };
  claim: KubeObject = { metadata: { namespace: 'test', name: 'wal-bank-proxy-1' } };

  get: Kube['get'] = async (_type, { name }) => {
    const found = this.jobs.get(name);
    if (found === undefined) throw new KubeError('notFound', `no Job ${name}`);
    return found as never;
  };

  list: Kube['list'] = async (type, selection) => {
    if (type.kind === 'PersistentVolumeClaim') return { items: [this.claim] as never, resourceVersion: '1' };
    const name = selection?.labelSelector?.split('=')[1] ?? '';
    const state = this.answer === undefined ? this.begun : { terminated: { exitCode: 0 } };
    const pod = {
      metadata: { namespace: 'test', name: `${name}-x` },
      status: { containerStatuses: [{ name: 'evidence', state }] },
    };
    return { items: [pod] as never, resourceVersion: '1' };
  };

  create: Kube['create'] = async (_type, object) => {
    if (this.refuses !== undefined) throw this.refuses;
    const { name } = object.metadata;
    if (this.jobs.has(name)) throw new KubeError('alreadyExists', name);
    const metadata = { ...object.metadata, uid: name, creationTimestamp: new Date(wallClock.nowMs()).toISOString() };
    this.jobs.set(name, { ...object, metadata });
    this.made.push(name);
    return object;
  };

  delete: Kube['delete'] = async (_type, { name }) => {
    this.jobs.delete(name);
    this.deleted.push(name);
  };

  /** Annotations of the ShardedCluster, as patched. */
  readonly annotations: Record<string, string | null> = {};

  mergePatch: Kube['mergePatch'] = async (_type, _ref, patch) => {
    const { metadata } = patch as { metadata: { annotations: Record<string, string | null> } };
    Object.assign(this.annotations, metadata.annotations);
    return patch as never;
  };

  log: Kube['log'] = async ({ name }) => {
    const job = this.jobs.get(name.replace(/-x$/, '')) as unknown as JobShape;
    const args = job.spec.template.spec.containers[0]?.args ?? [];
    const ids = (args.find((arg) => arg.startsWith('--ids=')) ?? '--ids=').slice(6).split(',');
    const report = this.answer?.(ids.filter((id) => id !== ''));
    return report === undefined ? '' : renderEvidence(report).join('\n');
  };
}

interface JobShape {
  readonly spec: { readonly template: { readonly spec: PodShape } };
}
interface PodShape {
  readonly containers: readonly { readonly args: readonly string[] }[];
  readonly affinity?: object;
  readonly volumes: readonly object[];
}

const EPOCH = 1789;
/** The manual clock, begun at the instant of the scene. */
const wallClock: Clock = {
  nowMs: () => NOW_MS + clock.nowMs(),
  monotonicMs: () => clock.monotonicMs(),
  sleep: (ms, signal) => clock.sleep(ms, signal),
};
let shards: readonly PretendShard[];
let kube: JobsOnly;
let clock: ManualClock;
let woken: string[];
let problems: unknown[];
let reconciler: RecoveryReconciler;
let heldByProxies: readonly HeldFinding[];

beforeEach(() => {
  shards = ['shard-0', 'shard-1'].map((name) => new PretendShard(name));
  kube = new JobsOnly();
  kube.answer = nothingDecided;
  clock = new ManualClock();
  woken = [];
  problems = [];
  heldByProxies = [];
  reconciler = operator();
});

function operator(): RecoveryReconciler {
  return new RecoveryReconciler({
    kube,
    clock: wallClock,
    wake: (key) => woken.push(key),
    onProblem: (_key, error) => problems.push(error),
    probeFor: ({ name }) => {
      const shard = shards.find((one) => one.name === name);
      if (shard === undefined) throw new Error(`no ${name}`);
      return shard.probe();
    },
    askHeld: async () => heldByProxies,
  });
}

const log = { status: 'whole', walId: WAL_ID, epoch: EPOCH, firstEpoch: 1000, problems: [], live: [] } as const;
const nothingDecided = (ids: readonly string[]): EvidenceReport => ({
  kind: 'read',
  dump: { ...log, words: new Map(ids.map((id) => [id, { kind: 'none-above-watermark' }])) },
  lastHolder: null,
});

/** Transaction `seq` of proxy-1, prepared on both shards. */
function prepared(seq: number): string[] {
  const transaction = { cluster: CLUSTER_ID, instance: 'proxy-1', epoch: EPOCH, seq };
  const participants = ['shard-0', 'shard-1'].map((shard, at) => ({
    shard,
    xid: String(700 + 10 * seq + at),
    timeline: 1,
  }));
  return participants.map(({ xid }, index) => {
    const gid = renderGid({ transaction, index, count: 2, participants });
    shards[index]?.add(gid, xid, 'prepared');
    return gid;
  });
}

const silent = { silentSinceMs: NOW_MS - GRACE_MS };
const AWAY: Scene = { proxies: { 1: silent }, left: { 'shard-0': [run('proxy-1', 1, 60_000)] } };

const TARGET = { host: '', port: 0, database: '', user: '', password: '', tls: { kind: 'disable' } } as const;
const targets = new Map(['shard-0', 'shard-1'].map((name): [string, SqlTarget] => [name, { name, ...TARGET }]));

const step = (scene: Scene, by = reconciler): RecoveryFindings =>
  by.step({ observation: observe(scene), shardTargets: targets, image: 'localhost/atomshard:1' });

/** Lets a run come to its end, time passing where it waits. */
async function runs(): Promise<void> {
  for (let turn = 0; turn < 1_000 && woken.length === 0; turn += 1) await clock.pass(250);
  expect(woken).toEqual(['test/bank']);
  woken = [];
}

/** A reading that is given up ends at once, not at its deadline. */
async function givenUp(): Promise<void> {
  await clock.pass(250);
  expect(woken).toEqual(['test/bank']);
  woken = [];
}

const reasons = ({ occurrences }: RecoveryFindings) => occurrences.map(({ reason }) => reason);
const lives = (gids: readonly string[]) => gids.map((gid, at) => shards[at]?.lifeOf(gid));

describe('a proxy that does not come back', () => {
  it('is recovered for by its log, which a Job reads where the volume is held', async () => {
    const gids = prepared(4);
    const first = step(AWAY);
    expect(first.instances[1]?.state).toEqual({ kind: 'acting', step: 'reading the log' });
    expect(reasons(first)).toEqual(['RecoveryStarted']);
    await runs();
    expect(lives(gids)).toEqual(['aborted', 'aborted']);
    const [name] = kube.made;
    expect(name).toMatch(/^bank-recover-proxy-1-[0-9a-f]{8}$/);
    const job = kube.jobs.get(name ?? '') as unknown as JobShape;
    const { containers, affinity, volumes } = job.spec.template.spec;
    expect(containers[0]?.args).toContain(`--ids=${EPOCH}.4`);
    expect(JSON.stringify(affinity)).toContain('"n2"');
    expect(volumes).toEqual([{ name: 'wal', persistentVolumeClaim: { claimName: 'wal-bank-proxy-1' } }]);
    const second = step({ proxies: { 1: silent } });
    expect(second.instances[1]?.state).toEqual({ kind: 'gone' });
    const [told] = second.occurrences;
    expect(told?.note).toBe(
      `proxy-1, by its log: committed 0, rolled back 1 [${CLUSTER_ID}:proxy-1.${EPOCH}.4], held 0`,
    );
    expect(second.lastRecovery).toMatchObject({ by: 'operator', instance: 'proxy-1', rolledBack: 1 });
  });

  it('is acted for once: steps meanwhile start nothing, and nothing is told twice', async () => {
    prepared(4);
    step(AWAY);
    for (let again = 0; again < 3; again += 1) expect(reasons(step(AWAY))).toEqual([]);
    await runs();
    expect(reasons(step({ proxies: { 1: silent } }))).toEqual(['Recovered']);
    expect(reasons(step({ proxies: { 1: silent } }))).toEqual([]);
    expect(kube.made).toHaveLength(1);
  });

  it('leaves no Job of its own behind when all is ended, and those of people alone', async () => {
    prepared(4);
    step(AWAY);
    await runs();
    const persons = { metadata: { namespace: 'test', name: 'bank-wal-proxy-1-abc123', labels: {} } };
    const jobs = [...kube.jobs.values(), persons] as never;
    step({ proxies: { 1: silent }, jobs });
    step({ proxies: { 1: silent }, jobs });
    await reconciler.stop();
    expect(kube.deleted).toEqual(kube.made);
  });

  it('that lives after all is not touched, and is told about', async () => {
    const gids = prepared(4);
    kube.answer = () => ({ kind: 'locked', holder: 'atomshard proxy proxy-1 (pid 1)' });
    step(AWAY);
    await runs();
    const found = step({ ...AWAY, jobs: [...kube.jobs.values()] as never });
    expect(found.instances[1]?.state).toMatchObject({ kind: 'blocked', why: 'owner-alive' });
    // It is asked again; until then people can read what the Job said.
    expect(kube.deleted).toEqual([]);
    expect(found.occurrences).toMatchObject([{ type: 'Warning', reason: 'RecoveryBlocked' }]);
    expect(found.nextStepInMs).toBeGreaterThan(0);
    expect(lives(gids)).toEqual(['prepared', 'prepared']);
    expect(shards[0]?.asked).not.toContain('fence');
  });

  it('that is back while its log is read: the reading is given up, its Job goes, and it is blocked by nothing', async () => {
    const gids = prepared(4);
    kube.answer = undefined;
    kube.begun = { running: {} };
    step(AWAY);
    for (let turn = 0; turn < 8; turn += 1) await clock.pass(250);
    expect([kube.deleted, woken]).toEqual([[], []]);
    const back = { left: AWAY.left ?? {}, jobs: [...kube.jobs.values()] as never };
    step(back);
    await givenUp();
    expect(reasons(step(back))).toEqual([]);
    await clock.pass(0);
    expect(kube.deleted).toEqual(kube.made);
    expect([lives(gids), problems]).toEqual([['prepared', 'prepared'], []]);
  });

  it('that is back for a moment while its log is read is read again when its next absence is over', async () => {
    prepared(4);
    kube.answer = undefined;
    step(AWAY);
    for (let turn = 0; turn < 8; turn += 1) await clock.pass(250);
    step({ left: AWAY.left ?? {} });
    await givenUp();
    const nowMs = wallClock.nowMs();
    const silentAgain = { ...AWAY, nowMs, proxies: { 1: { silentSinceMs: nowMs } } };
    expect(step(silentAgain).instances[1]?.state.kind).toBe('away');
    const named = { ...silentAgain, annotations: { [RECOVER_NOW]: 'proxy-1' } };
    expect(step(named).instances[1]?.state).toMatchObject({ kind: 'acting' });
  });

  it('whose Job cannot run is blocked in the words of Kubernetes, and tried again', async () => {
    prepared(4);
    kube.answer = undefined;
    step(AWAY);
    await runs();
    const state = step(AWAY).instances[1]?.state;
    expect(state).toMatchObject({ kind: 'blocked', why: 'log-unreadable' });
    expect(JSON.stringify(state)).toContain('ContainerCreating');
    kube.answer = nothingDecided;
    step({ ...AWAY, nowMs: wallClock.nowMs() + 60_000 });
    await runs();
    expect(shards[0]?.asked).toContain('fence');
  });

  it('whose claim goes while the Job waits for it: the Job is taken away, or each would wait for the other', async () => {
    prepared(4);
    kube.answer = undefined;
    step(AWAY);
    for (let turn = 0; turn < 8; turn += 1) await clock.pass(250);
    expect([kube.deleted, woken]).toEqual([[], []]);
    kube.claim = { metadata: { ...kube.claim.metadata, deletionTimestamp: '2026-11-21T14:00:00Z' } };
    await runs();
    expect(kube.deleted).toEqual(kube.made);
    const state = step(AWAY).instances[1]?.state;
    expect(state).toMatchObject({ kind: 'blocked', why: 'log-unreadable' });
    expect(JSON.stringify(state)).toContain('the claim wal-bank-proxy-1 is being deleted');
  });

  it('whose claim goes while the Job reads it is read to the end: a claim that is mounted stays', async () => {
    const gids = prepared(4);
    kube.answer = undefined;
    kube.begun = { running: {} };
    kube.claim = { metadata: { ...kube.claim.metadata, deletionTimestamp: '2026-11-21T14:00:00Z' } };
    step(AWAY);
    for (let turn = 0; turn < 8; turn += 1) await clock.pass(250);
    expect([kube.deleted, woken]).toEqual([[], []]);
    kube.answer = nothingDecided;
    await runs();
    expect(lives(gids)).toEqual(['aborted', 'aborted']);
  });

  it('while the API server refuses is blocked, and the problem is handed on', async () => {
    prepared(4);
    kube.refuses = new KubeError('forbidden', 'create Job: jobs.batch is forbidden');
    step(AWAY);
    await runs();
    expect(step(AWAY).instances[1]?.state).toMatchObject({ kind: 'blocked', why: 'kubernetes' });
    expect(problems).toEqual([kube.refuses]);
  });

  it('without a volume is judged by the shards, and the loss of its log is told', async () => {
    const gids = prepared(4);
    const status = { proxies: [{ name: 'bank-proxy-1', walId: WAL_ID, epoch: EPOCH }] };
    const scene = { ...AWAY, status, proxies: { 1: { ...silent, pod: 'pending', claim: 'none' } } } as const;
    step(scene);
    await runs();
    expect(kube.made).toEqual([]);
    expect(lives(gids)).toEqual(['aborted', 'aborted']);
    const found = step({ ...scene, left: {} });
    expect(found.instances[1]).toMatchObject({ walLost: { before: WAL_ID, now: null }, walId: WAL_ID, epoch: EPOCH });
    expect(found.conditions.find(({ type }) => type === 'WalLost')?.status).toBe('True');
    expect(reasons(found).toSorted()).toEqual(['Recovered', 'WalLost']);
  });
});

describe('an operator after another one', () => {
  it('finds the Job that its predecessor made, and its answer', async () => {
    prepared(4);
    kube.answer = undefined;
    step(AWAY);
    await clock.pass(500);
    const made = [...kube.made];
    void reconciler.stop();
    kube.answer = nothingDecided;
    woken = [];
    const next = operator();
    step(AWAY, next);
    await runs();
    expect(kube.made).toEqual(made);
    expect(step({ proxies: { 1: silent } }, next).instances[1]?.state).toEqual({ kind: 'gone' });
  });

  it('asks anew where its predecessor left a Job that is old: the proxy may have run since', async () => {
    prepared(4);
    step(AWAY);
    await runs();
    const made = [...kube.made];
    await reconciler.stop();
    await clock.pass(61_000);
    prepared(4);
    step(AWAY, operator());
    await runs();
    expect(kube.deleted).toEqual(made);
    expect(kube.made).toEqual([...made, ...made]);
  });

  it('does not repeat the Events of a proxy that recovered before it began', () => {
    const ids = { committedIds: ['k3x9q:proxy-0.1789.4'], rolledBackIds: [] };
    const lastRecovery = { atMs: NOW_MS - 877, committed: 2, rolledBack: 0, held: 0, ...ids };
    const time = timeText(lastRecovery.atMs);
    const told = { status: { proxies: [{ name: 'bank-proxy-0', lastRecoveryTime: time }] } };
    const scene = { proxies: { 0: { facts: { lastRecovery } } } };
    expect(reasons(step({ ...scene, ...told }))).toEqual([]);
    const other = operator();
    expect(step(scene, other).occurrences).toMatchObject([
      {
        ...{ reason: 'Recovered', action: 'Verify' },
        note: 'proxy-0 recovered itself: committed 2 [k3x9q:proxy-0.1789.4, and 1 more], rolled back 0, held 0',
      },
    ]);
    expect(reasons(step(scene, other))).toEqual([]);
  });
});

describe('a proxy that is there and holds something', () => {
  /** A step whose observation says how to log in to the proxies. */
  function stepReaching(scene: Scene): RecoveryFindings {
    const seen = observe({ ...scene, spec: { proxy: { tls: { mode: 'Disable' } } } });
    const proxies = seen.proxies.map((proxy) => ({
      ...proxy,
      pod: proxy.pod && { ...proxy.pod, status: { ...proxy.pod.status, podIP: '10.0.0.7' } },
    }));
    const secret = { metadata: { name: 'bank-internal' }, data: { admin: Buffer.from('secret').toString('base64') } };
    const finding = { name: 'bank-internal', path: '', requiredKeys: ['admin'], keys: ['admin'] };
    const secrets = new Map([['bank-internal', { origin: 'made', finding, secret } as const]]);
    const observation = { ...seen, proxies, secrets };
    return reconciler.step({ observation, shardTargets: targets, image: 'localhost/atomshard:1' });
  }

  it('is told with the ids and the reasons, once for what it says', async () => {
    const held = { transaction: `${CLUSTER_ID}:proxy-0.${EPOCH}.4`, reason: 'committed-unproven', askHuman: true };
    heldByProxies = [{ ...held, participants: [] }];
    const lastRecovery = {
      atMs: NOW_MS - 877,
      committed: 0,
      committedIds: [],
      rolledBack: 0,
      rolledBackIds: [],
      held: 1,
    };
    const scene: Scene = { proxies: { 0: { facts: { held: 1, inDoubt: 1, lastRecovery } } } };
    expect(reasons(stepReaching(scene))).toEqual([]);
    await runs();
    expect(stepReaching(scene).occurrences).toMatchObject([
      { type: 'Warning', reason: 'RecoveryHeld', note: `proxy-0 holds 1 [${held.transaction} (committed-unproven)]` },
    ]);
    expect(reasons(stepReaching(scene))).toEqual([]);
    expect(reasons(stepReaching({}))).toEqual([]);
  });
});

describe('a proxy that is back', () => {
  it('with another log than before has lost it', () => {
    const now = 'b'.repeat(32);
    const status = { proxies: [{ name: 'bank-proxy-0', walId: WAL_ID, epoch: EPOCH }] };
    const found = step({ status, proxies: { 0: { facts: { walId: now, epoch: 1_800_000 } } } });
    expect(found.instances[0]?.walLost).toEqual({ before: WAL_ID, now });
    // The status tells the new one by now; the loss stays in sight.
    const written = { proxies: [{ name: 'bank-proxy-0', walId: now, epoch: 1_800_000 }] };
    const again = step({ status: written, proxies: { 0: { facts: { walId: now, epoch: 1_800_000 } } } });
    expect(again.instances[0]?.walLost).toEqual({ before: WAL_ID, now });
    expect(reasons(found)).toEqual(['WalLost']);
    expect(reasons(again)).toEqual([]);
  });

  it('with another log is told of until an hour has passed, asks to be looked at then, and not again', () => {
    const facts = { walId: 'b'.repeat(32), epoch: 1_800_000 };
    const walLost = (found: RecoveryFindings) => found.conditions.find(({ type }) => type === 'WalLost');
    const proxies = { 0: { facts } };
    const first = step({ status: { proxies: [{ name: 'bank-proxy-0', walId: WAL_ID, epoch: EPOCH }] }, proxies });
    expect(first.nextStepInMs).toBe(3_600_000);
    let before = { ...walLost(first), lastTransitionTime: timeText(NOW_MS) } as StatusCondition;
    const later = (ms: number) => {
      const written = { proxies: [{ name: 'bank-proxy-0', ...facts }], conditions: [before] };
      return step({ status: written, proxies, nowMs: NOW_MS + ms });
    };
    expect(later(1_800_000)).toMatchObject({ nextStepInMs: 1_800_000 });
    const ended = later(3_600_000);
    expect(walLost(ended)).toMatchObject({ status: 'False', reason: 'Recovered' });
    expect(ended.nextStepInMs).toBeNull();
    before = { ...walLost(ended), lastTransitionTime: timeText(NOW_MS + 3_600_000) } as StatusCondition;
    const after = later(3_601_000);
    expect(walLost(after)).toEqual(walLost(ended));
    expect(reasons(after)).toEqual([]);
  });

  it('within the grace period is left to itself', () => {
    prepared(4);
    const early = { ...AWAY, proxies: { 1: { silentSinceMs: NOW_MS - GRACE_MS + 1_000 } } };
    expect(step(early)).toMatchObject({ nextStepInMs: 1_000 });
    expect(step({ left: AWAY.left ?? {} }).instances[1]?.state).toEqual({ kind: 'present' });
    // The next absence has a grace period of its own.
    expect(
      step({ ...early, nowMs: NOW_MS + 1_000_000, proxies: { 1: { silentSinceMs: NOW_MS + 999_000 } } }).nextStepInMs,
    ).toBe(GRACE_MS - 1_000);
    expect(kube.made).toEqual([]);
  });
});

describe('a proxy that went because nobody wanted it', () => {
  const none = { 1: { pod: 'none' } } as const;
  const status = { proxies: [{ name: 'bank-proxy-1', walId: WAL_ID, epoch: EPOCH }] };
  const one = { spec: { proxy: { replicas: 1 } }, status };

  it('cleanly, and is wanted again, has its grace period from then on: nobody recovers for it', () => {
    const justNow = step({ ...one, proxies: none });
    expect([justNow.instances[1]?.state.kind, justNow.nextStepInMs]).toEqual(['away', 5_000]);
    const muchLater = NOW_MS + 10 * GRACE_MS;
    expect(step({ ...one, proxies: none, nowMs: muchLater }).instances[1]?.state).toEqual({ kind: 'gone' });
    const wanted = step({ status, proxies: none, nowMs: muchLater + 1_000 });
    expect(wanted.instances[1]?.state).toMatchObject({ kind: 'away', sinceMs: muchLater + 1_000 });
    expect(reasons(wanted)).toEqual([]);
    expect(kube.made).toEqual([]);
  });

  it('is not recovered for because of what a shard said while it was still there', async () => {
    const left = AWAY.left ?? {};
    expect(step({ ...one, proxies: none, left, looksAtMs: NOW_MS - 1 }).instances[1]?.state.kind).toBe('away');
    const nowMs = NOW_MS + 60_000;
    const stale = step({ ...one, proxies: none, left, nowMs, looksAtMs: NOW_MS - 1 });
    expect(reasons(stale)).toEqual([]);
    expect(stale.instances[1]?.state.kind).toBe('away');
    expect(stale.nextStepInMs).toBeGreaterThan(0);
    expect(reasons(step({ ...one, proxies: none, left, nowMs }))).toEqual(['RecoveryStarted']);
    await runs();
  });
});

describe('a request to end one transaction by hand', () => {
  const id = `${CLUSTER_ID}:proxy-1.${EPOCH}.4`;
  const ask = (more: object = {}) => ({
    [RESOLVE_REQUEST]: renderRequest({
      ...{ id: 'q1', transaction: id, verdict: 'abort', by: 'ann', reason: 'ticket 7', force: false, ...more },
    }),
  });
  // The proxy is away for a moment only, so that the operator does not act by itself.
  const young: Scene = { ...AWAY, proxies: { 1: { silentSinceMs: NOW_MS - 1_000 } } };

  async function asked(annotations: Readonly<Record<string, string>>, scene: Scene = young) {
    step({ ...scene, annotations });
    await runs();
    const { occurrences } = step({ ...scene, annotations });
    await reconciler.stop();
    expect(kube.annotations[RESOLVE_REQUEST]).toBeNull();
    return { occurrences, result: parseResult(kube.annotations[RESOLVE_RESULT] ?? undefined) };
  }

  it('is carried out where nothing proves the opposite, told with who and why, and answered on the object', async () => {
    const gids = prepared(4);
    kube.answer = (ids) => ({
      kind: 'read',
      dump: { ...log, words: new Map(ids.map((key) => [key, { kind: 'lost' }])) },
      lastHolder: null,
    });
    const { occurrences, result } = await asked(ask());
    expect(lives(gids)).toEqual(['aborted', 'aborted']);
    expect(result).toMatchObject({ id: 'q1', outcome: 'done' });
    expect(occurrences).toHaveLength(1);
    expect(occurrences[0]).toMatchObject({ type: 'Warning', reason: 'ResolvedByHand' });
    expect(occurrences[0]?.note).toContain(`${id}: abort by ann (ticket 7): rolled back on shard-0, shard-1`);
  });

  it('against what the log proves is refused, with the proof', async () => {
    const gids = prepared(4);
    const { result } = await asked(ask({ verdict: 'commit' }));
    expect(lives(gids)).toEqual(['prepared', 'prepared']);
    expect(result?.outcome).toBe('refused');
    expect(result?.message).toContain('must be rolled back');
    expect(result?.message).toContain('log none, shard-0 P, shard-1 P, row presumed-abort');
  });

  it('against proof is carried out when it is forced, and says so', async () => {
    const gids = prepared(4);
    const { occurrences, result } = await asked(ask({ verdict: 'commit', force: true }));
    expect(lives(gids)).toEqual(['committed', 'committed']);
    expect(result?.message).toContain('AGAINST the evidence, committed on shard-0, shard-1');
    expect(occurrences[0]?.note).toContain('commit (forced) by ann');
  });

  it('about a transaction that its living proxy drives is refused, forced or not', async () => {
    const gids = prepared(4);
    const well: Scene = { left: AWAY.left ?? {} };
    const { result } = await asked(ask({ force: true }), well);
    expect(result?.message).toContain('proxy-1 answers and does not hold it');
    expect(lives(gids)).toEqual(['prepared', 'prepared']);
  });

  it('while the log is in use by a process is refused', async () => {
    const gids = prepared(4);
    kube.answer = () => ({ kind: 'locked', holder: 'atomshard proxy proxy-1' });
    const { result } = await asked(ask({ force: true }));
    expect(result?.message).toContain('proxy-1 lives');
    expect(lives(gids)).toEqual(['prepared', 'prepared']);
  });

  it.each([
    ['not JSON', { [RESOLVE_REQUEST]: 'commit it' }, 'is not a JSON object'],
    ['no reason', ask({ reason: '' }), 'it gives no reason'],
    ['no such id', ask({ transaction: 'x' }), '"x" is not the id of a transaction'],
    ['another cluster', ask({ transaction: `other:proxy-1.${EPOCH}.4` }), `begin with ${CLUSTER_ID}:`],
  ])('with %s is refused', async (_what, annotations, message) => {
    step({ ...young, annotations });
    await runs();
    const { occurrences } = step({ ...young, annotations });
    expect(occurrences[0]).toMatchObject({ reason: 'ResolveRefused' });
    expect(occurrences[0]?.note).toContain(message);
  });

  it('is answered once: the transaction is not ended again while the answer is on its way', async () => {
    prepared(4);
    const annotations = ask({ verdict: 'commit', force: true });
    await asked(annotations);
    const resolves = shards.map((shard) => shard.resolves);
    reconciler = operator();
    step({ ...young, annotations });
    await runs();
    const { occurrences } = step({ ...young, annotations });
    // Another operator finds nothing prepared any more, and says so.
    expect(occurrences[0]?.note).toContain('nothing of it is prepared');
    expect(shards.map((shard) => shard.resolves)).toEqual(resolves);
  });
});

describe('metrics', () => {
  it('count what the operator ended, and show what is in doubt and held by cluster', async () => {
    const registry = new Registry();
    registerRecoveryMetrics(registry, reconciler.tally, () => wallClock.nowMs());
    prepared(4);
    step(AWAY);
    const lines = async () => (await registry.metrics()).split('\n').filter((line) => !line.startsWith('#'));
    const of = 'namespace="test",cluster="bank"';
    expect(await lines()).toContain(`atomshard_operator_in_doubt_transactions{${of}} 1`);
    expect(await lines()).toContain(`atomshard_operator_in_doubt_age_seconds{${of}} 60`);
    await runs();
    step({ proxies: { 1: silent } });
    expect(await lines()).toEqual(
      expect.arrayContaining([
        'atomshard_operator_recovery_runs_total{outcome="passed"} 1',
        'atomshard_operator_recovered_transactions_total{end="rolled_back"} 1',
        `atomshard_operator_in_doubt_transactions{${of}} 0`,
        `atomshard_operator_held_transactions{${of}} 0`,
      ]),
    );
    reconciler.forget({ namespace: 'test', name: 'bank' });
    expect((await lines()).join()).not.toContain('cluster="bank"');
  });
});

describe('the word that a proxy will not come back', () => {
  it('starts recovery at once, and is removed when that is over', async () => {
    const gids = prepared(4);
    const annotations = { [RECOVER_NOW]: 'proxy-1' };
    const scene: Scene = { ...AWAY, proxies: { 1: { silentSinceMs: NOW_MS - 1_000 } }, annotations };
    step(scene);
    expect(kube.annotations).toEqual({});
    await runs();
    expect(lives(gids)).toEqual(['aborted', 'aborted']);
    step({ ...scene, left: {} });
    await reconciler.stop();
    expect(kube.annotations).toEqual({ [RECOVER_NOW]: null });
  });
});

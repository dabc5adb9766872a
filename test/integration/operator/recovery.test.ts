// A proxy that does not come back, recovered by the operator: real shards, a real log, and everything between them but Kubernetes.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { type ControlPoint, type ControlPointName, noControlPoint } from '../../../src/kernel/control-point.ts';
import { type RunOutcome, type RunWish, recoverInstance } from '../../../src/operator/recovery/instance-run.ts';
import type { PgShardProbe } from '../../../src/recovery/pg-shard-probe.ts';
import { DecisionLog } from '../../../src/transaction/decision-log.ts';
import { dumpEvidence } from '../../../src/transaction/evidence-dump.ts';
import { type EvidenceReport, parseEvidence, renderEvidence } from '../../../src/transaction/evidence-lines.ts';
import { WalLockedError } from '../../../src/wal/errors.ts';
import { holdAtRest } from '../../../src/wal/log-at-rest.ts';
import { performRepair, planRepair } from '../../../src/wal/repair.ts';
import { openWal } from '../../../src/wal/wal.ts';
import { CLUSTER, INSTANCE, type PrepareOptions, RecoveryGround } from '../../support/recovery-ground.ts';

let ground: RecoveryGround;
let probes: Map<string, PgShardProbe>;
beforeAll(async () => {
  ground = await RecoveryGround.start(3);
  probes = new Map(
    [0, 1, 2].map((at) => [`shard-${at}`, ground.probe(at, { ownerName: 'atomshard-operator recovery' })]),
  );
});
afterAll(async () => {
  await Promise.all([...probes.values()].map((probe) => probe.close()));
  await ground[Symbol.asyncDispose]();
});

let directory = '';
let proxy: DecisionLog | undefined;
beforeEach(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'atomshard-operator-'));
});
afterEach(async () => {
  await dies();
  rmSync(directory, { recursive: true, force: true });
  const left = await ground.preparedGids();
  await rollBackAll();
  expect(left).toEqual([]);
});

/** The proxy opens its log; its lock is held until it dies. */
async function starts(): Promise<DecisionLog> {
  proxy = await DecisionLog.open({
    openWal: (onRecord) => openWal({ directory, segmentBytes: 4096, reserveBytes: 4096 }, onRecord),
    clock: systemClock,
  });
  return proxy;
}

/** A close writes no more than a crash leaves: nothing is checkpointed at the end. */
async function dies(): Promise<void> {
  await proxy?.close();
  proxy = undefined;
}

const prepare = (log: DecisionLog, on: readonly number[], options: PrepareOptions = {}) =>
  ground.prepare(on, { epoch: log.identity.epoch, ...options });

/** What the Job does and prints, in this process. */
async function readLog(ids: readonly string[]): Promise<EvidenceReport> {
  const report = await readHere(new Set(ids));
  return parseEvidence(renderEvidence(report).join('\n'));
}

async function readHere(ids: ReadonlySet<string>): Promise<EvidenceReport> {
  try {
    const log = await holdAtRest(directory, { holder: 'the Job', clock: systemClock });
    if (log === null) throw new Error('no directory');
    try {
      return { kind: 'read', dump: await dumpEvidence(log.reader, ids), lastHolder: null };
    } finally {
      log.release();
    }
  } catch (error) {
    if (error instanceof WalLockedError) return { kind: 'locked', holder: error.holder };
    throw error;
  }
}

interface Circumstances extends Partial<RunWish> {
  readonly controlPoint?: ControlPoint;
  readonly read?: typeof readLog;
}

function recover({ controlPoint = noControlPoint, read = readLog, ...wish }: Circumstances = {}): Promise<RunOutcome> {
  const all = { clusterId: CLUSTER, instance: INSTANCE, epochSeen: 0, hasLog: true, mayLive: null, ...wish };
  return recoverInstance(all, { probes, readLog: read, clock: systemClock, controlPoint, onStep: () => undefined });
}

async function passed(circumstances: Circumstances = {}) {
  const outcome = await recover(circumstances);
  if (outcome.kind !== 'passed') throw new Error(`${outcome.why}: ${outcome.message}`);
  return outcome;
}

const rollBackAll = async () => {
  for (const shard of [0, 1, 2]) {
    for (const gid of await ground.preparedGids([shard]))
      await ground.shards.query(shard, `ROLLBACK PREPARED '${gid}'`);
  }
};

describe('a dead proxy with its log', () => {
  it('what it decided is committed, what it never decided is rolled back, and both are named', async () => {
    const log = await starts();
    const decided = await prepare(log, [0, 1, 2]);
    const undecided = await prepare(log, [0, 1]);
    const half = await prepare(log, [1, 2]);
    await log.commit(decided.decision);
    await log.commit(half.decision);
    await ground.shards.query(1, `COMMIT PREPARED '${half.branches[0]?.gid}'`);
    await dies();
    const { pass, log: read } = await passed();
    expect(read).toMatchObject({ status: 'whole', walId: log.identity.walId, epoch: log.identity.epoch });
    expect(pass).toMatchObject({ foundInDoubt: 3, committed: 2, rolledBack: 1, held: [], alarms: [] });
    const prefix = `${CLUSTER}:${INSTANCE}.`;
    expect([...pass.committedIds].toSorted()).toEqual([`${prefix}${decided.key}`, `${prefix}${half.key}`].toSorted());
    expect(pass.rolledBackIds).toEqual([`${prefix}${undecided.key}`]);
    expect(await ground.rows(decided, [0, 1, 2])).toEqual([1, 1, 1]);
    expect(await ground.rows(undecided, [0, 1])).toEqual([0, 0]);
    expect(await ground.rows(half, [1, 2])).toEqual([1, 1]);
  });

  it('when the proxy comes back it finds the decisions that it never ended done, and records their END', async () => {
    const first = await starts();
    const decided = await prepare(first, [0, 1]);
    await first.commit(decided.decision);
    await dies();
    await passed();
    const second = await starts();
    expect(second.liveCount).toBe(1);
    const recovery = ground.recovery({ log: second });
    expect(await recovery.firstPass()).toMatchObject({ foundInDoubt: 0, confirmed: 1, held: [], alarms: [] });
    expect(second.liveCount).toBe(0);
  });

  it('connections of its last run that outlived it end with their locks, and others stay', async () => {
    const log = await starts();
    const { epoch } = log.identity;
    const [lingering, newer, other] = await Promise.all([
      ground.client(0, epoch),
      ground.client(0, epoch + 1),
      ground.client(0, epoch, 'proxy-1'),
    ]);
    for (const client of [lingering, newer, other]) client.on('error', () => undefined);
    await lingering.query('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE');
    await dies();
    const { pass } = await passed();
    expect(pass.foundInDoubt).toBe(0);
    // The ground's own probes bear an old epoch as well.
    expect(pass.backendsFenced).toBeGreaterThanOrEqual(1);
    await expect(lingering.query('SELECT 1')).rejects.toThrow();
    for (const client of [newer, other]) {
      expect((await client.query('SELECT count(*)::int AS n FROM t')).rows).toHaveLength(1);
      await client.end();
    }
  });

  it('a proxy that lives is left alone, connections and all, however long it did not answer', async () => {
    const log = await starts();
    const undecided = await prepare(log, [0, 1]);
    const busy = await ground.client(0, log.identity.epoch);
    const outcome = await recover();
    expect(outcome).toMatchObject({ kind: 'blocked', why: 'owner-alive' });
    expect((await busy.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await busy.end();
    expect(await ground.preparedGids()).toHaveLength(2);
    // And it may still decide.
    await log.commit(undecided.decision);
    await dies();
    expect((await passed()).pass).toMatchObject({ committed: 1 });
  });

  it('transactions of a run that began after the log was read, of other instances, clusters and programs are not touched', async () => {
    const log = await starts();
    const mine = await prepare(log, [0, 1]);
    const newer = await prepare(log, [0, 1], { epoch: log.identity.epoch + 1 });
    const sibling = await prepare(log, [0, 1], { instance: 'proxy-1' });
    const cousin = await prepare(log, [0, 1], { cluster: 'other' });
    const stranger = await ground.shards.client(2);
    await stranger.query(`BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'somebody else'`);
    await stranger.end();
    await dies();
    const { pass } = await passed();
    expect(pass).toMatchObject({ rolledBack: 1, foreign: { count: 3 } });
    expect(pass.alarms.map(({ kind }) => kind)).toContain('NewerEpoch');
    expect(await ground.rows(mine, [0, 1])).toEqual([0, 0]);
    const left = [...newer.branches, ...sibling.branches, ...cousin.branches].map(({ gid }) => gid);
    expect((await ground.preparedGids()).toSorted()).toEqual([...left, 'somebody else'].toSorted());
    await rollBackAll();
  });

  it('a PREPARE that surfaces while the log is read is not judged by it: the log is asked again', async () => {
    const log = await starts();
    await prepare(log, [0, 1]);
    await dies();
    const asked: (readonly string[])[] = [];
    const surfacing = async (ids: readonly string[]) => {
      const report = await readLog(ids);
      if (asked.length === 0) await prepare(log, [1, 2]);
      asked.push(ids);
      return report;
    };
    const { pass } = await passed({ read: surfacing });
    expect(asked.map((ids) => ids.length)).toEqual([1, 2]);
    expect(pass).toMatchObject({ rolledBack: 2 });
  });

  it('a volume with the log of another proxy is refused', async () => {
    const log = await starts();
    const strange = await prepare(log, [0, 1], { instance: 'proxy-1' });
    await log.commit(strange.decision);
    const mine = await prepare(log, [0, 1]);
    await dies();
    const outcome = await recover();
    expect(outcome).toMatchObject({
      kind: 'blocked',
      why: 'log-unreadable',
      message: expect.stringMatching(/that of k3x9q:proxy-1/),
    });
    expect(await ground.rows(mine, [0])).toEqual([0]);
    expect(await ground.preparedGids()).toHaveLength(4);
    await rollBackAll();
  });
});

describe('a dead proxy whose log is gone', () => {
  const lost = (log: DecisionLog) => ({ hasLog: false, epochSeen: log.identity.epoch });

  it('all branches prepared: nobody was told of success, so they are rolled back', async () => {
    const log = await starts();
    const prepared = await prepare(log, [0, 1, 2]);
    await log.commit(prepared.decision);
    await dies();
    const { pass, log: read } = await passed(lost(log));
    expect(read.status).toBe('lost');
    expect(pass).toMatchObject({ rolledBack: 1, held: [] });
    expect(pass.alarms.map(({ kind }) => kind)).toEqual(['WalLost']);
  });

  it('one branch committed: the others are too', async () => {
    const log = await starts();
    const prepared = await prepare(log, [0, 1, 2]);
    await dies();
    await ground.shards.query(2, `COMMIT PREPARED '${prepared.branches[2]?.gid}'`);
    // PostgreSQL itself must prove that the commit is this branch's own; a young server can.
    const { pass } = await passed(lost(log));
    const [shown] = pass.held;
    if (shown === undefined) {
      expect(pass).toMatchObject({ committed: 1 });
      expect(await ground.rows(prepared, [0, 1, 2])).toEqual([1, 1, 1]);
    } else {
      expect(shown).toMatchObject({ reason: 'lost-committed-unproven', askHuman: true });
      await rollBackAll();
    }
  });

  it('an early acknowledged one is held for a person, with the states of its participants', async () => {
    const log = await starts();
    const prepared = await prepare(log, [0, 1], { earlyAcknowledged: true });
    await dies();
    const { pass } = await passed(lost(log));
    expect(pass.held).toEqual([
      {
        transaction: `${CLUSTER}:${INSTANCE}.${prepared.key}`,
        reason: 'lost-the-rest',
        askHuman: true,
        participants: [
          { shard: 'shard-0', state: 'P' },
          { shard: 'shard-1', state: 'P' },
        ],
      },
    ]);
    await rollBackAll();
  });

  it('while a process may still live nothing is decided: no lock says that it does not', async () => {
    const log = await starts();
    await prepare(log, [0, 1]);
    const outcome = await recover({ ...lost(log), mayLive: 'pod x is leaving a node that does not answer' });
    expect(outcome).toMatchObject({
      kind: 'blocked',
      why: 'owner-alive',
      message: expect.stringMatching(/does not answer/),
    });
    expect(await ground.preparedGids()).toHaveLength(2);
    await rollBackAll();
  });

  it('a new and empty volume is a lost log too', async () => {
    const log = await starts();
    await prepare(log, [0, 1]);
    await dies();
    for (const name of readdirSync(directory)) rmSync(path.join(directory, name));
    const { pass, log: read } = await passed();
    expect(read.status).toBe('empty');
    expect(pass).toMatchObject({ rolledBack: 1 });
  });
});

describe('a dead proxy whose log is damaged', () => {
  it('what is readable is carried out, the rest is held until the log is repaired', async () => {
    const log = await starts();
    const before = await prepare(log, [0, 1]);
    const unreadable = await prepare(log, [1, 2]);
    const undecided = await prepare(log, [0, 2]);
    await log.commit(before.decision);
    await log.commit(unreadable.decision);
    const filler = await ground.prepare([0, 1], { epoch: log.identity.epoch });
    await log.commit(filler.decision);
    await dies();
    damage(`.${unreadable.key}::0/2`);
    const { pass, log: read } = await passed();
    expect(read.status).toBe('damaged');
    expect(read.problems.join()).toMatch(/\.wal at byte \d+/);
    expect(pass).toMatchObject({ committed: 2, rolledBack: 0 });
    expect(pass.held.map(({ transaction }) => transaction.split('.').slice(1).join('.')).toSorted()).toEqual(
      [unreadable.key, undecided.key].toSorted(),
    );
    expect(await ground.rows(before, [0, 1])).toEqual([1, 1]);
    await performRepair(directory, await planRepair(directory), { loseAcknowledged: true });
    const after = await passed();
    expect(after.pass).toMatchObject({ rolledBack: 2, held: [] });
  });

  function damage(marker: string): void {
    for (const name of readdirSync(directory).filter((file) => file.endsWith('.wal'))) {
      const file = path.join(directory, name);
      const bytes = readFileSync(file);
      const at = bytes.indexOf(marker);
      if (at < 0) continue;
      bytes[at] = 0x21;
      writeFileSync(file, bytes);
    }
  }
});

describe('an operator that is killed', () => {
  const PLACES: readonly (readonly [ControlPointName, number?])[] = [
    ['operator.recovery.dumped'],
    ['operator.recovery.fenced'],
    ['recovery.gathered'],
    ['recovery.resolve.before', 1],
    ['recovery.resolve.after', 0],
    ['recovery.resolve.after', 1],
    ['operator.recovery.resolved'],
  ];

  it.each(PLACES)('at %s %s is followed by one that ends the same', async (name, participant) => {
    const log = await starts();
    const decided = await prepare(log, [0, 1, 2]);
    const undecided = await prepare(log, [2, 0]);
    await log.commit(decided.decision);
    await dies();
    let reached = false;
    const killed = new Error('killed');
    const controlPoint: ControlPoint = (at, which) => {
      if (at !== name || (participant !== undefined && which !== participant)) return;
      reached = true;
      throw killed;
    };
    await expect(recover({ controlPoint })).rejects.toBe(killed);
    expect(reached).toBe(true);
    const { pass } = await passed();
    expect(pass).toMatchObject({ held: [], waiting: 0 });
    expect(await ground.rows(decided, [0, 1, 2])).toEqual([1, 1, 1]);
    expect(await ground.rows(undecided, [2, 0])).toEqual([0, 0]);
  });

  it('and the proxy that comes back beside the next operator agrees with it', async () => {
    const first = await starts();
    const decided = await prepare(first, [0, 1, 2]);
    const undecided = await prepare(first, [0, 1, 2]);
    await first.commit(decided.decision);
    await dies();
    // The operator has read the log when the proxy starts and recovers too.
    const both = async (ids: readonly string[]) => {
      const report = await readLog(ids);
      const second = await starts();
      const recovery = ground.recovery({ log: second });
      void recovery.firstPass();
      return report;
    };
    await recover({ read: both });
    if (proxy !== undefined) await ground.recovery({ log: proxy }).firstPass();
    expect(await ground.rows(decided, [0, 1, 2])).toEqual([1, 1, 1]);
    expect(await ground.rows(undecided, [0, 1, 2])).toEqual([0, 0, 0]);
    expect(await ground.preparedGids()).toEqual([]);
  });
});

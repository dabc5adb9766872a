import { describe, expect, it } from 'vitest';
import { DecisionLog } from '../../../src/transaction/decision-log.ts';
import { encodeCheckpoint, encodeCommit } from '../../../src/transaction/decision-record.ts';
import type {
  DecisionWal,
  LoggedRecord,
  LogSegment,
  OpenedDecisionWal,
} from '../../../src/transaction/decision-wal.ts';

const systemClock = { nowMs: () => 1_900_000_000_000, monotonicMs: () => 0, sleep: () => Promise.resolve() };

/** A log in memory that is written exactly when the test says so. */
class MemoryWal implements DecisionWal, OpenedDecisionWal {
  readonly identity = { walId: 'w', epoch: 1789, firstEpoch: 1700, created: false };
  scans = 0;
  readonly records: LoggedRecord[] = [];
  positions = { oldest: 1, applied: 0, committed: 0, durable: 0, appended: 0 };
  onCheckpointDue: () => Uint8Array = () => new Uint8Array();
  segmentList: LogSegment[] = [];
  space: ReturnType<DecisionWal['admission']> = { ok: true };
  lazy = 0;
  readonly failed: Promise<unknown>;
  readonly #fail: (why: unknown) => void;
  #waiting: { record: LoggedRecord; resolve: (lsn: number) => void; reject: (why: unknown) => void }[] = [];

  constructor() {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.failed = promise;
    this.#fail = resolve;
  }

  async start(checkpoint: Uint8Array): Promise<DecisionWal> {
    this.#add(1, checkpoint);
    this.positions = { ...this.positions, committed: 1, durable: 1 };
    return this;
  }

  append(tag: number, payload: Uint8Array): Promise<number> {
    const record = this.#add(tag, payload);
    return new Promise((resolve, reject) => this.#waiting.push({ record, resolve, reject }));
  }

  appendLazy(tag: number, payload: Uint8Array): number {
    this.lazy++;
    return this.#add(tag, payload).lsn;
  }

  /** One fdatasync. */
  sync(): void {
    this.positions = { ...this.positions, committed: this.positions.appended, durable: this.positions.appended };
    for (const { record, resolve } of this.#waiting.splice(0)) resolve(record.lsn);
  }

  async break(): Promise<void> {
    const why = new Error('fdatasync: EIO');
    for (const { reject } of this.#waiting.splice(0)) reject(why);
    this.#fail(why);
    await Promise.resolve();
  }

  setApplied(lsn: number): void {
    this.positions = { ...this.positions, applied: Math.max(this.positions.applied, lsn) };
  }

  admission = () => this.space;
  segments = () => this.segmentList;
  prune = async (keep: (segment: LogSegment) => boolean) => {
    this.segmentList = this.segmentList.filter(keep);
  };
  scan = async (onRecord: (record: LoggedRecord) => void) => {
    this.scans++;
    for (const record of this.records) if (record.lsn <= this.positions.durable) onRecord(record);
  };
  close = async () => undefined;

  #add(tag: number, payload: Uint8Array): LoggedRecord {
    const record = { lsn: this.positions.appended + 1, tag, payload };
    this.positions = { ...this.positions, appended: record.lsn };
    this.records.push(record);
    return record;
  }
}

async function open(before: readonly LoggedRecord[] = []): Promise<{ wal: MemoryWal; log: DecisionLog }> {
  const wal = new MemoryWal();
  const openWal = async (onRecord: (record: LoggedRecord) => void) => {
    for (const record of before) onRecord(record);
    return wal;
  };
  return { wal, log: await DecisionLog.open({ openWal, clock: systemClock }) };
}

function decision(seq: number) {
  const transaction = { cluster: 'k3x9q', instance: 'proxy-0', epoch: 1789, seq };
  const participants = [{ shard: 'shard-0', gid: `gid-${seq}`, xid: '7', timeline: 1, systemIdentifier: '73' }];
  return { transaction, participants, atMs: 1 };
}
const keysOf = (log: DecisionLog) => [...log.live()].map((one) => one.transaction.seq);
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('the decision log', () => {
  it('resolves a decision only when its record is committed, and until then calls it uncertain', async () => {
    const { wal, log } = await open();
    let decided = false;
    const committing = log.commit(decision(1)).then(() => {
      decided = true;
    });
    await settled();
    expect(decided).toBe(false);
    const look = async () => (await log.lookup(new Set(['1789.1']))).get('1789.1');
    expect(await look()).toMatchObject({ kind: 'commit', committed: false, ended: false });
    wal.sync();
    await committing;
    expect(await look()).toMatchObject({ kind: 'commit', committed: true, lsn: 2 });
  });

  it('a checkpoint taken while a decision is on its way has it: its segment may be the only one that is left', async () => {
    const { wal, log } = await open();
    void log.commit(decision(1));
    const checkpoint = wal.onCheckpointDue();
    const after = await open([{ lsn: 5, tag: 1, payload: checkpoint }]);
    expect(keysOf(after.log)).toEqual([1]);
  });

  it('the record behind that checkpoint is the same decision, not a second one', async () => {
    const { wal, log } = await open();
    void log.commit(decision(1));
    const [commit] = wal.records.slice(-1);
    const payload = commit?.payload ?? new Uint8Array();
    const again = [
      { lsn: 5, tag: 1, payload: wal.onCheckpointDue() },
      { lsn: 6, tag: 16, payload },
    ];
    const after = await open(again);
    expect(keysOf(after.log)).toEqual([1]);
    expect(await after.log.lookup(new Set(['1789.1']))).toMatchObject(
      new Map([['1789.1', { kind: 'commit', lsn: 6 }]]),
    );
  });

  it('a checkpoint is the whole truth: what it does not restate has ended, and its watermark holds', async () => {
    const live = { lsn: 2, decision: decision(1) };
    const checkpoint = { atMs: 1, watermark: { epoch: 1788, seq: 7 }, highest: { epoch: 1789, seq: 2 }, live: [live] };
    const { log } = await open([
      { lsn: 2, tag: 16, payload: encodeCommit(decision(1)) },
      { lsn: 3, tag: 16, payload: encodeCommit(decision(2)) },
      { lsn: 4, tag: 1, payload: encodeCheckpoint(checkpoint) },
    ]);
    expect(keysOf(log)).toEqual([1]);
    const found = await log.lookup(new Set(['1788.7', '1788.8']));
    expect(found.get('1788.7')).toEqual({ kind: 'below-watermark' });
    expect(found.get('1788.8')).toEqual({ kind: 'none-above-watermark' });
  });

  it('PgDog 3: after a failure nothing is acknowledged, what was on its way stays live, and new work is refused', async () => {
    const { wal, log } = await open();
    const committing = expect(log.commit(decision(1))).rejects.toThrow('EIO');
    await wal.break();
    await committing;
    await settled();
    expect(keysOf(log)).toEqual([1]);
    expect(log.admission()).toMatchObject({ ok: false, error: { code: '58030' } });
    // No END either: after an error the log says nothing any more.
    log.end(decision(1).transaction);
    expect(wal.lazy).toBe(0);
  });

  it('a nearly full disk is told as 53100 with what to do (I14)', async () => {
    const { wal, log } = await open();
    expect(log.admission()).toEqual({ ok: true });
    wal.space = { ok: false, reason: '3 MiB free' };
    expect(log.admission()).toMatchObject({
      ok: false,
      error: {
        code: '53100',
        message: expect.stringContaining('3 MiB free'),
        hint: expect.stringContaining('one shard'),
      },
    });
  });

  it('END of something unknown or ended before writes nothing', async () => {
    const { wal, log } = await open();
    log.end(decision(9).transaction);
    const committing = log.commit(decision(1));
    wal.sync();
    await committing;
    log.end(decision(1).transaction);
    log.end(decision(1).transaction);
    expect(wal.lazy).toBe(1);
  });

  it('reads the log once for a transaction of an earlier epoch, however often recovery asks', async () => {
    const { wal, log } = await open();
    for (let pass = 0; pass < 5; pass++) {
      expect(await log.lookup(new Set(['1788.3']))).toEqual(new Map([['1788.3', { kind: 'none-above-watermark' }]]));
    }
    expect(wal.scans).toBe(1);
    // Of this epoch a decision may still come, so it is looked at again.
    await log.lookup(new Set(['1789.3']));
    await log.lookup(new Set(['1789.3']));
    expect(wal.scans).toBe(3);
    // A tombstone changes what is true.
    const transaction = { ...decision(3).transaction, epoch: 1788 };
    const burying = log.abortTombstone(transaction);
    wal.sync();
    await burying;
    expect(await log.lookup(new Set(['1788.3']))).toEqual(new Map([['1788.3', { kind: 'abort' }]]));
  });

  it('a live decision of an earlier epoch is followed until it ends', async () => {
    const past = { ...decision(3), transaction: { ...decision(3).transaction, epoch: 1788 } };
    const { wal, log } = await open([{ lsn: 1, tag: 16, payload: encodeCommit(past) }]);
    wal.records.unshift({ lsn: 0, tag: 16, payload: encodeCommit(past) });
    const look = async () => (await log.lookup(new Set(['1788.3']))).get('1788.3');
    expect(await look()).toMatchObject({ kind: 'commit', ended: false });
    log.end(past.transaction);
    expect(await look()).toMatchObject({ kind: 'commit', ended: true });
  });

  it('memory is bounded by what is live, not by what happened', async () => {
    const { wal, log } = await open();
    for (let seq = 1; seq <= 1000; seq++) {
      const committing = log.commit(decision(seq));
      wal.sync();
      await committing;
      log.end(decision(seq).transaction);
    }
    expect(log.liveCount).toBe(0);
    expect(wal.positions.applied).toBe(wal.positions.committed);
    expect(wal.onCheckpointDue().length).toBeLessThan(40);
  });

  it('a record of another version stops the start instead of being skipped', async () => {
    await expect(open([{ lsn: 1, tag: 77, payload: new Uint8Array([0x91, 1]) }])).rejects.toThrow(
      'unknown record tag 77',
    );
  });

  it('deletes nothing before the watermark is durable (I15)', async () => {
    const { wal, log } = await open();
    const committing = log.commit(decision(1));
    wal.sync();
    await committing;
    log.end(decision(1).transaction);
    wal.segmentList = [
      { firstLsn: 1, lastLsn: 3, bytes: 2 ** 31 },
      { firstLsn: 4, lastLsn: 4, bytes: 10 },
    ];
    const pruning = log.prune();
    await settled();
    expect(wal.segmentList).toHaveLength(2);
    expect(await log.lookup(new Set(['1789.0']))).toEqual(new Map([['1789.0', { kind: 'below-watermark' }]]));
    wal.sync();
    await pruning;
    expect(wal.segmentList).toHaveLength(1);
  });
});

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/kernel/clock.ts';
import { DecisionLog, DecisionRefusedError } from '../../../src/transaction/decision-log.ts';
import type { CommitDecision } from '../../../src/transaction/decision-record.ts';
import { transactionKey } from '../../../src/transaction/gid.ts';
import { openWal, type WalOptions } from '../../../src/wal/wal.ts';

let directory = '';
let nowMs = 1_900_000_000_000;
const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: () => Promise.resolve() };

beforeEach(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'atomshard-decisions-'));
  nowMs = 1_900_000_000_000;
});
/** Every log that was opened, so that a test that fails leaves no thread behind. */
const opened: DecisionLog[] = [];
afterEach(async () => {
  for (const log of opened.splice(0)) await log.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Settings extends Partial<WalOptions> {
  readonly retentionMs?: number;
  readonly retentionBytesMax?: number;
}

async function open({ retentionMs, retentionBytesMax, ...wal }: Settings = {}): Promise<DecisionLog> {
  const log = await DecisionLog.open({
    openWal: (onRecord) => openWal({ directory, segmentBytes: 65_536, reserveBytes: 4096, clock, ...wal }, onRecord),
    clock,
    ...(retentionMs === undefined ? {} : { retentionMs }),
    ...(retentionBytesMax === undefined ? {} : { retentionBytesMax }),
  });
  opened.push(log);
  return log;
}

function decision(log: DecisionLog, seq: number, padding = 0): CommitDecision {
  const transaction = { cluster: 'k3x9q', instance: 'proxy-0', epoch: log.identity.epoch, seq };
  const participants = ['shard-0', 'shard-1'].map((shard, i) => {
    const gid = `as1:k3x9q:proxy-0.${log.identity.epoch}.${seq}::${i}/2:${'x'.repeat(padding)}`;
    return { shard, gid, xid: `${1000 + seq}`, timeline: 1, systemIdentifier: '7312345678901234567' };
  });
  return { transaction, participants, atMs: nowMs };
}

const id = (log: DecisionLog, seq: number) => `${log.identity.epoch}.${seq}`;
const look = async (log: DecisionLog, key: string) => (await log.lookup(new Set([key]))).get(key);
const liveKeys = (log: DecisionLog) => [...log.live()].map((one) => transactionKey(one.transaction));
const immediate = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('the decision log on a real write-ahead log', () => {
  it('a decision is live from its commit point until its end, across restarts', async () => {
    const first = await open();
    const one = decision(first, 1);
    await first.commit(one);
    await first.commit(decision(first, 2));
    first.end(one.transaction);
    expect(liveKeys(first)).toEqual([id(first, 2)]);
    await first.close();

    const second = await open();
    expect(second.identity.epoch).toBe(first.identity.epoch + 1);
    expect(liveKeys(second)).toEqual([id(first, 2)]);
    expect(await look(second, id(first, 1))).toMatchObject({
      kind: 'commit',
      decision: one,
      committed: true,
      ended: true,
    });
    expect(await look(second, id(first, 2))).toMatchObject({ kind: 'commit', committed: true, ended: false });
    await second.close();
  });

  it('an END that never reached the disk leaves the decision live: recovery verifies once more', async () => {
    const log = await open();
    const one = decision(log, 1);
    await log.commit(one);
    log.end(one.transaction);
    // What a SIGKILL leaves: the files as they are now, without the lazy record.
    const copy = mkdtempSync(path.join(os.tmpdir(), 'atomshard-decisions-'));
    cpSync(directory, copy, { recursive: true });
    await log.close();
    const after = await open({ directory: copy });
    expect(liveKeys(after)).toEqual([id(log, 1)]);
    await after.close();
    rmSync(copy, { recursive: true });
  });

  it('PgDog 1: what it gives back after a restart is byte for byte what was decided', async () => {
    const log = await open();
    const one = { ...decision(log, 7), participants: [{ ...decision(log, 7).participants[0], lsn: '0/16B3748' }] };
    await log.commit(one as CommitDecision);
    await log.close();
    const after = await open();
    expect([...after.live()]).toEqual([one]);
    await after.close();
  });

  it('an id without a record proves nothing decided only where the log can tell', async () => {
    const log = await open();
    await log.commit(decision(log, 5));
    expect(await look(log, id(log, 4))).toEqual({ kind: 'none-above-watermark' });
    expect(await look(log, id(log, 6))).toEqual({ kind: 'none-above-watermark' });
    expect(await look(log, `${log.identity.firstEpoch - 1}.1`)).toEqual({ kind: 'lost' });
    // From the future of this log: its volume was set back to an older copy.
    expect(await look(log, `${log.identity.epoch + 1}.1`)).toEqual({ kind: 'lost' });
    await log.close();
  });

  it('a tombstone stays decided', async () => {
    const log = await open();
    await log.abortTombstone(decision(log, 3).transaction);
    expect(await look(log, id(log, 3))).toEqual({ kind: 'abort' });
    await expect(log.commit(decision(log, 3))).rejects.toThrow(/decided once/);
    await log.close();
    const after = await open();
    expect(await look(after, id(log, 3))).toEqual({ kind: 'abort' });
    await after.close();
  });

  it('refuses to decide the same transaction twice (I6), or one of another epoch', async () => {
    const log = await open();
    await log.commit(decision(log, 1));
    await expect(log.commit(decision(log, 1))).rejects.toThrow(/decided once/);
    const stranger = decision(log, 2);
    const old = { ...stranger, transaction: { ...stranger.transaction, epoch: 1 } };
    await expect(log.commit(old)).rejects.toThrow(/own epoch/);
    await log.close();
  });

  it('a closed log and a record that is too large refuse before anything is written', async () => {
    const log = await open();
    await expect(log.commit(decision(log, 1, 600_000))).rejects.toThrow(DecisionRefusedError);
    expect(log.liveCount).toBe(0);
    await log.close();
    await expect(log.commit(decision(log, 2))).rejects.toThrow(DecisionRefusedError);
  });

  it('applied is below the oldest live decision, whatever ended behind it', async () => {
    const log = await open();
    const all = [1, 2, 3].map((seq) => decision(log, seq));
    for (const one of all) await log.commit(one);
    const lsnOfFirst = log.positions.committed - 2;
    for (const one of all.slice(1)) log.end(one.transaction);
    expect(log.positions.applied).toBe(lsnOfFirst - 1);
    for (const one of all.slice(0, 1)) log.end(one.transaction);
    expect(log.positions.applied).toBe(log.positions.committed);
    await log.close();
  });

  it('many decisions at once keep every one of them', async () => {
    const log = await open({ segmentBytes: 16_384 });
    await Promise.all(Array.from({ length: 300 }, (_, seq) => log.commit(decision(log, seq + 1))));
    for (let seq = 1; seq <= 299; seq++) log.end(decision(log, seq).transaction);
    await log.close();
    const after = await open();
    expect(liveKeys(after)).toEqual([id(log, 300)]);
    const keys = Array.from({ length: 300 }, (_, seq) => id(log, seq + 1));
    const found = await after.lookup(new Set(keys));
    expect(keys.filter((key) => found.get(key)?.kind !== 'commit')).toEqual([]);
    await after.close();
  });
});

describe('closing', () => {
  it('PgDog 12: ends although what still has to be written needs new segments', async () => {
    for (let round = 0; round < 15; round++) {
      const log = await open({ segmentBytes: 8_192 });
      await Promise.all(Array.from({ length: 200 }, (_, seq) => log.commit(decision(log, seq + 1))));
      // Nobody waits for an END, so all of them are left for close, and they fill more than one segment.
      for (const one of [...log.live()]) log.end(one.transaction);
      await log.close();
    }
    const after = await open();
    expect(after.liveCount).toBe(0);
    await after.close();
  });
});

describe('retention', () => {
  /** Fills more than `segments` segments with decisions that end, from `seq` on. */
  async function fill(log: DecisionLog, seq: number, count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const one = decision(log, seq + i, 400);
      await log.commit(one);
      log.end(one.transaction);
    }
    await immediate();
    await log.prune();
  }

  it('keeps decisions that ended for the horizon, then deletes them with a watermark that says so (I15)', async () => {
    const log = await open({ segmentBytes: 8_192, retentionMs: 1_000 });
    await fill(log, 1, 40);
    expect(await look(log, id(log, 1))).toMatchObject({ kind: 'commit' });
    nowMs += 500;
    await fill(log, 41, 40);
    nowMs += 600;
    await log.prune();
    expect(log.positions.oldest).toBeGreaterThan(1);
    expect(await look(log, id(log, 1))).toEqual({ kind: 'below-watermark' });
    expect(await look(log, id(log, 80))).toMatchObject({ kind: 'commit' });
    expect(await look(log, id(log, 81))).toEqual({ kind: 'none-above-watermark' });
    await log.close();
    const after = await open({ segmentBytes: 8_192, retentionMs: 1_000_000 });
    expect(await look(after, id(log, 1))).toEqual({ kind: 'below-watermark' });
    expect(await look(after, id(log, 81))).toEqual({ kind: 'none-above-watermark' });
    await after.close();
  });

  it('every id below the watermark that is not found says so: silence is never taken for "nothing decided"', async () => {
    const log = await open({ segmentBytes: 8_192, retentionBytesMax: 20_000 });
    await fill(log, 1, 120);
    const keys = Array.from({ length: 120 }, (_, i) => id(log, i + 1));
    const found = await log.lookup(new Set(keys));
    expect(keys.filter((key) => found.get(key)?.kind === 'none-above-watermark')).toEqual([]);
    expect(keys.filter((key) => found.get(key)?.kind === 'below-watermark').length).toBeGreaterThan(10);
    await log.close();
  });

  it('PgDog 5: a decision that is still live outlives its segment, restarts and further retention', async () => {
    let log = await open({ segmentBytes: 8_192, retentionBytesMax: 20_000 });
    const stuck = decision(log, 1);
    const key = id(log, 1);
    await log.commit(stuck);
    await fill(log, 2, 120);
    expect(log.positions.oldest).toBeGreaterThan(50);
    expect(log.positions.applied).toBeGreaterThan(50);
    for (let restart = 0; restart < 3; restart++) {
      expect(await look(log, key)).toMatchObject({ kind: 'commit', decision: stuck, committed: true, ended: false });
      expect([...log.live()]).toEqual([stuck]);
      await log.close();
      log = await open({ segmentBytes: 8_192, retentionBytesMax: 20_000 });
      await fill(log, 200, 60);
    }
    log.end(stuck.transaction);
    await log.close();
    log = await open();
    expect(log.liveCount).toBe(0);
    await log.close();
  });

  it('what was too old when the proxy was down is deleted at the next start, and the watermark is kept', async () => {
    const first = await open({ segmentBytes: 8_192, retentionMs: 1_000 });
    await fill(first, 1, 40);
    await first.close();
    nowMs += 5_000;
    const second = await open({ segmentBytes: 8_192, retentionMs: 1_000 });
    // What the start itself wrote is the new segment's checkpoint; the age of the others is counted from before it.
    nowMs += 5_000;
    await second.prune();
    expect(second.positions.oldest).toBeGreaterThan(first.positions.appended);
    expect(await look(second, id(first, 40))).toEqual({ kind: 'below-watermark' });
    await second.close();
    const third = await open();
    expect(await look(third, id(first, 40))).toEqual({ kind: 'below-watermark' });
    expect(await look(third, id(second, 1))).toEqual({ kind: 'none-above-watermark' });
    await third.close();
  });

  it('a decision that ended long after its segment was deleted is still found for the horizon', async () => {
    const log = await open({ segmentBytes: 8_192, retentionMs: 1_000 });
    const stuck = decision(log, 1);
    await log.commit(stuck);
    await fill(log, 2, 60);
    nowMs += 2_000;
    await fill(log, 62, 60);
    expect(log.positions.oldest).toBeGreaterThan(20);
    log.end(stuck.transaction);
    expect(await look(log, id(log, 1))).toMatchObject({ kind: 'commit', decision: stuck, ended: true });
    await log.close();
  });
});

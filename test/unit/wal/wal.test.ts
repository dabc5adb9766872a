import { describe, expect, it } from 'vitest';
import { noControlPoint } from '../../../src/kernel/control-point.ts';
import { LogFiles } from '../../../src/wal/log-files.ts';
import type { SegmentStart, StorageEvents } from '../../../src/wal/storage.ts';
import { WalError, WalFailedError, WalLockedError } from '../../../src/wal/wal.ts';
import { InlineStorage } from '../../support/wal/inline-storage.ts';
import {
  bytesOf,
  diskWith,
  openLog,
  ownerRecordsOn,
  segmentsOn,
  startOn,
  TAG,
  text,
} from '../../support/wal/log-kit.ts';
import { SimulatedDisk } from '../../support/wal/simulated-disk.ts';

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const isOrdered = (numbers: readonly number[]): boolean =>
  numbers.every((value, index) => value <= (numbers[index + 1] ?? value));

describe('appending', () => {
  it('what append resolved for is returned by the next open, in order, with its lsn', async () => {
    const disk = new SimulatedDisk();
    const { wal } = await startOn(disk);
    const lsns = await Promise.all(range(50).map((index) => wal.append(TAG, text(`r${index}`))));
    const records = await ownerRecordsOn(disk.afterKill());
    expect(records.map((record) => record.text)).toEqual(range(50).map((index) => `r${index}`));
    expect(records.map((record) => record.lsn)).toEqual(lsns);
  });

  it('an open without a log makes one, and the next open continues it in the next epoch', async () => {
    const disk = new SimulatedDisk();
    const first = await startOn(disk, { clock: { nowMs: () => 1_700_000_000_500, monotonicMs: () => 0, sleep } });
    expect(first.opened.identity).toMatchObject({ created: true, epoch: 1_700_000_000, firstEpoch: 1_700_000_000 });
    await first.wal.close();
    const second = await startOn(disk);
    const { walId } = first.opened.identity;
    expect(second.opened.identity).toEqual({ walId, created: false, epoch: 1_700_000_001, firstEpoch: 1_700_000_000 });
    expect(second.records[0]).toMatchObject({ tag: 1, text: 'checkpoint', lsn: 1 });
  });

  it('an epoch is never given twice, even when the process dies before it writes anything', async () => {
    const disk = new SimulatedDisk();
    const first = await openLog({ storage: new InlineStorage(disk) });
    const second = await openLog({ storage: new InlineStorage(disk.afterKill()) });
    expect(second.opened.identity.epoch).toBe(first.opened.identity.epoch + 1);
    // Nothing was ever written, so nothing of before can be judged by this log.
    expect(second.opened.identity).toMatchObject({ created: true, firstEpoch: second.opened.identity.epoch });
  });

  it('one sync carries all records that waited', async () => {
    const { wal } = await startOn(new SimulatedDisk(), { segmentBytes: 65_536 });
    await Promise.all(range(100).map((index) => wal.append(TAG, text(`r${index}`))));
    expect(wal.statistics).toMatchObject({ groups: 1, records: 100 });
  });

  it('a lazy record waits for the next group, and goes before it', async () => {
    const disk = new SimulatedDisk();
    const { wal } = await startOn(disk);
    wal.appendLazy(TAG + 1, text('end of r0'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(wal.statistics.groups).toBe(0);
    await wal.append(TAG, text('r1'));
    expect(wal.statistics.groups).toBe(1);
    expect((await ownerRecordsOn(disk.afterKill())).map((record) => record.text)).toEqual(['end of r0', 'r1']);
  });

  it('close writes the lazy records that wait', async () => {
    const disk = new SimulatedDisk();
    const { wal } = await startOn(disk);
    wal.appendLazy(TAG + 1, text('end of r0'));
    await wal.close();
    expect((await ownerRecordsOn(disk)).map((record) => record.text)).toEqual(['end of r0']);
    await expect(wal.append(TAG, text('late'))).rejects.toThrow('the log is closed');
  });

  it('refuses tags of its own and records of absurd size before they get an lsn', async () => {
    const { wal } = await startOn(new SimulatedDisk());
    const before = wal.positions.appended;
    await expect(wal.append(1, text('mine'))).rejects.toBeInstanceOf(WalError);
    await expect(wal.append(TAG, new Uint8Array(600 * 1024))).rejects.toMatchObject({ code: 'wal_record_refused' });
    expect(await wal.append(TAG, text('next'))).toBe(before + 1);
  });

  it('control points stand around a forced append', async () => {
    const reached: string[] = [];
    const controlPoint = (name: string) => void reached.push(name);
    const { wal } = await startOn(new SimulatedDisk(), { controlPoint });
    await wal.append(TAG, text('r1'));
    wal.appendLazy(TAG, text('lazy'));
    expect(reached).toEqual(['append.before', 'append.after']);
    expect(noControlPoint('append.before')).toBeUndefined();
  });

  it('a second opener is refused and told who holds the log', async () => {
    const disk = new SimulatedDisk();
    const { wal } = await startOn(disk);
    const second = openLog({ storage: new InlineStorage(disk), holder: 'the other proxy' });
    await expect(second).rejects.toBeInstanceOf(WalLockedError);
    await wal.close();
    await startOn(disk);
  });

  it('an owner that cannot read its records fails the open and releases the lock', async () => {
    const disk = await diskWith(3);
    const storage = new InlineStorage(disk);
    const { openWal } = await import('../../../src/wal/wal.ts');
    const refused = openWal({ directory: 'simulated', storage }, () => {
      throw new Error('unknown record');
    });
    await expect(refused).rejects.toThrow('unknown record');
    expect(await ownerRecordsOn(disk)).toHaveLength(3);
  });
});

describe('positions', () => {
  it('stay in order and never go back, over rotations, prunes and restarts', async () => {
    let disk = new SimulatedDisk();
    const seen: number[][] = [];
    for (let run = 0; run < 4; run += 1) {
      const { wal } = await startOn(disk, { segmentBytes: 1024 });
      const look = () => {
        const { oldest, applied, committed, durable, appended } = wal.positions;
        expect(isOrdered([oldest, applied + 1, committed + 1, durable + 1, appended + 1])).toBe(true);
        seen.push([oldest, applied, committed, durable, appended]);
      };
      for (let round = 0; round < 10; round += 1) {
        await Promise.all(range(8).map((index) => wal.append(TAG, text(`run ${run} ${index}`)).then(look)));
        wal.setApplied(wal.positions.committed - 3);
        look();
      }
      await wal.prune((segment) => segment.lastLsn > wal.positions.applied);
      look();
      disk = disk.afterKill();
    }
    // `applied` may fall back to the last checkpoint's at a restart: what says that a transaction ended is not forced.
    for (const at of [0, 2, 3, 4]) expect(isOrdered(seen.map((row) => row[at] ?? 0))).toBe(true);
  });

  it('every record carries what was durable before its own group', async () => {
    const disk = new SimulatedDisk();
    const { wal } = await startOn(disk);
    await Promise.all(range(5).map((index) => wal.append(TAG, text(`a${index}`))));
    await Promise.all(range(5).map((index) => wal.append(TAG, text(`b${index}`))));
    const records = await ownerRecordsOn(disk.afterKill());
    expect(records.map((record) => record.committedAtWrite)).toEqual([1, 1, 1, 1, 1, 6, 6, 6, 6, 6]);
  });

  it('the suffix above committed is reported as uncertain, and certain once the log was started', async () => {
    const disk = new SimulatedDisk();
    const { wal } = await startOn(disk);
    await wal.append(TAG, text('r1'));
    const { opened } = await openLog({ storage: new InlineStorage(disk.afterKill()) });
    expect(opened.positions).toMatchObject({ committed: 1, appended: 2 });
    const again = await opened.start(text('again'));
    expect(again.positions).toMatchObject({ committed: 3, durable: 3, appended: 3 });
  });

  it('nothing is acknowledged before the commit rule says so, which is where replication would stand', async () => {
    let release: (() => void) | undefined;
    const held: number[] = [];
    const commitRule = (durable: number, committed: (lsn: number) => void) => {
      held.push(durable);
      release = () => committed(durable);
      if (held.length <= 2) committed(durable); // the two of start()
    };
    const { wal } = await startOn(new SimulatedDisk(), { commitRule });
    let isTold = false;
    const told = wal.append(TAG, text('r1')).then(() => {
      isTold = true;
    });
    while (held.length < 3) await new Promise((resolve) => setImmediate(resolve));
    expect(isTold).toBe(false);
    expect(wal.positions).toMatchObject({ committed: 1, durable: 2, appended: 2 });
    release?.();
    await told;
    expect(wal.positions.committed).toBe(2);
  });
});

describe('segments', () => {
  it('PgDog 4: records pushed while a segment begins are written, every one, in order', async () => {
    const disk = new SimulatedDisk();
    const { wal } = await startOn(disk, { segmentBytes: 1024 });
    const told: string[] = [];
    await Promise.all(
      range(20).map(async (writer) => {
        for (let turn = 0; turn < 20; turn += 1) {
          const name = `w${writer} t${turn}`;
          if (turn % 5 === 4) wal.appendLazy(TAG + 1, text(`lazy of ${name}`));
          await wal.append(TAG, text(name));
          told.push(name);
        }
      }),
    );
    expect(wal.segments().length).toBeGreaterThan(10);
    const records = await ownerRecordsOn(disk.afterKill());
    expect(new Set(records.map((record) => record.text))).toEqual(
      new Set([
        ...told,
        ...told.filter((name) => name.endsWith('4') || name.endsWith('9')).map((name) => `lazy of ${name}`),
      ]),
    );
    expect(records).toHaveLength(told.length * 1.2);
  });

  it('each segment begins with the checkpoint of its time, asked for after everybody told had its turn', async () => {
    const disk = new SimulatedDisk();
    const { wal } = await startOn(disk, { segmentBytes: 512 });
    const live = new Set<string>();
    wal.onCheckpointDue = () => text([...live].join(' '));
    const writer = async (id: number) => {
      for (const index of range(30)) {
        const name = `w${id}-${index}`;
        await wal.append(TAG, text(name));
        // In the turn in which the promise resolved, as promised, though some functions further up.
        for (let depth = 0; depth < id * 8; depth += 1) await Promise.resolve();
        live.add(name);
      }
    };
    await Promise.all([0, 1, 2, 3].map(writer));
    const { opened, records } = await openLog({ storage: new InlineStorage(disk.afterKill()) });
    await opened.close();
    const before: string[] = [];
    for (const record of records) {
      const restated = new Set(record.text.split(' '));
      if (record.tag === 1 && record.lsn > 1) expect(before.filter((name) => !restated.has(name))).toEqual([]);
      if (record.tag === TAG) before.push(record.text);
    }
    expect(before).toHaveLength(120);
    expect(records.filter((record) => record.tag === 1).length).toBeGreaterThan(3);
  });

  it('PgDog 5: a needed segment is never deleted, only whole old ones from the oldest on', async () => {
    const disk = new SimulatedDisk();
    const { wal } = await startOn(disk, { segmentBytes: 512 });
    for (const index of range(40)) await wal.append(TAG, text(`r${index}`));
    const all = wal.segments();
    const gone = await wal.prune((segment) => segment.firstLsn >= (all[3]?.firstLsn ?? 0));
    expect(gone.map((segment) => segment.name)).toEqual(all.slice(0, 3).map((segment) => segment.name));
    expect(wal.positions.oldest).toBe(all[3]?.firstLsn);
    // Asked to keep nothing, it keeps the segment in use, which restates what is live.
    await wal.prune(() => false);
    expect(wal.segments().map((segment) => segment.name)).toEqual([all.at(-1)?.name]);
    await wal.append(TAG, text('after'));
    const { opened, records } = await openLog({ storage: new InlineStorage(disk.afterKill()) });
    expect(records.at(-1)?.text).toBe('after');
    expect(opened.positions.applied).toBe(opened.positions.oldest - 1);
  });

  it('a kill between any two steps of deleting leaves a log that opens', async () => {
    const disk = await diskWith(40, { segmentBytes: 512 });
    const { wal } = await startOn(disk, { segmentBytes: 512 });
    const images: SimulatedDisk[] = [];
    disk.hook = (_step, _name, at) => images.push(at.afterKill());
    await wal.prune(() => false);
    expect(images.length).toBeGreaterThan(5);
    for (const image of images) await ownerRecordsOn(image);
  });

  it('a segment gives back the space that it did not use', async () => {
    const disk = await diskWith(2, { segmentBytes: 8192 });
    const { wal } = await startOn(disk, { segmentBytes: 8192 });
    const [first, second] = segmentsOn(disk).map((name) => disk.names.get(name)?.bytes.length ?? 0);
    expect(first).toBeLessThan(512);
    expect(second).toBe(8192);
    await wal.close();
  });

  it('scan reads what is durable again, beside appends and prunes', async () => {
    const disk = new SimulatedDisk();
    const { wal } = await startOn(disk, { segmentBytes: 512 });
    for (const index of range(30)) await wal.append(TAG, text(`r${index}`));
    const busy = Promise.all(range(20).map((index) => wal.append(TAG, text(`later ${index}`))));
    const lsns: number[] = [];
    await Promise.all([wal.scan((record) => lsns.push(record.lsn), 5), wal.prune((segment) => segment.lastLsn > 10)]);
    expect(lsns).toEqual(lsns.map((_, index) => index + 5));
    expect(lsns.length).toBeGreaterThan(25);
    await busy;
  });
});

describe('spares', () => {
  it('a spare that was taken keeps its name to itself, also while the next one is made', async () => {
    const disk = new SimulatedDisk();
    const prepared: string[] = [];
    class SlowStorage extends InlineStorage {
      override async prepare(name: string, bytes: number): Promise<void> {
        prepared.push(name);
        await new Promise((resolve) => setImmediate(resolve));
        await super.prepare(name, bytes);
      }
      override async start(segment: SegmentStart, events: StorageEvents): Promise<void> {
        for (let turns = 0; turns < 5; turns += 1) await new Promise((resolve) => setImmediate(resolve));
        await super.start(segment, events);
      }
    }
    const options = { storage: new SlowStorage(disk), segmentBytes: 512, reserveBytes: 512 };
    const { opened } = await openLog(options);
    const wal = await opened.start(text('checkpoint'));
    const names = range(60).map((index) => `r${index}`);
    await Promise.all(names.map((name) => wal.append(TAG, text(name))));
    expect(prepared.length).toBeGreaterThan(5);
    expect(new Set(prepared).size).toBe(prepared.length);
    expect((await ownerRecordsOn(disk.afterKill())).map((record) => record.text)).toEqual(names);
  });
});

describe('readers and pruners', () => {
  it('a segment is not deleted while somebody reads', async () => {
    const disk = await diskWith(40, { segmentBytes: 512 });
    const gate = Promise.withResolvers<void>();
    let isReading = false;
    class SlowStorage extends InlineStorage {
      override async read(name: string, position: number, length: number): Promise<Uint8Array> {
        if (isReading) await gate.promise;
        return super.read(name, position, length);
      }
    }
    const { opened } = await openLog({ storage: new SlowStorage(disk), segmentBytes: 512 });
    const wal = await opened.start(text('checkpoint'));
    isReading = true;
    const lsns: number[] = [];
    const scanned = wal.scan((record) => lsns.push(record.lsn));
    const pruned = wal.prune(() => false);
    for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setImmediate(resolve));
    gate.resolve();
    await Promise.all([scanned, pruned]);
    expect(lsns).toEqual(range(wal.positions.committed));
    expect(wal.segments()).toHaveLength(1);
  });

  it('publishing again over what a crash left between link and remove does not touch what was published', () => {
    const disk = new SimulatedDisk();
    const files = new LogFiles(disk);
    let removals = 0;
    disk.hook = (step) => {
      if (step === 'remove' && ++removals === 2) throw new Error('killed here');
    };
    expect(() => files.publish('copy', text('first'))).toThrow('killed here');
    expect(() => files.publish('copy', text('second'))).toThrow('EEXIST');
    expect(bytesOf(disk, 'copy')).toEqual(text('first'));
  });
});

describe('failures', () => {
  for (const step of ['write', 'sync'] as const) {
    it(`PgDog 3: a ${step} error is never acknowledged, and nothing is acknowledged after it`, async () => {
      const disk = new SimulatedDisk();
      const { wal } = await startOn(disk, { segmentBytes: 65_536 });
      await wal.append(TAG, text('before'));
      let isBroken = true;
      disk.hook = (at, name) => {
        if (isBroken && at === step && name.endsWith('.tmp') === false)
          throw Object.assign(new Error('EIO: gone'), { code: 'EIO' });
      };
      const during = [wal.append(TAG, text('one')), wal.append(TAG, text('two'))];
      for (const promise of during) await expect(promise).rejects.toBeInstanceOf(WalFailedError);
      isBroken = false;
      await expect(wal.append(TAG, text('after'))).rejects.toMatchObject({ code: 'wal_failed' });
      expect(await wal.failed).toMatchObject({ code: 'wal_failed', cause: { code: 'EIO' } });
      expect(wal.admission()).toMatchObject({ ok: false });
      wal.appendLazy(TAG, text('dropped'));
      await wal.close();
      // Not acknowledged is not "not written": whether it is found may be either, but what was told is there.
      expect((await ownerRecordsOn(disk)).map((record) => record.text)).toContain('before');
    });
  }

  it('a storage that reports a group after it failed is not believed', async () => {
    class LateStorage extends InlineStorage {
      events: StorageEvents | undefined;
      override start(segment: SegmentStart, events: StorageEvents): Promise<void> {
        this.events = events;
        return super.start(segment, events);
      }
      override offer(): boolean {
        return true;
      }
    }
    const storage = new LateStorage(new SimulatedDisk());
    const { opened } = await openLog({ storage });
    const wal = await opened.start(text('checkpoint'));
    const told = wal.append(TAG, text('r1'));
    storage.events?.failed('wrote', new Error('EIO'));
    storage.events?.durable({ lastLsn: 2, lastCrc: 0 });
    await expect(told).rejects.toBeInstanceOf(WalFailedError);
    expect(wal.positions).toMatchObject({ committed: 1, durable: 1 });
  });

  it('an error while a segment begins fails the log, also for those who wait in the queue', async () => {
    const disk = new SimulatedDisk();
    const { wal } = await startOn(disk, { segmentBytes: 512 });
    disk.hook = (step) => {
      if (step === 'rename') throw Object.assign(new Error('EIO: gone'), { code: 'EIO' });
    };
    const outcomes = await Promise.allSettled(range(40).map((index) => wal.append(TAG, text(`r${index}`))));
    const told = outcomes.filter((outcome) => outcome.status === 'fulfilled').length;
    expect(told).toBeLessThan(40);
    await wal.failed;
    disk.hook = () => undefined;
    expect((await ownerRecordsOn(disk.afterKill())).length).toBeGreaterThanOrEqual(told);
  });
});

describe('a full disk', () => {
  it('new work is refused while the reserve still takes what is under way, and again admitted once there is space', async () => {
    const disk = new SimulatedDisk();
    let wake: () => void = () => undefined;
    const clock = {
      nowMs: () => 1e12,
      monotonicMs: () => 0,
      sleep: (_: number, signal?: AbortSignal) =>
        new Promise<void>((resolve) => {
          wake = resolve;
          signal?.addEventListener('abort', () => resolve());
        }),
    };
    const { wal } = await startOn(disk, { segmentBytes: 4096, reserveBytes: 4096, clock });
    while (![...disk.names.keys()].some((name) => /^next.*spare$/.test(name)))
      await new Promise((resolve) => setImmediate(resolve));
    disk.fill();
    let admitted = 0;
    while (wal.admission().ok) {
      await wal.append(TAG, text(`r${++admitted}`));
      expect(admitted).toBeLessThan(1000);
    }
    expect(wal.admission()).toMatchObject({ ok: false, reason: 'no space left in simulated' });
    // What was prepared before may still be decided: at least the reserve is there for it.
    for (const index of range(40)) await wal.append(TAG, text(`late ${index}`));
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    wake();
    while (!wal.admission().ok) await new Promise((resolve) => setImmediate(resolve));
    await wal.append(TAG, text('admitted again'));
    expect(await ownerRecordsOn(disk.afterKill())).toHaveLength(admitted + 41);
  });

  it('while a spare is being made nobody knows that there is no space: records wait for it, and the reserve stays', async () => {
    const disk = new SimulatedDisk();
    let turnsOfPrepare = 0;
    class SlowStorage extends InlineStorage {
      override async prepare(name: string, bytes: number): Promise<void> {
        for (let turns = 0; turns < turnsOfPrepare; turns += 1) await new Promise((resolve) => setImmediate(resolve));
        await super.prepare(name, bytes);
      }
    }
    const sizes = { segmentBytes: 4096, reserveBytes: 4096 };
    const { opened } = await openLog({ storage: new SlowStorage(disk), ...sizes });
    const wal = await opened.start(text('checkpoint'));
    while ([...disk.names.keys()].filter((name) => name.endsWith('spare')).length < 2)
      await new Promise((resolve) => setImmediate(resolve));
    disk.fill();
    turnsOfPrepare = 2_000;
    let admitted = 0;
    while (wal.admission().ok) {
      await wal.append(TAG, text(`r${++admitted}`));
      expect(admitted).toBeLessThan(1000);
    }
    for (const index of range(40)) await wal.append(TAG, text(`late ${index}`));
    expect(await ownerRecordsOn(disk.afterKill())).toHaveLength(admitted + 40);
  });

  it('a log that was killed on a full disk opens, reads everything and lets decisions end', async () => {
    const disk = new SimulatedDisk();
    const { wal } = await startOn(disk, { segmentBytes: 4096, reserveBytes: 4096 });
    while (![...disk.names.keys()].some((name) => /^next.*spare$/.test(name)))
      await new Promise((resolve) => setImmediate(resolve));
    await wal.append(TAG, text('r1'));
    const after = disk.afterKill();
    after.fill();
    const again = await startOn(after, { segmentBytes: 4096, reserveBytes: 4096 });
    expect(again.records.at(-1)?.text).toBe('r1');
    await again.wal.append(TAG, text('ends'));
  });
});

const sleep = (): Promise<void> => Promise.resolve();

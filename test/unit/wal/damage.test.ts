import { describe, expect, it } from 'vitest';
import { encodeRecord, recordBytes, SECTOR_BYTES, setU64, stampGroup, viewOf } from '../../../src/wal/format.ts';
import { composeSegment } from '../../../src/wal/segment-content.ts';
import { decodeSegmentHeader, encodeSegmentHeader, SEGMENT_HEADER_BYTES } from '../../../src/wal/segment-header.ts';
import { WalDamageError } from '../../../src/wal/wal.ts';
import { Random } from '../../support/random.ts';
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

/** A power cut that loses all that may be lost. */
class LoseAll extends Random {
  override next(): number {
    return 0.99;
  }
}

const headerOf = (bytes: Uint8Array) => {
  const reading = decodeSegmentHeader(bytes.subarray(0, SEGMENT_HEADER_BYTES));
  if (reading.kind === 'refused') throw new Error(reading.reason);
  return reading.header;
};

/** A record as this segment's writer would have written it. */
function recordFor(segment: Uint8Array, tag: number, lsn: number, payload: Uint8Array, committed = 0): Uint8Array {
  const bytes = new Uint8Array(recordBytes(payload.length));
  encodeRecord(bytes, viewOf(bytes), tag, lsn, payload);
  stampGroup(bytes, headerOf(segment).segmentId, committed);
  return bytes;
}

const endOf = (bytes: Uint8Array): number => Math.ceil((bytes.findLastIndex((byte) => byte !== 0) + 1) / 8) * 8;

/** A log killed in the middle of its last segment: `r1` … `r<count>`, each its own group. */
async function killedLog(
  count: number,
  payload = '',
): Promise<{ disk: SimulatedDisk; bytes: Uint8Array; name: string }> {
  const running = new SimulatedDisk();
  const { wal } = await startOn(running, { segmentBytes: 16_384 });
  for (let index = 1; index <= count; index += 1) await wal.append(TAG, text(`r${index}${payload}`));
  const disk = running.afterKill();
  const name = segmentsOn(disk).at(-1) ?? '';
  const file = disk.names.get(name);
  if (file === undefined) throw new Error('no segment');
  file.bytes = file.bytes.slice();
  return { disk, bytes: file.bytes, name };
}

async function refusal(disk: SimulatedDisk): Promise<WalDamageError> {
  const error: unknown = await openLog({ storage: new InlineStorage(disk) }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof WalDamageError)) throw new Error(`expected a refusal, not ${String(error)}`);
  return error;
}

describe('what no crash explains is refused, with file, offset, reason and what to do', () => {
  it('PgDog 6: a tail of zeros opens, and an unknown tag is refused in words', async () => {
    const { disk, bytes, name } = await killedLog(3);
    expect(bytes.subarray(endOf(bytes)).every((byte) => byte === 0)).toBe(true);
    expect(await ownerRecordsOn(disk.afterKill())).toHaveLength(3);
    const at = endOf(bytes);
    bytes.set(recordFor(bytes, 9, 5, text('?')), at);
    const error = await refusal(disk);
    expect(error).toMatchObject({ file: name, offset: at, reason: expect.stringContaining('unknown tag 9') });
    expect(error.message).toContain('atomshard wal verify');
  });

  it('a flipped bit in an acknowledged record, also in the very last one', async () => {
    for (const record of [2, 3]) {
      const { disk, bytes } = await killedLog(3);
      const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(`r${record}`);
      bytes[at] = (bytes[at] ?? 0) ^ 4;
      expect((await refusal(disk)).reason).toContain('checksum');
    }
  });

  it('a sector of zeros where a later record says that all was acknowledged', async () => {
    const { disk, bytes } = await killedLog(4, '.'.repeat(600));
    bytes.fill(0, 2 * SECTOR_BYTES, 3 * SECTOR_BYTES);
    expect((await refusal(disk)).reason).toMatch(/record \d was acknowledged \(committed up to 4\)/);
  });

  it('a record that is missing, repeated or out of place', async () => {
    for (const lsn of [3, 6, 7]) {
      const { disk, bytes } = await killedLog(3);
      bytes.set(recordFor(bytes, TAG, lsn, text('x')), endOf(bytes));
      expect((await refusal(disk)).reason).toBe(`record ${lsn} stands where record 5 belongs`);
    }
  });

  it('a length that is absurd is refused before anything of that size is allocated', async () => {
    const { disk, bytes } = await killedLog(3);
    const at = endOf(bytes);
    const view = viewOf(bytes);
    view.setUint32(at, 0xfffffff0, true);
    view.setUint32(at + 4, 0x0000000f, true);
    view.setUint32(at + 8, 1, true);
    expect((await refusal(disk)).offset).toBe(at);
  });

  it('stale bytes of another segment behind the end are never read as records', async () => {
    const { disk, bytes } = await killedLog(3);
    const other = await killedLog(3);
    const stale = other.bytes.subarray(SEGMENT_HEADER_BYTES, endOf(other.bytes));
    bytes.set(stale, endOf(bytes));
    await refusal(disk);
  });

  it('a segment that is missing, from elsewhere, of an older run, or under another name', async () => {
    const gone = await diskWith(60, { segmentBytes: 512 });
    const names = segmentsOn(gone);
    gone.names.delete(names[2] ?? '');
    expect((await refusal(gone)).reason).toContain('are missing before');

    const foreign = await diskWith(60, { segmentBytes: 512 });
    const other = await diskWith(60, { segmentBytes: 512 });
    const otherFile = other.names.get(names[2] ?? '');
    if (otherFile === undefined) throw new Error('no segment');
    foreign.names.set(names[2] ?? '', otherFile);
    expect((await refusal(foreign)).reason).toContain('belongs to another log');

    const older = await diskWith(60, { segmentBytes: 512 });
    const bytes = bytesOf(older, names[2]);
    const header = headerOf(bytes);
    bytes.set(encodeSegmentHeader({ ...header, epoch: header.epoch - 1 }));
    expect((await refusal(older)).reason).toContain('is older than the one before');

    const renamed = await diskWith(3);
    const file = renamed.names.get(names[0] ?? '');
    if (file === undefined) throw new Error('no segment');
    renamed.names.delete(names[0] ?? '');
    renamed.names.set('00000000000000000007.wal', file);
    expect((await refusal(renamed)).reason).toContain('the file was renamed');
  });

  it('a segment whose end was replaced by an older copy of it', async () => {
    const disk = await diskWith(60, { segmentBytes: 512 });
    const [first] = segmentsOn(disk);
    const bytes = bytesOf(disk, first);
    const { lsn, at } = lastRecordOf(bytes);
    bytes.fill(0, at);
    bytes.set(recordFor(bytes, TAG, lsn, text('r!')).subarray(0, bytes.length - at), at);
    expect((await refusal(disk)).reason).toContain('is not the one that');
  });

  it('another format version, and bytes that are no log at all', async () => {
    const versioned = await killedLog(1);
    viewOf(versioned.bytes).setUint32(8, 2, true);
    expect((await refusal(versioned.disk)).reason).toBe(
      'the segment has format version 2; this program reads version 1',
    );
    const garbage = await killedLog(1);
    garbage.bytes.fill(0x20, 0, 64);
    expect((await refusal(garbage.disk)).reason).toBe('this is not a segment of an AtomShard log');
  });

  it('a segment that does not begin with a checkpoint, or has one in the middle, or of a newer program', async () => {
    const { disk, bytes } = await killedLog(2);
    bytes.set(recordFor(bytes, 1, 4, text('x')), endOf(bytes));
    expect((await refusal(disk)).reason).toContain('in the middle of a segment');
    const none = await killedLog(0);
    none.bytes.fill(0, SEGMENT_HEADER_BYTES);
    none.bytes.set(recordFor(none.bytes, TAG, 1, text('x')), SEGMENT_HEADER_BYTES);
    expect((await refusal(none.disk)).reason).toContain('is not a checkpoint');
    const newer = await killedLog(0);
    newer.bytes.fill(0, SEGMENT_HEADER_BYTES);
    newer.bytes.set(recordFor(newer.bytes, 1, 1, Uint8Array.of(0x91, 0x02)), SEGMENT_HEADER_BYTES);
    expect((await refusal(newer.disk)).reason).toContain('of a version that this program does not know');
    const empty = await killedLog(0);
    empty.bytes.fill(0, SEGMENT_HEADER_BYTES);
    expect((await refusal(empty.disk)).reason).toContain('its checkpoint is missing');
  });

  it('an epoch file of another log, or one that cannot be read', async () => {
    const disk = await diskWith(1);
    const name = [...disk.names.keys()].find((one) => one.endsWith('.epoch')) ?? '';
    const file = disk.names.get(name);
    if (file === undefined) throw new Error('no epoch file');
    const { bytes } = file;
    file.bytes = text(new TextDecoder().decode(bytes).replace(/"walId":"..../, '"walId":"zzzz'));
    expect((await refusal(disk)).reason).toContain('the segments belong to another log');
    file.bytes = text('{');
    expect((await refusal(disk)).reason).toContain('this is not an epoch file');
  });
});

describe('what a crash explains is cut off, after a copy of it', () => {
  /** The last group lost its first sector; records of the same group stand whole behind it. */
  async function tornLog() {
    const { disk, bytes, name } = await killedLog(2);
    const at = endOf(bytes);
    const group = Buffer.concat([3, 4, 5].map((index) => recordFor(bytes, TAG, index + 1, text('x'.repeat(500)), 3)));
    bytes.set(group, at);
    bytes.fill(0, at, Math.ceil((at + 1) / SECTOR_BYTES) * SECTOR_BYTES);
    return { disk, bytes: bytes.slice(), name, at };
  }

  it('a group of which a sector is missing, also when whole records of it stand behind', async () => {
    const { disk, bytes, name, at } = await tornLog();
    const { opened, records } = await openLog({ storage: new InlineStorage(disk) });
    expect(records.map((record) => record.lsn)).toEqual([1, 2, 3]);
    expect(opened.repaired).toMatchObject({ file: name, offset: at, copy: `${name}.${at}.broken` });
    expect(bytesOf(disk, opened.repaired?.copy)).toEqual(bytes.slice(at, at + (opened.repaired?.bytesCut ?? 0)));
    expect(bytesOf(disk, name)).toHaveLength(at);
    expect(opened.positions).toMatchObject({ appended: 3 });
  });

  it('a kill between any two steps of the cut leaves a log that opens the same, and every copy is whole', async () => {
    const { disk, at } = await tornLog();
    const images: SimulatedDisk[] = [];
    disk.hook = (_step, _name, now) => images.push(now.afterKill());
    await openLog({ storage: new InlineStorage(disk) });
    const [copy] = [...disk.names].filter(([name]) => name.endsWith('.broken')).map(([, file]) => file.bytes);
    for (const image of images) {
      const { opened, records } = await openLog({ storage: new InlineStorage(image) });
      expect(records).toHaveLength(3);
      await opened.close();
      const copies = [...image.names].filter(([name]) => name.endsWith('.broken'));
      expect(copies.length).toBeGreaterThan(0);
      for (const [name, file] of copies) {
        expect(name).toContain(`.${at}.`);
        expect(file.bytes).toEqual(copy);
      }
    }
  });

  it('a spare that was about to become a segment is no segment', async () => {
    const disk = await diskWith(2);
    const content = composeSegment({
      identity: { walId: '00'.repeat(16), epoch: 1, firstEpoch: 1, created: false },
      lsn: 4,
      previousCrc: 0,
      positions: { oldest: 1, applied: 0, committed: 3, durable: 3, appended: 3 },
      writtenAtMs: 0,
      owner: text('x'),
    });
    disk.names.set('next.99.spare', { bytes: content.content, durable: content.content });
    const { wal } = await startOn(disk);
    await wal.append(TAG, text('r3'));
    expect((await ownerRecordsOn(disk.afterKill())).map((record) => record.text)).toEqual(['r1', 'r2', 'r3']);
  });

  it('a segment has its name durably before anything in it is acknowledged', async () => {
    const disk = await diskWith(2, { segmentBytes: 4096, reserveBytes: 4096 });
    disk.fill(); // so that nothing is prepared behind our back, which would sync the directory
    const { wal } = await startOn(disk, { segmentBytes: 4096, reserveBytes: 4096 });
    await wal.append(TAG, text('r3'));
    const after = disk.afterPowerCut(new LoseAll(1));
    expect((await ownerRecordsOn(after)).map((record) => record.text)).toEqual(['r1', 'r2', 'r3']);
  });
});

function lastRecordOf(bytes: Uint8Array): { lsn: number; at: number } {
  const view = viewOf(bytes);
  let last = { lsn: 0, at: 0 };
  for (let at = SEGMENT_HEADER_BYTES; at + 8 <= bytes.length && view.getUint32(at, true) !== 0; ) {
    last = { lsn: view.getUint32(at + 16, true), at };
    at += Math.ceil(view.getUint32(at, true) / 8) * 8;
  }
  return last;
}

describe('numbers', () => {
  it('64-bit numbers beyond 2^32 are kept exactly', () => {
    const bytes = new Uint8Array(8);
    for (const value of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 5, Number.MAX_SAFE_INTEGER]) {
      setU64(viewOf(bytes), 0, value);
      expect(viewOf(bytes).getBigUint64(0, true)).toBe(BigInt(value));
    }
  });
});

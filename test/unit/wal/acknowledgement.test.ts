// Whose record is not in the group that became durable is not told anything, however close behind it stands.
import { describe, expect, it } from 'vitest';
import type { SegmentStart, StorageEvents } from '../../../src/wal/storage.ts';
import { InlineStorage } from '../../support/wal/inline-storage.ts';
import { openLog, TAG, text } from '../../support/wal/log-kit.ts';
import { SimulatedDisk } from '../../support/wal/simulated-disk.ts';

/** Takes every record and says only what the test says. */
class ToldStorage extends InlineStorage {
  events: StorageEvents | undefined;

  override start(segment: SegmentStart, events: StorageEvents): Promise<void> {
    this.events = events;
    return super.start(segment, events);
  }

  override offer(): boolean {
    return true;
  }
}

describe('a group that became durable', () => {
  it('is told to those who are in it, and not to the first of the next one', async () => {
    const storage = new ToldStorage(new SimulatedDisk());
    const { opened } = await openLog({ storage });
    const wal = await opened.start(text('checkpoint'));
    const told: number[] = [];
    for (const name of ['r1', 'r2', 'r3']) void wal.append(TAG, text(name)).then((lsn) => told.push(lsn));
    const settled = () => new Promise((resolve) => setImmediate(resolve));
    storage.events?.durable({ lastLsn: 3, lastCrc: 0 });
    await settled();
    expect(told).toEqual([2, 3]);
    expect(wal.positions).toMatchObject({ committed: 3, appended: 4 });
    storage.events?.durable({ lastLsn: 4, lastCrc: 0 });
    await settled();
    expect(told).toEqual([2, 3, 4]);
  });
});

// Power cuts at any step, again and again on what the one before left: what was acknowledged is there, and it opens.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../support/random.ts';
import { InlineStorage, PowerCut } from '../../support/wal/inline-storage.ts';
import { openLog, TAG, text } from '../../support/wal/log-kit.ts';
import { SimulatedDisk } from '../../support/wal/simulated-disk.ts';

/** What clients know, over all runs. */
interface Told {
  readonly acknowledged: Map<number, string>;
  readonly epochs: number[];
  writers: number;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Opens, checks, appends and prunes until the power goes at step `cutAt`. */
async function runUntilPowerCut(disk: SimulatedDisk, cutAt: number, random: Random, told: Told): Promise<void> {
  const storage = new InlineStorage(disk);
  disk.hook = (_step, _name, at) => {
    if (at.steps >= cutAt) throw new PowerCut();
  };
  const options = { storage, segmentBytes: 4096, reserveBytes: 2048 };
  const work = async () => {
    const { opened, records } = await openLog(options);
    expect(told.epochs.every((epoch) => epoch < opened.identity.epoch)).toBe(true);
    told.epochs.push(opened.identity.epoch);
    const found = new Map(records.map((record) => [record.lsn, record.text]));
    for (const [lsn, payload] of told.acknowledged) {
      if (lsn >= opened.positions.oldest) expect(found.get(lsn)).toBe(payload);
    }
    const wal = await opened.start(text('checkpoint'));
    // All that was read is durable now, so it counts like acknowledged.
    for (const { lsn, tag, text: payload } of records) if (tag === TAG) told.acknowledged.set(lsn, payload);
    const writer = async (id: number) => {
      for (;;) {
        const payload = `${id}-${told.writers++}`.padEnd(Math.floor(random.next() ** 3 * 1800), '.');
        told.acknowledged.set(await wal.append(TAG, text(payload)), payload);
        if (random.next() < 0.02) await wal.prune((segment) => segment.lastLsn > wal.positions.committed - 40);
      }
    };
    await Promise.all([1, 2, 3, 4, 5].map(writer));
  };
  let failure: Error | undefined;
  const working = work().catch((error: unknown) => {
    failure = error instanceof Error ? error : new Error(String(error));
  });
  while (!storage.isDark && failure === undefined) await turn();
  if (failure !== undefined) throw failure;
  await turn();
  void working; // hangs for ever: the machine is off
}

describe('power cuts', () => {
  it('any subset of what was not synced may be lost, and nothing that was acknowledged is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(fc.integer({ min: 1, max: 120 }), { maxLength: 6 }), async (seed, cuts) => {
        const random = new Random(seed);
        const told: Told = { acknowledged: new Map(), epochs: [], writers: 0 };
        let disk = new SimulatedDisk();
        for (const cutAt of cuts) {
          await runUntilPowerCut(disk, cutAt, random, told);
          disk = random.next() < 0.8 ? disk.afterPowerCut(random) : disk.afterKill();
        }
        const { records } = await openLog({ storage: new InlineStorage(disk) });
        const found = new Set(records.map((record) => record.lsn));
        const oldest = records[0]?.lsn ?? 1;
        for (const lsn of told.acknowledged.keys()) if (lsn >= oldest) expect(found.has(lsn)).toBe(true);
      }),
      { numRuns: 400 },
    );
  });
});

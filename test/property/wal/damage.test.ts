// A small log with every byte cut off and every bit flipped: each damage is detected or harmless, and nothing crashes.

import { describe, expect, it } from 'vitest';
import { RECORD_HEADER_BYTES } from '../../../src/wal/format.ts';
import { SEGMENT_HEADER_BYTES } from '../../../src/wal/segment-header.ts';
import { WalDamageError } from '../../../src/wal/wal.ts';
import { InlineStorage } from '../../support/wal/inline-storage.ts';
import {
  bytesOf,
  diskWith,
  openLog,
  type ReadRecord,
  segmentsOn,
  startOn,
  TAG,
  text,
} from '../../support/wal/log-kit.ts';
import type { SimulatedDisk } from '../../support/wal/simulated-disk.ts';

type Outcome =
  | { readonly kind: 'opened'; readonly records: readonly ReadRecord[]; readonly repaired: boolean }
  | { readonly kind: 'refused'; readonly error: WalDamageError };

/** Opens a log; anything but success or a typed refusal fails the test. */
async function outcomeOf(disk: SimulatedDisk): Promise<Outcome> {
  try {
    const { opened, records } = await openLog({ storage: new InlineStorage(disk) });
    return { kind: 'opened', records, repaired: opened.repaired !== undefined };
  } catch (error) {
    if (error instanceof WalDamageError) return { kind: 'refused', error };
    throw error;
  }
}

/** A log whose last segment is still open (zeros behind the end), with three groups in it. */
async function smallLog(): Promise<SimulatedDisk> {
  const before = await diskWith(4, { segmentBytes: 256 });
  const { wal } = await startOn(before, { segmentBytes: 1536 });
  await wal.append(TAG, text('one'));
  await Promise.all(['two', 'three', 'four'].map((name) => wal.append(TAG, text(name.repeat(9)))));
  await wal.append(TAG, text('five'));
  return before.afterKill();
}

const lastOf = (names: readonly string[]): string => names.at(-1) ?? '';
const isPrefix = (short: readonly ReadRecord[], long: readonly ReadRecord[]): boolean =>
  short.every((record, index) => JSON.stringify(record) === JSON.stringify(long[index]));

describe('a log damaged in one place', () => {
  it('cut at every byte of the last segment: opens with a prefix, and with all that a later record vouches for', async () => {
    const disk = await smallLog();
    const whole = await outcomeOf(disk.afterKill());
    if (whole.kind !== 'opened') throw whole.error;
    const name = lastOf(segmentsOn(disk));
    const { length } = bytesOf(disk, name);
    const kinds = { opened: 0, refused: 0 };
    for (let cutAt = 0; cutAt < length; cutAt += 1) {
      for (const zeroed of [false, true]) {
        const damaged = disk.afterKill();
        const file = damaged.names.get(name);
        if (file === undefined) throw new Error('no file');
        file.bytes = zeroed ? file.bytes.slice().fill(0, cutAt) : file.bytes.slice(0, cutAt);
        const outcome = await outcomeOf(damaged);
        kinds[outcome.kind] += 1;
        if (outcome.kind === 'opened') expect(isPrefix(outcome.records, whole.records)).toBe(true);
        // The header and the checkpoint were durable before the segment had its name: no crash takes them away.
        else expect(cutAt).toBeLessThan(SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 60);
      }
    }
    expect(kinds.opened).toBeGreaterThan(2000);
    expect(kinds.refused).toBeGreaterThan(0);
  });

  it('cut at every byte of an older segment: refused, or it was nothing but the unused end', async () => {
    const disk = await smallLog();
    const name = segmentsOn(disk)[0] ?? '';
    const { length } = bytesOf(disk, name);
    for (let cutAt = 0; cutAt < length; cutAt += 1) {
      const damaged = disk.afterKill();
      const file = damaged.names.get(name);
      if (file === undefined) throw new Error('no file');
      file.bytes = file.bytes.slice(0, cutAt);
      const outcome = await outcomeOf(damaged);
      // Up to seven bytes of padding behind the last record hold nothing.
      if (outcome.kind === 'opened') expect(cutAt).toBeGreaterThanOrEqual(length - 7);
      else expect(outcome.error.file).toBe(name);
    }
  });

  it('every bit flipped, one at a time: nothing acknowledged is ever lost without a word', async () => {
    const disk = await smallLog();
    const whole = await outcomeOf(disk.afterKill());
    if (whole.kind !== 'opened') throw whole.error;
    let refused = 0;
    for (const name of segmentsOn(disk)) {
      const { length } = bytesOf(disk, name);
      for (let bit = 0; bit < length * 8; bit += 1) {
        const damaged = disk.afterKill();
        const file = damaged.names.get(name);
        if (file === undefined) throw new Error('no file');
        file.bytes = file.bytes.slice();
        file.bytes[bit >> 3] = (file.bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const outcome = await outcomeOf(damaged);
        if (outcome.kind === 'refused') {
          refused += 1;
          expect(outcome.error.file).toBe(name);
          continue;
        }
        // Every record of this log was acknowledged, so an open that succeeds returns every one, unchanged.
        expect({ name, bit, records: outcome.records }).toEqual({ name, bit, records: whole.records });
      }
    }
    expect(refused).toBeGreaterThan(5000);
  });
});

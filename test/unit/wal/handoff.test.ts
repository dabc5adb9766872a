// What the main thread stamps in advance is what the writing thread would have stamped.
import { describe, expect, it } from 'vitest';
import { completeGroup, encodeRecord, recordBytes, stampGroup, viewOf } from '../../../src/wal/format.ts';
import { HandoffReceiver, HandoffSender, newHandoffMemory } from '../../../src/wal/handoff.ts';

const SEGMENT = 77;

function record(lsn: number): Uint8Array {
  const payload = new Uint8Array(20 + (lsn % 5)).fill(lsn);
  const bytes = new Uint8Array(recordBytes(payload.length));
  encodeRecord(bytes, viewOf(bytes), 16, lsn, payload);
  return bytes;
}

/** As the writing thread did before anything was stamped in advance. */
function stamped(lsns: readonly number[], committed: number): Buffer {
  const group = Buffer.concat(lsns.map(record));
  stampGroup(group, SEGMENT, committed);
  return group;
}

describe('records on their way to the writing thread', () => {
  it('are stamped with what is durable when their group is written: all before it', () => {
    const memory = newHandoffMemory();
    const [sender, receiver] = [new HandoffSender(memory), new HandoffReceiver(memory)];
    for (const lsns of [[5, 6, 7], [8], [9, 10]]) {
      const answers = lsns.map((lsn) => sender.offer(record(lsn), SEGMENT));
      expect(answers).toEqual(['first', ...lsns.slice(1).map(() => 'further')]);
      const before = (lsns[0] ?? 0) - 1;
      const { group } = receiver.take();
      expect(Buffer.from(group).equals(stamped(lsns, before))).toBe(true);
      expect(completeGroup(group, SEGMENT, before)).toMatchObject({ records: lsns.length, lastLsn: lsns.at(-1) });
      expect(Buffer.from(group).equals(stamped(lsns, before))).toBe(true);
    }
  });

  it('are stamped again where the writing thread knows otherwise', () => {
    const memory = newHandoffMemory();
    const [sender, receiver] = [new HandoffSender(memory), new HandoffReceiver(memory)];
    for (const lsn of [5, 6]) sender.offer(record(lsn), SEGMENT);
    const { group } = receiver.take();
    completeGroup(group, SEGMENT, 3);
    expect(Buffer.from(group).equals(stamped([5, 6], 3))).toBe(true);
  });
});

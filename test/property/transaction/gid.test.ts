import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  GID_BYTES_MAX,
  parseGid,
  parseTransactionId,
  renderGid,
  renderTransactionId,
} from '../../../src/transaction/gid.ts';

const name = (min: number, max: number, letters: string) =>
  fc.string({ unit: fc.constantFrom(...letters), minLength: min, maxLength: max });
const NAME = 'abcxyz019-';
const transactions = fc.record({
  cluster: name(4, 12, 'abcxyz019'),
  instance: name(1, 32, NAME),
  epoch: fc.nat({ max: 9_999_999_999 }),
  seq: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
});
const participants = fc.array(
  fc.record({
    shard: name(1, 32, NAME),
    xid: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map(String),
    timeline: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
  }),
  { minLength: 1, maxLength: 12 },
);

describe('names round-trip', () => {
  it('every transaction id parses back to itself', () => {
    fc.assert(
      fc.property(transactions, (id) => {
        expect(parseTransactionId(renderTransactionId(id))).toEqual(id);
      }),
    );
  });

  it('every gid is short plain ASCII and parses back: whole, or cut to a true prefix and marked', () => {
    fc.assert(
      fc.property(transactions, participants, fc.nat(), fc.boolean(), (transaction, list, pick, earlyAcknowledged) => {
        const index = pick % list.length;
        const text = renderGid({ transaction, index, count: list.length, participants: list, earlyAcknowledged });
        expect(text).toMatch(/^[a-z0-9:.=@,/-]+$/);
        expect(text.length).toBeLessThanOrEqual(GID_BYTES_MAX);
        const gid = parseGid(text);
        expect(gid).toMatchObject({ transaction, index, count: list.length });
        expect(gid?.flags).toBe(`${earlyAcknowledged ? 'e' : ''}${gid?.cut ? 't' : ''}`);
        expect(gid?.participants).toEqual(list.slice(0, gid?.participants.length));
        expect(gid?.cut).toBe((gid?.participants.length ?? 0) < list.length);
      }),
    );
  });

  it('a changed byte gives either a foreign name or another one that renders to exactly itself', () => {
    fc.assert(
      fc.property(
        transactions,
        participants,
        fc.nat(),
        fc.integer({ min: 32, max: 126 }),
        (transaction, list, at, byte) => {
          const text = renderGid({ transaction, index: 0, count: list.length, participants: list });
          const position = at % text.length;
          const changed = text.slice(0, position) + String.fromCharCode(byte) + text.slice(position + 1);
          const gid = parseGid(changed);
          if (gid === null) return;
          const again = renderGid({ ...gid, earlyAcknowledged: gid.flags.includes('e') });
          expect(again).toBe(changed);
        },
      ),
    );
  });
});

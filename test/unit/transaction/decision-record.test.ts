import { Encoder } from '@msgpack/msgpack';
import { describe, expect, it } from 'vitest';
import {
  DECISION_TAG,
  DecisionRecordError,
  decodeRecord,
  encodeCheckpoint,
  encodeCommit,
  encodeId,
} from '../../../src/transaction/decision-record.ts';

const decision = {
  transaction: { cluster: 'k3x9q', instance: 'proxy-0', epoch: 1789, seq: 42 },
  participants: [
    { shard: 's-0', gid: 'g0', xid: '700', timeline: 1, systemIdentifier: '73' },
    { shard: 's-1', gid: 'g1', xid: '18446744073709551615', timeline: 3, systemIdentifier: '74', lsn: '0/16B3748' },
  ],
  atMs: 1_900_000_000_000,
};
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const encode = (value: unknown) => new Encoder().encode(value);

describe('records of the decision log', () => {
  it('come back as they were written', () => {
    expect(decodeRecord(DECISION_TAG.commit, encodeCommit(decision))).toEqual({ kind: 'commit', decision });
    for (const kind of ['end', 'abort', 'watermark'] as const) {
      const record = decodeRecord(DECISION_TAG[kind], encodeId({ epoch: 1789, seq: 42 }));
      expect(record).toEqual({ kind, id: { epoch: 1789, seq: 42 } });
    }
    const checkpoint = {
      atMs: 5,
      watermark: { epoch: 1, seq: 2 },
      highest: { epoch: 3, seq: 4 },
      live: [{ lsn: 9, decision }],
    };
    expect(decodeRecord(DECISION_TAG.checkpoint, encodeCheckpoint(checkpoint))).toEqual({
      kind: 'checkpoint',
      checkpoint,
    });
  });

  it('are pinned byte for byte: a log outlives the version that wrote it', () => {
    expect(hex(encodeId({ epoch: 1789, seq: 42 }))).toBe('9301cd06fd2a');
    const small = { ...decision, participants: decision.participants.slice(0, 1) };
    expect(hex(encodeCommit(small))).toBe(
      '9701a56b33783971a770726f78792d30cd06fd2acf000001ba60d33800' + '9196a3732d30a26730a337303001a23733c0',
    );
  });

  it.each([
    ['an unknown tag', 99, encodeId({ epoch: 1, seq: 1 })],
    ['another version', DECISION_TAG.end, encode([2, 1, 1])],
    ['a missing field', DECISION_TAG.end, encode([1, 1])],
    ['a field too many', DECISION_TAG.end, encode([1, 1, 1, 1])],
    ['text for a number', DECISION_TAG.end, encode([1, '1', 1])],
    ['a negative number', DECISION_TAG.end, encode([1, -1, 1])],
    ['a fraction', DECISION_TAG.end, encode([1, 1.5, 1])],
    ['no array', DECISION_TAG.commit, encode({ version: 1 })],
    ['a number for a gid', DECISION_TAG.commit, encode([1, 'c', 'i', 1, 1, 1, [['s', 7, 'x', 1, 'y', null]]])],
    ['no MessagePack', DECISION_TAG.commit, new Uint8Array([0xc1])],
    ['nothing', DECISION_TAG.commit, new Uint8Array()],
    ['something behind the end', DECISION_TAG.end, new Uint8Array([...encodeId({ epoch: 1, seq: 1 }), 0])],
  ])('are refused, never guessed: %s', (_what, tag, payload) => {
    expect(() => decodeRecord(tag, payload)).toThrow(DecisionRecordError);
  });
});

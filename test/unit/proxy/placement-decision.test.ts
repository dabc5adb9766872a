// Which list of shards may come into force, case by case, from what the shards say.
import { describe, expect, it } from 'vitest';
import {
  decidePlacement,
  isEmptyEnough,
  type ShardContent,
  type ShardSeen,
} from '../../../src/proxy/placement-decision.ts';
import { type Placement, parseMark, renderMark, renderMoving } from '../../../src/shard/placement-mark.ts';

const TWO: Placement = { shards: ['a', 'b'], buckets: 64 };
const THREE: Placement = { shards: ['a', 'b', 'c'], buckets: 64 };
const EMPTY: ShardContent = { mark: null, filled: null, table: null, prepared: 0 };
const ROWS = { filled: 'public.t', table: 'public.t' };

const seen = (shard: string, content: Partial<ShardContent> = {}): ShardSeen => ({
  shard,
  kind: 'seen',
  ...EMPTY,
  ...content,
});
const silent = (shard: string): ShardSeen => ({ shard, kind: 'silent', why: 'nobody there' });
const as = (placement: Placement, shard: string, content: Partial<ShardContent> = {}) =>
  seen(shard, { mark: renderMark(placement, shard), ...content });
const moving = (from: Placement, shard: string, content: Partial<ShardContent> = {}) =>
  seen(shard, { mark: renderMoving(renderMark(from, shard)), ...content });

describe('decidePlacement', () => {
  it.each<[string, Placement, ShardSeen[], object]>([
    ['all carry it', TWO, [as(TWO, 'a', ROWS), as(TWO, 'b', ROWS)], { kind: 'settled', silent: [] }],
    ['all that answer carry it', TWO, [as(TWO, 'a', ROWS), silent('b')], { kind: 'settled', silent: ['b'] }],
    ['nobody answers, so nobody could be served', TWO, [silent('a'), silent('b')], { kind: 'waiting' }],
    ['new shards are recorded', TWO, [seen('a'), seen('b')], { kind: 'record', shards: ['a', 'b'], unproven: [] }],
    [
      'rows without any record are taken over, and named',
      TWO,
      [seen('a', ROWS), seen('b')],
      { kind: 'record', shards: ['a', 'b'], unproven: ['a'] },
    ],
    ['one that lost its record gets it again', TWO, [as(TWO, 'a', ROWS), seen('b')], { kind: 'record', shards: ['b'] }],
    ['a new list waits for a silent shard, which may say another', TWO, [seen('a'), silent('b')], { kind: 'waiting' }],
    [
      'a lost record does not: another shard proves the list',
      THREE,
      [as(THREE, 'a'), seen('b'), silent('c')],
      { kind: 'record', shards: ['b'] },
    ],
    ['one more, rows', THREE, [as(TWO, 'a', ROWS), as(TWO, 'b'), seen('c')], { kind: 'refused' }],
    ['one more, rows on the new one', THREE, [as(TWO, 'a'), as(TWO, 'b'), seen('c', ROWS)], { kind: 'refused' }],
    ['one more, empty', THREE, [as(TWO, 'a'), as(TWO, 'b'), seen('c')], { kind: 'move', tables: 'allowed' }],
    [
      'one more, tables without rows',
      THREE,
      [as(TWO, 'a', { table: 'public.t' }), as(TWO, 'b'), seen('c')],
      { kind: 'move' },
    ],
    ['one more, one is silent', THREE, [as(TWO, 'a'), silent('b'), seen('c')], { kind: 'waiting' }],
    ['one more, prepared', THREE, [as(TWO, 'a', { prepared: 1 }), as(TWO, 'b'), seen('c')], { kind: 'waiting' }],
    ['one less, empty', TWO, [as(THREE, 'a'), as(THREE, 'b')], { kind: 'move', tables: 'none' }],
    ['one less, tables', TWO, [as(THREE, 'a', { table: 'public.t' }), as(THREE, 'b')], { kind: 'refused' }],
    ['other buckets, rows', { ...TWO, buckets: 8 }, [as(TWO, 'a'), as(TWO, 'b', ROWS)], { kind: 'refused' }],
    ['another order, rows', { ...TWO, shards: ['b', 'a'] }, [as(TWO, 'b'), as(TWO, 'a', ROWS)], { kind: 'refused' }],
    ['something else in the comment', TWO, [seen('a', { mark: 'hello' }), as(TWO, 'b')], { kind: 'refused' }],
  ])('%s', (_case, wanted, all, decision) => {
    expect(decidePlacement(wanted, all)).toMatchObject(decision);
  });

  it('a move that was broken off in the middle: either list may go on where nothing is', () => {
    const all = [moving(TWO, 'a'), moving(TWO, 'b'), seen('c')];
    expect(decidePlacement(THREE, all)).toMatchObject({ kind: 'record', shards: ['a', 'b', 'c'] });
    expect(decidePlacement(TWO, all.slice(0, 2))).toMatchObject({ kind: 'record', shards: ['a', 'b'] });
  });

  it('a move that was broken off in the middle: rows, and what is prepared, are of the former list', () => {
    expect(decidePlacement(THREE, [moving(TWO, 'a', ROWS), moving(TWO, 'b'), seen('c')])).toMatchObject({
      kind: 'refused',
    });
    const prepared = [moving(TWO, 'a', { prepared: 1 }), moving(TWO, 'b'), seen('c')];
    expect(decidePlacement(THREE, prepared)).toMatchObject({ kind: 'waiting' });
    const former = decidePlacement(TWO, [moving(TWO, 'a', ROWS), moving(TWO, 'b')]);
    expect(former).toEqual({ kind: 'record', shards: ['a', 'b'], unproven: [] });
  });

  it('a refusal says what was, what is asked for, where rows are, and what to do', () => {
    const refused = decidePlacement(THREE, [as(TWO, 'a', ROWS), as(TWO, 'b'), seen('c')]);
    expect(refused).toEqual({
      kind: 'refused',
      problems: [
        'shards: a, b, c (64 buckets) is asked for, but of a: its rows are spread over a, b (64 buckets), not over a, b, c ' +
          '(64 buckets): public.t has rows on a; rows are not moved: write the shards and buckets as they were, or copy the rows to other servers',
      ],
    });
  });
});

describe('isEmptyEnough', () => {
  it('what cannot be asked, has a row, or something prepared is not; a table may be where no shard is left out', () => {
    expect(isEmptyEnough('allowed', [seen('a', { table: 'public.t' })])).toBe(true);
    expect(isEmptyEnough('none', [seen('a', { table: 'public.t' })])).toBe(false);
    expect(isEmptyEnough('allowed', [seen('a'), silent('b')])).toBe(false);
    expect(isEmptyEnough('allowed', [seen('a', ROWS)])).toBe(false);
    expect(isEmptyEnough('allowed', [seen('a', { prepared: 1 })])).toBe(false);
  });
});

describe('the record of a shard', () => {
  it('reads back as it was written, and anything else is not believed', () => {
    expect(parseMark(renderMark(TWO, 'a'))).toEqual({ kind: 'placed', shard: 'a', ...TWO });
    expect(parseMark(renderMoving(renderMark(TWO, 'a')))).toEqual({ kind: 'moving', from: renderMark(TWO, 'a') });
    for (const text of [
      '',
      'null',
      '{}',
      '{"format":2,"shard":"a","shards":["a"],"buckets":1}',
      '{"format":1,"shard":"a"}',
    ]) {
      expect(parseMark(text)).toEqual({ kind: 'unreadable' });
    }
  });
});

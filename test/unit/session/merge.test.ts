import { describe, expect, it } from 'vitest';
import { sumTags } from '../../../src/session/merge.ts';

describe('tags of several shards', () => {
  it.each([
    [['SELECT 3', 'SELECT 4'], 'SELECT 7'],
    [['INSERT 0 1', 'INSERT 0 2', 'INSERT 0 0'], 'INSERT 0 3'],
    [['UPDATE 0', 'UPDATE 0'], 'UPDATE 0'],
    [['CREATE TABLE', 'CREATE TABLE'], 'CREATE TABLE'],
  ])('%j become %s', (tags, sum) => {
    expect(sumTags(tags)).toBe(sum);
  });

  it('an empty query has none', () => {
    expect(sumTags([undefined, undefined])).toBeUndefined();
  });
});

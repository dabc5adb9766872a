// The caches of plans: the parser sees a shape once, and what is kept is bounded.
import { describe, expect, it } from 'vitest';
import { BoundedCache } from '../../../src/routing/bounded-cache.ts';
import { Router } from '../../../src/routing/router.ts';
import { newRouter } from './routing-fixture.ts';

describe('the plan cache', () => {
  it('parses simple queries with ever new literals once', () => {
    const router = newRouter();
    for (let id = 1; id < 1000; id += 1) {
      const [statement] = router.plan(`select * from accounts where id = ${id} and t <> 'x${id}'`).statements;
      expect(statement?.route(undefined)).toEqual({ kind: 'one', shard: router.placement.ofSafeInteger(id) });
    }
    expect(router.statistics).toEqual({ parses: 1, texts: 0, shapes: 1 });
  });

  it('reads each key of a shape from its own text, with sign, quotes and class', () => {
    const router = newRouter();
    const place = (literal: string) => {
      const route = router.plan(`select * from accounts where id = ${literal}`).statements[0]?.route(undefined);
      return route?.kind === 'one' ? route.shard : route?.kind;
    };
    for (const id of [5, -5, 7, -7, 2_147_483_647, 2_147_483_648, -2_147_483_648, 0]) {
      expect([id, place(String(id))]).toEqual([id, router.placement.ofSafeInteger(id)]);
      expect([id, place(`'${id}'`)]).toEqual([id, router.placement.ofSafeInteger(id)]);
      expect([id, place(`- ${-id}`)]).toEqual([id, router.placement.ofSafeInteger(id)]);
    }
    expect(place("'no number'")).toBe('all');
    expect(place('5.5')).toBe('all');
    expect(place('99999999999999999999')).toBe('all');
  });

  it('a literal in a text with letters of several bytes is found at its place', () => {
    const router = newRouter();
    for (const id of [5, 6, 7, 8]) {
      const route = router
        .plan(`select 'é😀${id}', "ö" from accounts where t = 'ü' and id = -${id}`)
        .statements[0]?.route(undefined);
      expect(route).toEqual({ kind: 'one', shard: router.placement.ofSafeInteger(-id) });
    }
    expect(router.statistics.parses).toBe(1);
  });

  it('forgets texts beyond its bounds', () => {
    const router = new Router(newRouter().topology, { planCacheMax: 10, planCacheCharactersMax: 10_000 });
    for (let index = 0; index < 100; index += 1) {
      router.plan(`set x = ${index}`);
      router.plan(`select c${index} from accounts where id = 1`);
    }
    expect(router.statistics.texts).toBe(10);
    expect(router.statistics.shapes).toBe(10);
  });
});

describe('a bounded cache', () => {
  it('drops what was used least recently, by count and by characters', () => {
    const cache = new BoundedCache<number>(3, 100);
    for (const [index, key] of ['a', 'b', 'c'].entries()) cache.set(key, index);
    cache.touch('a', 0);
    cache.set('d', 3);
    expect(['a', 'b', 'c', 'd'].map((key) => cache.get(key))).toEqual([0, undefined, 2, 3]);
    for (let index = 0; index < 50; index += 1) cache.set(`${index}`.padStart(20, 'x'), index);
    expect(cache.characters).toBeLessThanOrEqual(100);
    cache.set('y'.repeat(26), 1);
    expect(cache.get('y'.repeat(26))).toBeUndefined();
  });
});

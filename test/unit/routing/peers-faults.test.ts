// Faults of peers that a router can have, each shown not to be ours (see the list of peers' faults).
import { describe, expect, it } from 'vitest';
import { keysPerShard, newRouter, told } from './routing-fixture.ts';

const router = newRouter();
const [, k1] = keysPerShard(router);

/** Across shards it is refused; bound to one shard the same construct runs there, whole. */
function refusedUnlessBound(text: string): void {
  expect(told(router, text.replace('/*bind*/', 'true'))).toBe('refused:0A000');
  expect(told(router, text.replaceAll('/*bind*/', `a.id = ${k1}`))).toBe('one:1');
}

describe('reads that PgDog answers silently wrong across shards', () => {
  it('PgDog reads: HAVING', () => {
    refusedUnlessBound('select a.x, count(*) from accounts a where /*bind*/ group by a.x having count(*) > 1');
    refusedUnlessBound('select 1 from accounts a where /*bind*/ having true');
  });

  it('PgDog reads: expressions over aggregates, max(x) - min(x)', () => {
    refusedUnlessBound('select max(a.x) - min(a.x) from accounts a where /*bind*/');
  });

  it('PgDog reads: expressions over aggregates, coalesce(sum(x), 0)', () => {
    refusedUnlessBound('select coalesce(sum(a.x), 0) from accounts a where /*bind*/');
  });

  it('PgDog reads: expressions over aggregates, sum(x) / count(*)', () => {
    refusedUnlessBound('select sum(a.x) / count(*) from accounts a where /*bind*/');
  });

  it('PgDog reads: ORDER BY an aggregate that is not selected', () => {
    refusedUnlessBound('select a.x from accounts a where /*bind*/ group by a.x order by sum(a.y)');
  });

  it('PgDog reads: window functions', () => {
    refusedUnlessBound('select rank() over (order by a.x) from accounts a where /*bind*/');
    refusedUnlessBound('select sum(a.x) over w from accounts a where /*bind*/ window w as (partition by a.y)');
  });

  it('PgDog reads: aggregates in WITH queries', () => {
    refusedUnlessBound('with t as (select sum(a.x) s from accounts a where /*bind*/) select * from t');
  });

  it('PgDog reads: aggregates in scalar sub-selects', () => {
    refusedUnlessBound('select (select sum(a.x) from accounts a where /*bind*/)');
    refusedUnlessBound('select * from currencies where y = (select max(a.x) from accounts a where /*bind*/)');
  });

  it('PgDog reads: joins that are not co-located', () => {
    expect(told(router, 'select * from accounts a join orders o on a.x = o.y')).toBe('refused:0A000');
    expect(told(router, `select * from accounts a join orders o on a.x = o.y where a.id = ${k1}`)).toBe(
      'refused:0A000',
    );
    expect(
      told(router, `select * from accounts a join orders o on a.x = o.y where a.id = ${k1} and o.account_id = ${k1}`),
    ).toBe('one:1');
  });
});

describe('writes', () => {
  it('PgDog 15: a statement of one shard is known to be of one shard', () => {
    expect(told(router, `update accounts set x = 1 where id = ${k1}`)).toBe('one:1');
  });

  it('PgDog locks: session advisory locks, which exclude nobody behind a pool, are refused', () => {
    for (const call of [
      'pg_advisory_lock(1)',
      'pg_try_advisory_lock(1)',
      'pg_advisory_lock_shared(1)',
      'pg_catalog.pg_advisory_lock(1, 2)',
    ]) {
      expect(told(router, `select ${call}`)).toBe('refused:0A000');
      expect(told(router, `select ${call} from accounts where id = ${k1}`)).toBe('refused:0A000');
    }
  });

  it('PgDog prepare: temporary tables are refused when they are made, not at COMMIT', () => {
    expect(told(router, 'create temporary table t (a int)')).toBe('refused:0A000');
    expect(told(router, 'create temp table t as select 1')).toBe('refused:0A000');
  });

  it('a unique index that no shard could keep is refused', () => {
    expect(told(router, 'create unique index on accounts (email)')).toBe('refused:0A000');
    expect(told(router, 'create unique index on accounts (email, id)')).toBe('all');
  });
});

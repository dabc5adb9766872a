// Placement against a running PostgreSQL: satisfies_hash_partition must agree for random keys of every type.

import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Placement } from '../../../src/routing/placement.ts';
import type { KeyType } from '../../../src/routing/topology.ts';
import { type Shards, startShards } from '../../support/postgres.ts';

const BUCKETS = 4096;
const placement = new Placement({ buckets: BUCKETS, bucketOwner: Uint16Array.from({ length: BUCKETS }, (_, i) => i) });

const VALUES: Readonly<Record<KeyType, fc.Arbitrary<string>>> = {
  smallint: fc.integer({ min: -32_768, max: 32_767 }).map(String),
  integer: fc.integer().map(String),
  bigint: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  text: fc.string({ unit: 'binary', maxLength: 40 }).filter((text) => !text.includes('\0') && text.isWellFormed()),
  varchar: fc.string({ maxLength: 40 }).filter((text) => !text.includes('\0') && !text.endsWith(' ')),
  uuid: fc.uuid(),
};

describe('placement and PostgreSQL', () => {
  let shards: Shards;
  let client: pg.Client;
  beforeAll(async () => {
    shards = await startShards(1);
    client = await shards.client(0);
  });
  afterAll(async () => {
    await client.end();
    await shards[Symbol.asyncDispose]();
  });

  it.each(Object.keys(VALUES) as KeyType[])('agree about random keys of type %s', async (type) => {
    await client.query(`create table parent_${type} (key ${type}) partition by hash (key)`);
    const values = fc.sample(VALUES[type], 2_000);
    const places = values.map((value) => placement.ofText(type, value));
    expect(places.filter((place) => place < 0)).toEqual([]);
    const { rows } = await client.query<{ value: string }>(
      `select value from unnest($1::text[], $2::int[]) as v (value, place)
       where not satisfies_hash_partition('parent_${type}'::regclass, ${BUCKETS}, place, value::${type})`,
      [values, places],
    );
    expect(rows).toEqual([]);
    // Proof that the question can be answered no.
    const wrong = await client.query(
      `select satisfies_hash_partition('parent_${type}'::regclass, ${BUCKETS}, $2, $1::${type}) as right`,
      [values[0], ((places[0] ?? 0) + 1) % BUCKETS],
    );
    expect(wrong.rows[0].right).toBe(false);
  });

  it('agree that equal integers of all widths belong together, so a key may be listed with another width than its column', async () => {
    for (const type of ['smallint', 'integer', 'bigint']) {
      await client.query(`create table if not exists parent_${type} (key ${type}) partition by hash (key)`);
    }
    const values = fc.sample(VALUES.smallint, 2_000);
    const places = values.map((value) => placement.ofText('bigint', value));
    const { rows } = await client.query(
      `select value from unnest($1::text[], $2::int[]) as v (value, place)
       where not (satisfies_hash_partition('parent_smallint'::regclass, ${BUCKETS}, place, value::smallint)
              and satisfies_hash_partition('parent_integer'::regclass, ${BUCKETS}, place, value::integer)
              and satisfies_hash_partition('parent_bigint'::regclass, ${BUCKETS}, place, value::bigint))`,
      [values, places],
    );
    expect(rows).toEqual([]);
  });
});

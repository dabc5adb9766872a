// One PostgreSQL with all rows beside three databases with the rows divided as the router says: whatever the router does
// not refuse must give the same answer and leave the same rows. Random statements; the seed is printed on failure.
import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Route } from '../../../src/routing/plan.ts';
import { Router } from '../../../src/routing/router.ts';
import { buildTopology } from '../../../src/routing/topology.ts';
import { loadParser } from '../../../src/sql/parser.ts';
import { type Shards, startShards } from '../../support/postgres.ts';

await loadParser();

const router = new Router(
  buildTopology(
    {
      tables: [
        { name: 'a', key: 'k', type: 'bigint' },
        { name: 'b', key: 'k', type: 'bigint' },
        { name: 'o', key: 'ak', type: 'integer' },
        { name: 'r', reference: true },
      ],
    },
    ['s-0', 's-1', 's-2'],
  ),
);

const SCHEMA = `
  create table a (k bigint not null, x int, t text, primary key (k));
  create table b (k bigint not null, x int, y int);
  create table o (ak int not null, n int, x int, primary key (ak, n));
  create table r (x int primary key, label text);`;

const KEYS = Array.from({ length: 14 }, (_, index) => index - 3);
const rowsOf = {
  a: KEYS.map((k) => ({ key: k, sql: `insert into a (k, x, t) values (${k}, ${Math.abs(k) % 4}, 't${k}')` })),
  b: KEYS.filter((k) => k % 2 === 0).flatMap((k) =>
    [1, 2].map((y) => ({ key: k, sql: `insert into b (k, x, y) values (${k}, ${k % 3}, ${y})` })),
  ),
  o: KEYS.filter((k) => k % 3 !== 0).flatMap((k) =>
    [1, 2].map((n) => ({ key: k, sql: `insert into o (ak, n, x) values (${k}, ${n}, ${(k + n) % 4})` })),
  ),
};

const key = fc.constantFrom(...KEYS).map(String);
const col = (alias: string) => (alias === 'o' ? 'ak' : 'k');

function atom(aliases: readonly string[]): fc.Arbitrary<string> {
  const alias = fc.constantFrom(...aliases);
  return fc.oneof(
    { weight: 4, arbitrary: fc.tuple(alias, key).map(([t, v]) => `${t}.${col(t)} = ${v}`) },
    fc
      .tuple(alias, fc.array(key, { minLength: 1, maxLength: 3 }))
      .map(([t, v]) => `${t}.${col(t)} in (${v.join(', ')})`),
    fc.tuple(alias, key).map(([t, v]) => `${t}.${col(t)} = any('{${v}, 5}')`),
    { weight: 3, arbitrary: fc.tuple(alias, alias).map(([t, u]) => `${t}.${col(t)} = ${u}.${col(u)}`) },
    fc.tuple(alias, fc.integer({ min: 0, max: 3 })).map(([t, v]) => `${t}.x = ${v}`),
    fc.tuple(alias, alias).map(([t, u]) => `${t}.x = ${u}.x`),
    alias.map((t) => `${t}.${col(t)} is null`),
    fc.tuple(alias, key).map(([t, v]) => `exists (select 1 from o z where z.ak = ${t}.${col(t)} and z.n > ${v})`),
    fc.tuple(alias, key).map(([t, v]) => `${t}.x = (select max(z.x) from a z where z.k = ${v})`),
    alias.map((t) => `${t}.x in (select x from r)`),
  );
}

/** Few keys, so that tables are often bound to one shard and the statement is not refused. */
const hotKey = fc.constantFrom('2', '4', '5');

function condition(aliases: readonly string[]): fc.Arbitrary<string> {
  const one = atom(aliases);
  const keyed = fc.tuple(fc.constantFrom(...aliases), hotKey).map(([t, v]) => `${t}.${col(t)} = ${v}`);
  const equal = fc
    .tuple(fc.constantFrom(...aliases), fc.constantFrom(...aliases))
    .map(([t, u]) => `${t}.${col(t)} = ${u}.${col(u)}`);
  return fc.oneof(
    fc.tuple(keyed, equal).map((pair) => pair.join(' and ')),
    fc.tuple(keyed, equal, equal).map((three) => three.join(' and ')),
    fc.tuple(keyed, equal, one).map((three) => three.join(' and ')),
    fc.tuple(keyed, keyed, keyed).map((three) => three.join(' and ')),
    one,
    fc.tuple(one, one).map((pair) => pair.join(' and ')),
    fc.tuple(one, one, one).map((three) => three.join(' and ')),
    fc.tuple(one, one).map(([p, q]) => `(${p} or ${q})`),
    one.map((p) => `not (${p})`),
  );
}

const JOINS = ['join', 'left join', 'right join', 'full join'] as const;
const from: fc.Arbitrary<{ sql: string; aliases: readonly string[] }> = fc.oneof(
  fc.constantFrom('a', 'b', 'o').map((t) => ({ sql: t, aliases: [t] })),
  fc
    .constantFrom(...JOINS)
    .chain((join) => condition(['a', 'b']).map((on) => ({ sql: `a ${join} b on ${on}`, aliases: ['a', 'b'] }))),
  fc.constantFrom(...JOINS).map((join) => ({ sql: `a ${join} b using (k)`, aliases: ['a', 'b'] })),
  fc.tuple(fc.constantFrom(...JOINS), fc.constantFrom(...JOINS)).chain(([first, second]) =>
    fc.tuple(condition(['a', 'o']), condition(['a', 'o', 'b'])).map(([on1, on2]) => ({
      sql: `a ${first} o on ${on1} ${second} b on ${on2}`,
      aliases: ['a', 'o', 'b'],
    })),
  ),
  fc.constantFrom(...JOINS).map((join) => ({ sql: `a ${join} r on a.x = r.x`, aliases: ['a'] })),
  fc.constantFrom(...JOINS).map((join) => ({ sql: `r ${join} b on b.x = r.x`, aliases: ['b'] })),
  fc.constant({ sql: 'a, b, o', aliases: ['a', 'b', 'o'] }),
  key.map((v) => ({ sql: `(select * from a where k = ${v}) a, o`, aliases: ['a', 'o'] })),
  key.map((v) => ({ sql: `a, lateral (select * from o where o.ak = a.k and a.k = ${v}) o`, aliases: ['a', 'o'] })),
);

const select = from.chain(({ sql, aliases }) =>
  fc
    .tuple(
      condition(aliases),
      fc.constantFrom(
        '*',
        'count(*)',
        `distinct ${aliases[0]}.x`,
        `${aliases[0]}.x, count(*)`,
        `max(${aliases.at(-1)}.x) - min(${aliases[0]}.x)`,
        `${aliases[0]}.${col(aliases[0] ?? '')}`,
      ),
      fc.boolean(),
    )
    .map(([where, list, filtered]) => {
      const group = list.includes(', count') ? ` group by ${aliases[0]}.x` : '';
      return `select ${list} from ${sql}${filtered ? ` where ${where}` : ''}${group}`;
    }),
);

const withQuery = fc
  .tuple(key, key, condition(['a']))
  .map(
    ([v, w, where]) =>
      `with q as (select * from o where ak = ${v}) select a.k, q.n from a, q where a.k = ${w} and (${where})`,
  );
const union = fc
  .tuple(key, key)
  .map(([v, w]) => `select k from a where k = ${v} union all select ak from o where ak = ${w}`);

const write = fc.oneof(
  condition(['a']).map((where) => `update a set x = x + 1 where ${where} returning *`),
  condition(['a']).map((where) => `delete from a where ${where} returning *`),
  condition(['a', 'o']).map(
    (where) => `update a set x = a.x + 1 from o where ${where} and a.k = o.ak and o.n = 1 returning a.k`,
  ),
  condition(['b', 'o']).map((where) => `delete from b using o where ${where} and o.n = 1 returning b.*`),
  fc
    .uniqueArray(fc.integer({ min: 100, max: 140 }), { minLength: 1, maxLength: 4 })
    .map((keys) => `insert into a (x, k) values ${keys.map((k) => `(1, ${k})`).join(', ')} returning k`),
  fc
    .uniqueArray(key, { minLength: 1, maxLength: 4 })
    .map(
      (keys) =>
        `insert into a (k, x) values ${keys.map((k) => `(${k}, 9)`).join(', ')} on conflict (k) do update set x = excluded.x returning k, x`,
    ),
  key.map((v) => `insert into b (k, x, y) select ${v}, x, 7 from r`),
  key.map((v) => `insert into b (k, x, y) select ${v}, o.x, 7 from o where ak = ${v} returning *`),
  key.map(
    (v) =>
      `with d as (delete from b where k = ${v} returning *) update a set x = (select count(*) from d) where k = ${v} returning *`,
  ),
  fc.constantFrom(
    'update r set label = upper(label)',
    "insert into r values (50, 'z'), (51, null) returning *",
    'delete from r where x > 1 returning *',
    'truncate b',
    'select * from r where x > 0 order by x',
  ),
);

type Answer = { readonly rows: string[]; readonly count: number } | { readonly error: string };

async function run(client: pg.Client, text: string): Promise<Answer> {
  try {
    const result = await client.query({ text, rowMode: 'array' });
    return { rows: result.rows.map((row) => JSON.stringify(row)).toSorted(), count: result.rowCount ?? 0 };
  } catch (error) {
    return { error: (error as { code?: string }).code ?? 'lost' };
  }
}

describe('what the router lets through', () => {
  let shards: Shards;
  let whole: pg.Client;
  let parts: pg.Client[];

  beforeAll(async () => {
    shards = await startShards(4);
    whole = await shards.client(3);
    parts = [await shards.client(0), await shards.client(1), await shards.client(2)];
    const all = [whole, ...parts];
    for (const client of all) {
      await client.query(SCHEMA);
      await client.query("insert into r select x, 'label ' || x from generate_series(0, 3) x");
    }
    for (const { key: at, sql } of Object.values(rowsOf).flat()) {
      await whole.query(sql);
      await parts[router.placement.ofSafeInteger(at)]?.query(sql);
    }
  });

  afterAll(async () => {
    await Promise.all([whole, ...parts].map((client) => client.end()));
    await shards[Symbol.asyncDispose]();
  });

  /** Route → what a client of the proxy would get. */
  async function throughShards(route: Route, text: string, merge: string): Promise<Answer | undefined> {
    const texts = new Map<number, string>();
    if (route.kind === 'refused') return undefined;
    if (route.kind === 'one') texts.set(route.shard, text);
    else if (route.kind === 'any') texts.set(0, text);
    else if (route.kind === 'split') for (const part of route.parts) texts.set(part.shard, part.text);
    else for (const shard of route.kind === 'all' ? [0, 1, 2] : route.shards) texts.set(shard, text);
    const answers: Answer[] = [];
    for (const [shard, own] of texts) answers.push(await run(parts[shard] ?? whole, own));
    const failed = answers.find((answer) => 'error' in answer);
    if (failed !== undefined) return failed;
    const good = answers.flatMap((answer) => ('error' in answer ? [] : [answer]));
    if (merge === 'first') return good[0];
    return {
      rows: good.flatMap(({ rows }) => rows).toSorted(),
      count: good.reduce((sum, { count }) => sum + count, 0),
    };
  }

  async function content(): Promise<[string[], string[]]> {
    const tables = ['a', 'b', 'o'];
    const dump = async (clients: readonly pg.Client[]) => {
      const rows: string[] = [];
      for (const client of clients) {
        for (const table of tables) {
          const answer = await run(client, `select '${table}', * from ${table}`);
          if (!('error' in answer)) rows.push(...answer.rows);
        }
      }
      return rows.toSorted();
    };
    return [await dump([whole]), await dump(parts)];
  }

  async function compare(text: string, changes: boolean): Promise<'refused' | 'failed' | 'same'> {
    const [statement] = router.plan(text).statements;
    if (statement === undefined) throw new Error(`no plan for ${text}`);
    const route = statement.route(undefined);
    if (route.kind === 'refused') return 'refused';
    for (const client of [whole, ...parts]) await client.query('begin');
    const expected = await run(whole, text);
    const got = await throughShards(route, text, statement.action.kind === 'query' ? statement.action.merge : 'first');
    let outcome: 'failed' | 'same' = 'same';
    if ('error' in expected || got === undefined || 'error' in got) {
      // A statement that fails on the whole may fail nowhere else only if no shard evaluated the failing row; never the reverse.
      outcome = 'failed';
      expect([text, 'error' in expected]).toEqual([text, true]);
    } else {
      expect({ text, route, ...got }).toEqual({ text, route, ...expected });
      if (changes) {
        const [one, divided] = await content();
        expect({ text, rows: divided }).toEqual({ text, rows: one });
        const references = await Promise.all([whole, ...parts].map((client) => run(client, 'select * from r')));
        expect(new Set(references.map((answer) => JSON.stringify(answer))).size).toBe(1);
      }
    }
    for (const client of [whole, ...parts]) await client.query('rollback');
    return outcome;
  }

  it('answers reads as one server would', async () => {
    const outcomes = { refused: 0, failed: 0, same: 0 };
    await fc.assert(
      fc.asyncProperty(fc.oneof({ weight: 6, arbitrary: select }, withQuery, union), async (text) => {
        outcomes[await compare(text, false)] += 1;
      }),
      { numRuns: 1_500, endOnFailure: true },
    );
    expect(outcomes.same).toBeGreaterThan(200);
    expect(outcomes.failed).toBeLessThan(outcomes.same / 4);
  });

  it('writes what one server would', async () => {
    const outcomes = { refused: 0, failed: 0, same: 0 };
    await fc.assert(
      fc.asyncProperty(write, async (text) => {
        outcomes[await compare(text, true)] += 1;
      }),
      { numRuns: 400, endOnFailure: true },
    );
    expect(outcomes.same).toBeGreaterThan(100);
  });
});

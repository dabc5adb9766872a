// The router against a naive model: rows in memory, conditions evaluated row by row. Every row that a statement touches
// must be on a shard that the route names, and plans made for a shape must agree with plans made for the text itself.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bound, newRouter, SHARDS, told } from '../../unit/routing/routing-fixture.ts';

const router = newRouter();
const ROWS = Array.from({ length: 41 }, (_, index) => ({ id: index - 20, x: (index * 7) % 5 }));

interface Condition {
  readonly sql: string;
  readonly holds: (row: { id: number; x: number }) => boolean;
}

const key = fc.integer({ min: -20, max: 20 });
const keyLiteral = fc.tuple(key, fc.constantFrom('plain', 'quoted', 'cast', 'typed')).map(([value, form]) => ({
  value,
  sql: { plain: `${value}`, quoted: `'${value}'`, cast: `(${value})::bigint`, typed: `bigint ' ${value}'` }[form],
}));

const leaf: fc.Arbitrary<Condition> = fc.oneof(
  keyLiteral.map(({ value, sql }) => ({ sql: `id = ${sql}`, holds: (row: { id: number }) => row.id === value })),
  keyLiteral.map(({ value, sql }) => ({ sql: `${sql} = a.id`, holds: (row: { id: number }) => row.id === value })),
  fc.array(keyLiteral, { minLength: 1, maxLength: 4 }).map((list) => ({
    sql: `id in (${list.map(({ sql }) => sql).join(', ')})`,
    holds: (row: { id: number }) => list.some(({ value }) => value === row.id),
  })),
  fc.array(key, { maxLength: 4 }).map((list) => ({
    sql: `id = any('{${list.join(',')}}')`,
    holds: (row: { id: number }) => list.includes(row.id),
  })),
  keyLiteral.map(({ value, sql }) => ({ sql: `id <> ${sql}`, holds: (row: { id: number }) => row.id !== value })),
  keyLiteral.map(({ value, sql }) => ({ sql: `id > ${sql}`, holds: (row: { id: number }) => row.id > value })),
  fc
    .integer({ min: 0, max: 5 })
    .map((value) => ({ sql: `x = ${value}`, holds: (row: { x: number }) => row.x === value })),
  fc.constant({ sql: 'true', holds: () => true }),
  fc.constant({ sql: 'id = x', holds: (row: { id: number; x: number }) => row.id === row.x }),
);

const { condition } = fc.letrec<{ condition: Condition }>((tie) => ({
  condition: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.tuple(tie('condition'), tie('condition')).map(([a, b]) => ({
      sql: `(${a.sql} and ${b.sql})`,
      holds: (row: { id: number; x: number }) => a.holds(row) && b.holds(row),
    })),
    fc.tuple(tie('condition'), tie('condition')).map(([a, b]) => ({
      sql: `(${a.sql} or ${b.sql})`,
      holds: (row: { id: number; x: number }) => a.holds(row) || b.holds(row),
    })),
    tie('condition').map((a) => ({
      sql: `not (${a.sql})`,
      holds: (row: { id: number; x: number }) => !a.holds(row),
    })),
  ),
}));

const statement = fc.constantFrom(
  'select * from accounts a where ?',
  'select a.*, upper($$x$$) from public.accounts as a where ?',
  'update accounts a set x = 1 where ?',
  'delete from accounts a where ? returning *',
  'select * from accounts a join orders o on o.account_id = a.id where ?',
);

function shardsOf(route: string): ReadonlySet<number> | undefined {
  if (route === 'all') return new Set(SHARDS.keys());
  const match = /^(?:one|some):(.*)$/.exec(route);
  return match === null ? undefined : new Set((match[1] ?? '').split(',').map(Number));
}

describe('the router and a naive model', () => {
  it('every row that qualifies is on a shard of the route', () => {
    let narrow = 0;
    fc.assert(
      fc.property(statement, condition, (template, { sql, holds }) => {
        const route = told(
          router,
          template.replace('?', () => sql),
        );
        const shards = shardsOf(route);
        expect([sql, route, shards === undefined]).toEqual([sql, route, false]);
        if (shards === undefined) return;
        if (shards.size < 3) narrow += 1;
        for (const row of ROWS.filter(holds)) {
          expect([sql, row.id, shards.has(router.placement.ofSafeInteger(row.id))]).toEqual([sql, row.id, true]);
        }
      }),
      { numRuns: 3_000 },
    );
    expect(narrow).toBeGreaterThan(300);
  });

  it('an aggregate is answered only on one shard that has every qualifying row', () => {
    let answered = 0;
    fc.assert(
      fc.property(condition, ({ sql, holds }) => {
        const route = told(router, `select count(*) from accounts a where ${sql}`);
        if (route === 'refused:0A000') return;
        answered += 1;
        const shards = shardsOf(route);
        expect(shards?.size).toBe(1);
        for (const row of ROWS.filter(holds)) expect(shards?.has(router.placement.ofSafeInteger(row.id))).toBe(true);
      }),
      { numRuns: 3_000 },
    );
    expect(answered).toBeGreaterThan(100);
  });

  it('a plan shared by a shape and a plan of the very text agree', () => {
    const warm = newRouter();
    fc.assert(
      fc.property(statement, condition, condition, (template, first, second) => {
        told(
          warm,
          template.replace('?', () => first.sql),
        );
        const text = template.replace('?', () => second.sql);
        // Behind another statement a text has no shape.
        expect(`any | ${told(warm, text)}`).toBe(told(newRouter(), `select 1; ${text}`));
      }),
      { numRuns: 1_000 },
    );
  });

  it('parameters and literals of the same values agree', () => {
    fc.assert(
      fc.property(fc.array(key, { minLength: 1, maxLength: 4 }), fc.boolean(), (keys, binary) => {
        const literals = told(router, `delete from accounts where id in (${keys.join(', ')})`);
        const values = keys.map((value) => {
          const bytes = Buffer.alloc(8);
          bytes.writeBigInt64BE(BigInt(value));
          return binary ? { value: bytes, format: 1 as const } : String(value);
        });
        const places = keys.map((_, index) => `$${index + 1}`).join(', ');
        expect(told(router, `delete from accounts where id in (${places})`, bound(...values))).toBe(literals);
      }),
    );
  });

  it('rows of a divided INSERT all arrive, each where its key belongs', () => {
    fc.assert(
      fc.property(fc.uniqueArray(key, { minLength: 2, maxLength: 8 }), (keys) => {
        const text = `insert into accounts (x, id) values ${keys.map((value) => `(7, ${value})`).join(', ')}`;
        const route = router.plan(text).statements[0]?.route(undefined);
        const parts =
          route?.kind === 'split' ? route.parts : route?.kind === 'one' ? [{ shard: route.shard, text }] : [];
        const arrived: number[] = [];
        for (const part of parts) {
          for (const [, value] of part.text.matchAll(/\(7, (-?\d+)\)/g)) {
            expect(router.placement.ofSafeInteger(Number(value))).toBe(part.shard);
            arrived.push(Number(value));
          }
        }
        expect(arrived.toSorted((a, b) => a - b)).toEqual(keys.toSorted((a, b) => a - b));
      }),
    );
  });

  it('each row of a divided INSERT keeps its own values, whatever the numbers of its parameters', () => {
    const rows = fc.uniqueArray(key, { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(rows, fc.infiniteStream(fc.nat()), (keys, order) => {
        // Parameters 2i and 2i + 1 of the rows, under numbers in any order.
        const numbers = keys.flatMap((_, i) => [2 * i, 2 * i + 1]);
        const shuffled = numbers.map((n) => [order.next().value, n]).toSorted(([a = 0], [b = 0]) => a - b);
        const numberOf = (n: number) => shuffled.findIndex(([, at]) => at === n) + 1;
        const text = `insert into accounts (x, id) values ${keys.map((_, i) => `($${numberOf(2 * i)}, $${numberOf(2 * i + 1)})`).join(', ')}`;
        const values = shuffled.map(([, n = 0]) => (n % 2 === 0 ? `of ${keys[n / 2]}` : String(keys[(n - 1) / 2])));
        const route = router.plan(text).statements[0]?.route(bound(...values));
        if (route?.kind !== 'split') {
          expect(route?.kind).toBe('one');
          return;
        }
        const arrived: number[] = [];
        for (const { shard, text: own, parameters = [] } of route.parts) {
          for (const [, x, id] of own.matchAll(/\(\$(\d+), \$(\d+)\)/g)) {
            const given = (n: string | undefined) => values[parameters[Number(n) - 1] ?? -1];
            expect(given(x)).toBe(`of ${given(id)}`);
            expect(router.placement.ofSafeInteger(Number(given(id)))).toBe(shard);
            arrived.push(Number(given(id)));
          }
        }
        expect(arrived.toSorted((a, b) => a - b)).toEqual(keys.toSorted((a, b) => a - b));
      }),
    );
  });

  it('nothing that a client sends makes the router throw', () => {
    const junk = fc.oneof(
      fc.string(),
      fc
        .array(
          fc.constantFrom(
            'select',
            '*',
            'from',
            'accounts',
            'a',
            'where',
            'id',
            '=',
            '1',
            "'x'",
            '(',
            ')',
            ',',
            'join',
            'on',
            'with',
            'as',
            'update',
            'set',
            'insert into',
            'values',
            'delete',
            'union',
            ';',
            'null',
            '$1',
            'order by',
            'using',
            'explain',
            'copy',
            'to stdout',
            'create table',
            'in',
            'any',
            '::bigint',
            'not',
            'or',
            'and',
          ),
        )
        .map((words) => words.join(' ')),
    );
    fc.assert(
      fc.property(junk, (text) => {
        for (const one of newRouter().plan(text).statements) one.route(bound('1'));
      }),
      { numRuns: 1_500 },
    );
  });
});

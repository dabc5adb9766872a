// INSERTs without a column list: planned with the columns that the shards show, sent with them written out.
import { beforeEach, describe, expect, it } from 'vitest';
import { clientPosition } from '../../../src/routing/column-list.ts';
import type { PlannedStatement } from '../../../src/routing/plan.ts';
import type { Router } from '../../../src/routing/router.ts';
import type { TableCatalog, TableFact } from '../../../src/routing/table-catalog.ts';
import { bound, keysPerShard, newRouter, SHARDING, short, told } from './routing-fixture.ts';

const known = (...columns: string[]): TableFact => ({ kind: 'known', columns });

function catalog(tables: Record<string, TableFact>, unseen: number[] = []): TableCatalog {
  const listed = Object.entries(tables).map(([table, fact]) => [table, fact] as const);
  return { tables: new Map(listed), unseen: new Set(unseen) };
}

let router: Router;
let k0: number;
let k1: number;
let k2: number;

beforeEach(() => {
  router = newRouter();
  [k0, k1, k2] = keysPerShard(router);
  router.adopt(catalog({ 'public.accounts': known('id', 'balance', 'note'), 'public.Mixed': known('a"b', 'Key') }));
});

function only(text: string): PlannedStatement {
  const [statement, ...more] = router.plan(text).statements;
  if (statement === undefined || more.length > 0) throw new Error(`${text} is not one statement`);
  return statement;
}

const sent = (text: string) => {
  const statement = only(text);
  return [short(statement.route(undefined)), statement.rewritten?.text];
};

describe('an INSERT without a column list', () => {
  it('goes by the key’s place in the table and is sent with as many columns as it has values', () => {
    expect(sent(`insert into accounts values (${k1}, 100)`)).toEqual([
      'one:1',
      `insert into accounts ("id", "balance") values (${k1}, 100)`,
    ]);
    expect(sent(`INSERT INTO public . "accounts" -- x\n AS a VALUES (${k2}, 1, default) RETURNING *;`)).toEqual([
      'one:2',
      `INSERT INTO public . "accounts" -- x\n AS a ("id", "balance", "note") VALUES (${k2}, 1, default) RETURNING *;`,
    ]);
    expect(sent(`insert into "Mixed" values (7, ${k1})`)).toEqual([
      'one:1',
      `insert into "Mixed" ("a""b", "Key") values (7, ${k1})`,
    ]);
    expect(sent(`with insert as (select 1) insert into accounts values (${k0})`)[1]).toBe(
      `with insert as (select 1) insert into accounts ("id") values (${k0})`,
    );
    expect(sent(`explain insert into accounts overriding user value values (${k1})`)).toEqual([
      'one:1',
      `explain insert into accounts ("id") overriding user value values (${k1})`,
    ]);
    expect(sent(`insert into accounts select ${k1}, code from currencies`)).toEqual([
      'one:1',
      `insert into accounts ("id", "balance") select ${k1}, code from currencies`,
    ]);
  });

  it('with more values than the table has columns is left to PostgreSQL’s error', () => {
    expect(sent(`insert into accounts values (${k1}, 1, 2, 3)`)).toEqual([
      'one:1',
      `insert into accounts ("id", "balance", "note") values (${k1}, 1, 2, 3)`,
    ]);
  });

  it('is cut by row, each part with the column list', () => {
    const route = only(`insert into accounts values (${k0}, 1), (${k2}, 2), (${k0}, 3)`).route(undefined);
    expect(route).toEqual({
      kind: 'split',
      parts: [
        { shard: 0, text: `insert into accounts ("id", "balance") values (${k0}, 1), (${k0}, 3)` },
        { shard: 2, text: `insert into accounts ("id", "balance") values (${k2}, 2)` },
      ],
    });
  });

  it('takes its key from a parameter', () => {
    const statement = only('insert into accounts values ($1, $2)');
    expect(short(statement.route(bound(String(k1), '5')))).toBe('one:1');
    expect(statement.rewritten?.text).toBe('insert into accounts ("id", "balance") values ($1, $2)');
    expect(short(statement.route(bound(null, '5')))).toBe('refused:23502');
  });

  it('finds its place anew in each text of a shape', () => {
    sent(`insert into accounts /* a */ values (${k0}, 1)`);
    const before = router.statistics.parses;
    expect(sent(`insert into accounts /* a longer one */ values (${k1}, 2)`)).toEqual([
      'one:1',
      `insert into accounts ("id", "balance") /* a longer one */ values (${k1}, 2)`,
    ]);
    expect(router.statistics.parses).toBe(before);
  });

  it.each([
    'insert into orders values (1, 2)',
    'insert into accounts select * from currencies',
    'insert into accounts select (x).*, 1 from currencies x',
    'insert into accounts values (1) union all values (2)',
    'insert into accounts default values',
    'insert into accounts values (default, 1)',
    'insert into "Mixed" values (1)',
    'copy (insert into accounts values (1) returning *) to stdout',
    'insert into U&"!0061ccounts" uescape \'!\' values (1)',
  ])('is refused where its columns, its key or their place are not certain: %s', (text) => {
    expect(told(router, text)).toBe('refused:0A000');
  });

  it('keeps to its key when a comment names a shard', () => {
    expect(told(router, `/* atomshard: shard=1 */ insert into accounts values (${k1}, 1)`)).toBe('one:1');
    expect(told(router, `/* atomshard: shard=1 */ insert into accounts values (${k0}, 1)`)).toBe('refused:0A000');
    expect(short(only(`insert into accounts values (${k0}, 1)`).routeTo(2, undefined))).toBe('refused:0A000');
  });

  it('an INSERT that names its columns is sent as it is', () => {
    expect(sent(`insert into accounts (balance, id) values (1, ${k1})`)).toEqual(['one:1', undefined]);
  });

  it('on one shard everything is sent as it is', () => {
    router = newRouter(SHARDING, ['shard-0']);
    expect(sent('insert into accounts values (1, 100)')).toEqual(['one:0', undefined]);
  });
});

describe('a new look at the tables', () => {
  it('drops plans made with the old one, and those in use say so', () => {
    const text = `insert into accounts values (${k1}, ${k2})`;
    const before = only(text);
    router.adopt(catalog({ 'public.accounts': known('balance', 'id') }));
    expect(before.outdated).toBe(true);
    expect(before.rewritten?.text, 'the old plan keeps its own text').toContain('("id", "balance")');
    expect(sent(text)).toEqual(['one:2', `insert into accounts ("balance", "id") values (${k1}, ${k2})`]);
    router.adopt(catalog({ 'public.accounts': { kind: 'unknown', why: 'it does not exist yet', disputed: false } }));
    expect(told(router, text)).toBe('refused:0A000');
  });

  it('that shows the same changes no plan', () => {
    const statement = only(`insert into accounts values (${k1})`);
    router.adopt(
      catalog({ 'public.accounts': known('id', 'balance', 'note'), 'public.Mixed': known('a"b', 'Key') }, [2]),
    );
    expect(statement.outdated).toBe(false);
  });

  it('that shows another key type ends every statement on the table but DDL, also those planned before', () => {
    const texts = [
      `select * from accounts where id = ${k1}`,
      `insert into accounts (id) values (${k1})`,
      `/* atomshard: shard=1 */ insert into accounts (id) values (${k1})`,
      '/* atomshard: shard=1 */ copy accounts from stdin',
      `select * from orders o join accounts a on a.id = o.account_id where o.account_id = ${k1}`,
      `with x as (select * from accounts where id = ${k1}) select * from x`,
      'truncate accounts',
      'explain select * from accounts where id = 1',
    ];
    const prepared = texts.map((text) => only(text));
    router.adopt(catalog({ 'public.accounts': { kind: 'mismatch', why: 'its key is text' } }));
    for (const statement of prepared) expect([statement.text, statement.outdated]).toEqual([statement.text, true]);
    for (const text of texts) {
      expect([text, told(router, text), short(only(text).routeTo(1, undefined))]).toEqual([
        text,
        'refused:0A000',
        'refused:0A000',
      ]);
    }
    expect(told(router, 'drop table accounts')).toBe('all');
    expect(told(router, 'alter table accounts add column x int')).toBe('all');
    expect(told(router, `select * from orders where account_id = ${k1}`)).toBe('one:1');
    const single = newRouter(SHARDING, ['shard-0']);
    single.adopt(catalog({ 'public.accounts': { kind: 'mismatch', why: 'its key is text' } }));
    expect(told(single, 'select * from accounts')).toBe('refused:0A000');
  });

  it('keeps sharded tables of a shard that was not seen out of reach, and only those', () => {
    const prepared = only('select * from accounts where id = $1');
    router.adopt(catalog({ 'public.accounts': known('id') }, [1]));
    expect(short(prepared.route(bound(String(k1))))).toBe('refused:08001');
    expect(short(prepared.route(bound(String(k0))))).toBe('one:0');
    expect(told(router, 'select * from accounts')).toBe('refused:08001');
    expect(told(router, `insert into accounts values (${k0}), (${k1})`)).toBe('refused:08001');
    expect(told(router, `/* atomshard: shard=1 */ select * from accounts`)).toBe('refused:08001');
    expect(told(router, 'create table accounts (id bigint primary key)')).toBe('all');
    expect(told(router, 'select * from currencies')).toBe('any');
    router.adopt(catalog({ 'public.accounts': known('id') }));
    expect(short(prepared.route(bound(String(k1))))).toBe('one:1');
  });
});

describe('what is made over a sharded table and not listed', () => {
  const sharding = { ...SHARDING, unlisted: 'reference', searchPath: ['public', 'app'] };
  const partial: TableFact = { kind: 'partial', why: 'is a view on the sharded table public.accounts' };
  const facts = catalog({ 'app.rich': partial });

  it.each([
    ['select * from rich', 'refused:0A000'],
    ['select * from app.rich', 'refused:0A000'],
    ['insert into currencies select code from rich', 'refused:0A000'],
    ['create view more as select * from rich', 'refused:0A000'],
    ['select * from other.rich', 'any'],
    ['select * from accounts', 'all'],
    ['drop view rich', 'all'],
    ['/* atomshard: shard=1 */ select * from rich', 'one:1'],
  ])('%s: %s', (text, route) => {
    const seeing = newRouter(sharding);
    seeing.adopt(facts);
    expect(told(seeing, text)).toBe(route);
  });

  it('is refused in statements that were planned before it was seen, and whole where there is one shard', () => {
    const seeing = newRouter(sharding);
    const [before] = seeing.plan('select * from rich').statements;
    expect(before?.outdated).toBe(false);
    seeing.adopt(facts);
    expect(before?.outdated).toBe(true);
    const [after] = seeing.plan('select * from rich').statements;
    seeing.adopt(catalog({ 'app.rich': { ...partial } }));
    expect(after?.outdated).toBe(false);
    const single = newRouter(sharding, ['shard-0']);
    single.adopt(facts);
    expect(told(single, 'select * from rich')).toBe('one:0');
  });

  it('may be listed, by whoever knows what it is', () => {
    const tables = [...(SHARDING.tables ?? []), { schema: 'app', name: 'rich', reference: true }];
    const listing = newRouter({ ...sharding, tables });
    listing.adopt(facts);
    expect(told(listing, 'select * from rich')).toBe('any');
  });
});

describe('DDL that takes columns over', () => {
  it.each([
    ['create table accounts (like currencies)', 'refused:0A000'],
    ['create table accounts of some_type', 'refused:0A000'],
    ['create table accounts (like orders)', 'refused:0A000'],
    ['create table accounts (like accounts)', 'all'],
    ['alter table accounts rename column balance to id', 'refused:0A000'],
  ])('is allowed only where the key’s type is certain: %s', (text, expected) => {
    expect(told(router, text)).toBe(expected);
  });
});

it('positions of errors are those in the client’s text, counted in characters', () => {
  const text = '/* 😀 */ insert into accounts values (1, x)';
  const rewritten = only(text).rewritten;
  if (rewritten === undefined) throw new Error('not rewritten');
  const at = (whole: string, part: string) => [...whole.slice(0, whole.indexOf(part))].length + 1;
  expect(clientPosition(rewritten, at(rewritten.text, 'x)'))).toBe(at(text, 'x)'));
  expect(clientPosition(rewritten, at(rewritten.text, 'accounts'))).toBe(at(text, 'accounts'));
  expect(clientPosition(rewritten, at(rewritten.text, '"balance"'))).toBe(at(text, ' values') - 1);
});

// Where statements go: what is understood, and that everything else is refused rather than guessed.
import { describe, expect, it } from 'vitest';
import { bound, keysPerShard, newRouter, SHARDS, short, told, type Value } from './routing-fixture.ts';

const router = newRouter();
const [k0, k1, k2] = keysPerShard(router);
const route = (text: string, ...values: (Value | string | null)[]) =>
  told(router, text, values.length > 0 ? bound(...values) : undefined);

describe('one shard', () => {
  it.each([
    `select * from accounts where id = ${k1}`,
    `select * from accounts where ${k1} = id`,
    `select * from accounts where id = '${k1}'`,
    `select * from accounts where id = '${k1}'::bigint`,
    `select * from accounts where id = ${k1}::int`,
    `select * from accounts where id = cast(${k1} as bigint)`,
    `select * from accounts where id = bigint '${k1}'`,
    `select * from accounts where (id = ${k1}) and balance > 3`,
    `select * from accounts where balance > 3 and (id = ${k1} and true)`,
    `select * from public.accounts where public.accounts.id = ${k1}`,
    `select * from accounts a where a.id = ${k1}`,
    `select * from ACCOUNTS A where a.ID = ${k1}`,
    `select * from only accounts where id = ${k1}`,
    `select * from "Mixed" where "Key" = ${k1}`,
    `select * from accounts where id in (${k1})`,
    `select * from accounts where id in (${k1}, ${k1}, null)`,
    `select * from accounts where id = any('{${k1}}')`,
    `select * from accounts where id = any('{${k1}}'::bigint[])`,
    `select * from accounts where id = any(array[${k1}, ${k1}])`,
    `select * from accounts where id = ${k1} or id = ${k1}`,
    `select * from accounts where id = ${k1} and id in (${k0}, ${k1}, ${k2})`,
    `select count(*), max(balance) from accounts where id = ${k1} group by x having count(*) > 1 order by 1 limit 3`,
    `select * from accounts where id = ${k1} union all select * from accounts where id = ${k1}`,
    `select * from accounts a, orders o where a.id = o.account_id and a.id = ${k1}`,
    `select * from accounts a join orders o on a.id = o.account_id where o.account_id = ${k1}`,
    `select * from accounts a left join orders o on a.id = o.account_id where a.id = ${k1}`,
    `select * from accounts a join orders o on o.account_id = ${k1} where a.id = ${k1}`,
    `select * from accounts where id = ${k1} and exists (select 1 from orders where account_id = ${k1})`,
    `select * from accounts a where id = ${k1} and exists (select 1 from orders o where o.account_id = a.id)`,
    `with x as (select * from orders where account_id = ${k1}) select * from x join accounts on accounts.id = ${k1}`,
    `select * from (select * from accounts where id = ${k1}) x where x.balance > 1`,
    `select * from accounts join currencies on code = currency where id = ${k1}`,
    `update accounts set balance = 0 where id = ${k1} returning *`,
    `delete from accounts where id = ${k1}`,
    `insert into accounts (id) values (${k1}), (${k1})`,
    `insert into accounts (balance, id) values (1, '${k1}') on conflict (id) do update set balance = excluded.balance`,
    `insert into accounts (id) values (${k1}) on conflict (id) do update set id = excluded.id`,
    `insert into accounts (id, x) select ${k1}, x from currencies`,
    `insert into orders (account_id, x) select ${k1}, balance from accounts where id = ${k1}`,
    `with gone as (delete from orders where account_id = ${k1} returning *) update accounts set n = (select count(*) from gone) where id = ${k1}`,
    `explain analyze select * from accounts where id = ${k1}`,
    `declare c cursor for select * from accounts where id = ${k1}`,
    `copy (select * from accounts where id = ${k1}) to stdout`,
    `/* atomshard: shard=1 */ select count(*) from accounts`,
    `/* atomshard: shard=shard-1 */ select count(*) from accounts`,
    `-- atomshard: key=${k1}\nselect count(*) from accounts`,
    `/* atomshard: shard='shard-1' */ vacuum`,
    `select unknown_function(balance) from accounts where id = ${k1}`,
    `select nextval('s') from accounts where id = ${k1}`,
    `select * from accounts a join orders o using (id) where a.id = ${k1} and o.account_id = ${k1}`,
  ])('%s', (text) => {
    expect(route(text)).toBe('one:1');
  });

  it('a NULL key matches nothing, so any one shard gives the empty answer', () => {
    expect(route('select count(*) from accounts where id = $1', null)).toBe('one:0');
    expect(route('select count(*) from accounts where id in (null)')).toBe('one:0');
  });

  it('USING merges the keys of two tables into one name', () => {
    const same = newRouter({
      tables: [
        { name: 'a', key: 'id', type: 'bigint' },
        { name: 'b', key: 'id', type: 'bigint' },
      ],
    });
    for (const join of ['join', 'left join', 'right join']) {
      expect(told(same, `select count(*) from a ${join} b using (id) where id = ${k1}`)).toBe('one:1');
    }
    expect(told(same, `select count(*) from a full join b using (id) where id = ${k1}`)).toBe('refused:0A000');
  });

  it('a topology of one shard needs no understanding', () => {
    const single = newRouter(undefined, ['only']);
    for (const text of [
      'select count(*) from accounts',
      'select nextval($$s$$)',
      'update accounts set id = 1',
      'vacuum',
      'merge into accounts using orders on true when matched then delete',
      'select * from nowhere',
    ]) {
      expect([text, told(single, text)]).toEqual([text, 'one:0']);
    }
    expect(told(single, 'listen x')).toBe('refused:0A000');
    expect(told(single, 'create temp table t (a int)')).toBe('refused:0A000');
  });
});

describe('parameters', () => {
  const int8 = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(BigInt(value));
    return bytes;
  };
  it('text and binary, declared and inferred types', () => {
    expect(route('select * from accounts where id = $1', String(k1))).toBe('one:1');
    expect(route('select * from accounts where id = $1', { value: int8(k1), format: 1 })).toBe('one:1');
    expect(route('select * from accounts where id = $1', { value: int8(k1), format: 1, oid: 20 })).toBe('one:1');
    expect(route('select * from accounts where id = $1', { value: int8(k1).subarray(4), format: 1, oid: 23 })).toBe(
      'one:1',
    );
    expect(route('select * from accounts where id = $1::int', { value: int8(k1).subarray(4), format: 1 })).toBe(
      'one:1',
    );
    expect(route('insert into accounts (balance, id) values ($1, $2)', '3', String(k1))).toBe('one:1');
    expect(route('select * from accounts where id in ($1, $2)', String(k0), String(k1))).toBe('some:0,1');
    expect(route('select * from accounts where id = any($1)', `{${k0},NULL, ${k1}}`)).toBe('some:0,1');
  });

  it('a binary array', () => {
    const head = Buffer.alloc(20);
    head.writeInt32BE(1, 0);
    head.writeInt32BE(20, 8);
    head.writeInt32BE(2, 12);
    head.writeInt32BE(1, 16);
    const element = (key: number) => Buffer.concat([Buffer.from([0, 0, 0, 8]), int8(key)]);
    const value = Buffer.concat([head, element(k0), element(k2)]);
    expect(route('select * from accounts where id = any($1)', { value, format: 1, oid: 1016 })).toBe('some:0,2');
    expect(
      route('select * from accounts where id = any($1)', { value: value.subarray(0, 30), format: 1, oid: 1016 }),
    ).toBe('all');
    expect(route('select * from accounts where id = any($1)', { value, format: 1, oid: 1007 })).toBe('all');
  });

  it('a type that is not read exactly widens a read and refuses an INSERT', () => {
    expect(route('select * from accounts where id = $1', { value: '1', oid: 1700 })).toBe('all');
    expect(route('select count(*) from accounts where id = $1', { value: '1', oid: 1700 })).toBe('refused:0A000');
    expect(route('insert into accounts (id) values ($1)', { value: '1', oid: 1700 })).toBe('refused:0A000');
    expect(route('insert into accounts (id) values ($1)', 'x')).toBe('refused:0A000');
    expect(route('insert into accounts (id) values ($1)', null)).toBe('refused:23502');
  });

  it('a parameter that also stands elsewhere may get its type there, so it is read only when its type is declared', () => {
    const text = 'select * from accounts where rate = $1 and id = $1';
    // Eight bytes of a float8 look like a bigint.
    expect(route(text, { value: int8(k1), format: 1 })).toBe('all');
    expect(route(text, { value: int8(k1), format: 1, oid: 20 })).toBe('one:1');
    expect(
      route('select * from accounts a join orders o on a.id = $1 and o.account_id = $1', {
        value: int8(k1),
        format: 1,
      }),
    ).toBe('one:1');
  });

  it('a missing parameter is no key', () => {
    expect(route('select * from accounts where id = $1')).toBe('all');
    expect(route('select * from accounts where id = $2', String(k1))).toBe('all');
  });
});

describe('several shards', () => {
  it.each([
    ['select * from accounts', 'all'],
    ['table accounts', 'all'],
    ['select id, balance * 2, upper(name) from accounts where balance > 10', 'all'],
    [`select * from accounts where id in (${k0}, ${k2})`, 'some:0,2'],
    [`select * from accounts where id = ${k0} or id = ${k2}`, 'some:0,2'],
    [`select * from accounts where (id = ${k0} and x = 1) or (y = 2 and id = ${k2})`, 'some:0,2'],
    [`select * from accounts where id in (${k0}, ${k1}, ${k2})`, 'all'],
    [`select * from accounts where id = ${k0} or x = 1`, 'all'],
    [`select * from accounts where not id = ${k0}`, 'all'],
    [`select * from accounts where id <> ${k0}`, 'all'],
    [`select * from accounts where id = ${k0}.5`, 'all'],
    ['select * from accounts where id = x', 'all'],
    ['select * from accounts where expires < now()', 'all'],
    ['select * from accounts for update', 'all'],
    ['select * from accounts a join orders o on a.id = o.account_id', 'all'],
    ['select * from accounts a, orders o where a.id = o.account_id', 'all'],
    ['select * from accounts a left join orders o on a.id = o.account_id', 'all'],
    ['select * from accounts a join currencies c on a.currency = c.code', 'all'],
    ['select * from accounts a left join currencies c on a.currency = c.code', 'all'],
    ['select * from accounts, generate_series(1, 3) n', 'all'],
    [`select * from accounts a join orders o on a.id = o.account_id where a.id in (${k0}, ${k1})`, 'some:0,1'],
    ['update accounts set balance = balance + 1', 'all'],
    ['update accounts set balance = v.b from (values (1, 2), (3, 4)) v (id, b) where accounts.id = v.id', 'all'],
    [`delete from accounts where id in (${k0}, ${k1})`, 'some:0,1'],
    ['delete from accounts where expires < now() returning id', 'all'],
    ['truncate accounts', 'all'],
    ['create trigger t before update on accounts for each row execute function touch()', 'all'],
    ['lock table accounts', 'all'],
    ['copy accounts to stdout', 'all'],
    [`insert into accounts (id) values (${k0}), (${k1})`, 'split:0,1'],
  ])('%s → %s', (text, expected) => {
    expect(route(text)).toBe(expected);
  });

  it('a split INSERT keeps every byte but the other shards’ rows', () => {
    const text = `insert /* ) */ into accounts (id, "values", t) values (${k0}, ')', 'x, (') , -- one\n (${k1}, '(', E'\\')'), (${k0}, 'é', $$)$$) on conflict (id) do update set "values" = (excluded."values") returning id`;
    const [statement] = router.plan(text).statements;
    const split = statement?.route(undefined);
    expect(split).toEqual({
      kind: 'split',
      parts: [
        {
          shard: 0,
          text: `insert /* ) */ into accounts (id, "values", t) values (${k0}, ')', 'x, ('), (${k0}, 'é', $$)$$) on conflict (id) do update set "values" = (excluded."values") returning id`,
        },
        {
          shard: 1,
          text: `insert /* ) */ into accounts (id, "values", t) values (${k1}, '(', E'\\')') on conflict (id) do update set "values" = (excluded."values") returning id`,
        },
      ],
    });
  });

  it('rows with parameters take their own values along, counted anew', () => {
    const text = `insert into accounts (id, x) values ($2, $1), (${k1}, '$1'), ($4, $3) on conflict (id) do update set x = $5`;
    const [statement] = router.plan(text).statements;
    expect(statement?.route(bound('a', String(k0), 'c', String(k1), 'e'))).toEqual({
      kind: 'split',
      parts: [
        {
          shard: 0,
          text: 'insert into accounts (id, x) values ($1, $2) on conflict (id) do update set x = $3',
          parameters: [1, 0, 4],
        },
        {
          shard: 1,
          text: `insert into accounts (id, x) values (${k1}, '$1'), ($1, $2) on conflict (id) do update set x = $3`,
          parameters: [3, 2, 4],
        },
      ],
    });
    expect(route('insert into accounts (id) values ($1), ($2)', String(k1), String(k1))).toBe('one:1');
  });

  it('a parameter that stands in two rows, or in one and outside, is cut only with a declared type', () => {
    const shared = 'insert into accounts (id, x) values ($1, $3), ($2, $3)';
    const outside = 'insert into accounts (id, x) values ($1, $3), ($2, 7) on conflict (id) do update set x = $3';
    const typed = { value: Buffer.from('7'), oid: 20 };
    for (const text of [shared, outside]) {
      expect(route(text, String(k0), String(k1), '7')).toBe('refused:0A000');
      expect(route(text, String(k0), String(k1), typed)).toBe('split:0,1');
    }
    const within = 'insert into accounts (id, x, y) values ($1, $3, $3), ($2, 1, 2)';
    expect(route(within, String(k0), String(k1), '7')).toBe('split:0,1');
  });

  it('too few or too many values are not divided: a row must never get a NULL that nobody sent', () => {
    const text = 'insert into accounts (id, x) values ($1, 1), ($2, $3)';
    expect(route(text, String(k0), String(k1))).toBe('refused:0A000');
    expect(route(text, String(k0), String(k1), '1', '2')).toBe('refused:0A000');
    expect(route(text, String(k0), String(k1), '1')).toBe('split:0,1');
  });
});

describe('refused across shards', () => {
  it.each([
    'select count(*) from accounts',
    'select distinct x from accounts',
    'select x from accounts group by x',
    'select * from accounts order by id',
    'select * from accounts limit 1',
    'select * from accounts offset 1',
    'select * from accounts fetch first 1 row only',
    'select row_number() over () from accounts',
    'select * from accounts union all select * from accounts',
    'select * from accounts where id in (select account_id from orders)',
    'select (select max(x) from currencies) from accounts',
    'with x as (select 1) select * from accounts, x',
    'select * from (select * from accounts) x',
    'select * from accounts a join orders o on a.id = o.id',
    'select * from accounts a, orders o',
    'select * from accounts a full join orders o on a.id = o.account_id',
    'select * from currencies c left join accounts a on a.currency = c.code',
    'select * from accounts a right join currencies c on a.currency = c.code',
    'select * from accounts a left join orders o on a.id = o.account_id left join docs d on o.doc = d.id',
    'select * from accounts a natural join orders',
    'select * from accounts a join users u on a.id::text = u.name',
    'select random() from accounts',
    'select now(), id from accounts',
    'select current_timestamp, id from accounts',
    'select my_function(id) from accounts',
    'select ctid from accounts',
    "delete from accounts where ctid = '(0,1)'",
    'select tableoid::regclass from accounts',
    "select * from accounts where x = 'accounts'::regclass",
    'select * from accounts tablesample system (10)',
    'select * from accounts, pg_class',
    'select * into copy from accounts',
    'select json_object($1: id) from accounts',
    'update accounts set touched = now()',
    "update accounts set touched = 'now'",
    "update accounts set touched = ('n' || 'ow')::timestamptz",
    'update accounts set x = nextval($$s$$)',
    'update accounts set balance = 0 where current of c',
    'update accounts set x = (select max(x) from currencies)',
    `update accounts set id = ${k1} where id = ${k0}`,
    `insert into accounts (id) values (${k1}) on conflict (id) do update set id = 3`,
    'insert into accounts values (1)',
    'insert into accounts (balance) values (1)',
    'insert into accounts (id) values (default)',
    'insert into accounts default values',
    'insert into accounts (id) values (1 + 1)',
    'insert into accounts (id) values (42.0)',
    'insert into users (name) values (42)',
    "insert into users (name) values ('a'::varchar(1))",
    "insert into labels (name) values ('a ')",
    'insert into accounts (id) select id from orders',
    'insert into accounts (id) select account_id from orders where account_id = 1',
    `insert into accounts (id, x) select ${k1}, balance from accounts where id = ${k0}`,
    `insert into accounts (id, t) values (${k0}, now()), (${k1}, now())`,
    `insert into accounts (id, t) values (${k0}, 'today'), (${k1}, 'x')`,
    'merge into accounts a using orders o on a.id = o.account_id when matched then delete',
    'explain select * from accounts',
    'declare c cursor for select * from accounts',
    'copy accounts from stdin',
    'copy accounts to stdout with (format binary)',
    'copy accounts to stdout with (format csv, header)',
    "copy accounts to '/tmp/x'",
    'select * from nowhere',
    'insert into nowhere values (1)',
    'do $$ begin end $$',
    'call p()',
    "select nextval('s')",
    "select currval('s')",
    'select pg_notify($$a$$, $$b$$)',
    "select query_to_xml('select * from accounts', true, true, '')",
    `select query_to_xml('select 1', true, true, '') from accounts where id = ${k1}`,
    `select pg_advisory_xact_lock(1) from accounts where id = ${k1}`,
    `select lastval() from accounts where id = ${k1}`,
    `select nextval('a'), currval('a') from accounts where id = ${k1}`,
    `select set_config('a', 'b', false) from accounts where id = ${k1}`,
    `select * from accounts, currencies where id = ${k1} for update`,
    `select * from accounts a, currencies c where id = ${k1} for update of c`,
    `select * from accounts where id = ${k1} union select * from accounts where id = ${k0}`,
    `select * from accounts a join orders o on a.id = ${k0} and o.account_id = ${k1}`,
    `select * from accounts a left join orders o on a.id = ${k1} and o.account_id = ${k1}`,
    `with x as (update currencies set x = 1 returning *) select * from accounts where id = ${k1}`,
    `with accounts as (select * from accounts) select * from accounts where id = ${k1}`,
    `select * from accounts as a (x, id) where id = ${k1} limit 1`,
    `select count(*) from (accounts a join currencies c on true) j where id = ${k1}`,
    `select count(*) from accounts where id operator(other.=) ${k1}`,
    'alter table accounts rename column id to x',
    'alter table accounts drop column id',
    'alter table accounts alter column id type text',
    'alter table accounts rename to x',
    'alter table accounts set schema x',
    'alter schema public rename to x',
    'alter table accounts add unique (balance)',
    'alter table accounts add column x int unique',
    'create unique index on accounts (balance)',
    'create unique index on accounts (lower(id))',
    'create table accounts (id bigint, x int primary key)',
    'create table accounts (x bigint)',
    'create table accounts (id text primary key)',
    'create table orders (account_id bigint, x bigint references accounts (id))',
    'create table currencies (id int references accounts (id))',
    'create table currencies (id serial)',
    'create table currencies (id int generated always as identity)',
    'create table currencies (t timestamptz default now())',
    'alter table currencies add column t timestamptz default clock_timestamp()',
    'alter table currencies alter column t set default random()',
    `create table currencies (t timestamptz default 'now')`,
    `create table currencies (t timestamptz default 'now'::timestamptz)`,
    `alter table currencies add column t date default 'today'`,
    `alter table currencies alter column t set default timestamp 'tomorrow'`,
    'create domain moment as timestamptz default now()',
    `create domain moment as timestamptz default 'now'`,
    'alter domain moment set default clock_timestamp()',
    'create trigger t before update on currencies for each row execute function touch()',
    'create table nowhere (a int)',
    'create view v as select * from accounts',
    'create table currencies as select * from accounts',
    'create materialized view currencies as select * from accounts',
    'create rule r as on insert to accounts do nothing',
    'create table child partition of accounts for values in (1)',
    'create index concurrently on accounts (balance)',
    'vacuum accounts',
    'create database x',
    'create temp table x (a int)',
    'create temp view x as select 1',
    'select * into temp x from currencies',
    'select * from pg_temp.x',
    'listen a',
    'notify a',
    'declare c cursor with hold for select 1',
    'select pg_advisory_lock(1)',
    'select pg_try_advisory_lock(1)',
    'select pg_advisory_unlock(1)',
    "prepare transaction 'x'",
    "commit prepared 'x'",
    'prepare a as select 1',
    'execute a',
    'set standard_conforming_strings = off',
    "set client_encoding = 'latin1'",
    "set names 'latin1'",
  ])('%s', (text) => {
    const plan = router.plan(text);
    const answers = plan.statements.map((statement) => statement.route(bound('1')));
    expect([plan.statements.length, answers[0] === undefined ? undefined : short(answers[0])]).toEqual([
      1,
      'refused:0A000',
    ]);
  });

  it('names the tables and a way out', () => {
    const [statement] = router.plan('select count(*) from accounts').statements;
    expect(statement?.route(undefined)).toEqual({
      kind: 'refused',
      error: {
        code: '0A000',
        message: 'count combines rows of all shards, so it cannot be answered across shards (public.accounts)',
        hint: expect.stringContaining('Bind the shard key (id of public.accounts)'),
      },
    });
  });
});

describe('tables that are on every shard', () => {
  it.each([
    ['select * from currencies', 'any'],
    ['select count(*) from currencies order by 1 limit 1', 'any'],
    ['select * from currencies c join rates r using (code)', 'any'],
    ['with recursive x as (select 1 union all select 2 from x) select * from x, currencies', 'any'],
    ['select 1', 'any'],
    ['select now(), random(), version()', 'any'],
    ['select * from pg_catalog.pg_class c join pg_namespace n on n.oid = c.relnamespace', 'any'],
    ['select * from information_schema.tables', 'any'],
    ['values (1), (2)', 'any'],
    ['select * from currencies for update', 'one:0'],
    ['select pg_advisory_xact_lock(1)', 'one:0'],
    ['select pg_try_advisory_xact_lock_shared(1, 2)', 'one:0'],
    ['insert into currencies (code) values (1), (2)', 'all'],
    ['insert into currencies values (1, upper($$x$$))', 'all'],
    ['update currencies set x = x + 1 where code = 3 returning *', 'all'],
    ['delete from currencies', 'all'],
    ['truncate currencies', 'all'],
    ['insert into currencies (t) values (now())', 'refused:0A000'],
    ["insert into currencies (t) values ('now')", 'refused:0A000'],
    ["insert into currencies (t) values (' Today ')", 'refused:0A000'],
    ["insert into currencies (t) values ('known')", 'all'],
    ['insert into currencies (t) values (current_date)', 'refused:0A000'],
    ['insert into currencies (t) values (gen_random_uuid())', 'refused:0A000'],
    ["insert into currencies (id) values (nextval('s'))", 'refused:0A000'],
    ['insert into currencies select * from rates', 'refused:0A000'],
    ['insert into currencies select * from accounts where id = 1', 'refused:0A000'],
    ['update currencies set x = (select 1)', 'refused:0A000'],
    ['update currencies set x = r.x from rates r', 'refused:0A000'],
    ['delete from currencies where t < now()', 'refused:0A000'],
    ['delete from currencies using accounts where accounts.id = 1', 'refused:0A000'],
    ["delete from currencies where ctid = '(0,1)'", 'refused:0A000'],
    ['update pg_class set relname = $$x$$', 'refused:0A000'],
    ['unlisten *', 'any'],
    ['select pg_advisory_unlock_all()', 'any'],
    ['begin', 'any'],
  ])('%s → %s', (text, expected) => {
    expect(route(text)).toBe(expected);
  });

  it('a parameter that spells the clock is looked at, too', () => {
    expect(route('insert into currencies (t) values ($1)', 'now')).toBe('refused:0A000');
    expect(route('insert into currencies (t) values ($1)', '2020-01-01')).toBe('all');
    expect(route('update accounts set t = $1', 'tomorrow')).toBe('refused:0A000');
    expect(route('update accounts set t = $1 where id = $2', 'tomorrow', String(k1))).toBe('one:1');
  });

  it('with sharding.unlisted: reference an unknown table is one of them', () => {
    const open = newRouter({ unlisted: 'reference', tables: [] });
    expect(told(open, 'select * from nowhere')).toBe('any');
    expect(told(open, 'insert into nowhere values (1)')).toBe('all');
    expect(told(open, 'create table nowhere (a int)')).toBe('all');
  });
});

describe('names', () => {
  it('follow the schema, quoting and folding of PostgreSQL', () => {
    expect(route(`select * from sales.accounts where region = ${k1}`)).toBe('one:1');
    expect(route(`select * from sales.accounts where id = ${k1}`)).toBe('all');
    expect(route('select * from "Accounts" where id = 1')).toBe('refused:0A000');
    expect(route(`select * from mixed where "Key" = ${k1}`)).toBe('refused:0A000');
    expect(route(`select count(*) from "Mixed" where Key = ${k1}`)).toBe('refused:0A000');
    expect(route(`select * from U&"\\0061ccounts" where id = ${k1}`)).toBe('one:1');
    expect(route(`select * from public.accounts p, sales.accounts s where p.id = ${k1} and s.region = ${k1}`)).toBe(
      'one:1',
    );
    expect(route(`select count(*) from public.accounts, sales.accounts where accounts.id = ${k1}`)).toBe(
      'refused:0A000',
    );
    expect(
      route(
        `select * from public.accounts, sales.accounts where public.accounts.id = ${k1} and sales.accounts.region = ${k1}`,
      ),
    ).toBe('one:1');
  });

  it('a search path of two schemas takes the first that lists the table', () => {
    const two = newRouter({
      searchPath: ['sales', 'public'],
      tables: [
        { schema: 'sales', name: 'accounts', key: 'region', type: 'bigint' },
        { name: 'accounts', key: 'id', type: 'bigint' },
      ],
    });
    expect(told(two, `select * from accounts where region = ${k1}`)).toBe('one:1');
    expect(told(two, `select * from accounts where id = ${k1}`)).toBe('all');
  });

  it('a WITH query hides a table only where it is in scope', () => {
    expect(route(`with currencies as (select * from accounts where id = ${k1}) select count(*) from currencies`)).toBe(
      'one:1',
    );
    expect(route('with accounts as (select 1 as id) select count(*) from accounts')).toBe('any');
    expect(route('with accounts as (select 1 as id) select count(*) from public.accounts')).toBe('refused:0A000');
    expect(route('with a as (select * from accounts), accounts as (select 1) select count(*) from a')).toBe(
      'refused:0A000',
    );
    expect(route('with recursive accounts as (select * from accounts) select count(*) from accounts')).toBe('any');
  });

  it('an inner table may own an unqualified column, so outer keys are matched only by qualified names', () => {
    expect(
      route(`select * from accounts a where a.id = ${k1} and exists (select 1 from orders where account_id = a.id)`),
    ).toBe('one:1');
    expect(
      route(`select * from accounts a where a.id = ${k1} and exists (select 1 from orders where account_id = id)`),
    ).toBe('refused:0A000');
    expect(
      route(
        `select * from accounts a where a.id = ${k1} and exists (select 1 from orders o, currencies a where o.account_id = a.id)`,
      ),
    ).toBe('refused:0A000');
  });
});

describe('by hand', () => {
  it('a comment that is not understood is an error, not a comment', () => {
    for (const directive of ['shard=9', 'shard=nowhere', 'key=x', 'shrd=1', 'shard', 'shard=1 2', '']) {
      expect([directive, route(`/* atomshard: ${directive} */ select count(*) from accounts`)]).toEqual([
        directive,
        'refused:22023',
      ]);
    }
    expect(route('/* atomshard: shard=1 */ /* atomshard: shard=1 */ select 1')).toBe('refused:22023');
  });

  it('only leading comments count, and each statement has its own', () => {
    expect(route('select count(*) /* atomshard: shard=1 */ from accounts')).toBe('refused:0A000');
    expect(route("select '/* atomshard: shard=1 */', count(*) from accounts")).toBe('refused:0A000');
    expect(
      route(
        '/* atomshard: shard=1 */ select count(*) from accounts; /* atomshard: shard=2 */ select count(*) from accounts',
      ),
    ).toBe('one:1 | one:2');
    expect(route('/* atomshard: shard=1 */ select count(*) from accounts; select count(*) from accounts')).toBe(
      'one:1 | refused:0A000',
    );
  });

  it('a key in a comment has the type of the statement’s tables', () => {
    expect(route("/* atomshard: key='it''s' */ select count(*) from users")).toMatch(/^one:/);
    expect(route('/* atomshard: key=5 */ select count(*) from users, accounts')).toBe('refused:22023');
    expect(route('/* atomshard: key=5 */ select 1')).toBe('refused:22023');
  });

  it('never puts a row where its key does not belong', () => {
    expect(route(`/* atomshard: shard=1 */ insert into accounts (id) values (${k1})`)).toBe('one:1');
    expect(route(`/* atomshard: shard=1 */ insert into accounts (id) values (${k0})`)).toBe('refused:0A000');
    expect(route(`/* atomshard: shard=1 */ insert into accounts (id) values (${k0}), (${k1})`)).toBe('refused:0A000');
    const [statement] = router.plan('insert into accounts (id) values ($1)').statements;
    expect(statement?.routeTo(1, bound(String(k0))).kind).toBe('refused');
    expect(statement?.routeTo(1, bound(String(k1)))).toEqual({ kind: 'one', shard: 1 });
  });

  it('does not make possible what no shard can keep', () => {
    expect(route('/* atomshard: shard=1 */ listen x')).toBe('refused:0A000');
    expect(route('/* atomshard: shard=1 */ select pg_advisory_lock(1)')).toBe('refused:0A000');
    expect(route('/* atomshard: shard=1 */ create temp table x (a int)')).toBe('refused:0A000');
  });

  it('shards have names and numbers', () => {
    expect(SHARDS.map((name) => router.shardNamed(name))).toEqual([0, 1, 2]);
    expect(['0', '2', '3', '-1', '1.0', 'x', ''].map((value) => router.shardNamed(value))).toEqual([
      0,
      2,
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('texts', () => {
  it('that do not parse are refused with PostgreSQL’s message and position, because PostgreSQL may think otherwise', () => {
    const [statement] = router.plan('select é frm accounts where').statements;
    expect(statement?.route(undefined)).toEqual({
      kind: 'refused',
      error: { code: '42601', message: 'syntax error at or near "accounts"', position: '14' },
    });
    expect(route("select 'a' -- c\n'b'")).toBe('refused:42601');
  });

  it('that are empty have no statements', () => {
    for (const text of ['', ' ', ';', ' ; -- c\n ;', '/* c */']) expect(router.plan(text).statements).toEqual([]);
  });

  it('with several statements are cut at their semicolons', () => {
    const plan = router.plan("begin; insert into accounts (id) values (1); select ';' ; commit and chain");
    expect(plan.statements.map(({ text }) => text)).toEqual([
      'begin',
      ' insert into accounts (id) values (1)',
      " select ';' ",
      ' commit and chain',
    ]);
    expect(plan.statements.map(({ action }) => action.kind)).toEqual(['begin', 'query', 'query', 'commit']);
  });

  it('that nest too deeply never reach the parser, which would not survive many of them', () => {
    for (const text of [
      `select ${'1+'.repeat(50_000)}1`,
      `${'select('.repeat(3_000)}select 1${')'.repeat(3_000)}`,
      `${'select 1,2 union '.repeat(5_000)}select 1,2`,
    ]) {
      expect(route(text)).toBe('refused:54001');
    }
    expect(route(`select * from accounts where id in (${Array.from({ length: 20_000 }, () => k1).join(',')})`)).toBe(
      'one:1',
    );
    expect(
      route(`insert into accounts (id, t) values ${Array.from({ length: 5_000 }, () => `(${k1}, -1)`).join(',')}`),
    ).toBe('one:1');
  });
});
